"""Who did what: the acts in the log, each checked against the chain that it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgpack

from tillwatch.collector.journal import GENESIS, Entry, Kind, chain
from tillwatch.collector.store import requests
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Log
from tillwatch.collector.store.pages import PageError

KINDS = (Kind.STARTED, Kind.STOPPED, Kind.OPERATOR, Kind.RULES_CHANGED)
COLLECTOR = "collector"
TIMES = frozenset({"from", "to", "until"})
"""Facts of people's acts that are UTC ns: of a shelf, a window, a correction."""

MAX_BYTES_SHOWN = 64
"""Of a fact that is bytes: digests and keys. A longer one is content, which is named by its digest."""


@dataclass(frozen=True, slots=True)
class Act:
    """ok: the entry is what the chain says, by the digests around it; at: UTC ns."""

    n: int
    at: int
    actor: str
    action: str
    terminal: str
    detail: dict[str, Any]
    ok: bool


def acts(db: Db) -> Iterator[Act]:
    """All of them, in order."""
    log = Log(db)
    places = ",".join("?" * len(KINDS))
    rows = db.execute(
        f"SELECT n, at, kind, terminal, facts, payload_digest, digest FROM journal WHERE payload IS NULL AND kind IN ({places}) ORDER BY n",  # noqa: S608 - placeholders
        KINDS,
    ).fetchall()
    for n, at, kind, terminal, facts, payload_digest, digest in rows:
        entry = Entry(n, at, Kind(kind), terminal, facts, None, payload_digest, digest)
        yield act_of(entry, ok=holds(log, entry))


def waiting(db: Db) -> list[dict[str, Any]]:
    """Facts of the acts that no collector has journaled yet."""
    return [_plain(facts) for _, facts in requests.waiting(db) if facts.get("action") != requests.FINDINGS]


def fields(act: Act) -> dict[str, Any]:
    return {
        "n": act.n, "at": _iso(act.at), "actor": act.actor, "action": act.action, "terminal": act.terminal, "detail": act.detail, "ok": act.ok,
    }  # fmt: skip


def holds(log: Log, entry: Entry) -> bool:
    """Whether the entry is what the chain says, by the digests around it."""
    try:
        near = log.entries(entry.n, entry.n)
    except PageError:
        return False
    if not near or near[-1] != entry:
        return False
    prev = near[0].digest if len(near) > 1 else GENESIS
    return chain(prev, entry.n, entry.at, entry.kind, entry.terminal, entry.facts, entry.payload_digest) == entry.digest


def act_of(entry: Entry, *, ok: bool) -> Act:
    """An entry of one of KINDS in the words of people."""
    facts: dict[str, Any] = msgpack.unpackb(entry.facts) if entry.facts else {}
    match entry.kind:
        case Kind.OPERATOR:
            action, actor = str(facts.pop("action", "")), str(facts.pop("actor", ""))
            if not actor:
                # What a terminal does for itself, with its token or its key.
                actor = f"terminal at {facts['address']}" if "address" in facts else "terminal"
            facts.pop("terminal", None)
        case Kind.RULES_CHANGED:
            action, actor = "rules", COLLECTOR
            facts = {name: sha256(str(text).encode()).hexdigest()[:16] for name, text in facts.items()}
        case _:
            action, actor = entry.kind.name.lower(), COLLECTOR
    return Act(entry.n, entry.at, actor, action, entry.terminal, _plain(facts), ok)


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: _said(name, value) for name, value in facts.items()}


def _said(name: str, value: Any) -> Any:
    if name in TIMES and isinstance(value, int):
        return _iso(value)
    if isinstance(value, bytes):
        long = len(value) > MAX_BYTES_SHOWN
        return f"{len(value)} bytes, SHA-256 {sha256(value).hexdigest()}" if long else value.hex()
    return value


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="milliseconds")
