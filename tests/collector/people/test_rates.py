"""Delays after wrong passwords, and how often somebody may ask."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.people.rates import (
    FORGET_S,
    FREE,
    MAX_DELAY_S,
    MAX_KEPT,
    NANO,
    Attempts,
    Buckets,
    Rate,
    place_of,
)

ADMIN, ELSEWHERE, HOME = ("name", "admin"), ("address", "203.0.113.9"), ("device", "ab12")


def fail(attempts: Attempts, times: int, *keys: tuple[str, str], at: int = 0) -> int:
    """As fast as it is let; the time afterwards."""
    for _ in range(times):
        at += int(attempts.wait(keys, at) * NANO)
        attempts.failed(keys, at)
    return at


def test_fingers_may_slip_and_then_the_wait_doubles_up_to_its_bound():
    attempts = Attempts()
    at = fail(attempts, FREE["name"] - 1, ADMIN)
    assert attempts.wait([ADMIN], at) == 0
    waits = []
    for _ in range(14):
        at = fail(attempts, 1, ADMIN, at=at)
        waits.append(attempts.wait([ADMIN], at))
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == MAX_DELAY_S


def test_a_browser_that_is_known_is_not_delayed_by_what_others_try():
    """The last administrator is never locked out: what a stranger does counts against the stranger."""
    attempts = Attempts()
    at = fail(attempts, 50, ADMIN, ELSEWHERE)
    assert attempts.wait([ADMIN, ELSEWHERE], at) > 0
    assert attempts.wait([HOME], at) == 0


def test_what_is_tried_while_one_waits_makes_the_wait_no_longer():
    attempts = Attempts()
    at = fail(attempts, 12, ADMIN)
    wait = attempts.wait([ADMIN], at)
    assert attempts.wait([ADMIN], at + NANO) == wait - 1  # nothing was counted: it was not looked at


def test_it_is_forgotten_after_an_hour_and_when_somebody_signs_in():
    attempts = Attempts()
    at = fail(attempts, 12, ADMIN) + FORGET_S * NANO
    fail(attempts, 1, ADMIN, at=at)
    assert attempts.wait([ADMIN], at) == 0
    at = fail(attempts, 12, ADMIN, at=at)
    attempts.forget([ADMIN])
    assert attempts.wait([ADMIN], at) == 0


def test_no_more_are_remembered_than_fit():
    attempts = Attempts()
    for k in range(MAX_KEPT + 50):
        attempts.failed([("name", str(k))], k)
    assert len(attempts) == MAX_KEPT


def test_a_host_is_all_of_its_addresses():
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:1")
    assert place_of("2001:db8::1") != place_of("2001:db8:0:1::1")
    assert place_of("192.0.2.1") != place_of("192.0.2.2")
    assert place_of("testclient") == "testclient"


@given(st.lists(st.integers(0, 5 * NANO), max_size=200))
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(steps):
    bucket, at, passed = Buckets(Rate(2.0, 5)), 0, 0
    for step in steps:
        at += step
        passed += not bucket.take("a", at)
    assert passed <= 5 + 2.0 * at / NANO + 1


def test_who_waits_as_long_as_was_said_passes():
    bucket = Buckets(Rate(2.0, 3))
    assert [bucket.take("a", 0) for _ in range(3)] == [0, 0, 0]
    wait = bucket.take("a", 0)
    assert wait == 0.5
    assert bucket.take("a", int(wait * NANO)) == 0
    assert bucket.take("b", 0) == 0
