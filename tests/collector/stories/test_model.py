"""Everything that may happen to alarms and incidents, in any order, against the promises that hold at every moment: what is open and not
muted is in exactly one incident that lives; nobody is told of what was never announced, nor twice that something opened; what a restart loads is what
was running; and the same entries make the same state.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgpack
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.collector.sending import S
from tests.collector.stories.foreseen import found
from tests.collector.stories.foreseen import over as ended
from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Player, Stage
from tillwatch.agent.model import State
from tillwatch.collector.alarm.alarms import CHILD, FLAPPING, MAINTENANCE, SHELVED, Alarm
from tillwatch.collector.incident.incidents import CLOSED, DROPPED, RESTORED, SETTLING, SYMPTOM, TERMINAL, Incident
from tillwatch.collector.predict.finding import LATER, OVER, SOON
from tillwatch.collector.tickets.message import Op, TicketMessage

QUICK = PATIENT + "".join(
    f'[[rule]]\nid = "{name}"\nfor = "{wait}"\nhold = "{hold}"\n'
    for name, wait, hold in (("disk.full", "0s", "0s"), ("net.wan", "10s", "60s"), ("ups.on-battery", "30s", "0s"))
)
TABLES = (QUICK, PATIENT, QUICK + '[[rule]]\nid = "disk.full"\noff = "watched by the landlord"\n')
NAMES = ("server-hill", "hill-1", "hill-2", "hill-3", "lake-1", "lake-2")
WORDS: tuple[tuple[str, str, Any, State], ...] = (
    ("host/disk:/", "host.disk.percent", 20, State.NONE),
    ("host/disk:/", "host.disk.percent", 93, State.NONE),
    ("host/disk:/", "host.disk.percent", 99, State.NONE),
    ("ups", "ups.output.source", "normal", State.OK),
    ("ups", "ups.output.source", "battery", State.WARN),
    ("ups", "ups.output.source", "none", State.CRIT),
    ("ups", "ups.battery.charge", 100, State.OK),
    ("ups", "ups.battery.charge", 15, State.CRIT),
    ("ups", "monitor.source", "failed", State.NONE),
    ("ups", "monitor.source", "ok", State.NONE),
    ("switch", "net.wan.state", "up", State.OK),
    ("switch", "net.wan.state", "degraded", State.WARN),
    ("switch", "net.wan.state", "failed", State.CRIT),
    ("atm/IDC1", "atm.antifraud", "ok", State.OK),
    ("atm/IDC1", "atm.antifraud", "deviceDetected", State.CRIT),
    ("agent", "monitor.interval", 30, State.NONE),
)
ROLES = "root", "consequence", SYMPTOM
names = st.sampled_from(NAMES)
whichever = st.integers(0, 30)


class Desk(RuleBasedStateMachine):
    """A branch with a server that reads its UPS and switch, another one without, and whoever watches them."""

    @initialize()
    def start(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.stage = Stage(Path(self.temporary.name), rules=QUICK)
        for name in NAMES:
            self.stage.terminal(
                name, name.partition("-")[0].replace("server", "hill"), "north", "server" if "server" in name else "atm"
            )
        self.told = 0
        self.asked: Counter[str] = Counter()
        """Of each incident: openings that were told since the last end."""
        self.called: dict[str, Counter[str]] = {}
        self.logged = 0
        self.begun: dict[tuple[str, str, str], int] = {}

    def player(self, name: str) -> Player:
        return self.stage.players[name]

    def online(self, name: str) -> bool:
        return self.stage.fold.fleet.terminals[name].connection == "online"

    # What terminals say.

    @rule(name=names, words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    def say(self, name: str, words: list[Any]) -> None:
        for component, signal, value, state in words if self.online(name) else ():
            self.player(name).says(component, signal, value, state)

    @rule(name=names, n=st.integers(3, 8))
    def flap(self, name: str, n: int) -> None:
        for i in range(n if self.online(name) else 0):
            self.player(name).disk(20 if i % 2 else 99)
            self.stage.wait(20 * S)

    @rule(them=st.lists(names, min_size=1, max_size=6, unique=True), clean=st.booleans())
    def lose(self, them: list[str], clean: bool) -> None:
        for name in them:
            if self.online(name):
                (self.player(name).goodbye if clean else self.player(name).lost)()

    @rule(them=st.lists(names, min_size=1, max_size=6, unique=True), restarted=st.booleans())
    def come_back(self, them: list[str], restarted: bool) -> None:
        for name in them:
            if not self.online(name):
                self.player(name).back(restarted=restarted)

    @rule(ns=st.sampled_from((S, 30 * S, 61 * S, 95 * S, 10 * MINUTE, 31 * MINUTE, 2 * HOUR, 5 * HOUR, 200 * HOUR)))
    def wait(self, ns: int) -> None:
        self.stage.wait(ns)

    # What people do.

    def _alarm(self, which: int) -> Alarm | None:
        known = sorted(self.stage.fold.book.alarms.values(), key=lambda each: each.id)
        return known[which % len(known)] if known else None

    def _incident(self, which: int) -> Incident | None:
        known = sorted(self.stage.fold.book.incidents)
        return self.stage.fold.book.incidents[known[which % len(known)]] if known else None

    @rule(which=whichever, act=st.sampled_from(("acknowledge", "shelve", "unshelve")), hours=st.integers(1, 30))
    def take_alarm(self, which: int, act: str, hours: int) -> None:
        alarm = self._alarm(which)
        if alarm is not None:
            until = self.stage.now + hours * HOUR
            self.stage.act(act, terminal=alarm.terminal, alarm=alarm.id, until=until, reason="known")

    @rule(which=whichever, act=st.sampled_from(("acknowledge", "assign", "in-repair", "hold", "resume", "close", "note", "resolve")))  # fmt: skip
    def take_incident(self, which: int, act: str) -> None:
        incident = self._incident(which)
        if incident is not None:
            words = {"to": "chen", "reason": "parts", "text": "seen", "verdict": "true_fault"}
            self.stage.act(act, incident=incident.corr_id, **words)

    @rule(which=whichever, n=st.integers(1, 3))
    def split(self, which: int, n: int) -> None:
        incident = self._incident(which)
        if incident is not None:
            them = [each.id for each in self.stage.fold.book.of(incident.corr_id)]
            self.stage.act("split", incident=incident.corr_id, alarms=them[-n:])

    @rule(which=whichever, into=whichever)
    def merge(self, which: int, into: int) -> None:
        incident, other = self._incident(which), self._incident(into)
        if incident is not None and other is not None:
            self.stage.act("merge", incident=incident.corr_id, into=other.corr_id)

    @rule(which=whichever)
    def merge_neighbours(self, which: int) -> None:
        """Two of one place, which any two rarely are."""
        known = sorted(self.stage.fold.book.incidents.values(), key=lambda each: each.corr_id)
        living = [each for each in known if each.living and each.announced]
        pairs = [(a.corr_id, b.corr_id) for a in living for b in living if a is not b and a.branch == b.branch]
        if pairs:
            one, other = pairs[which % len(pairs)]
            self.stage.act("merge", incident=one, into=other)

    @rule(scope=st.sampled_from(("all", "branch:hill", "hill-1", "hill-1/ups*")), after=st.integers(-1, 2), length=st.integers(1, 6), n=st.integers(1, 3))  # fmt: skip
    def plan(self, scope: str, after: int, length: int, n: int) -> None:
        since = self.stage.now + after * 20 * MINUTE
        words = {"reason": "work", "approved_by": "chen", "change_ref": "C"}
        self.stage.act("window", id=f"w-{n}", scope=scope, **{"from": since, "to": since + length * HOUR}, **words)

    @rule(n=st.integers(1, 3))
    def cancel(self, n: int) -> None:
        self.stage.act("window-cancel", id=f"w-{n}")

    @rule(name=names, minutes=st.integers(0, 30))
    def drill(self, name: str, minutes: int) -> None:
        self.stage.act("drill", terminal=name, rule="atm.jam", component="CDM1", minutes=minutes, level=2)

    @rule(name=names, state=st.sampled_from(("in_service", "in_service", "repair", "retired")))
    def commission(self, name: str, state: str) -> None:
        self.stage.act("life-cycle", terminal=name, state=state, reason="x")

    @rule(
        name=names, family=st.sampled_from(("wear", "runout", "failure")), part=st.sampled_from(("ups", "host/disk:/", "camera")),
        how=st.sampled_from((LATER, LATER, SOON, "demoted", OVER, "anew")),
    )  # fmt: skip
    def foretell(self, name: str, family: str, part: str, how: str) -> None:
        at = self.stage.journal.at + 1
        place = name, family, part
        if how == "anew" or place not in self.begun:
            self.begun[place] = at
        word = how if how in (LATER, SOON) else LATER
        said = found(name, part, at, family=family, begun=self.begun[place], word=word, demoted=how == "demoted")
        self.stage.foretell(ended(said, at) if how == OVER else said)

    @rule(table=st.sampled_from(TABLES))
    def change_rules(self, table: str) -> None:
        self.stage.change_rules(table)

    @rule(away=st.sampled_from((0, 0, 0, 10 * S, 20 * MINUTE, 6 * HOUR)))
    def restart(self, away: int) -> None:
        self.stage.restart(away=away)

    # What holds at every moment.

    @invariant()
    def the_promises_hold(self) -> None:
        self._what_is_open_has_one_incident()
        self._nothing_lives_without_a_fault()
        self._symptoms_are_masked_and_nothing_else_is()
        self._what_is_told_was_announced()
        self._numbers_follow_each_other()
        self._nobody_is_asked_twice()
        self._what_people_said_of_causes_holds()

    def _what_people_said_of_causes_holds(self) -> None:
        """What was merged has one ticket that lives; what was split is not explained by what it was split from; each is told of."""
        book = self.stage.fold.book
        for incident in book.incidents.values():
            for each in incident.took:
                merged = book.incidents.get(each)
                assert merged is None or not merged.living, f"{each} lives beside {incident.corr_id}, which took it in"
                assert not book.of(each), "it still holds alarms"
            assert not incident.parent or incident.parent not in incident.apart, "explained by what it was split from"
            if incident.living and incident.announced:
                assert incident.corr_id in self.asked, f"{incident.corr_id} lives, and has no ticket"

    def _what_is_open_has_one_incident(self) -> None:
        book = self.stage.fold.book
        for alarm in book.alarms.values():
            holding = [corr for corr, each in book.members.items() if alarm.key in each]
            assert len(holding) <= 1, f"{alarm.key} is in {holding}"
            if not holding:
                muted = alarm.mask(SHELVED) or alarm.mask(MAINTENANCE)
                assert not alarm.open or muted or alarm.condition == "unknown", f"{alarm.key} is told by nobody"
                continue
            assert alarm.incident == holding[0]
            incident = book.incidents[holding[0]]
            own = book.members[holding[0]][alarm.key].role != SYMPTOM
            if alarm.open and own:
                assert incident.living, f"{alarm.key} is in one that is {incident.state}"
                assert incident.state != RESTORED, f"{alarm.key} lasts, and its incident is over"

    def _nothing_lives_without_a_fault(self) -> None:
        book = self.stage.fold.book
        for corr_id, incident in book.incidents.items():
            if not incident.living or incident.state == RESTORED or incident.tamper or incident.intermittent:
                continue
            if incident.scope == TERMINAL:
                assert book.of(corr_id, "root", "consequence"), (
                    f"{incident.fault} {incident.state}: nothing is open of it"
                )

    def _symptoms_are_masked_and_nothing_else_is(self) -> None:
        book = self.stage.fold.book
        for alarm in book.alarms.values():
            member = book.members.get(alarm.incident, {}).get(alarm.key)
            mask = alarm.mask(CHILD)
            assert (mask is not None) == (member is not None and member.role == SYMPTOM), (
                f"{alarm.key}: {mask}, {member}"
            )
            if mask is not None:
                assert mask.ref == alarm.incident
            if member is not None and not alarm.open:
                flaps = alarm.mask(FLAPPING) is not None and member.role != SYMPTOM
                assert flaps, f"{alarm.key} is over, and {member.incident} never will be"
            incident = book.incidents.get(alarm.incident)
            if member is not None and incident is not None and incident.terminal != alarm.terminal:
                assert member.role == SYMPTOM, f"{alarm.key} is no part of what is broken on {incident.terminal}"

    def _what_is_told_was_announced(self) -> None:
        seen = {each.corr_id: each for each in self.stage.incidents()}
        for message in self.stage.told[self.told :]:
            self._told(message, seen[message.incident])
        self.told = len(self.stage.told)
        for incident in seen.values():
            assert incident.announced or not incident.seq
            assert not (incident.state == DROPPED and incident.announced)
            assert not (incident.state == SETTLING and incident.announced)
            ends = [until for _, until, _ in incident.held]
            assert all(ends[:-1]), "two holds at a time"
            assert all(a[1] <= b[0] for a, b in zip(incident.held, incident.held[1:], strict=False))
            assert not incident.on_hold or incident.living
            assert (incident.state == CLOSED) <= (incident.closed_at > 0)

    def _told(self, message: TicketMessage, incident: Incident) -> None:
        assert incident.announced
        known = self.asked[message.incident]
        if message.op is Op.OPEN:
            assert known == 0 or "resolved it, but" in message.note, "it opens a second time"
            self.asked[message.incident] = 1
        else:
            assert message.incident in self.asked, "it was never opened"
            if message.op is Op.RESOLVE:
                self.asked[message.incident] = 0
        assert message.drill == incident.drill

    def _numbers_follow_each_other(self) -> None:
        told: Counter[str] = Counter()
        for message in self.stage.told:
            told[message.incident] += 1
            assert message.seq == told[message.incident]

    def _nobody_is_asked_twice(self) -> None:
        """A step again only after its clock began anew: the fault grew worse, or was back after people had settled it."""
        rows = self.stage.store.conn.execute(
            "SELECT seq, incident, kind, body FROM incident_event WHERE seq > ? ORDER BY seq", (self.logged,)
        ).fetchall()
        for seq, incident, kind, body in rows:
            self.logged, detail = seq, msgpack.unpackb(body)
            if kind in ("reopened", "level"):
                self.called.pop(incident, None)
            elif kind == "escalated":
                called = self.called.setdefault(incident, Counter())
                called.update(detail["roles"])
                assert max(called.values()) <= 3, "no role has more than three steps"
        for incident in self.stage.fold.book.incidents.values():
            assert len(set(incident.steps)) == len(incident.steps)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            self.stage.restart()
            self.stage.rebuilt()
        finally:
            self.stage.store.close()
            self.temporary.cleanup()


TestDesk = Desk.TestCase
TestDesk.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# What it has found.

DARK = [("ups", "ups.output.source", "battery", State.WARN), ("switch", "net.wan.state", "failed", State.CRIT)]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    made.start()
    yield made
    made.teardown()


def test_what_a_symptom_explained_goes_with_it_to_what_explains_both(desk: Desk) -> None:
    """The switch is taken over by the UPS, and with it the part of which it was the reason."""
    desk.say(name="hill-3", words=[("ups", "monitor.source", "failed", State.NONE)])
    desk.say(name="hill-3", words=DARK)
    desk.wait(ns=61 * S)
    desk.commission(name="hill-3", state="repair")
    desk.commission(name="hill-3", state="in_service")
    desk.the_promises_hold()
    living = [each for each in desk.stage.fold.book.incidents.values() if each.living]
    assert [each.fault for each in living] == ["ups.on-battery"]


def test_what_is_told_at_once_is_not_told_once_more_soon(desk: Desk) -> None:
    """Of an incident that turns out to be explained, while it was to be told of something else in a moment."""
    desk.say(name="server-hill", words=[("ups", "monitor.source", "failed", State.NONE)])
    desk.say(name="hill-3", words=DARK)
    desk.wait(ns=61 * S)
    for state in ("repair", "in_service"):
        desk.commission(name="hill-3", state=state)
    desk.change_rules(table='[fold]\nsilent_least = "900d"\n')
    desk.commission(name="hill-1", state="retired")
    desk.lose(clean=True, them=["hill-3", "server-hill", "lake-2", "hill-2", "hill-1", "lake-1"])
    desk.come_back(restarted=True, them=["lake-2", "hill-2"])
    for state in ("repair", "in_service"):
        desk.commission(name="hill-3", state=state)
    desk.restart(away=0)
    desk.the_promises_hold()
