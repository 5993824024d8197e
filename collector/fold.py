"""The fold: how each entry of the journal changes what the collector knows. Everything shown, raised or counted comes from here, and a replay
of the same entries gives the same state. Time enters only with an entry: timers that are due fire before it, in due order, at their due
time; a live tick only does this earlier. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillwatch.agent.model import AGENT, MS, Value
from tillwatch.agent.wire import CONFIG, RESULT, Header, Life, Opened
from tillwatch.collector import sequence
from tillwatch.collector.alarm.alarming import BEHIND_NS, Alarming
from tillwatch.collector.alarm.diagnosis import Cards, parse_cards
from tillwatch.collector.alarm.foretelling import Foretelling
from tillwatch.collector.alarm.masking import Masking
from tillwatch.collector.alarm.rules import CLOCK, FORK, PREDICTED
from tillwatch.collector.book import Book
from tillwatch.collector.changes import Dirty, Ticks, ticks_of
from tillwatch.collector.diagnosis.diagnosing import Diagnosing
from tillwatch.collector.diagnosis.order import ACTS as OF_COMMANDS
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.incident.alerting import Alerting
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.handling import Handling
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.incident.regrouping import Regrouping
from tillwatch.collector.incident.regulator import Regulating
from tillwatch.collector.incident.telling import Teller
from tillwatch.collector.incident.ticketing import Ticketing
from tillwatch.collector.incident.topology import Topology
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.operators import Operators
from tillwatch.collector.records import StateChange
from tillwatch.collector.rollout.rolling import Rolling
from tillwatch.collector.rollout.states import ACTS as OF_ROLLOUTS
from tillwatch.collector.terminal.causes import farewell
from tillwatch.collector.terminal.device_files import ACTS as OF_DEVICE_FILES
from tillwatch.collector.terminal.device_files import DeviceFiles
from tillwatch.collector.terminal.fleet import MAX_COMPONENTS, MAX_SIGNALS, Component, Fleet, Series, Terminal
from tillwatch.collector.terminal.late import Late
from tillwatch.collector.terminal.latest import Seen, keep
from tillwatch.collector.terminal.losses import Losses
from tillwatch.collector.terminal.presence import Presence
from tillwatch.collector.terminal.standing import Standing
from tillwatch.collector.timers import Timers
from tillwatch.collector.trust import clones, succession
from tillwatch.collector.trust.expecting import ACTS as OF_EXPECTED
from tillwatch.collector.trust.expecting import Expecting

AHEAD_NS = 600 * 10**9
"""A reading from further in the future than this never becomes the latest one (delivery.md 6.7)."""
MAX_INTERVAL_S = 7 * 86_400
"""The longest interval that a component may claim: slow signals are read daily, some sites read them weekly."""
QUEUED_NS = 600 * 10**9
"""After a start, within which comes what waited at the broker meanwhile: it sends a queue of days in minutes."""
QUEUED_AT_MOST_NS = 30 * 86_400 * 10**9
"""No broker keeps a message for longer; what seems to have waited for years is of now, and a clock is wrong."""
SUSPECT_SKEW_MS = 60_000
"""From this skew on times are corrected by it, and both are kept."""

VERSION = "agent.version"
MAX_VERSION = 32
"""Characters that are shown of it."""
MODE = "atm.mode"
"""Whether the terminal serves customers or an operator."""
_MONITOR = frozenset({"monitor.source", "monitor.reason", "monitor.interval"})
"""What the agent says of its own work: it does not show that the component lives."""


class Fold:
    """The state and its two movements, `advance` and `apply`. units: signal -> unit, of the catalogue; page: address of the console. cards,
    language: of what tickets say; nothing but messages to ticket systems depends on them.
    """

    def __init__(
        self, units: Mapping[str, str], page: str = "", cards: Cards | None = None, language: str = "en"
    ) -> None:
        self.fleet = Fleet()
        self.timers = Timers()
        self.book = Book()
        teller = Teller(self.book, self.fleet, page, cards or parse_cards(), language, units)
        following = Following(self.book, self.fleet, self.timers, teller)
        self.following = following
        self.handling = Handling(self.book, self.fleet, self.timers, following)
        following.release = self.handling.release
        following.before_told = self.handling.before_told
        self.masking = Masking(self.book, self.fleet, self.timers, self.handling)
        self.alarming = Alarming(self.book, self.fleet, self.timers, self.handling, self.masking, units)
        self.foretelling = Foretelling(self.book, self.fleet, self.alarming)
        teller.foretold = self.foretelling.of
        self.losses = Losses(self.book, self.fleet, self.timers, self.handling)
        self.late = Late(self.book, self.fleet, self.timers, self.alarming.limits)
        self.presence = Presence(self.book, self.alarming, self.losses, self.timers)
        states: dict[str, StateChange] = {}
        self.regulating = Regulating(self.book, self.fleet, self.timers, following, states)
        self.standing = Standing(self.book, self.fleet, self.masking, self.losses, self.regulating, states)
        regrouping = Regrouping(self.book, following, self.handling)
        self.operators = Operators(self.book, self.fleet, self.alarming, self.masking, following, regrouping)
        self.alerting = Alerting(self.book, self.fleet, following)
        self.device_files = DeviceFiles(self.book, self.fleet)
        self.diagnosing = Diagnosing(self.book, self.fleet, self.timers)
        self.rolling = Rolling(self.book, self.fleet, self.timers)
        self.expecting = Expecting(self.book, self.fleet, self.alarming)
        self.ticketing = Ticketing(self.book, self.alarming, following)
        self.operators.answered = self.ticketing.answered = self._answered
        self.advanced_to = 0
        self.away = (0, 0)

    @property
    def dirty(self) -> Dirty:
        return self.book.dirty

    def take_dirty(self) -> Dirty:
        dirty, self.book.dirty = self.book.dirty, Dirty()
        return dirty

    def advance(self, until: int, most: int | None = None) -> bool:
        """Let everything happen that time alone brings, up to this UTC ns; False where that is more than `most` timers: then up to the time of one of them."""
        fired, last = 0, until
        while last == until and (hit := self.timers.pop(until)) is not None:
            due, (what, terminal, component, rule) = hit
            key = (rule, terminal, component)
            match what:
                case "silent":
                    self.presence.silent_due(self.fleet.terminals[terminal], due)
                case "ack":
                    self.alarming.ack_due(key, due)
                case "limit":
                    self.alarming.limit_due(key, due)
                case "incident":
                    self.following.follow_up(terminal, due)
                case "flap":
                    self.handling.restless.due(key, due)
                case "shelf":
                    self.masking.shelf_due(key, due)
                case "drill":
                    self.alarming.drill_due(key, due)
                case "cause":
                    self.losses.due(terminal, due)
                case "window":
                    self.masking.window_due(terminal, due)
                case "late":
                    self.late.due(terminal, due)
                case "regulator":
                    self.regulating.due(terminal, due)
                case "command":
                    self.diagnosing.due(terminal, rule, due)
                case "rollout":
                    self.rolling.due(rule, due)
            self.standing.look(due)
            fired += 1
            # Those of one time belong together: a store that ends here begins behind them.
            if most is not None and fired >= most and (self.timers.next_due() or due) > due:
                last = due
        self.advanced_to = max(self.advanced_to, last)
        return last == until

    def apply(self, entry: Entry, content: Opened | Life | None = None) -> None:
        """One entry. content: the opened message of BATCH and LIFE entries, None in a rebuild where it is retired."""
        if entry.kind is Kind.STARTED:
            self._started(entry)
        self.advance(entry.at)
        match entry.kind:
            case Kind.BATCH | Kind.LIFE if content is None:
                self._retired(self.fleet.terminals[entry.terminal], entry)
            case Kind.BATCH:
                assert isinstance(content, Opened)
                self._batch(self.fleet.terminals[entry.terminal], entry, content)
            case Kind.LIFE:
                assert isinstance(content, Life)
                self._life(self.fleet.terminals[entry.terminal], entry.at, content)
            case Kind.REFUSED | Kind.FORK:
                self._unusable(self.fleet.terminals[entry.terminal], entry)
            case Kind.OPERATOR:
                self._operator(entry)
            case Kind.RULES_CHANGED:
                self._rules_changed(entry)
            case Kind.TICKET_CHANGE:
                self.ticketing.changed(entry.facts_map(), entry.at)
            case Kind.FINDING:
                self.foretelling.said(entry.facts_map(), entry.at)
            case Kind.STARTED | Kind.STOPPED:
                pass
        self.standing.look(entry.at)
        self.advance(entry.at)  # what has lasted long enough by the readings' own times is due at once

    # Batches: the path that every reading takes.

    def _batch(self, terminal: Terminal, entry: Entry, opened: Opened) -> None:
        header = opened.header
        facts = entry.facts_map()
        historical, correction = bool(facts.get("historical")), int(facts.get("correction_ms", 0))
        utc = int(facts.get("utc", entry.at))
        seen = Seen(entry.at, utc + AHEAD_NS, historical=historical, corrected=correction)
        self._accepted(terminal, sequence.Stream(header.epoch, header.seq, opened.digest))
        if not historical:
            self._clock_of(terminal, header, entry.at, utc)
        known, terminal.lost = (
            terminal.lost,
            max(terminal.lost, header.lost) if terminal.epoch == header.epoch else header.lost,
        )
        self._speaks_in(terminal, header.epoch)
        self.presence.heard(terminal, entry.at)
        sources: list[tuple[str, bool]] = []
        ticks: dict[int, Ticks] = {}
        component = None
        late, repairs = self.late.of.get(terminal.id), historical or self._of_absence(opened, entry.at, correction)
        if repairs or late is not None:
            for column in opened.columns:
                if id(column.at) not in ticks:
                    ticks[id(column.at)] = ticks_of(column.at, correction)
            late = self.late.heard(terminal, ticks.values(), entry.at, historical=repairs)
        for column in opened.columns:
            tick = ticks.get(id(column.at))
            if tick is None:
                tick = ticks[id(column.at)] = ticks_of(column.at, correction)
            if component is None or component.name != column.component:
                component = self._component(terminal, column.component)
            series = component.series.get(column.signal) if component is not None else None
            if series is None:
                if component is None or terminal.signals >= MAX_SIGNALS:
                    terminal.over_limit += len(column.values)
                    continue
                series = component.follow(column.signal)
                terminal.signals += 1
            assert component is not None
            bounds = keep(
                self.book.dirty.rollups, (terminal.id, component.name, column.signal), column, series, tick, seen
            )
            if late is not None:
                self.late.judge(late, terminal, column, tick, bounds)
            if column.signal == RESULT:
                self.diagnosing.heard(terminal.id, column.component, column.values, entry.at)
            elif column.signal == CONFIG:
                self.rolling.heard(terminal.id, column.component, column.values, entry.at)
            if historical:
                continue
            if column.signal == VERSION and component.name == AGENT and type(series.value) is str:
                terminal.version = series.value[:MAX_VERSION]
            if column.signal == MODE and series.value != terminal.mode:
                self._mode(terminal, component.name, series)
            if column.signal in _MONITOR:
                if column.signal == "monitor.interval":
                    self._interval(terminal, component, series.value)
                elif column.signal == "monitor.source":
                    sources.append((component.name, series.value == "failed"))
            elif column.numeric or any(v is not None for v in column.values):
                component.heard = entry.at
                if component.unknown or component.blind:
                    self.presence.regained(terminal, component, entry.at)
            for rule in self.book.rules.by_signal.get(column.signal, ()):
                self.alarming.judge_column(rule, terminal, column, tick, bounds, entry.at, seen.ahead)
        if late is not None:
            self.late.read(terminal, late, entry.at)
        if terminal.id in self.losses.of:
            first, last = min(min(tick.at) for tick in ticks.values()), max(tick.newest for tick in ticks.values())
            self.losses.read(terminal, first * MS, last, lost=terminal.lost - known)
        for name, failed in sources:
            self.presence.source(terminal, name, failed=failed, at=entry.at)
            if "/" not in name:  # a part that is switched off says nothing of a new configuration
                self.rolling.source(terminal.id, name, failed=failed, at=entry.at)
        if not historical and entry.at >= terminal.next_due:
            self.presence.overdue(terminal, entry.at)

    def _of_absence(self, opened: Opened, at: int, correction: int) -> bool:
        """Whether a batch was read while the collector was away, and waited for it: not old enough to be history, it fills that time all the same."""
        since, until = self.away
        return until <= at < until + QUEUED_NS and since <= (min(opened.columns[0].at) + correction) * MS < until

    def _mode(self, terminal: Terminal, component: str, series: Series) -> None:
        """Somebody turned the operator's switch."""
        terminal.mode, terminal.mode_since, terminal.mode_component = str(series.value or ""), series.at, component
        self.book.ease(terminal.id, series.at)

    def _interval(self, terminal: Terminal, component: Component, said: Value) -> None:
        """How often the agent means to read the component: believed up to MAX_INTERVAL_S, or a liar would never be missed. The terminal itself is due by
        it at once: a deadline that only a later look corrected would be another one where the fold was loaded meanwhile.
        """
        if isinstance(said, int | float) and said > 0:
            component.interval_s = float(min(said, MAX_INTERVAL_S))
            terminal.next_due = 0
            if component.name == AGENT:
                self.presence.rearm(terminal)

    def _component(self, terminal: Terminal, name: str) -> Component | None:
        """None where the terminal has as many as it may: its batches are kept all the same, and what is in them can be read again."""
        component = terminal.components.get(name)
        if component is None:
            if len(terminal.components) >= MAX_COMPONENTS:
                return None
            component = terminal.follow(name)
            terminal.next_due = 0
        self.book.dirty.components.add((terminal.id, name))
        return component

    def _clock_of(self, terminal: Terminal, header: Header, at: int, utc: int) -> None:
        """What a live batch shows of its terminal's clock."""
        where = header.boot, header.up, header.sent
        terminal.learn_clock(*where, terminal.skew_of(*where, at, utc))
        suspect = abs(terminal.skew_ms) > SUSPECT_SKEW_MS
        if suspect or (CLOCK, terminal.id, "") in self.alarming.limits:
            self.alarming.judge(CLOCK, terminal, "", "suspect" if suspect else "good", at)

    # Streams, life, operators, rules, the collector itself.

    def _accepted(self, terminal: Terminal, stream: sequence.Stream) -> None:
        terminal.streams[stream.epoch] = stream
        self.book.dirty.streams.add((terminal.id, stream.epoch))
        self.fleet.remember(terminal.id, stream.epoch, stream.mark, stream.tail)

    def _speaks_in(self, terminal: Terminal, epoch: bytes) -> None:
        if terminal.epoch != epoch:
            # Both rows say which one is current.
            kept = {one for one in (terminal.epoch, epoch) if one in terminal.streams}
            self.book.dirty.streams |= {(terminal.id, one) for one in kept}
            terminal.epoch = epoch

    def _life(self, terminal: Terminal, at: int, life: Life) -> None:
        decision = sequence.on_life(terminal.streams, life)
        if terminal.streams.get(life.epoch) != decision.stream:
            terminal.streams[life.epoch] = decision.stream
            self.book.dirty.streams.add((terminal.id, life.epoch))
        if decision.loss is not None:
            terminal.holes += decision.loss[1] - decision.loss[0] + 1
        self.book.dirty.terminals.add(terminal.id)
        key = terminal.keys.get(life.key)
        if key is not None and key.state == "retiring":
            return  # it came behind the message of the key that followed: the floor counts, who lives is told by the other
        same = terminal.epoch == life.epoch
        if life.state == "offline":
            # A will that arrives after a later birth speaks of a connection that is no more.
            if same and life.n >= terminal.life_n and terminal.connection == "online":
                self.presence.gone(terminal, "offline", at, farewell(terminal, life, at))
            return
        terminal.speakers, evidence = clones.heard(terminal.speakers, life, at)
        if evidence:
            self.alarming.judge(FORK, terminal, "", "fork", at, evidence)
        terminal.lost = life.lost
        self._speaks_in(terminal, life.epoch)
        self.losses.back(terminal, life, at)
        terminal.life_n = life.n
        terminal.boot, terminal.up_ms, terminal.up_received = life.boot, life.up, at - self._waited(terminal, life, at)
        self.presence.heard(terminal, at)

    def _waited(self, terminal: Terminal, life: Life, at: int) -> int:
        """How long a life message lay at the broker while the collector was away, in ns, by its own time; 0 where that cannot be. Its uptime is of
        then: taken for one of now, it would make what is hours old seem to be of now, too.
        """
        since, until = self.away
        if not until <= at < until + QUEUED_NS:
            return 0
        late = at - life.now - terminal.skew_ms * MS
        return late if BEHIND_NS < late <= min(at - since, QUEUED_AT_MOST_NS) + BEHIND_NS else 0

    def _retired(self, terminal: Terminal, entry: Entry) -> None:
        """Of a batch or life message whose content is gone: that it came, and what it did to its stream."""
        facts = entry.facts_map()
        if "seq" in facts:
            tail = entry.payload_digest if entry.kind is Kind.BATCH else sequence.UNVERIFIABLE
            self._accepted(terminal, sequence.Stream(facts["epoch"], facts["seq"], tail))
            terminal.epoch = facts["epoch"]
        self.book.dirty.terminals.add(terminal.id)
        self.presence.heard(terminal, entry.at)

    def _unusable(self, terminal: Terminal, entry: Entry) -> None:
        """A batch that is kept but not read: the stream goes on behind a refused one, and stands still at a fork."""
        facts = entry.facts_map()
        if entry.kind is Kind.REFUSED:
            self._accepted(terminal, sequence.Stream(facts["epoch"], facts["seq"], entry.payload_digest))
            self.presence.heard(terminal, entry.at)
        else:
            text = str(facts.get("detail", ""))
            if "boot" in facts:
                text = f"{text}, {clones.against(terminal.speakers, facts['boot'], facts['up'], entry.at)}"
            self.alarming.judge(FORK, terminal, "", "fork", entry.at, {str(facts.get("kind", "history")): text})

    def _operator(self, entry: Entry) -> None:
        facts = entry.facts_map()
        match facts["action"]:
            case "enrol":
                terminal = self._place(entry.terminal, facts, entry.at)
                succession.enrol(terminal, facts, entry.at)
                if terminal.connection == "revoked":
                    terminal.connection = "new"
                if facts.get("ring"):
                    self.rolling.fix(terminal.id, str(facts["ring"]))
                self.alarming.judge(FORK, terminal, "", "enrolled", entry.at)
                self.expecting.enrolled(facts, entry.at)
            case "certify":
                terminal = self.fleet.terminals[entry.terminal]
                succession.certify(terminal, facts, entry.at)
            case "rotate":
                terminal = self.fleet.terminals[entry.terminal]
                succession.rotate(terminal, facts, entry.at)
            case "revoke":
                terminal = self.fleet.terminals[entry.terminal]
                succession.revoke(terminal, facts, entry.at)
                self.presence.gone(terminal, "revoked", entry.at)
                self.alarming.judge(FORK, terminal, "", "revoked", entry.at)
                self.foretelling.look_at(terminal, entry.at)
            case "conflict":
                terminal = self.fleet.terminals[entry.terminal]
                self.alarming.judge(FORK, terminal, "", "fork", entry.at, {"rotation": facts["detail"]})
            case "alert":
                self.alerting.heard(facts, entry.at)
                return
            case action if action in OF_DEVICE_FILES:
                self.device_files.act(entry, facts)
                return
            case action if action in OF_EXPECTED:
                self.expecting.act(entry, facts)
                return
            case action if action in OF_COMMANDS:
                self.diagnosing.act(entry, facts)
                return
            case action if action in OF_ROLLOUTS:
                self.rolling.act(entry, facts)
                return
            case "ticket-link":
                self.ticketing.changed({**facts, "origin": "linked"}, entry.at)
                return
            case _:
                self.operators.act(entry, facts)
                if entry.terminal in self.fleet.terminals:
                    self.foretelling.look_at(self.fleet.terminals[entry.terminal], entry.at)
                return
        self.book.dirty.keys |= {(terminal.id, key_id) for key_id in terminal.keys}
        self.book.dirty.terminals.add(terminal.id)

    def _answered(self, incident: Incident, at: int) -> None:
        if incident.fault in PREDICTED:
            self.foretelling.answered(incident, at)

    def _place(self, name: str, facts: Mapping[str, Any], at: int) -> Terminal:
        known = self.fleet.terminals.get(name)
        if known is None:
            known = self.fleet.terminals[name] = Terminal(name, facts["branch"], facts["region"], facts["class"], at)
        known.branch, known.region, known.terminal_class = facts["branch"], facts["region"], facts["class"]
        self.book.touched.add(name)
        self.book.topology.place(known.id, known.branch, known.region, known.terminal_class)
        return known

    def _rules_changed(self, entry: Entry) -> None:
        facts = entry.facts_map()
        if "policy" in facts:
            self.book.policy = parse_policy(facts["policy"], shipped=facts["shipped_policy"], replay=True)
            self.book.topology = self._topology()
        self.alarming.change_rules(facts["site"], facts["shipped"], entry.at)
        self.foretelling.rules_changed(entry.at)
        for window_id in sorted({*self.masking.windows(), *self.masking.active}):
            self.masking.window_due(window_id, entry.at)
        self.rearm(anew=True)
        self.regulating.changed(entry.at)

    def _started(self, entry: Entry) -> None:
        facts = entry.facts_map()
        self.advance(facts["down_since"])
        if facts["down_since"]:
            self.dirty.gaps.append((facts["down_since"], entry.at))
        if "jump" in facts:
            self.fleet.collectors_clock_set(facts["jump"])
        elif facts["down_since"]:  # the hours over which a clock is set never were: nobody was away in them
            self.away = facts["down_since"], entry.at
            self.dirty.outages.append(self.away)
        for terminal in self.fleet.terminals.values():
            self.presence.restarted(terminal, entry.at)
            self.alarming.restarted(terminal.id, entry.at)
        self.rolling.restarted(entry.at)
        self.rearm()
        for corr_id in sorted(self.book.incidents):
            self.following.rearm(corr_id, entry.at)  # who was to be told meanwhile is told now, and at once

    def _topology(self) -> Topology:
        known = {t.id: (t.branch, t.region, t.terminal_class) for t in self.fleet.terminals.values()}
        return Topology(self.book.policy.links, known)

    def loaded(self) -> None:
        """After the state was filled from what is kept."""
        self.book.topology = self._topology()
        self.masking.load_windows(self.advanced_to)
        self.losses.load()
        self.rearm()

    def rearm(self, *, anew: bool = False) -> None:
        """Set every timer from the state alone, as after loading it. anew: what is pending is judged by other rules from now on."""
        self.timers.clear()
        for terminal in self.fleet.terminals.values():
            self.presence.rearm(terminal)
        self.alarming.rearm(self.advanced_to, away=self.away, anew=anew)
        self.masking.rearm(self.advanced_to)
        self.losses.rearm(self.advanced_to)
        self.late.rearm(self.advanced_to)
        self.handling.rearm(self.advanced_to)
        self.regulating.rearm(self.advanced_to)
        self.diagnosing.rearm()
        self.rolling.rearm(self.advanced_to)
        for corr_id in sorted(self.book.incidents):
            self.following.rearm(corr_id, self.advanced_to)
