"""What somebody sees of the fleet is their part of it, and what is outside is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.collector.fake_fleet import NANO, FakeFleet
from tillwatch.collector.people.roles import NOBODY, Role, Scope, Visitor, on_behalf_of
from tillwatch.collector.read import OutgoingView
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.scope.scoped import ScopedReader

BASE = 1_790_000_000 * NANO
SOUTH = Visitor("wang", Role.TECHNICIAN, Scope(regions=frozenset({"South"})))
HARBOUR = Visitor("li", Role.VIEWER, Scope(branches=frozenset({"Harbour Road"})))
ALL = Visitor("zhao", Role.AUDITOR)


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    return FakeFleet(60, BASE, tmp_path / "changes.json")


def scoped(fleet: FakeFleet, visitor: Visitor) -> ScopedReader:
    return ScopedReader(fleet, visitor)


def test_lists_have_only_what_is_within(fleet):
    assert {view.region for view in scoped(fleet, SOUTH).terminals()} == {"South"}
    assert {view.branch for view in scoped(fleet, HARBOUR).terminals()} == {"Harbour Road"}
    assert len(scoped(fleet, ALL).terminals()) == 60
    within = {view.id for view in scoped(fleet, SOUTH).terminals()}
    assert {alarm.terminal for alarm in scoped(fleet, SOUTH).alarms()} <= within
    assert {view.region for view in scoped(fleet, SOUTH).incidents(BASE)[0]} <= {"South"}


def test_a_list_is_as_long_as_it_was_asked_for_though_others_stand_before(fleet):
    everything = scoped(fleet, ALL).alarms()
    own = [alarm for alarm in everything if scoped(fleet, ALL).terminal(alarm.terminal).region == "Centre"]
    centre = Visitor("sun", Role.VIEWER, Scope(regions=frozenset({"Centre"})))
    assert own
    assert [alarm.id for alarm in scoped(fleet, centre).alarms(limit=1)] == [own[0].id]


def test_orders_of_other_parts_leave_no_room_empty(fleet, monkeypatch):
    """Of 300 orders the newest 200 are of terminals elsewhere."""
    [one, *_] = fleet.orders("ATM-0001")
    own = next(view.id for view in scoped(fleet, SOUTH).terminals())
    other = next(view.id for view in fleet.terminals() if view.region != "South")
    made = [replace(one, n=n, terminal=other if n > 100 else own) for n in range(300, 0, -1)]
    monkeypatch.setattr(FakeFleet, "orders", lambda *_, limit=500, **__: made[:limit])
    assert [order.n for order in scoped(fleet, SOUTH).orders(limit=50)] == list(range(100, 50, -1))
    assert [order.n for order in scoped(fleet, SOUTH).orders(limit=150)] == list(range(100, 0, -1))
    assert len(scoped(fleet, ALL).orders(limit=50)) == 50


def test_what_waits_for_a_receiver_is_shown_to_whom_its_incident_concerns(fleet, monkeypatch):
    incidents = fleet.incidents(BASE, living=False)[0]
    waiting = [
        OutgoingView(n, "desk", view.id, "open", 1, view.level, "", "ticket", "", BASE, "pending", 0, 0, 0, "")
        for n, view in enumerate(incidents)
    ]
    monkeypatch.setattr(FakeFleet, "outgoing", lambda *_, **__: (waiting, len(waiting)), raising=True)
    branches = {view.id: view.branch for view in incidents}
    found, total = scoped(fleet, HARBOUR).outgoing()
    assert total == len(found) > 0
    assert {branches[each.incident] for each in found} == {"Harbour Road"}
    assert scoped(fleet, ALL).outgoing() == (waiting, len(waiting))


def test_what_is_outside_is_not_there(fleet):
    outside = next(view.id for view in fleet.terminals() if view.region != "South")
    reader = scoped(fleet, SOUTH)
    for ask in (reader.terminal, reader.components, reader.identity):
        with pytest.raises(KeyError):
            ask(outside)
    with pytest.raises(KeyError):
        reader.history(outside, "ups/battery", "battery.charge", 0, BASE)
    with pytest.raises(KeyError):
        reader.alarms(terminal=outside)


async def test_nobody_asks_nothing(fleet):
    reads = Reads(lambda: fleet)
    with on_behalf_of(NOBODY), pytest.raises(PermissionError):
        await reads(lambda reader: reader.terminals())
    with on_behalf_of(SOUTH):
        assert {view.region for view in await reads(lambda reader: reader.terminals())} == {"South"}
    assert len(await reads.whole(lambda reader: reader.terminals())) == 60
    reads.close()
