"""One state for a terminal: which one, by what, and since when; alone and in the order in which things happen to one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.alarm.rules import PARTIES, parse_rules
from tillwatch.collector.duty.policy import TerminalClass
from tillwatch.collector.records import CAUSES, LIFE_CYCLE, STATES, UP, StateChange
from tillwatch.collector.terminal.condition import (
    MAX_READINGS,
    ORDER,
    PARTY,
    OpenAlarm,
    TerminalInView,
    Unseen,
    differs,
    needs,
    roll_up,
)

S = 10**9
M = 60 * S
T0 = 1_790_000_000 * S
FUNCTIONS = {
    "withdraw": ("atm.cash@c*", "atm.device", "atm.pin-pad", "atm.attack"),
    "deposit": ("acceptor.*", "atm.pin-pad"),
    "print": ("atm.pap*",),
}
ATM = TerminalClass("atm", functions=FUNCTIONS)
VIEW = TerminalInView("atm-1", T0, ATM)
LIMIT = 30 * M

CASH = OpenAlarm("atm.cash", "supply", "cash", 2, "active", T0 - 50 * M, "cdm", "atm.cash", T0 - 49 * M)
ACCEPTOR = OpenAlarm(
    "acceptor.fault", "fitness", "hardware", 2, "active", T0 - 40 * M, "cim", "acceptor.state", T0 - 39 * M
)
PAPER_OUT = OpenAlarm("atm.paper", "supply", "supplies", 2, "active", T0 - 30 * M, "rp", "atm.paper", T0 - 29 * M)
PAPER = replace(PAPER_OUT, level=3)
UPS = OpenAlarm("ups.battery-low", "fitness", "power", 1, "active", T0 - 20 * M, "ups", "ups.battery.charge", T0 - M)
BOARD = OpenAlarm(
    "host.temperature", "fitness", "hardware", 1, "active", T0 - 20 * M, "host/cpu", "host.temperature", T0 - M
)
FAN = OpenAlarm("host.fan", "fitness", "hardware", 3, "active", T0 - 60 * M, "host/fan:1", "host.fan.speed", T0 - M)
FRAUD = OpenAlarm("atm.fraud", "security", "vandalism", 2, "active", T0 - 10 * M, "card", "atm.antifraud", T0 - 9 * M)
SILENCE = OpenAlarm("terminal.silent", "fitness", "unknown", 2, "active", T0 - 5 * M)
BLIND = Unseen("cim", "silent", T0 - 15 * M, ("deposit",))


def of(*alarms, **more):
    return roll_up(replace(VIEW, alarms=alarms, **more), supervisor_limit_ns=LIMIT)


@pytest.mark.parametrize(
    ("alarms", "more", "state", "reason", "party", "level", "since", "lost"),
    [
        ((), {}, "in_service", "", "", 0, 0, ()),
        ((FAN,), {}, "in_service", "", "", 0, 0, ()),
        ((PAPER, FAN), {}, "supply_low", "atm.paper", "supplies", 3, 30, ()),
        ((CASH, PAPER), {}, "degraded", "atm.cash", "cash", 2, 50, ("withdraw",)),
        ((ACCEPTOR, PAPER), {"unseen": (BLIND,)}, "degraded", "acceptor.fault", "hardware", 2, 40, ("deposit",)),
        # By the last function that went.
        ((CASH, ACCEPTOR, PAPER_OUT), {}, "out_of_service", "atm.paper", "supplies", 2, 30, ("deposit", "print", "withdraw")),
        ((BOARD, CASH), {}, "out_of_service", "host.temperature", "hardware", 1, 20, ("withdraw",)),
        ((replace(CASH, level=1),), {}, "out_of_service", "atm.cash", "cash", 1, 50, ("withdraw",)),
        # It runs until its battery is empty.
        ((UPS,), {}, "degraded", "ups.battery-low", "power", 1, 20, ()),
        # What cannot be seen any more is not over.
        ((replace(BOARD, condition="unknown"),), {}, "out_of_service", "host.temperature", "hardware", 1, 20, ()),
        # Work on one component is planned, for what it costs.
        ((replace(CASH, window="w7"),), {}, "degraded", "atm.cash", "planned", 2, 50, ("withdraw",)),
        ((), {"unseen": (BLIND,)}, "unmonitored", "component.silent", "monitoring", 0, 15, ()),
        ((PAPER,), {"unseen": (replace(BLIND, why="unreadable"),)}, "unmonitored", "component.unreadable", "monitoring", 0, 15, ()),
        # The rest cannot be seen: nothing shows that anybody is served.
        ((CASH, PAPER_OUT), {"unseen": (BLIND,)}, "unmonitored", "component.silent", "monitoring", 0, 15, ("print", "withdraw")),
        ((PAPER,), {"mode": "supervisor", "mode_since": T0 - 7 * M}, "supervisor", "terminal.supervisor", "branch", 0, 7, ()),
        ((CASH,), {"mode": "maintenance", "mode_since": T0 - 7 * M}, "supervisor", "terminal.supervisor", "branch", 0, 7, ("withdraw",)),
        ((BOARD,), {"mode": "supervisor", "mode_since": T0 - 7 * M}, "out_of_service", "host.temperature", "hardware", 1, 20, ()),
        ((BOARD,), {"mode": "run"}, "out_of_service", "host.temperature", "hardware", 1, 20, ()),
        ((BOARD, SILENCE), {"connection": "silent", "connection_since": T0 - 8 * M, "cause": "power"}, "offline", "terminal.silent", "power", 2, 8, ()),
        ((), {"connection": "offline", "connection_since": T0 - 8 * M}, "offline", "terminal.silent", "unknown", 0, 8, ()),
        ((BOARD,), {"connection": "offline", "window": "w7", "window_since": T0 - 2 * M}, "maintenance", "w7", "planned", 0, 2, ()),
        ((BOARD,), {"life_cycle": "repair", "life_cycle_since": T0 - 9 * M, "window": "w7"}, "repair", "", "", 0, 9, ()),
        ((), {"connection": "new"}, "not_commissioned", "", "", 0, 0, ()),
        ((SILENCE,), {"connection": "revoked", "connection_since": T0 - 3 * M}, "not_commissioned", "", "", 0, 3, ()),
        # Security.
        ((FRAUD,), {}, "in_service", "atm.fraud", "vandalism", 2, 0, ()),
        ((FRAUD, PAPER), {}, "supply_low", "atm.fraud", "vandalism", 2, 30, ()),
        ((FRAUD, CASH), {}, "degraded", "atm.cash", "cash", 2, 50, ("withdraw",)),
        ((replace(FRAUD, level=1),), {}, "out_of_service", "atm.fraud", "vandalism", 1, 10, ()),
        # Where the bank says that it takes a function away it does, and alone it stops nothing.
        ((replace(FRAUD, rule="atm.attack"),), {}, "degraded", "atm.attack", "vandalism", 2, 10, ("withdraw",)),
        ((replace(FRAUD, rule="atm.attack"),), {"terminal_class": TerminalClass("atm", functions={"all": ("atm.*",)})}, "degraded", "atm.attack", "vandalism", 2, 10, ("all",)),
        ((CASH,), {"terminal_class": TerminalClass("atm", functions={"all": ("atm.cash@x*",)})}, "degraded", "atm.cash", "cash", 2, 50, ()),
        ((replace(BOARD, rule="terminal.supervisor", level=2),), {}, "in_service", "", "", 0, 0, ()),
    ],
)  # fmt: skip
def test_the_gravest_that_holds_is_the_state(alarms, more, state, reason, party, level, since, lost):
    change = of(*alarms, **more).change
    assert (change.state, change.reason, change.party, change.level, change.lost) == (state, reason, party, level, lost)
    assert change.since == T0 - since * M
    assert change.at == T0


def test_a_class_without_functions_is_stopped_by_its_own_alarms_alone():
    assert (
        roll_up(
            replace(VIEW, terminal_class=TerminalClass("till"), alarms=(CASH, UPS)), supervisor_limit_ns=LIMIT
        ).change.state
        == "degraded"
    )
    assert (
        roll_up(
            replace(VIEW, terminal_class=TerminalClass("till"), alarms=(BOARD,)), supervisor_limit_ns=LIMIT
        ).change.state
        == "out_of_service"
    )


def test_security_is_named_whatever_else_decides():
    for alarms in ((FRAUD,), (FRAUD, CASH), (FRAUD, BOARD), (FRAUD, PAPER)):
        found = of(*alarms)
        assert found.security == "atm.fraud"
        assert ("card", "atm.antifraud", T0 - 9 * M) in found.change.readings
    assert of(CASH).security == ""


def test_the_readings_that_decided_are_named_the_gravest_first():
    assert of(CASH, UPS).change.readings == (("ups", "ups.battery.charge", T0 - M), ("cdm", "atm.cash", T0 - 49 * M))
    assert of(CASH, ACCEPTOR, PAPER_OUT).change.readings[0] == ("rp", "atm.paper", T0 - 29 * M)
    assert of(connection="silent", cause_readings=(("srv-7/ups", "ups.mains", T0 - M),)).change.readings == (("srv-7/ups", "ups.mains", T0 - M),)  # fmt: skip
    many = [replace(UPS, component=f"ups-{n}") for n in range(20)]
    assert len(of(*many).change.readings) == MAX_READINGS


def test_supervision_has_a_limit():
    limit = T0 + LIMIT
    begun = replace(VIEW, mode="supervisor", mode_since=T0)
    for at, alarms, overdue in ((limit - 1, (), False), (limit, (), True), (limit + M, (BOARD,), True)):
        found = roll_up(replace(begun, at=at, alarms=alarms), supervisor_limit_ns=LIMIT)
        assert (found.overdue, found.overdue_at) == (overdue, limit)
    for planned in ({"window": "w"}, {"connection": "silent"}, {"life_cycle": "repair"}):
        found = roll_up(replace(begun, at=limit + M, **planned), supervisor_limit_ns=LIMIT)
        assert (found.overdue, found.overdue_at) == (False, 0)
    assert of().overdue_at == 0


class Story:
    """A terminal to which one thing happens after another; minutes count from T0."""

    def __init__(self):
        self.view, self.rows = replace(VIEW, at=T0 - 60 * M, connection_since=T0 - 60 * M), []
        self.look(-60)

    def look(self, minute, **more):
        self.view = replace(self.view, at=T0 + minute * M, **more)
        last = self.rows[-1] if self.rows else None
        change = roll_up(self.view, last, supervisor_limit_ns=LIMIT).change
        if differs(change, last):
            self.rows.append(change)
        return self

    def told(self):
        return [(row.state, (row.since - T0) // M, row.reason) for row in self.rows[1:]]


def test_a_recovery_counts_from_the_first_good_reading_whenever_the_terminal_connected():
    story = Story().look(1, alarms=(replace(CASH, since=T0),), connection_since=0)
    story.look(20, alarms=(), eased=T0 + 10 * M)
    assert story.told() == [("degraded", 0, "atm.cash"), ("in_service", 10, "")]


def test_what_is_worse_counts_from_its_beginning_and_what_is_better_from_the_end_of_what_was_worse():
    cash = replace(CASH, since=T0)
    story = Story().look(5, alarms=(cash,)).look(6, alarms=(cash, replace(BOARD, since=T0 + 2 * M)))
    story.look(30, alarms=(cash,), eased=T0 + 20 * M).look(50, alarms=(), eased=T0 + 40 * M)
    assert story.told() == [
        ("degraded", 0, "atm.cash"),
        ("out_of_service", 2, "host.temperature"),
        ("degraded", 20, "atm.cash"),
        ("in_service", 40, ""),
    ]


def test_one_function_after_another_goes_and_comes():
    cash, acceptor, paper = (
        replace(CASH, since=T0),
        replace(ACCEPTOR, since=T0 + 10 * M),
        replace(PAPER_OUT, since=T0 + 20 * M),
    )
    story = Story().look(1, alarms=(cash,)).look(12, alarms=(cash, acceptor)).look(25, alarms=(cash, acceptor, paper))
    story.look(40, alarms=(acceptor, paper), eased=T0 + 35 * M).look(50, alarms=(paper,), eased=T0 + 49 * M)
    assert story.told() == [
        ("degraded", 0, "atm.cash"),
        ("degraded", 10, "atm.cash"),
        ("out_of_service", 20, "atm.paper"),
        ("degraded", 35, "acceptor.fault"),
        ("degraded", 49, "atm.paper"),
    ]
    assert [row.lost for row in story.rows[1:]] == [
        ("withdraw",),
        ("deposit", "withdraw"),
        ("deposit", "print", "withdraw"),
        ("deposit", "print"),
        ("print",),
    ]


def test_a_graver_alarm_that_takes_over_the_reason_counts_from_its_own_beginning():
    story = Story().look(1, alarms=(replace(PAPER, since=T0),)).look(9, alarms=(replace(PAPER, since=T0), replace(FRAUD, since=T0 + 8 * M)))  # fmt: skip
    assert story.told() == [("supply_low", 0, "atm.paper"), ("supply_low", 8, "atm.fraud")]


def test_an_alarm_that_waits_for_its_time_to_confirm_began_before_but_never_before_the_last_row():
    early = replace(CASH, since=T0 - 5 * M)
    story = Story().look(0, alarms=(replace(PAPER, since=T0),)).look(5, alarms=(replace(PAPER, since=T0), early))
    assert story.told() == [("supply_low", 0, "atm.paper"), ("degraded", 0, "atm.cash")]


def test_offline_and_back_with_a_fault_that_began_before():
    fault = replace(BOARD, since=T0 - 20 * M)
    story = Story().look(0, connection="offline", connection_since=T0 - M)
    story.look(2, cause="network").look(
        30, connection="online", connection_since=T0 + 30 * M, alarms=(fault,), eased=T0 + 30 * M
    )
    assert story.told() == [
        ("offline", -1, "terminal.silent"),
        ("offline", -1, "terminal.silent"),
        ("out_of_service", 30, "host.temperature"),
    ]
    assert [(row.kind, row.cause, row.party) for row in story.rows[1:]] == [
        ("state", "unknown", "unknown"),
        ("cause", "network", "network"),
        ("state", "", "hardware"),
    ]


def test_maintenance_that_starts_and_ends_during_a_fault():
    fault = replace(BOARD, since=T0)
    story = Story().look(1, alarms=(fault,)).look(10, window="w7", window_since=T0 + 10 * M)
    story.look(60, window="", window_since=0, eased=T0 + 60 * M).look(80, alarms=(), eased=T0 + 75 * M)
    assert story.told() == [
        ("out_of_service", 0, "host.temperature"),
        ("maintenance", 10, "w7"),
        ("out_of_service", 60, "host.temperature"),
        ("in_service", 75, ""),
    ]


def test_what_is_seen_again_is_known_from_then_on():
    cash, paper, blind = replace(CASH, since=T0), replace(PAPER_OUT, since=T0), replace(BLIND, since=T0 + 5 * M)
    story = Story().look(1, alarms=(cash, paper)).look(6, unseen=(blind,)).look(20, unseen=(), eased=T0 + 20 * M)
    assert story.told() == [
        ("degraded", 0, "atm.cash"),
        ("unmonitored", 5, "component.silent"),
        ("degraded", 20, "atm.cash"),
    ]


def test_the_end_of_something_else_does_not_move_what_began():
    story = Story().look(5, eased=T0 - 30 * M).look(6, alarms=(replace(CASH, since=T0),))
    story.look(7, alarms=(replace(CASH, since=T0),), eased=T0 + 6 * M)
    assert story.told() == [("degraded", 0, "atm.cash")]


def test_a_time_from_the_future_is_now():
    assert of(replace(CASH, since=T0 + 9 * M)).change.since == T0


def test_functions_need_what_could_take_them_away():
    rules = parse_rules()

    def needed(component, *signals, of=ATM):
        return needs(component, signals, rules.by_signal, of)

    assert needed("cdm", "atm.cash", "host.uptime") == ("withdraw",)
    assert needed("xdm", "atm.cash") == (), "it is so on some components only"
    assert needed("pin", "atm.epp") == ("deposit", "withdraw")
    assert needed("cim", "acceptor.state") == ("deposit",)
    assert needed("rp", "atm.paper") == (), "of level 3 it takes nothing away"
    assert needed("rp", "atm.paper", of=replace(ATM, levels={"atm.paper": 2})) == ("print",), (
        "unless the class says otherwise"
    )
    assert needed("ups", "ups.mains") == ()
    everything = TerminalClass("all", functions={"serve": ("*",)}, levels={"host.link-down": 2})
    assert needed("host/net:eth0", "net.oper", of=everything) == ("serve",)
    assert needed("switch/net:1", "net.oper", of=replace(everything, functions={"serve": ("host.link-down",)})) == ()


def test_every_cause_has_a_party():
    assert PARTY.keys() == CAUSES.keys()
    assert set(PARTY.values()) <= set(PARTIES)
    assert sorted(ORDER) == sorted(STATES)


alarms = st.builds(
    OpenAlarm,
    st.sampled_from(["atm.cash", "atm.device", "acceptor.fault", "atm.paper", "ups.battery-low", "host.temperature", "atm.fraud"]),
    st.sampled_from(["fitness", "supply", "security"]),
    st.sampled_from(PARTIES), st.integers(1, 3), st.sampled_from(["active", "unknown"]), st.integers(T0 - 100 * M, T0 + M),
    st.sampled_from(["", "host/cpu", "ups", "cdm"]), st.sampled_from(["", "atm.cash"]), st.just(T0), st.sampled_from(["", "w1"]),
)  # fmt: skip
views = st.builds(
    TerminalInView,
    st.just("atm-1"), st.just(T0), st.sampled_from([ATM, TerminalClass("till")]),
    life_cycle=st.sampled_from(["in_service"] * 9 + ["spare"]), window=st.sampled_from(["", "", "", "w"]),
    connection=st.sampled_from(["online"] * 6 + ["silent", "new"]), connection_since=st.integers(T0 - 90 * M, T0), cause=st.sampled_from(sorted(CAUSES)),
    mode=st.sampled_from(["", "run", "supervisor"]), mode_since=st.integers(T0 - 90 * M, T0),
    alarms=st.lists(alarms, max_size=5).map(tuple),
    unseen=st.lists(st.builds(Unseen, st.just("cim"), st.sampled_from(["silent", "unreadable"]), st.integers(T0 - 90 * M, T0), st.sampled_from([("deposit",), ("deposit", "print")])), max_size=2).map(tuple),
    eased=st.just(0) | st.integers(T0 - 90 * M, T0),
)  # fmt: skip
rows = st.none() | views.map(
    lambda view: replace(roll_up(replace(view, at=T0 - 30 * M), supervisor_limit_ns=LIMIT).change, at=T0 - 30 * M)
)


@given(views, rows)
def test_there_is_always_one_state_and_its_beginning_lies_between_the_last_row_and_now(view, previous):
    change = roll_up(view, previous, supervisor_limit_ns=LIMIT).change
    assert change.state in STATES
    assert change.since <= T0
    assert previous is None or change.since >= previous.since
    assert change.party in ("", *PARTIES)
    assert bool(change.cause) == (change.state == "offline")
    if change.state == "in_service":
        assert view.unseen == ()
        assert all(each.level == 3 or each.axis == "security" for each in view.alarms)
    if change.state in LIFE_CYCLE:
        assert (change.reason, change.party, change.lost) == ("", "", ())
    again = roll_up(view, change, supervisor_limit_ns=LIMIT).change
    assert not differs(again, change)
    assert again.since == change.since


@given(views, alarms)
def test_another_alarm_never_makes_it_better(view, alarm):
    before = roll_up(view, supervisor_limit_ns=LIMIT).change
    after = roll_up(replace(view, alarms=(*view.alarms, alarm)), supervisor_limit_ns=LIMIT).change
    assert set(before.lost) <= set(after.lost)
    if after.state not in UP or before.state in UP:
        assert ORDER.index(after.state) <= ORDER.index(before.state) or after.state == "unmonitored"
    if alarm.axis == "security" and alarm.level > 1 and not ATM.lost(alarm.rule, alarm.component):
        assert after.state == before.state


@given(views)
def test_what_cannot_be_seen_is_never_healthy(view):
    blind = replace(view, unseen=(*view.unseen, Unseen("cim", "silent", T0, ("deposit",))))
    assert roll_up(blind, supervisor_limit_ns=LIMIT).change.state not in ("in_service", "supply_low")


def test_a_row_is_what_the_log_keeps():
    change = of(CASH).change
    assert isinstance(change, StateChange)
    assert change.terminal == "atm-1"
