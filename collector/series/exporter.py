"""Writes the readings of the log on to one sink, in the log's order, from where it stands. Nothing depends on when it runs: killed anywhere, begun again or begun
earlier, it writes the same lines for the same entry, and a line that is written twice is one to the sink.

What a sink has answered for and keeps is the position; what it may still forget if it is killed now waits until that is known. Where it was
killed, it is written again from the position on.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from tillwatch.agent.wire import WireError, frame_columns
from tillwatch.collector.journal import GENESIS, Entry, Kind
from tillwatch.collector.series.kept import NOWHERE, Mark, Standing, marked
from tillwatch.collector.series.lines import Count, Renderer
from tillwatch.collector.series.places import Places
from tillwatch.collector.series.port import OutsideRetentionError, Sink, SinkDownError, SinkRefusesError
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Fault, Log, Logged
from tillwatch.collector.store.pages import PageError
from tillwatch.device_profiles.model import Signal

log = logging.getLogger(__name__)

STEP_S = 20.0
"""How long one state of the store is read at most, and one write more: meanwhile the collector's write-ahead log cannot be cut. The longer, the
less often the segments of each terminal are opened again.
"""
SAVE_S = 2.0
"""Between two savings at the least: after a kill so much is written again."""
TELL_S = 5.0
POLL_S = 1.0
FIRST_WAIT_S, MOST_WAIT_S = 1.0, 60.0
"""After a failure; doubled with each one that follows it at once. A sink that was down for a day is written to again within a minute."""
MAX_SPLITS = 64
"""Writes that are spent on finding what a sink refuses among the lines of one write: two bad lines in 50,000 take 64."""
BEHIND = 10_000
"""Entries from which on it is said that there is catching up to do."""

Save = Callable[[Standing, bool], None]
"""(where it stands, whether its position has moved). Raises OSError."""


@dataclass(frozen=True, slots=True)
class Limits:
    """points: lines of one write; until: the last entry that is written, 0 for on and on."""

    points: int
    until: int = 0


class Exporter:
    """opened: a connection to the store, for reading; each is closed again. kept: where it stands. Blocks; of one thread."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        opened: Callable[[], Db],
        signals: Mapping[str, Signal],
        limits: Limits,
        kept: Standing,
        save: Save,
    ) -> None:
        self._name, self._sink, self._opened, self._limits, self._save = name, sink, opened, limits, save
        self._render = Renderer(signals, words=sink.words)
        self._stands = replace(kept, process=os.getpid(), trouble="", trouble_at=0)
        self._at = self._known = kept.position
        self._before = Count(0, kept.moved, kept.backwards, kept.texts)
        self._answered: deque[tuple[float, Mark]] = deque()
        self._life, self._suspect = "", True
        self._looked_at = float("-inf")
        self._places: Places | None = None
        self._lines: list[str] = []
        self._failed = 0
        self._refused = False
        self._faults: set[str] = set()
        self._catching_up = False
        self._saved_at = self._told_at = float("-inf")

    @property
    def standing(self) -> Standing:
        return self._stands

    @property
    def done(self) -> bool:
        """Whether the sink keeps everything up to the last entry that is asked for."""
        return bool(self._limits.until) and self._stands.position.n >= self._limits.until

    def turn(self, ended: Callable[[], bool] = lambda: False) -> float:
        """Write on for a while at most; how long (s) nothing is to be done now, 0 where there is more. Raises sqlite3.Error where the store cannot be read,
        OSError where its place cannot be kept.
        """
        try:
            if self._suspect:
                self._look_at_life()
            more = self._written(ended)
            self._settle()
        except SinkDownError as error:
            return self._down(error)
        except BaseException:
            self._forget()
            raise
        if self._failed:
            log.info("sink %s: it is written to again, from entry %d on", self._name, self._at.n)
        self._failed = 0
        self._stands = replace(self._stands, trouble="", trouble_at=0)
        self._tell()
        return 0.0 if more else POLL_S

    def failed(self, why: str) -> None:
        """It could not go on, and will be told to again: for people. Raises OSError."""
        now = time.time_ns()
        self._stands = replace(self._stands, trouble=why, trouble_at=self._stands.trouble_at or now, looked_at=now)
        self._tell()

    def _forget(self) -> None:
        """What was read and is not written: it is read again."""
        self._lines, self._places = [], None

    def end(self) -> None:
        """Keep where it stands. Raises OSError."""
        self._stands = replace(self._stands, process=0)
        self._tell(now=True)
        self._sink.close()

    # Reading.

    def _written(self, ended: Callable[[], bool]) -> bool:
        """Whether there is more to be written at once."""
        with closing(self._opened()) as db:
            db.execute("BEGIN")
            whole = Log(db)
            head, _ = whole.head()
            self._stands = replace(self._stands, head=head, looked_at=time.time_ns())
            if self._at.n and not _holds(whole, self._at, head):
                self._gone_on_otherwise(whole, head)
            if self._places is None:
                self._places = Places(db, self._at.n)
                self._render.forget()
            self._say_how_far()
            until = time.monotonic() + STEP_S
            last = self._at
            for logged in whole.walk(self._fault, self._at.n, frames=_is_batch):
                if self._limits.until and logged.entry.n > self._limits.until:
                    break
                self._take(logged)
                last = Mark(logged.entry.n, logged.entry.digest, logged.entry.at)
                if len(self._lines) >= self._limits.points:
                    self._hand_over(last)
                    if self._places is None or ended() or time.monotonic() > until:
                        return True
            self._hand_over(last)
        return self._places is None

    def _take(self, logged: Logged) -> None:
        entry = logged.entry
        assert self._places is not None
        self._places.take(entry)
        if logged.state == "retired":
            self._stands = replace(self._stands, retired=self._stands.retired + 1)
            if "retired" not in self._faults:
                self._faults.add("retired")
                log.warning("sink %s: the readings of entry %d and others have been retired: they cannot be written", self._name, entry.n)  # fmt: skip
        if entry.kind is not Kind.BATCH or logged.frame is None:
            return
        try:
            columns = frame_columns(logged.frame)
        except WireError as error:
            self._fault(Fault("damage", entry.n, entry.n, f"its batch cannot be opened: {error}"))
            return
        facts = entry.facts_map()
        place, correction = self._places.of(entry.terminal), int(facts.get("correction_ms", 0))
        self._lines += self._render.batch(entry.terminal, place, columns, correction, int(facts.get("seq", 0)))

    def _gone_on_otherwise(self, whole: Log, head: int) -> None:
        """The entry where it stands is not the one of this log: the collector was restored, and its journal goes on with others under the same numbers."""
        was = self._at
        self._answered.clear()
        self._places = None
        self._at = next((mark for mark in reversed(self._stands.marks) if _holds(whole, mark, head)), NOWHERE)
        note = (
            f"the log has gone on otherwise: its entry {was.n} is not the one that was written. Everything behind entry {self._at.n} is written again; what "
            f"only the other log had stays in the sink"
        )
        log.error("sink %s: %s", self._name, note)
        marks = tuple(mark for mark in self._stands.marks if mark.n <= self._at.n)
        self._stands = replace(self._stands, position=self._at, written=self._at, marks=marks, note=note, note_at=time.time_ns())  # fmt: skip

    def _fault(self, fault: Fault) -> None:
        """Once of each kind: `verify --log` says all of them."""
        if fault.what not in self._faults:
            self._faults.add(fault.what)
            log.error("sink %s: the log has a %s at entry %d: %s; it is written on behind it", self._name, fault.what, fault.n, fault.text)  # fmt: skip

    def _say_how_far(self) -> None:
        behind = (self._limits.until or self._stands.head) - self._at.n
        if behind > BEHIND and not self._catching_up:
            log.info("sink %s: %d entries are to be written yet", self._name, behind)
        elif self._catching_up and behind <= BEHIND:
            log.info("sink %s: it has caught up", self._name)
        self._catching_up = behind > BEHIND

    # Writing.

    def _hand_over(self, last: Mark) -> None:
        """What was rendered, up to and with this entry. Without any readings there is nothing that the sink could forget."""
        lines, self._lines = self._lines, []
        accepted = self._send(lines) if lines else 0
        if last.n > self._at.n:
            self._at = last
            self._answered.append((time.monotonic(), last))
            count = self._render.count
            self._stands = replace(
                self._stands, written=last, points=self._stands.points + accepted, moved=self._before.moved + count.moved,
                backwards=self._before.backwards + count.backwards, texts=self._before.texts + count.texts,
            )  # fmt: skip
        self._settle()
        self._tell()

    def _send(self, lines: list[str]) -> int:
        """How many lines the sink took. What it refuses is looked for, counted and passed over; where it takes nothing at all the fault is not the lines'."""
        waiting, accepted, splits = [lines], 0, 0
        refusal = ""
        refused: list[str] = []
        while waiting:
            part = waiting.pop()
            try:
                self._sink.write("\n".join(part).encode())
                accepted += len(part)
            except OutsideRetentionError as error:
                accepted += len(part)
                self._pass_over(0, f"it keeps readings for a shorter time than the log and drops older ones: {error}")
            except SinkRefusesError as error:
                splits += 1
                if splits > MAX_SPLITS:
                    raise SinkDownError(f"it refuses too much of it: {error}") from None
                if len(part) == 1:
                    refused.append(part[0])
                    refusal = str(error)
                    continue
                half = len(part) // 2
                waiting += [part[half:], part[:half]]
        if refused and not accepted and len(lines) > 1:
            raise SinkDownError(f"it refuses all of it: {refusal}")
        if refused:
            self._pass_over(
                len(refused), f"it refuses lines such as {refused[0][:200]}: {refusal}; they are passed over"
            )
        return accepted

    def _pass_over(self, count: int, why: str) -> None:
        self._stands = replace(self._stands, refused=self._stands.refused + count)
        if not self._refused:
            log.error("sink %s: %s", self._name, why)
            self._stands = replace(self._stands, note=why, note_at=time.time_ns())
        self._refused = True

    # What it keeps.

    def _look_at_life(self) -> None:
        """After a failure: whether it is still the process that answered. One that does not say is taken for another."""
        life = self._sink.life() if self._sink.settles_s else ""
        if self._answered and self._sink.settles_s and (not life or life != self._life):
            self._write_again()
        self._life, self._suspect = life, False

    def _settle(self) -> None:
        """What was answered long enough ago by a process that still lives is kept."""
        now, settles = time.monotonic(), self._sink.settles_s
        if not self._answered or self._answered[0][0] > now - settles or now < self._looked_at + settles / 3:
            return
        self._looked_at = now
        if settles and (life := self._sink.life()) != self._life:
            self._life = life
            self._write_again()
            return
        position = self._stands.position
        while self._answered and self._answered[0][0] <= now - settles:
            position = self._answered.popleft()[1]
        self._stands = replace(self._stands, position=position, marks=marked(self._stands.marks, position))

    def _write_again(self) -> None:
        was, self._at = self._at, self._stands.position
        self._answered.clear()
        self._forget()
        self._stands = replace(self._stands, written=self._at, rewound=self._stands.rewound + 1)
        log.warning("sink %s was started again and may have forgotten what it took last: entries %d to %d are written once more", self._name, self._at.n + 1, was.n)  # fmt: skip

    def _down(self, error: SinkDownError) -> float:
        self._forget()
        self._suspect = True
        self._failed += 1
        now = time.time_ns()
        since = self._stands.trouble_at or now
        self._stands = replace(self._stands, trouble=str(error), trouble_at=since, looked_at=now)
        most = min(FIRST_WAIT_S * 2 ** min(self._failed - 1, 10), MOST_WAIT_S)
        if self._failed == 1:
            log.warning("sink %s: %s; what is read meanwhile is written later", self._name, error)
        self._tell()
        # Several exporters of one sink must not come back in step.
        return max(error.after_s, float(most) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    def _tell(self, *, now: bool = False) -> None:
        moved = self._stands.position != self._known
        at = time.monotonic()
        if now or (moved and at - self._saved_at > SAVE_S) or at - self._told_at > TELL_S:
            self._save(self._stands, moved)
            self._known, self._saved_at, self._told_at = self._stands.position, at, at


def _is_batch(entry: Entry) -> bool:
    return entry.kind is Kind.BATCH


def _holds(whole: Log, mark: Mark, head: int) -> bool:
    """Whether the log has this very entry."""
    if mark.n == 0:
        return mark.digest == GENESIS
    if mark.n > head:
        return False
    try:
        near = whole.entries(mark.n, mark.n)
    except PageError:
        return True  # it cannot be told any more; the walk says where the log is damaged
    return bool(near) and near[-1].n == mark.n and near[-1].digest == mark.digest
