"""A command's life: whatever happens in whatever order, it ends once, and nothing happens to it after that but a late word of its terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.model import MS
from tillwatch.agent.wire import CommandKind, Outcome, Result
from tillwatch.collector.diagnosis import order as orders
from tillwatch.collector.diagnosis.order import (
    ANSWER_NS,
    ASKED,
    DONE,
    EXPIRED,
    LATE_NS,
    MAX_OPEN,
    OPEN,
    REFUSED,
    SENT,
    Order,
    Reach,
    argument_problem,
    ask,
    due_at,
    refusal,
)

T0 = 1_790_000_000 * 10**9
FACTS = {"kind": "poll-now", "actor": "li.na", "reason": "is the UPS there?", "arguments": {"component": "ups"}}


def asked(at: int = T0, *, last: int = 0, waiting: int = 0, **changes: object) -> Order:
    return ask(7, at, "atm-1", {**FACTS, **changes}, last, waiting)


def test_it_is_asked_for_ten_minutes_unless_somebody_says_otherwise() -> None:
    order = asked()
    assert (order.state, order.number, order.expires_at) == (ASKED, T0 // MS, T0 + 600 * 10**9)
    assert asked(life_s=60).expires_at == T0 + 60 * 10**9
    for nonsense in (0, 59, 3601, -5, "600", None, True):
        assert asked(life_s=nonsense).expires_at == T0 + 600 * 10**9


def test_numbers_rise_whatever_the_clock_does() -> None:
    assert asked(T0, last=T0 // MS).number == T0 // MS + 1
    assert asked(T0 - 10**15, last=T0 // MS).number == T0 // MS + 1


def test_what_cannot_be_sent_is_refused_at_once_and_stays_record() -> None:
    order = asked(kind="reboot")
    assert (order.state, order.why, order.done_at) == (REFUSED, "arguments", T0)
    assert asked(waiting=MAX_OPEN).why == "too-many"
    assert asked(arguments={"component": 5}).state == REFUSED
    assert asked(arguments=[1]).state == REFUSED


def test_the_row_is_the_order() -> None:
    for order in (asked(), asked(kind="nonsense"), asked(ref="ab", kind="raise-sampling", arguments={"factor": 3})):
        assert Order.of_row(order.row()) == order


def test_arguments() -> None:
    good = (
        ("poll-now", {}),
        ("poll-now", {"component": "host/disk:/"}),
        ("raise-sampling", {"minutes": 15, "factor": 2}),
        ("raise-sampling", {}),
        ("collect-bundle", {}),
        ("self-report", {"component": "ups"}),
    )
    assert [argument_problem(kind, arguments) for kind, arguments in good] == [""] * len(good)
    bad = (
        ("reboot", {}),
        ("poll-now", {"force": True}),
        ("poll-now", {"component": ""}),
        ("poll-now", {"component": "a\nb"}),
        ("poll-now", {"component": "x" * 97}),
        ("raise-sampling", {"minutes": 16}),
        ("raise-sampling", {"factor": 5}),
        ("raise-sampling", {"factor": True}),
        ("raise-sampling", {"minutes": "5"}),
        ("collect-bundle", {"component": "ups"}),
        ("self-report", {}),
    )
    assert all(argument_problem(kind, arguments) for kind, arguments in bad)


def test_an_offline_terminal_can_be_asked_and_one_that_takes_none_cannot() -> None:
    reach = Reach(enabled=True, allowed=frozenset({"poll-now"}), told_at=T0, connection="offline", waiting=0)
    assert refusal(reach, "poll-now") == ""
    assert refusal(reach, "collect-bundle") == "not-allowed"
    for changes, why in (
        ({"enabled": False}, "collector-off"),
        ({"allowed": None}, "no-commands"),
        ({"allowed": frozenset()}, "terminal-off"),
        ({"connection": "revoked"}, "revoked"),
        ({"waiting": MAX_OPEN}, "too-many"),
    ):
        members = {
            "enabled": True,
            "allowed": frozenset({"poll-now"}),
            "told_at": T0,
            "connection": "online",
            "waiting": 0,
        }
        assert refusal(Reach(**{**members, **changes}), "poll-now") == why


results = st.builds(
    Result, st.just(1), st.sampled_from(list(Outcome)), st.sampled_from(["", "rate"]), st.text(max_size=5)
)
steps = st.lists(
    st.tuples(st.sampled_from(["sent", "told", "expire"]), st.integers(0, 3 * 24 * 3600), results), max_size=12
)


@given(steps, st.sampled_from(list(CommandKind)))
def test_it_ends_once(happens: list[tuple[str, int, Result]], kind: CommandKind) -> None:
    arguments = {"component": "ups"} if kind == CommandKind.SELF_REPORT else {}
    order, at, ends = asked(kind=kind.value, arguments=arguments), T0, 0
    for what, seconds, result in happens:
        at += seconds * 10**9
        after = {
            "sent": lambda o=order, t=at: orders.sent(o, t),
            "told": lambda o=order, t=at, r=result: orders.told(o, r, t),
            "expire": lambda o=order, t=at: orders.expire(o, t),
        }[what]()
        if after is None:
            continue
        assert after.state != order.state
        assert order.state in OPEN or (order.state == EXPIRED and order.sent_at and at <= order.expires_at + LATE_NS)
        assert (after.n, after.number, after.asked_at, after.expires_at) == (7, order.number, T0, order.expires_at)
        if after.state in (DONE, REFUSED):
            ends += 1
            assert (after.outcome, after.words) == (result.outcome, result.words)
            assert (after.state == REFUSED) == (result.outcome is Outcome.REFUSED)
        order = after
        assert Order.of_row(order.row()) == order
    assert ends <= 1
    assert (due_at(order) == 0) == (order.state not in OPEN)
    if order.state == ASKED:
        assert due_at(order) == order.expires_at
    if order.state == SENT:
        assert due_at(order) == order.expires_at + ANSWER_NS
