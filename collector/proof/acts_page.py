"""The acts in the log, the newest first, a page at a time: found by the index of what has no payload, so that millions of readings between them cost nothing. What is
looked for in their facts is looked for in a bounded number of them; where that ends the page says from where to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.journal import GENESIS, Entry, Kind, chain
from tillwatch.collector.proof import signed_acts
from tillwatch.collector.proof.actions import group_of
from tillwatch.collector.proof.audit import KINDS, Act, act_of, holds
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Fault, Log
from tillwatch.collector.store.pages import PageError

MAX_LOOKED_AT = 20_000
"""Acts that one page looks through, some 0.2 s: a search for what is rare goes on with the next page."""
MAX_STRETCH = 50_000
"""Entries whose chain is followed at once: `verify --log` follows all of them."""
AT_ONCE = 500
_ROW = "n, at, kind, terminal, facts, payload_digest, digest"
_BACK = f"SELECT {_ROW} FROM journal WHERE payload IS NULL AND kind = ? AND n < ? ORDER BY n DESC LIMIT ?"  # noqa: S608 - constant columns


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which acts. actor: as a part of the name, whatever its case; group: of actions.GROUPS; action: exactly; subject: a part of what it was about: terminal, or any
    text of its facts; since, until: UTC ns, 0 for no bound. Empty: any.
    """

    actor: str = ""
    group: str = ""
    action: str = ""
    subject: str = ""
    since: int = 0
    until: int = 0

    def takes(self, act: Act) -> bool:
        return (
            (not self.group or group_of(act.action, act.detail) == self.group)
            and (not self.action or act.action == self.action)
            and (not self.actor or self.actor.casefold() in act.actor.casefold())
            and (not self.subject or any(self.subject.casefold() in text.casefold() for text in _texts(act)))
        )


def _texts(act: Act) -> Iterator[str]:
    yield act.terminal
    yield from (str(value) for value in act.detail.values())


@dataclass(frozen=True, slots=True)
class Logged:
    """An act with its place in the chain. digest: of the entry, 32 bytes."""

    act: Act
    digest: bytes


@dataclass(frozen=True, slots=True)
class ActsPage:
    """before: go on with it, 0 where there is nothing further; looked_at: acts that were looked through for this page; back_to: time of the last one, UTC ns."""

    acts: tuple[Logged, ...]
    before: int
    looked_at: int
    back_to: int


@dataclass(frozen=True, slots=True)
class EntryCheck:
    """One entry of the log, by the digests around it. prev: the digest before it; ok: it is what the chain says; signed: None where an entry of its kind has no
    signature, or nobody knows the key.
    """

    logged: Logged
    kind: str
    prev: bytes
    ok: bool
    signed: bool | None


@dataclass(slots=True)
class Stretch:
    """What came of following the chain from one entry to another. digest: of the last entry that was reached; at: when, UTC ns."""

    first: int
    last: int
    at: int = 0
    entries: int = 0
    digest: bytes = b""
    faults: list[Fault] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults and self.entries == self.last - self.first + 1


def page(db: Db, wanted: Wanted, before: int, limit: int, shown: Callable[[str], bool]) -> ActsPage:
    """before: an entry, 0 for the end of the log; shown: whether acts about this terminal, empty for none, may be seen."""
    end = before or 2**62
    if wanted.until:
        end = min(end, first_at(db, wanted.until))
    found: list[Logged] = []
    looked_at = back_to = last = 0
    for entry in _back(db, end):
        if entry.at < wanted.since:
            break
        if looked_at == MAX_LOOKED_AT or len(found) == limit:
            return ActsPage(tuple(found), last, looked_at, back_to)
        looked_at, back_to, last = looked_at + 1, entry.at, entry.n
        if shown(entry.terminal) and wanted.takes(act := act_of(entry, ok=True)):
            found.append(Logged(act, entry.digest))
    return ActsPage(tuple(found), 0, looked_at, back_to)


def _back(db: Db, end: int) -> Iterator[Entry]:
    """All acts before `end`, the newest first. Each kind is read by the index for itself: together SQLite would sort all of them first."""
    waiting: dict[Kind, list[Entry]] = {kind: [] for kind in KINDS}
    ends = dict.fromkeys(KINDS, end)
    while True:
        for kind, entries in waiting.items():
            if not entries and ends[kind]:
                rows = db.execute(_BACK, (kind, ends[kind], AT_ONCE)).fetchall()
                entries += [
                    Entry(n, at, Kind(k), terminal, facts, None, payload_digest, digest)
                    for n, at, k, terminal, facts, payload_digest, digest in reversed(rows)
                ]
                ends[kind] = entries[0].n if len(rows) == AT_ONCE else 0
        newest = max((each for each in waiting.values() if each), key=lambda entries: entries[-1].n, default=None)
        if newest is None:
            return
        yield newest.pop()


def first_at(db: Db, at: int) -> int:
    """The number of the first entry of this time (UTC ns) or later, among those that stand as rows; one behind the last where all are earlier. The log's time never goes
    back, so it is found by halving.
    """
    row = db.execute("SELECT max(n) FROM journal").fetchone()
    low, high = 1, int(row[0] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = db.execute("SELECT n, at FROM journal WHERE n >= ? ORDER BY n LIMIT 1", (middle,)).fetchone()
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return low


def check_entry(db: Db, n: int, own: VerifyKey | None) -> EntryCheck:
    """own: the collector's key, which signs acts that change figures. Raises KeyError where the log has no such entry, or cannot read it."""
    log = Log(db)
    try:
        near = log.entries(n, n)
    except PageError as error:
        raise KeyError(str(n)) from error
    if not near or near[-1].n != n:
        raise KeyError(str(n))
    entry = near[-1]
    prev = near[0].digest if len(near) > 1 else GENESIS
    act = act_of(entry, ok=holds(log, entry))
    facts = entry.facts_map()
    signed = None
    if own is not None and facts.get("action") in signed_acts.SIGNED:
        signed = signed_acts.holds(own, facts)
    ok = act.ok and chain(prev, entry.n, entry.at, entry.kind, entry.terminal, entry.facts, entry.payload_digest) == entry.digest  # fmt: skip
    return EntryCheck(Logged(replace(act, ok=ok), entry.digest), entry.kind.name.lower(), prev, ok, signed)


def follow(db: Db, first: int, last: int) -> Stretch:
    """Follow the chain through these entries, at most MAX_STRETCH of them and to the end of the page that the last one lies in: only there a packed page says
    what its chain comes to. Without their frames.
    """
    log = Log(db)
    (newest, _) = log.head()
    last = min(last, newest, first + MAX_STRETCH - 1)
    page = db.execute("SELECT last_n, first_n FROM page WHERE last_n >= ? ORDER BY last_n LIMIT 1", (last,)).fetchone()
    last = page[0] if page is not None and page[1] <= last else last
    found = Stretch(first, last)
    if last < first:
        return found

    def report(fault: Fault) -> None:
        if first <= fault.last and fault.n <= last:
            found.faults.append(fault)

    for logged in log.walk(report, first - 1, frames=lambda _: False):
        if logged.entry.n > last:
            break
        found.entries += 1
        found.at, found.digest = logged.entry.at, logged.entry.digest
    return found
