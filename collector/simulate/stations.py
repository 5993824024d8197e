"""What each terminal sends: its agent as far as the fold can tell. Changes are read within half a minute and sent at once, gauges are read every
hour and sent once a day or before any change; what cannot be sent waits in the spool and arrives late. Presence is told by life messages alone:
the agent's own on connecting and on stopping in order, the broker's will when a connection is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Protocol

from tillwatch.agent.model import AGENT, MS, Clock, Quality, State, Value, device_of
from tillwatch.agent.wire import FIRST_PREV, Column, Header, Life, Opened
from tillwatch.collector.simulate.fleet import WEEK_H, Unit, week_of
from tillwatch.collector.simulate.times import DAY, HOUR, MINUTE, S

READ_S = 10
"""s between two looks at a part: a change is seen after half of it in the mean."""
RETRY_S = 30
"""Within which an agent has its line back after the line is back."""
KEEPALIVE_S = 60
"""Of the agent's MQTT session: the broker gives it up after one and a half times as long without a word."""
LATE = 15 * MINUTE
"""What was sealed earlier than this before it arrives is history, as the pipeline has it (fleet.HISTORICAL_MS)."""
INTERVAL_S = 60
"""What each component claims as its interval. Who is there is told by life messages alone: the site's rules wait longer than a year for a heartbeat."""
AGAIN_S, AGAIN = 60, 5
"""s after which a device that could not be read is asked again, and how often that is told: longer than any rule waits for it."""
START_S = (40, 70)
"""s from power to an agent that runs."""
KEY, CLOCK, EPOCH = bytes(8), Clock("ntp", 5), b"simulated-ep"

Key = tuple[str, str]
"""(component, signal)."""


class Sink(Protocol):
    """Who takes what a station sends, in the order of the calls; called from the one thread of the simulation. Raises nothing."""

    def batch(self, at: int, opened: Opened) -> None: ...

    def life(self, at: int, life: Life) -> None: ...


class Trace(Protocol):
    """One signal over the year (traces.py). every: hours between two readings."""

    @property
    def every(self) -> int: ...

    def read(self, hours: Sequence[int]) -> list[Value]:
        """At these hours since the epoch, each later than all before."""

    def at(self, at: int) -> Value:
        """At that moment, UTC ns."""

    def restart(self, at: int) -> None:
        """The agent began anew."""


Later = Callable[..., None]
"""later(at, step, *given): call step(at, *given) when that time has come."""


class Station:
    """One terminal. now: what its parts say; dark, cut, halted: faults that keep power, line or agent from it; session: whether the broker holds
    one of it. judged: signal -> word -> what the catalogue thinks of it.
    """

    def __init__(
        self, unit: Unit, at: int, judged: Mapping[str, Mapping[str, State]], later: Later, sink: Sink, rng: Random
    ) -> None:
        self.unit = unit
        self.name = unit.name
        self.now: dict[Key, tuple[Value, State]] = {}
        self.dark: set[int] = set()
        self.cut: set[int] = set()
        self.halted: set[int] = set()
        self.running, self.session = True, False
        self._judged, self._later, self._sink, self._rng = judged, later, sink, rng
        self._usual: dict[Key, tuple[Value, State]] = {}
        self.weeks: dict[Key, list[float]] = {}
        self._traces: dict[Key, Trace] = {}
        self._untold: frozenset[Key] = frozenset()
        for part in unit.parts:
            self._usual[part.component, part.signal] = part.value, self._state_of(part.signal, part.value)
            if part.gauge:
                self.weeks[part.component, part.signal] = week_of(part, rng)
        self.now |= self._usual
        self._sent = dict(self.now)
        self._boots = self._seq = self._n = 0
        self._boot_at = at - rng.randrange(1, 40) * DAY
        self._gauged = at
        self._unheard = 0
        self._looks = False
        self._spool: list[Opened] = []

    def bear(self, traces: Mapping[Key, Trace], texts: Mapping[Key, str], untold: Iterable[Key]) -> None:
        """Before it begins. traces: signals that run on over the year; texts: what it says besides; untold: signals that this terminal does not have."""
        self._traces, self._untold = dict(traces), frozenset(untold)
        for key in self._untold:
            for kept in (self.now, self._usual, self._sent):
                kept.pop(key, None)
            self.weeks.pop(key, None)
        for key in self._traces:
            self.weeks.pop(key, None)
        for key, text in texts.items():
            self.now[key] = self._usual[key] = self._sent[key] = text, State.NONE

    def replace(self, at: int, key: Key, text: str) -> None:
        """Another part says this of itself from now on."""
        self._usual[key] = text, State.NONE
        self.usual(at, *key)

    def _state_of(self, signal: str, value: Value) -> State:
        return self._judged.get(signal, {}).get(str(value), State.NONE)

    @property
    def reachable(self) -> bool:
        return self.running and self.session and not self.cut

    # Its parts.

    def say(self, at: int, component: str, signal: str, value: Value, state: State | None = None) -> None:
        """From now on this part says so; its agent sees it at its next look, if it lasts until then."""
        self.now[component, signal] = value, self._state_of(signal, value) if state is None else state
        if self.running and not self._looks:
            self._looks = True
            self._later(at + self._rng.randrange(1, READ_S * 10) * S // 10, self.look)

    def usual(self, at: int, component: str, signal: str) -> None:
        """The part is well again."""
        self.say(at, component, signal, *self._usual[component, signal])

    def look(self, at: int) -> None:
        self._looks = False
        if not self.running:
            return
        lost = self._unread()
        back = {name for name, was in self._unread(self._sent).items() if was and not lost.get(name)}
        fresh = [key for key, value in self.now.items() if self._sent[key] != value or device_of(key[0]) in back]
        if fresh:
            self._tell(at, [*self._gauges(at), *self._columns(at, fresh)])
            if any(lost.values()):
                self._later(at + AGAIN_S * S, self._repeat, AGAIN)

    def _repeat(self, at: int, left: int) -> None:
        """A device that cannot be read says nothing: only the next failure shows that it is still so, where a part's last word stands."""
        failed = [(name, "monitor.source") for name, lost in self._unread(self._sent).items() if lost]
        if self.running and failed and left:
            self._tell(at, self._columns(at, failed))
            self._later(at + AGAIN_S * S, self._repeat, left - 1)

    def snapshot(self, at: int) -> None:
        """All that it knows, as the next round of its agent brings it."""
        if self.reachable:
            self._tell(at, [*self._gauges(at), *self._columns(at, self.now)])

    def minutes(self, at: int, since: int) -> None:
        """What it read every minute since then: sent in any case, and worth a message where somebody will miss it."""
        ms = self._minutes_from(since, at)
        if self.reachable and ms:
            self._tell(at, [*self._gauges(at), self._beats(ms)])

    def day(self, at: int) -> None:
        """What a quiet day brings."""
        if self.running:
            self._tell(at, self._gauges(at))

    # Power, line, agent.

    def lose_power(self, at: int, why: int) -> None:
        self._stop(at)
        self.dark.add(why)

    def get_power(self, at: int, why: int) -> int:
        """It starts by itself; its agent is there when the machine is, at the time that is returned."""
        self.dark.discard(why)
        back = at + self._rng.randrange(*START_S) * S
        if not self.dark:
            self._later(back, self._power_is_back)
        return back

    def lose_line(self, at: int, why: int) -> None:
        if self.reachable:
            self._flush(at)
            self._lose(at)
            self._unheard = at
        self.cut.add(why)

    def get_line(self, at: int, why: int) -> None:
        self.cut.discard(why)
        if self.running and not self.cut:
            self._later(at + self._rng.randrange(1, RETRY_S) * S, self.connect)

    def halt(self, at: int, why: int, *, orderly: bool) -> None:
        """The agent ends: in order it says so itself, else the broker notices at once that its connection is gone."""
        if self.reachable:
            self._flush(at)
            self._n += orderly
            self._offline(at)
        self._stop(at)
        self.halted.add(why)

    def resume(self, at: int, why: int) -> None:
        self.halted.discard(why)
        self._start(at)

    def begin(self, at: int) -> None:
        """The first words of a terminal: who it is, how often it reads what, and all of it."""
        self.connect(at)
        ms = [at // MS]
        names = sorted({component for component, _ in (*self.now, *self._traces)})
        self._tell(at, [
            Column(name, "monitor.interval", ms, [INTERVAL_S], Quality.GOOD, State.NONE, numeric=True)
            for name in (AGENT, *names)
        ])  # fmt: skip
        self.snapshot(at)

    def connect(self, at: int) -> None:
        """A session that outlived the interruption goes on; else the terminal says who it is. Then comes what waited, what was first first."""
        if self.cut or not self.running:
            return
        if not self.session:
            self._n += 1
            self.session = True
            self._sink.life(at, self._life(at, "online"))
        if self._unheard:
            self._wait_out(at)
        for opened in self._spool:
            self._sink.batch(at, opened)
        self._spool.clear()
        self.snapshot(at)

    def _lose(self, at: int) -> None:
        """The broker waits from the last packet on, which was somewhere within the keep-alive."""
        left = KEEPALIVE_S * 3 // 2 - self._rng.randrange(KEEPALIVE_S)
        self._later(at + left * S, self._given_up, self._n)

    def _given_up(self, at: int, n: int) -> None:
        if self.session and n == self._n and (self.cut or not self.running):
            self._offline(at)

    def _offline(self, at: int) -> None:
        self.session = False
        self._sink.life(at, self._life(at, "offline"))

    def _stop(self, at: int) -> None:
        if not self.running:
            return
        if self.reachable:
            self._flush(at)
            self._lose(at)
        elif self._unheard:
            self._wait_out(at)
        self.running = False

    def _power_is_back(self, at: int) -> None:
        if self.dark or self.running:
            return
        self._boots += 1
        self._boot_at = at - self._rng.randrange(15, 35) * S
        if self.session:
            self._offline(at)  # taken over by the new one: the broker tells of the old one's end first
        self._start(at)

    def _start(self, at: int) -> None:
        if not (self.running or self.dark or self.halted):
            self.running = True
            self._gauged = self._unheard = at
            for trace in self._traces.values():
                trace.restart(at)
            self.connect(at)

    # Readings.

    def _unread(self, of: Mapping[Key, tuple[Value, State]] | None = None) -> dict[str, bool]:
        """Devices that cannot be read now: their source says so, and nothing else of them is told."""
        known = (self.now if of is None else of).items()
        return {device_of(c): value == "failed" for (c, signal), (value, _) in known if signal == "monitor.source"}

    def _columns(self, at: int, keys: Iterable[Key]) -> list[Column]:
        unread, ms, hour = self._unread(), [at // MS], at // HOUR % WEEK_H
        columns = []
        for key in keys:
            component, signal = key
            value, state = self._sent[key] = self.now[key]
            failed = signal == "monitor.source" and value == "failed"
            if unread.get(device_of(component)) and not failed:
                continue
            if self.now[key] == self._usual[key]:
                if (week := self.weeks.get(key)) is not None:
                    value = week[hour]
                elif (trace := self._traces.get(key)) is not None:
                    value = trace.at(at)
            quality = Quality.ERROR if failed else Quality.GOOD
            columns.append(Column(component, signal, ms, [value], quality, state, numeric=not isinstance(value, str)))
        return columns

    def _gauges(self, at: int) -> list[Column]:
        """The hours that have passed since they were last told."""
        first, last = self._gauged // HOUR + 1, at // HOUR
        self._gauged = max(at, self._gauged)
        return self._read(range(first, last + 1)) if last >= first else []

    def _read(self, hours: range) -> list[Column]:
        """The gauges at these hours, as they were before whatever has changed since they were last told."""
        unread, ms = self._unread(self._sent), [hour * HOUR // MS for hour in hours]
        columns = []
        for key, week in self.weeks.items():
            if unread.get(device_of(key[0])):
                continue
            was = self._sent[key]
            start = hours.start % WEEK_H
            usual = was == self._usual[key] and len(hours) <= WEEK_H
            values: list[Value] = [*week[start : start + len(hours)]] if usual else [was[0]] * len(hours)
            columns.append(Column(*key, ms, values, Quality.GOOD, was[1], numeric=True))
        at: dict[int, tuple[list[int], list[int]]] = {}
        for key, trace in self._traces.items():
            every = trace.every
            if every not in at:
                those = [hour for hour in hours if hour % every == 0]
                at[every] = those, [hour * HOUR // MS for hour in those]
            read, when = at[every]
            if not read or unread.get(device_of(key[0])):
                continue
            values, known = trace.read(read), self._sent.get(key)
            state = State.NONE if known is None else known[1]
            if known is not None and known != self._usual[key]:
                values = [known[0]] * len(read)
            columns.append(Column(*key, when, values, Quality.GOOD, state, numeric=True))
        return columns

    def _wait_out(self, until: int) -> None:
        """What was read up to then while nothing could be sent, apart by whether it will be history by then."""
        late = max(self._unheard, until - LATE - S)
        for first, last in ((self._unheard, late), (late, until)):
            ms = self._minutes_from(first, last)
            columns = [*self._gauges(last), *([self._beats(ms)] if ms else [])]
            if columns:
                self._spool.append(self._seal(last, columns))
        self._unheard = 0

    def _flush(self, at: int) -> None:
        """All that is known by now, and that it was there until now: its last word."""
        self._tell(at, [*self._gauges(at), self._beats([at // MS])])

    def _minutes_from(self, since: int, until: int) -> list[int]:
        """Ms at which it read after since, up to until."""
        return [t // MS for t in range(since + INTERVAL_S * S, until + 1, INTERVAL_S * S)]

    def _beats(self, ms: list[int]) -> Column:
        """The agent's word on itself stands for the readings of every minute: that there is any shows that the machine ran."""
        return Column(
            AGENT, "agent.spool.batches", ms, [len(self._spool)] * len(ms), Quality.GOOD, State.NONE, numeric=True
        )

    def _tell(self, at: int, columns: list[Column]) -> None:
        if not columns:
            return
        if self.reachable:
            self._sink.batch(at, self._seal(at, columns))
            return
        # In the order in which it was read: the minutes before come first.
        if self._unheard and (ms := self._minutes_from(self._unheard, at)):
            columns = [self._beats(ms), *columns]
            self._unheard = at
        self._spool.append(self._seal(at, columns))

    def _seal(self, at: int, columns: list[Column]) -> Opened:
        self._seq += 1
        n = sum(len(column.values) for column in columns)
        header = Header(
            self.name, KEY, EPOCH, self._seq, FIRST_PREV, 1, at, self._boot, (at - self._boot_at) // MS, CLOCK, 0, n
        )
        return Opened(header, FIRST_PREV, columns)

    def _life(self, at: int, state: str) -> Life:
        up = (at - self._boot_at) // MS
        return Life(self.name, KEY, EPOCH, 1, self._seq + 1, 0, self._boot, up, at, self._n, state)

    @property
    def _boot(self) -> bytes:
        return self._boots.to_bytes(8, "big")
