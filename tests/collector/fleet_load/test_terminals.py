from __future__ import annotations

import pytest

from tillwatch.agent.wire import valid_terminal
from tillwatch.collector.fleet_load.terminals import MAX_TERMINALS, Fleet, number, share
from tillwatch.collector.trust.registry import check_place


def test_a_fleet_comes_again_from_its_seed_alone() -> None:
    one, again, other = Fleet(10, "1"), Fleet(1_000, "1"), Fleet(10, "2")
    assert one.key(7).public == again.key(7).public != other.key(7).public
    assert one.key(7).public != one.key(8).public
    assert one.name(7) == other.name(7)


@pytest.mark.parametrize("n", [0, 9, 10, 999_999])
def test_every_terminal_may_be_enrolled_and_is_known_by_its_name(n: int) -> None:
    place = Fleet(MAX_TERMINALS, "1").place(n)
    check_place(place)
    assert valid_terminal(place.terminal)
    assert number(place.terminal) == n


@pytest.mark.parametrize("name", ["till-0001", "load-", "load-1", "load-00000x", "000001"])
def test_a_real_terminal_is_none_of_the_fleet(name: str) -> None:
    assert number(name) == -1


def test_ten_neighbours_are_one_branch() -> None:
    places = list(Fleet(20, "1").places())
    assert len({place.branch for place in places[:10]}) == 1
    assert places[0].branch != places[10].branch
    assert {place.terminal_class for place in places} == {"atm", "pos", "server"}


def test_machines_were_up_before_the_run() -> None:
    fleet, now = Fleet(5, "1"), 1_790_000_000_000
    boots = [fleet.boot(n, now) for n in range(5)]
    assert len({boot for boot, _ in boots}) == 5
    assert all(now - 32 * 86_400_000 < booted < now - 86_000_000 for _, booted in boots)


@pytest.mark.parametrize(("count", "parts"), [(100, 1), (100, 3), (7, 3), (100_000, 4)])
def test_processes_share_all_terminals_and_no_one_twice(count: int, parts: int) -> None:
    found = share(count, parts)
    assert [n for part in found for n in part] == list(range(count))
    if count >= 10 * parts:
        assert all(part.start % 10 == 0 for part in found)
