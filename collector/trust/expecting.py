"""The part of the fold that keeps who may enrol: the list of expected machines, permissions for many, claims that wait for a person. What is wrong with an
act was said before it was journaled; what does not apply here changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tillwatch.collector.alarm.alarming import Alarming
from tillwatch.collector.alarm.rules import FORK
from tillwatch.collector.book import Book
from tillwatch.collector.journal import Entry
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.trust.expected import (
    BATCH,
    CLAIMED,
    DISPUTED,
    EXPECTED,
    IMAGE,
    MAX_EXPECTED,
    MAX_GRANTS,
    MAX_REFUSED,
    Expected,
    Grant,
    RefusedClaim,
    Unclaimed,
)

EVIDENCE = "claim"
"""What a fork alarm says of a serial that was claimed twice."""
_TWICE = frozenset({Unclaimed.CLAIMED.value, Unclaimed.ENROLLED.value})


class Expecting:
    """expected: by serial; grants: by name; refused: by serial."""

    def __init__(self, book: Book, fleet: Fleet, alarming: Alarming) -> None:
        self.expected: dict[str, Expected] = {}
        self.grants: dict[str, Grant] = {}
        self.refused: dict[str, RefusedClaim] = {}
        self._images: dict[bytes, str] = {}
        self._book = book
        self._fleet = fleet
        self._alarming = alarming

    def load(self, expected: Expected) -> None:
        self.expected[expected.serial] = expected

    def load_grant(self, grant: Grant) -> None:
        self.grants[grant.name] = grant
        if grant.secret:
            self._images[grant.secret] = grant.name

    def load_refused(self, claim: RefusedClaim) -> None:
        self.refused[claim.serial] = claim

    def image(self, secret: bytes) -> Grant | None:
        """By the SHA-256 of its secret."""
        return self.grants.get(self._images.get(secret, ""))

    def act(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        ACTS[facts["action"]](self, entry, facts)

    def enrolled(self, facts: Mapping[str, Any], at: int) -> None:
        """A terminal was enrolled: by a claim, by a token of a batch, or by one of its own."""
        serial, used = str(facts.get("machine", "")), str(facts.get("grant", ""))
        known, grant = self.expected.get(serial), self.grants.get(used)
        again = known is not None and known.state != EXPECTED and known.public == facts["public"]
        if known is not None:
            address = str(facts.get("address", ""))
            self._keep(replace(known, state=CLAIMED, at=at, public=facts["public"], address=address, released=False))
        self._forget(serial)
        if grant is not None and not again:
            self._grant(replace(grant, used=grant.used + 1))

    def _expect(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        by, source, image = (sys.intern(str(facts.get(name, ""))) for name in ("actor", "source", "image"))
        for serial, terminal, *place in facts["rows"]:
            branch, region, terminal_class, ring = (sys.intern(text) for text in place)
            known = self.expected.get(serial)
            if known is None and len(self.expected) >= MAX_EXPECTED:
                return
            if known is not None and known.state != EXPECTED:
                if known.terminal == terminal:
                    known = replace(known, branch=branch, region=region, terminal_class=terminal_class)
                    self._keep(replace(known, ring=ring, image=image))
                continue
            self._keep(Expected(serial, terminal, branch, region, terminal_class, ring, EXPECTED, entry.at, by, source, image))  # fmt: skip
            self._forget(serial)

    def _remove(self, _: Entry, facts: Mapping[str, Any]) -> None:
        for serial in facts["serials"]:
            if self.expected.pop(serial, None) is not None:
                self._book.dirty.expected[serial] = None
            self._forget(serial)

    def _release(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        """A person lets the serial be claimed once more: a new disk, or a new board in the old case."""
        known = self.expected.get(str(facts["serial"]))
        if known is not None:
            self._keep(replace(known, state=EXPECTED, at=entry.at, public=b"", address="", released=True))
            self._forget(known.serial)

    def _dismiss(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        """A person has looked at refused claims: whoever was enrolled stays it."""
        for serial in facts["serials"]:
            known = self.expected.get(serial)
            if known is not None and known.state == DISPUTED:
                self._keep(replace(known, state=CLAIMED if known.public else EXPECTED, at=entry.at))
            claim = self.refused.get(serial)
            self._forget(serial)
            terminal = self._fleet.terminals.get(claim.terminal) if claim is not None else None
            if terminal is None:
                continue
            alarm = self._book.alarms.get((FORK, terminal.id, ""))
            if alarm is not None and alarm.open and set(alarm.detail.get("evidence", {})) == {EVIDENCE}:
                self._alarming.judge(FORK, terminal, "", "dismissed", entry.at)

    def _refused(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        claim = RefusedClaim(
            str(facts["serial"]), str(facts["reason"]), entry.at, *(str(facts.get(name, "")) for name in ("image", "address", "terminal"))
        )  # fmt: skip
        if claim.serial not in self.refused and len(self.refused) >= MAX_REFUSED:
            return
        self.refused[claim.serial] = claim
        self._book.dirty.refused_claims[claim.serial] = claim
        known, terminal = self.expected.get(claim.serial), self._fleet.terminals.get(claim.terminal)
        if claim.reason not in _TWICE or known is None:
            return
        self._keep(replace(known, state=DISPUTED, at=entry.at))
        if terminal is not None:
            text = (
                f"a machine with serial number {claim.serial} asks to be enrolled, from {claim.address}; {claim.reason}"
            )
            self._alarming.judge(FORK, terminal, "", "fork", entry.at, {EVIDENCE: text})

    def _batch(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        # The parts of one list are acts of their own; the first one makes the batch.
        if facts["name"] not in self.grants and len(self.grants) < MAX_GRANTS:
            made = (int(facts["until"]), int(facts["count"]), 0, 0, str(facts["actor"]))
            self._grant(Grant(facts["name"], BATCH, entry.at, *made, source=str(facts["source"]), digest=facts["digest"]))  # fmt: skip

    def _image(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        if facts["name"] in self.grants or len(self.grants) >= MAX_GRANTS:
            return
        made = (int(facts["until"]), int(facts["count"]), 0, 0, str(facts["actor"]))
        self._grant(
            Grant(
                facts["name"], IMAGE, entry.at, *made, since=int(facts["since"]), source=str(facts["source"]), digest=facts["digest"],
                secret=facts["secret"], listed=bool(facts["listed"]),
            )
        )  # fmt: skip
        self._images[facts["secret"]] = facts["name"]

    def _revoke(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        grant = self.grants.get(str(facts["name"]))
        if grant is not None and not grant.revoked_at:
            self._grant(replace(grant, revoked_at=entry.at))

    def _keep(self, expected: Expected) -> None:
        self.expected[expected.serial] = self._book.dirty.expected[expected.serial] = expected

    def _grant(self, grant: Grant) -> None:
        self.grants[grant.name] = self._book.dirty.grants[grant.name] = grant

    def _forget(self, serial: str) -> None:
        if self.refused.pop(serial, None) is not None:
            self._book.dirty.refused_claims[serial] = None


ACTS: Mapping[str, Callable[[Expecting, Entry, Mapping[str, Any]], None]] = {
    "expect": Expecting._expect,  # noqa: SLF001 - of this module
    "expect-remove": Expecting._remove,  # noqa: SLF001 - the same
    "expect-release": Expecting._release,  # noqa: SLF001 - the same
    "expect-dismiss": Expecting._dismiss,  # noqa: SLF001 - the same
    "claim-refused": Expecting._refused,  # noqa: SLF001 - the same
    "token-batch": Expecting._batch,  # noqa: SLF001 - the same
    "image-token": Expecting._image,  # noqa: SLF001 - the same
    "grant-revoke": Expecting._revoke,  # noqa: SLF001 - the same
}
