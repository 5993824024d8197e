"""Which commands are taken: every reason against it, and nothing but what is on the list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.remote.judging import BUNDLES_PER_HOUR, PER_HOUR, Past, Reason, judge
from tillwatch.agent.wire import Command, CommandKind

NOW, EPOCH = 1_790_000_000 * 10**9, b"epoch-000001"
KINDS = [kind.value for kind in CommandKind]
GOOD: dict[str, dict[str, Any]] = {
    "poll-now": {},
    "raise-sampling": {"minutes": 15, "factor": 4},
    "collect-bundle": {},
    "self-report": {"component": "ups/battery"},
}


def command(kind: str = "poll-now", **changes: Any) -> Command:
    members = {
        "terminal": "atm-1",
        "number": 9,
        "kind": kind,
        "issued": NOW,
        "expires": NOW + 600 * 10**9,
        "epoch": EPOCH,
    }
    return Command(**{**members, "arguments": GOOD.get(kind, {}), **changes})


def reason(asked: Command, past: Past | None = None, now: int = NOW, allow: list[str] = KINDS) -> str:
    said = judge(asked, now=now, epoch=EPOCH, allow=allow, sources=["host", "ups"], past=past or Past(8))
    return said.reason if said is not None else ""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_taken_where_it_is_allowed_and_nowhere_else(kind: str) -> None:
    assert reason(command(kind)) == ""
    assert reason(command(kind), allow=[each for each in KINDS if each != kind]) == Reason.NOT_ALLOWED
    assert reason(command(kind), allow=[]) == Reason.NOT_ALLOWED


@pytest.mark.parametrize(
    ("changes", "past", "now", "wanted"),
    [
        ({"number": 8}, Past(8), NOW, Reason.STALE),
        ({"number": 1}, Past(8), NOW, Reason.STALE),
        ({"epoch": b"epoch-000002"}, Past(8), NOW, Reason.EPOCH),
        ({}, Past(8), NOW + 601 * 10**9, Reason.EXPIRED),
        ({"expires": NOW + 3601 * 10**9}, Past(8), NOW, Reason.LIFETIME),
        ({"kind": "reboot"}, Past(8), NOW, Reason.KIND),
        ({"kind": ""}, Past(8), NOW, Reason.KIND),
        ({"arguments": {"component": "safe"}}, Past(8), NOW, Reason.COMPONENT),
        ({"arguments": {"component": "agent"}}, Past(8), NOW, Reason.COMPONENT),
        ({"arguments": {"component": 7}}, Past(8), NOW, Reason.COMPONENT),
        ({"arguments": {"opcode": "T"}}, Past(8), NOW, Reason.ARGUMENTS),
        ({"kind": "self-report", "arguments": {}}, Past(8), NOW, Reason.ARGUMENTS),
        ({"kind": "raise-sampling", "arguments": {"factor": 5}}, Past(8), NOW, Reason.ARGUMENTS),
        ({"kind": "raise-sampling", "arguments": {"minutes": 16}}, Past(8), NOW, Reason.ARGUMENTS),
        ({"kind": "raise-sampling", "arguments": {"minutes": "9"}}, Past(8), NOW, Reason.ARGUMENTS),
        ({}, Past(8, ("poll-now",) * PER_HOUR), NOW, Reason.RATE),
        ({"kind": "collect-bundle"}, Past(8, ("collect-bundle",) * BUNDLES_PER_HOUR), NOW, Reason.RATE),
    ],
)
def test_every_reason(changes: dict[str, Any], past: Past, now: int, wanted: Reason) -> None:
    kind = changes.pop("kind", "poll-now")
    assert reason(command(kind, **changes), past, now) == wanted


anything = st.builds(
    command,
    st.one_of(st.sampled_from(KINDS), st.text(max_size=8)),
    number=st.integers(1, 20),
    issued=st.integers(NOW - 10**13, NOW + 10**13),
    expires=st.integers(NOW - 10**13, NOW + 10**13),
    epoch=st.sampled_from([EPOCH, b"epoch-000002"]),
    arguments=st.dictionaries(
        st.sampled_from(["component", "minutes", "factor", "set"]),
        st.one_of(st.integers(0, 20), st.sampled_from(["ups", "x"])),
    ),
)


@given(anything, st.integers(0, 20), st.lists(st.sampled_from(KINDS), max_size=14))
def test_what_is_taken_is_new_in_time_and_in_its_bounds(asked: Command, mark: int, recent: list[str]) -> None:
    if reason(asked, Past(mark, tuple(recent))) == "":
        assert asked.number > mark
        assert asked.epoch == EPOCH
        assert NOW <= asked.expires <= asked.issued + 3600 * 10**9
        assert asked.kind in KINDS
        assert set(asked.arguments) <= {"component", "minutes", "factor"}
        assert asked.arguments.get("component", "ups") in ("ups", "ups/battery")
        assert 1 <= asked.arguments.get("minutes", 1) <= 15
        assert 2 <= asked.arguments.get("factor", 2) <= 4
        assert len(recent) < PER_HOUR
