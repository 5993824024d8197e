"""What somebody injected is marked all the way to the message, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import AGENT
from tillwatch.collector.alarm import drills
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.watch.run import SLOTS
from tillwatch.device_profiles.catalogue import load_catalogue

FAULT = reading("drill/01", drills.SIGNAL, T0, drills.FAULT)
END = reading("drill/01", drills.SIGNAL, T0 + S, drills.NONE)


async def enrolled(world: World, terminal_class: str) -> Sender:
    sender = Sender(f"{terminal_class}-1")
    await world.start()
    facts = {"action": "enrol", "terminal": sender.name, "branch": "m", "region": "m", "class": terminal_class}
    await world.pipeline.operate({**facts, "public": sender.key.public})
    await world.pipeline.take([sender.life(T0)])
    return sender


def told(world: World) -> list[tuple[str, Op, bool, int]]:
    """(what, op, flag of the message, queue of the row)"""
    rows = world.store.conn.execute("SELECT body, connector = 'drills' FROM outbox ORDER BY id").fetchall()
    messages = [(TicketMessage.unpack(body), drill) for body, drill in rows]
    return [(message.what, message.op, message.drill, drill) for message, drill in messages]


async def test_a_watchdogs_fault_is_a_drill_from_its_opening_to_its_end(world: World) -> None:
    dog = await enrolled(world, drills.WATCHDOG)
    await world.pipeline.take([dog.batch([FAULT], T0)])
    await world.pipeline.take([dog.batch([END], T0 + S)])
    what = parse_rules().by_id[drills.RULE].text
    assert told(world) == [(what, Op.OPEN, True, 1), (what, Op.RESOLVE, True, 1)]


async def test_a_day_of_rounds_is_as_many_incidents_and_no_more(world: World) -> None:
    """Components take turns, so that no round is taken for the return of one before, none flaps, and nobody is reminded of any."""
    dog = await enrolled(world, drills.WATCHDOG)
    interval = reading(AGENT, "monitor.interval", T0, 300.0)
    rounds = 24 * 12
    for n in range(rounds):
        begins = T0 + n * 300 * S
        for at, word in ((begins, drills.FAULT), (begins + S, drills.NONE)):
            slots = [
                reading(f"drill/{slot:02}", drills.SIGNAL, at, word if slot == n % SLOTS else drills.NONE)
                for slot in range(SLOTS)
            ]
            world.now = at
            await world.pipeline.take([dog.batch([replace(interval, at=at), *slots], at)])
    assert [(op, flag, queue) for _, op, flag, queue in told(world)] == [
        (Op.OPEN, True, 1),
        (Op.RESOLVE, True, 1),
    ] * rounds
    db = world.store.conn
    assert db.execute("SELECT count(*), count(DISTINCT corr_id), sum(drill) FROM incident").fetchone() == (rounds,) * 3
    assert db.execute("SELECT count(*) FROM alarm WHERE condition <> 'normal'").fetchone() == (0,)


async def test_the_same_signal_of_an_atm_is_none(world: World) -> None:
    """Or whoever holds a terminal's key could hide its faults from the desk."""
    atm = await enrolled(world, "atm")
    await world.pipeline.take([atm.batch([FAULT], T0)])
    assert [(op, flag, queue) for _, op, flag, queue in told(world)] == [(Op.OPEN, False, 0)]


async def test_a_watchdog_that_falls_silent_is_a_fault_of_the_monitoring(world: World) -> None:
    dog = await enrolled(world, drills.WATCHDOG)
    interval = reading(AGENT, "monitor.interval", T0, 300.0)
    await world.pipeline.take([dog.batch([interval, reading("drill/01", drills.SIGNAL, T0, drills.NONE)], T0)])
    await world.tick(T0 + 899 * S)
    await world.tick(T0 + (900 + 89) * S)
    assert told(world) == []
    await world.tick(T0 + (900 + 91) * S)
    assert [(what, flag, queue) for what, _, flag, queue in told(world)] == [
        (parse_rules().by_id["terminal.silent"].text, False, 0)
    ]


@pytest.mark.parametrize(
    ("terminal_class", "rule", "expected"),
    [
        (drills.WATCHDOG, drills.RULE, True),
        (drills.WATCHDOG, "terminal.silent", False),
        ("atm", drills.RULE, False),
        ("atm", "ups.on-battery", False),
    ],
)
def test_only_the_fault_of_a_watchdog_is_injected(terminal_class: str, rule: str, expected: bool) -> None:
    assert drills.injected(terminal_class, rule) is expected


def test_names_are_those_of_the_catalogue_and_the_table() -> None:
    assert dict(load_catalogue().signals[drills.SIGNAL].states) == {drills.NONE: "ok", drills.FAULT: "crit"}
    rule = parse_rules().by_id[drills.RULE]
    assert (rule.signal, rule.party, rule.limits.for_ns, rule.limits.hold_ns, rule.settle_ns) == (
        drills.SIGNAL,
        "monitoring",
        0,
        0,
        0,
    )
