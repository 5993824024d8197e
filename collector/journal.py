"""The record: an append-only chain of everything that happened, in order of receipt. An entry's digest covers the digest before it, so a
removed, changed or inserted entry breaks every later one. It covers the digest of the payload and not the payload itself, so that sealed
bytes may be packed into segments or retired and the chain still proves what remains.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any

import msgpack

GENESIS = sha256(b"tillwatch/journal/1").digest()
"""The digest before the first entry."""


class Kind(IntEnum):
    """What happened. BATCH, REFUSED and FORK carry an MQTT payload as received, LIFE too; the others carry nothing but facts.
    FINDING: what the predictions say, and nobody's act.
    """

    STARTED = 1
    STOPPED = 2
    BATCH = 3
    LIFE = 4
    OPERATOR = 5
    TICKET_CHANGE = 6
    RULES_CHANGED = 7
    REFUSED = 8
    FORK = 9
    FINDING = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. at: monotone time of receipt, UTC ns; facts: msgpack map of what was computed once on receipt;
    span: batches only, oldest and newest corrected reading time in UTC ms.
    """

    n: int
    at: int
    kind: Kind
    terminal: str
    facts: bytes
    payload: bytes | None
    payload_digest: bytes
    digest: bytes
    span: tuple[int, int] | None = None

    def facts_map(self) -> dict[str, Any]:
        return msgpack.unpackb(self.facts) if self.facts else {}


def chain(prev: bytes, n: int, at: int, kind: Kind, terminal: str, facts: bytes, payload_digest: bytes) -> bytes:
    """The digest of an entry. Every part has a fixed length or its length before it, so no two entries spell the same bytes."""
    name = terminal.encode()
    return sha256(
        b"".join(
            (
                prev,
                n.to_bytes(8, "big"),
                at.to_bytes(8, "big"),
                bytes((kind, len(name))),
                name,
                len(facts).to_bytes(4, "big"),
                facts,
                payload_digest,
            )
        )
    ).digest()


class Journal:
    """Gives entries their number, their time and their place in the chain. The store keeps them; this only knows the end."""

    def __init__(self, n: int = 0, at: int = 0, digest: bytes = GENESIS) -> None:
        self.n = n
        self.at = at
        self.digest = digest

    def append(
        self,
        kind: Kind,
        now: int,
        *,
        terminal: str = "",
        facts: dict[str, Any] | None = None,
        payload: bytes | None = None,
        payload_digest: bytes | None = None,
        span: tuple[int, int] | None = None,
    ) -> Entry:
        """The next entry. now: UTC ns; a clock that steps back never turns the order round.

        payload_digest: of the uncompressed frame where the payload is a sealed one; else taken over the payload.
        """
        self.n += 1
        self.at = max(now, self.at + 1)
        packed: bytes = msgpack.packb(facts) if facts else b""
        of_payload = payload_digest or sha256(payload or b"").digest()
        self.digest = chain(self.digest, self.n, self.at, kind, terminal, packed, of_payload)
        return Entry(self.n, self.at, kind, terminal, packed, payload, of_payload, self.digest, span)
