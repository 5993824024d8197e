"""Why a terminal is offline: what is said at the loss, what the return makes of it, and each sentence as an engineer reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.wire import Life
from tillwatch.collector.incident.inference import Crowd
from tillwatch.collector.records import CAUSES
from tillwatch.collector.terminal.causes import Facts, Notice, Return, Root, farewell, notice_of, offline_cause, spoken
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.terminal.power import Told, power_told

S = 10**9
M = 60 * S
T0 = 1_790_000_000 * S
CROWD = Crowd(12, 40, 40 * S)
FLEET = Crowd(1180, 1200, 70 * S, 37)
SAYS = {
    "battery": [("ups", "ups.output.source", "battery"), ("ups", "ups.battery.charge", 8)],
    "mains": [("ups", "ups.output.source", "normal"), ("ups", "ups.battery.charge", 100)],
    "off": [("pdu", "pdu.breaker", "tripped")],
}


def power(said, *, before=40 * S, since=0, own=False):
    return power_told("srv-7", [Told(*each, T0 - before, since) for each in SAYS[said]], own=own)


def back(silent=60 * M, *, same=True, up=None, **more):
    """A return after so long; in the same boot uptime went on, else it started 5 minutes before it was heard."""
    up_ns = up if up is not None else 100 * M + silent if same else 5 * M
    return Return(T0 + silent, up_ns, same, 100 * M, T0, **more)


# At the loss.


@pytest.mark.parametrize(
    ("facts", "cause", "evidence"),
    [
        (
            {"farewell": "will", "power": power("battery"), "speaking": 3},
            "power",
            "the UPS of the branch (srv-7/ups) was on battery with 8 % left, 40 s before its last word",
        ),
        (
            {"farewell": "will", "power": power("battery", before=31 * M), "speaking": 3},
            "unknown",
            "the broker lost its connection, while 3 other terminals of the branch spoke on: its machine, its cable or its agent; nothing there tells of the power",
        ),
        (
            {"power": power("off", before=-20 * S, since=T0 - 10 * S)},
            "power",
            "the power distribution of the branch (srv-7/pdu) had a tripped breaker, 20 s after its last word",
        ),
        (
            {"power": power("off", since=T0 - 7 * 24 * 60 * M)},
            "unknown",
            "it fell silent without a word; no other terminal of the branch speaks that could tell more; nothing there tells of the power",
        ),
        (
            {"power": power("battery", since=T0 - 60 * M, own=True)},
            "power",
            "the UPS of the terminal (srv-7/ups) was on battery with 8 % left, 40 s before its last word",
        ),
        (
            {"farewell": "clean"},
            "agent",
            "the agent said goodbye: it was stopped, or the machine was shut down in order",
        ),
        (
            {"farewell": "clean", "power": power("battery"), "branch": CROWD},
            "power",
            "the UPS of the branch (srv-7/ups) was on battery with 8 % left, 40 s before its last word; the terminal was stopped in order",
        ),
        (
            {"fleet": FLEET, "branch": CROWD, "power": power("battery")},
            "monitoring",
            "1180 of 1200 terminals in 37 branches fell silent within 70 s: the collector, its broker or its own line lost them all",
        ),
        (
            {
                "roots": (
                    Root("host", "srv-7", "The server does not answer", T0 - 5 * S),
                    Root("network", "srv-7/switch", "The switch does not answer", T0 + 70 * S),
                    Root("network", "srv-7/router", "A way to the outside is down", T0 - 30 * S),
                ),
                "branch": CROWD,
            },
            "network",
            "an open alarm explains it: A way to the outside is down (srv-7/router, 30 s before its last word)",
        ),
        (
            {"roots": (Root("host", "srv-7", "The server does not answer", T0),)},
            "network",
            "an open alarm explains it: The server does not answer (srv-7, with its last word)",
        ),
        (
            {
                "roots": (
                    Root("network", "srv-7/switch", "The switch does not answer", T0 - 9 * S),
                    Root("power", "branch:7", "The branch is without mains", T0 + 9 * S),
                )
            },
            "power",
            "an open alarm explains it: The branch is without mains (branch:7, 9 s after its last word)",
        ),
        (
            {"branch": CROWD},
            "network",
            "12 of 40 terminals of the branch fell silent within 40 s; nothing there tells of the power",
        ),
        (
            {"branch": Crowd(2, 2, 0), "power": power("mains")},
            "network",
            "2 of 2 terminals of the branch fell silent at the same moment; the UPS of the branch (srv-7/ups) had mains (40 s before its last word)",
        ),
        (
            {"notices": (Notice("srv-7/switch", "coldStart", T0 + 70 * S), Notice("srv-7/router", "coldStart", T0 + 90 * S))},
            "power",
            "srv-7/router and srv-7/switch of the branch started anew together, 70 s after its last word",
        ),
        (
            {
                "farewell": "will",
                "speaking": 1,
                "notices": (Notice("srv-7/switch", "linkDown", T0 + 3 * S), Notice("srv-7/ups", "coldStart", T0 - 300 * M)),
            },
            "unknown",
            ("the broker lost its connection, while another terminal of the branch spoke on: its machine, its cable or its agent; "
            "srv-7/switch told linkDown 3 s after its last word; nothing there tells of the power"),
        ),
    ],
)  # fmt: skip
def test_at_the_loss(facts, cause, evidence):
    found = offline_cause(Facts(T0, **facts))
    assert (found.cause, found.evidence) == (cause, evidence)


def test_the_readings_that_decided_are_named():
    found = offline_cause(Facts(T0, power=power("battery")))
    assert [tuple(each) for each in found.readings] == [
        ("srv-7/ups", "ups.output.source", T0 - 40 * S),
        ("srv-7/ups", "ups.battery.charge", T0 - 40 * S),
    ]


def test_of_two_supplies_the_graver_word_counts_and_of_equals_its_own():
    own = power_told("atm-1", [Told("ups", "ups.mains", "failed", T0)], own=True)
    assert "of the terminal (atm-1/ups)" in offline_cause(Facts(T0, power=(*own, *power("battery")))).evidence
    assert "tripped breaker" in offline_cause(Facts(T0, power=(*own, *power("off")))).evidence


def test_devices_that_start_one_by_one_were_restarted_by_somebody():
    one_by_one = Notice("srv-7/switch", "coldStart", T0 + 5 * M), Notice("srv-7/ups", "coldStart", T0 + 50 * M)
    twice = Notice("srv-7/switch", "coldStart", T0 + 5 * M), Notice("srv-7/switch", "warmStart", T0 + 6 * M)
    assert offline_cause(Facts(T0, notices=one_by_one)).cause == "unknown"
    assert offline_cause(Facts(T0, notices=twice)).cause == "unknown"


# At the return.


@pytest.mark.parametrize(
    ("facts", "returned", "cause", "evidence"),
    [
        # The line: the machine ran, and the backlog shows it.
        ({}, back(hole_ns=M), "network", "same boot, readings went on meanwhile: the machine ran, the line was down"),
        (
            {"branch": CROWD},
            back(hole_ns=M),
            "network",
            ("same boot, readings went on meanwhile: the machine ran, the line was down; "
            "12 of 40 terminals of the branch fell silent within 40 s; nothing there tells of the power"),
        ),
        ({}, back(hole_ns=40 * M, dropped=True), "network", "same boot, readings went on meanwhile: the machine ran, the line was down"),
        ({}, back(100 * S, hole_ns=90 * S), "network", "same boot, readings went on meanwhile: the machine ran, the line was down"),
        # What the line hangs on was without power, the machine on its UPS was not.
        (
            {"power": power("battery")},
            back(hole_ns=M),
            "power",
            ("same boot, readings went on meanwhile: the machine ran, the line was down; "
            "the UPS of the branch (srv-7/ups) was on battery with 8 % left, 40 s before its last word"),
        ),
        (
            {"fleet": FLEET},
            back(hole_ns=M),
            "monitoring",
            ("same boot, readings went on meanwhile: the machine ran, the line was down; "
            "1180 of 1200 terminals in 37 branches fell silent within 70 s: the collector, its broker or its own line lost them all"),
        ),
        # The agent.
        ({}, back(hole_ns=59 * M, ended="killed"), "agent", "same boot, nothing was read for 59 min: the machine ran on, the agent was killed and started again"),
        ({"farewell": "clean"}, back(hole_ns=59 * M), "agent", "same boot, nothing was read for 59 min: the machine ran on, the agent was stopped and started again"),
        ({"branch": CROWD}, back(hole_ns=59 * M), "agent", "same boot, nothing was read for 59 min: the machine ran on, the agent neither read nor sent"),
        ({}, back(100 * S, hole_ns=90 * S, ended="clean"), "agent", "same boot, nothing was read for 90 s: the machine ran on, the agent was stopped and started again"),
        # Before the backlog is in.
        ({"farewell": "clean"}, back(), "agent", "the agent said goodbye, and it is the same boot: the machine ran on without it"),
        (
            {"branch": CROWD},
            back(),
            "network",
            "12 of 40 terminals of the branch fell silent within 40 s; nothing there tells of the power; same boot: the machine ran on",
        ),
        # The machine stood still; an id that is made of the clock is no restart.
        ({}, back(up=108 * M, hole_ns=52 * M), "terminal", "same boot, but its uptime lacks 52 min: the machine slept or stood still"),
        ({}, back(same=False, up=900 * M, hole_ns=M), "network", "same boot, readings went on meanwhile: the machine ran, the line was down"),
        # It started anew.
        (
            {"power": power("battery")},
            back(same=False),
            "power",
            "the UPS of the branch (srv-7/ups) was on battery with 8 % left, 40 s before its last word; it started anew 55 min after its last word",
        ),
        ({}, back(same=False), "terminal", "it started anew 55 min after its last word and nothing tells why"),
        ({}, back(same=False, events=("unclean",)), "terminal", "it started anew 55 min after its last word without an orderly shutdown"),
        ({}, back(same=False, events=("unclean", "crashed")), "terminal", "it started anew 55 min after its last word; Windows logged a crash"),
        ({}, back(same=False, events=("unclean",), power_losses=1), "power", "it started anew 55 min after its last word; its drive counted a loss of power without warning"),
        ({"farewell": "clean"}, back(same=False), "terminal", "the machine was shut down in order; it started anew 55 min after its last word"),
        (
            {"branch": CROWD},
            back(same=False, restarted=Crowd(9, 12, 110 * S)),
            "power",
            "it started anew 55 min after its last word; 9 of 12 terminals of the branch started within 110 s: power was away",
        ),
        # Updates restart a whole branch, too.
        (
            {"farewell": "clean"},
            back(same=False, restarted=Crowd(9, 12, 110 * S)),
            "terminal",
            "the machine was shut down in order; it started anew 55 min after its last word",
        ),
        (
            {"notices": (Notice("srv-7/switch", "coldStart", T0 + 54 * M), Notice("srv-7/ups", "coldStart", T0 + 53 * M))},
            back(same=False),
            "power",
            "srv-7/switch and srv-7/ups of the branch started anew together, 53 min after its last word; it started anew 55 min after its last word",
        ),
        # The line was cut; somebody switched the machine off and on to mend it.
        ({}, back(same=False, hole_ns=6 * M), "network", "readings went on for most of the time: the line was down; it started anew 55 min after its last word"),
        ({}, back(150 * S, same=False, up=50 * S, hole_ns=60 * S, ended="clean"), "terminal", "the machine was shut down in order; it started anew 100 s after its last word"),
        # Line and machine at once: while the backlog is out the line stands, after it both.
        (
            {"branch": CROWD},
            back(same=False),
            "network",
            "12 of 40 terminals of the branch fell silent within 40 s; nothing there tells of the power; it started anew 55 min after its last word",
        ),
        (
            {"branch": CROWD},
            back(same=False, hole_ns=58 * M),
            "power",
            ("12 of 40 terminals of the branch fell silent within 40 s; nothing there tells of the power; "
            "it started anew 55 min after its last word: line and machine went at one moment"),
        ),
        ({"branch": CROWD}, back(same=False, hole_ns=40 * M), "terminal", "it started anew 55 min after its last word and nothing tells why"),
        (
            {"fleet": FLEET},
            back(same=False, hole_ns=58 * M),
            "terminal",
            "it started anew 55 min after its last word and nothing tells why",
        ),
    ],
)  # fmt: skip
def test_at_the_return(facts, returned, cause, evidence):
    found = offline_cause(Facts(T0, **facts, back=returned))
    assert (found.cause, found.evidence) == (cause, evidence)


def test_a_quartz_that_drifts_is_not_asleep():
    month = 30 * 24 * 60 * M
    drifting = back(month, up=100 * M + month - month // 10_000, hole_ns=M)
    assert offline_cause(Facts(T0, back=drifting)).cause == "network"


# What the fold hands over.

BORN = Terminal("t", "7", "north", "atm", 0, epoch=b"e" * 12, boot=b"b" * 8, up_ms=1_000_000, up_received=T0, life_n=5)
LIFE = Life("t", bytes(8), b"e" * 12, 1, 9, 0, b"b" * 8, 1_000_000, T0, 5, "offline")


@pytest.mark.parametrize(
    ("life", "after", "said"),
    [
        (LIFE, 600, "will"),
        (replace(LIFE, n=6, up=1_600_000), 600, "clean"),
        (replace(LIFE, n=6, up=1_590_000), 600, "clean"),  # it lay on its way for ten seconds
        (
            replace(LIFE, n=6, up=1_020_000),
            600,
            "will",
        ),  # its birth was never heard, and the connection broke 580 s later
        (replace(LIFE, n=6, up=1_600_000, boot=b"c" * 8), 600, "will"),
        (replace(LIFE, n=6, up=1_600_000, epoch=b"f" * 12), 600, "will"),
        (replace(LIFE, n=6, up=1_000_000 + 30 * 86_400_000), 30 * 86_400 + 259, "clean"),  # 100 ppm of a month
        (replace(LIFE, n=4, up=1_600_000), 600, "will"),
    ],
)
def test_a_goodbye_is_told_from_a_will(life, after, said):
    assert farewell(BORN, life, T0 + after * S) == said


def test_a_trap_that_says_nothing_here_is_no_notice():
    text = "coldStart 1.3.6.1.6.3.1.1.5.1 1.3.6.1.2.1.1.3.0=4200"
    assert notice_of("srv-7", "traps/switch", text, 5) == Notice("srv-7/switch", "coldStart", 5)
    assert notice_of("srv-7", "traps/switch", "linkUp 1.3.6.1.6.3.1.1.5.4", 5) is None
    assert notice_of("srv-7", "traps/switch", None, 5) is None


@pytest.mark.parametrize(("ns", "text"), [(-S, "0 s"), (119 * S, "119 s"), (120 * S, "2 min"), (119 * M, "119 min"), (120 * M, "2 h"), (47 * 60 * M, "47 h"), (48 * 60 * M, "2 d")])  # fmt: skip
def test_stretches_of_time_as_people_say_them(ns, text):
    assert spoken(ns) == text


times = st.integers(T0 - 100 * M, T0 + 100 * M)
crowds = st.none() | st.builds(
    Crowd, st.integers(2, 40), st.integers(40, 50), st.integers(0, 90 * S), st.integers(1, 9)
)
returns = st.builds(
    Return,
    st.integers(T0, T0 + 200 * M), st.integers(0, 400 * M), st.booleans(), st.integers(0, 100 * M), st.integers(T0 - 100 * M, T0),
    hole_ns=st.none() | st.integers(0, 200 * M), dropped=st.booleans(), ended=st.sampled_from(["", "clean", "killed"]),
    events=st.lists(st.sampled_from(["unclean", "crashed", "overheated", "none"]), max_size=2).map(tuple), power_losses=st.integers(0, 2), restarted=crowds,
)  # fmt: skip
everything = st.builds(
    Facts,
    st.just(T0),
    farewell=st.sampled_from(["", "will", "clean"]),
    power=st.builds(power, st.sampled_from(sorted(SAYS)), before=st.integers(-M, 40 * M), own=st.booleans()) | st.just(()),
    roots=st.lists(st.builds(Root, st.sampled_from(["power", "network", "host"]), st.just("srv-7/x"), st.just("It is down"), times), max_size=2).map(tuple),
    notices=st.lists(st.builds(Notice, st.sampled_from(["srv-7/a", "srv-7/b"]), st.sampled_from(["coldStart", "linkDown"]), times), max_size=3).map(tuple),
    branch=crowds,
    speaking=st.integers(0, 3),
    fleet=crowds,
    back=st.none() | returns,
)  # fmt: skip


@given(everything)
def test_whatever_is_known_there_is_one_cause_and_a_sentence(facts):
    found = offline_cause(facts)
    assert found.cause in CAUSES
    assert found.evidence
    assert "None" not in found.evidence
    assert not found.evidence.endswith((".", ";", " "))
    unpacked = Facts.unpack(facts.pack())
    assert unpacked == facts
    assert offline_cause(unpacked) == found


@given(everything.filter(lambda facts: facts.farewell != "clean"))
def test_without_a_word_on_power_or_line_the_loss_of_one_is_unknown(facts):
    alone = replace(facts, power=(), roots=(), notices=(), branch=None, fleet=None, back=None)
    assert offline_cause(alone).cause == "unknown"
