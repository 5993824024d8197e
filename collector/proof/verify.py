"""Walks the whole log: every link of the chain, every frame against its digest, every signature against the keys of its time, every stream of
every terminal against its own numbers. It names what does not fit and goes on; what was lost by declaration or retired by rule is told apart
from what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryptography import x509

from tillwatch.agent.wire import Header, Life, VerifyKey, WireError, open_header, open_life_frame
from tillwatch.collector import sequence
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.proof import signed_acts
from tillwatch.collector.sequence import Stream
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Fault, Log, Logged
from tillwatch.collector.trust.binding import ENROL, ROTATE, KeyHistory, is_bound

EVERY = 5_000
"""Entries between two words on the progress."""
MAX_FAULTS = 1_000
"""Faults that are named; further ones are counted only. A file that is damaged throughout would fill the memory with them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Batches that a terminal declared gone, at entry n."""

    n: int
    terminal: str
    epoch: bytes
    first: int
    last: int


@dataclass(slots=True)
class Verified:
    """frames, bytes: sealed ones that hold; retired: entries whose frames are gone by rule; unbound: enrolments without the authority's word."""

    entries: int = 0
    head: bytes = b""
    frames: int = 0
    bytes: int = 0
    retired: int = 0
    unbound: int = 0
    losses: list[Loss] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        return not self.count


class _Walk:
    def __init__(self, db: Db, authority: x509.Certificate | None, own: VerifyKey | None) -> None:
        self._log = Log(db)
        self._authority = authority
        self._own = own
        self._ring = KeyHistory()
        self._streams: dict[str, dict[bytes, Stream]] = {}
        self._told: dict[tuple[str, int, int], int] = {}
        self.found = Verified()

    def report(self, fault: Fault) -> None:
        self.found.count[fault.what] += 1
        if len(self.found.faults) < MAX_FAULTS:
            self.found.faults.append(fault)

    def _wrong(self, entry: Entry, text: str) -> None:
        self.report(Fault("damage", entry.n, entry.n, text))

    def run(self) -> Iterator[int]:
        found = self.found
        for logged in self._log.walk(self.report):
            found.entries += 1
            found.head = logged.entry.digest
            self._entry(logged)
            if found.entries % EVERY == 0:
                yield logged.entry.n
        self._retired()

    def _entry(self, logged: Logged) -> None:
        entry = logged.entry
        if logged.state == "retired":
            self.found.retired += 1
        try:
            if entry.kind is Kind.OPERATOR:
                self._act(entry)
            elif logged.frame is not None:
                self._frame(entry, logged.frame)
                self.found.frames += 1
                self.found.bytes += len(logged.frame)
            elif "seq" in (facts := entry.facts_map()) and entry.kind is not Kind.FORK:
                tail = sequence.UNVERIFIABLE if entry.kind is Kind.LIFE else entry.payload_digest
                self._accept(entry, Stream(facts["epoch"], facts["seq"], tail))
        except WireError as error:
            self._wrong(entry, f"{entry.terminal}: {error.reason}: {error.detail}")
        except (KeyError, ValueError, TypeError) as error:
            self._wrong(entry, f"its facts are not well-formed: {error}")

    def _act(self, entry: Entry) -> None:
        facts = entry.facts_map()
        if facts["action"] in {ENROL, ROTATE} and self._authority is not None:
            bound = is_bound(self._authority, facts, entry.terminal)
            if bound is None:
                # A rotation stands without: the key before it has signed it.
                self.found.unbound += facts["action"] == ENROL
            elif not bound:
                self._wrong(entry, f"the authority has not signed this key of {entry.terminal}")
        if self._own is not None and not signed_acts.holds(self._own, facts):
            self._wrong(
                entry,
                f"this {facts['action']} is not signed by this collector's key: made up, or signed before that key was replaced",
            )
        if facts["action"] == "retire":
            self._told |= {(terminal, first, last): entry.n for terminal, _, first, last in facts["segments"]}
        self._ring.act(entry.terminal, facts, entry.at)

    def _frame(self, entry: Entry, frame: bytes) -> None:
        if entry.kind is Kind.LIFE:
            life = open_life_frame(entry.terminal, frame, self._ring)
            self._in_time(entry, life)
            decision = sequence.on_life(self._of(entry), life)
            if decision.loss is not None:
                self.found.losses.append(Loss(entry.n, entry.terminal, life.epoch, *decision.loss))
            self._of(entry)[life.epoch] = decision.stream
            return
        header = open_header(entry.terminal, frame, self._ring)
        if entry.kind is Kind.FORK:
            return
        self._in_time(entry, header)
        verdict = sequence.decide(self._of(entry), header, entry.payload_digest, None)
        if verdict.verdict is not sequence.Verdict.ACCEPT:
            what = verdict.detail or f"seq {header.seq}, where {verdict.want or verdict.stream.mark + 1} should come"
            self.report(Fault("hole", entry.n, entry.n, f"the stream of {entry.terminal} breaks: {what}"))
        self._accept(entry, Stream(header.epoch, header.seq, entry.payload_digest))

    def _in_time(self, entry: Entry, one: Header | Life) -> None:
        if not self._ring.in_time(one):
            self._wrong(entry, f"{entry.terminal}: signed by a key that had handed over before")

    def _of(self, entry: Entry) -> dict[bytes, Stream]:
        return self._streams.setdefault(entry.terminal, {})

    def _accept(self, entry: Entry, stream: Stream) -> None:
        self._of(entry)[stream.epoch] = stream

    def _retired(self) -> None:
        """Frames may be gone only where an entry of the chain says so."""
        for terminal, first, last, _ in self._log.retired():
            if (terminal, first, last) not in self._told:
                self.report(
                    Fault(
                        "hole", first, last, f"frames of {terminal} are gone, and no entry says that they were retired"
                    )
                )


def verify_log(
    db: Db,
    authority: x509.Certificate | None,
    progress: Callable[[int], None] = lambda _: None,
    own: VerifyKey | None = None,
) -> Verified:
    """Verify everything in one consistent state of the file. own: the collector's key, which signs what changes figures. progress: told the
    entry that the walk has reached.
    """
    walk = _Walk(db, authority, own)
    db.execute("BEGIN")
    try:
        for n in walk.run():
            progress(n)
    finally:
        db.execute("COMMIT")
    return walk.found
