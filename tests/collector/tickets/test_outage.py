"""The ticket system is away for an hour while faults come and go: everybody hears of them another way, and afterwards everything is there, once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.collector.conftest import World
from tests.collector.sending import S, Sender, reading
from tests.collector.tickets.desks.contract import Seen
from tests.collector.tickets.desks.listening import Listener, listening
from tests.collector.tickets.desks.request_tracker_server import RequestTrackerServer
from tests.collector.tickets.desks.roundup_server import SECRET, running
from tests.collector.tickets.invariants import assert_invariants, assert_told_once
from tillwatch.collector.alarm.rules import UNDELIVERED, parse_rules, shipped_text
from tillwatch.collector.config import parse_config
from tillwatch.collector.dispatch import Dispatch
from tillwatch.collector.duty.policy import parse_policy, shipped_policy
from tillwatch.collector.tickets.delivery import IN_FLIGHT
from tillwatch.collector.tickets.message import TicketState

MINUTE = 60 * S
HOUR = 60 * MINUTE
RULES = '[fold]\nsilent_least = "30d"\ndefault_interval = "30d"\n' + "".join(
    f'[[rule]]\nid = "{name}"\nfor = "0s"\nhold = "0s"\n' for name in ("disk.full", "ups.battery-low")
)
POLICY = '[class.default.levels]\n"ups.battery-low" = 1\n'
ROUTES = """
[[route]]
name = "all"
ticket = "desk"
[fallback]
role = "duty engineer"
channel = "sms"
through = "gateway"
"""
CONFIG = """
[collector]
data_dir = "."
[tickets]
routes = "routes.toml"
[tickets.desk]
url = "{desk}"
{how}
[channels.gateway]
kind = "webhook"
url = "{gateway}/calls"
secret_env = "TILLWATCH_TEST_GATEWAY"
"""
ROUNDUP = 'kind = "roundup"\nsecret_env = "TILLWATCH_TEST_ROUNDUP"\nuser = "hwmon"\nqueue = "Hardware"'
REQUEST_TRACKER = 'kind = "request-tracker"\nsecret_env = "TILLWATCH_TEST_RT"\nqueue = "Hardware"'
PARTS = 5
"""Of each terminal: a UPS, level 1; two disks of level 2; two of level 3."""
FAULT, WELL = (10, 99, 99, 93, 93), (90, 20, 20, 20, 20)


class Bell(asyncio.Event):
    """What a sender is woken by; asleep: it waits for it."""

    _waits = False

    @property
    def asleep(self) -> bool:
        return self._waits and not self.is_set()

    async def wait(self) -> Literal[True]:
        self._waits = True
        try:
            return await super().wait()
        finally:
            self._waits = False


class Bank:
    """A collector on a time that the test moves, with the senders that `Dispatch` makes of a configuration, and its terminals."""

    def __init__(self, folder: Path, desk: str, how: str, gateway: str) -> None:
        (folder / "routes.toml").write_text(ROUTES)
        text = CONFIG.format(desk=desk, how=how, gateway=gateway)
        self.config = parse_config(text, folder / "collector.toml")
        self.terminals: list[Sender] = []
        self.world = World(self.config.database)

    @asynccontextmanager
    async def at_work(self, *, again: bool = False) -> AsyncIterator[None]:
        """again: as after a kill, nothing but the store is left."""
        if again:
            self.world = self.world.restart()
        policy = parse_policy(POLICY, shipped=shipped_policy())
        self.dispatch = Dispatch(self.config, policy, parse_rules(RULES), clock=lambda: self.world.now)
        self.dispatch.attach(self.world.pipeline)
        await self.world.pipeline.start(shipped_text(), RULES, policy=(shipped_policy(), POLICY))
        self.dispatch.begin()
        self.bells = [Bell() for _ in self.dispatch._senders]
        for sender, bell in zip(self.dispatch._senders, self.bells, strict=True):
            sender._wanted = bell
        senders = [asyncio.create_task(each.run()) for each in self.dispatch._senders]
        try:
            yield
        finally:
            for task in senders:
                task.cancel()
            ended = await asyncio.gather(*senders, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    async def enrol(self, terminals: int) -> None:
        self.terminals = [Sender(f"atm-{i}") for i in range(terminals)]
        for i, sender in enumerate(self.terminals):
            await sender.enrol(self.world.pipeline, branch=f"支行-{i}", region=f"region-{i % 7}")
        await self.world.pipeline.take([sender.life(self.world.now) for sender in self.terminals])

    async def say(self, terminal: int, values: tuple[int, ...]) -> None:
        at = self.world.now
        told = [reading("ups", "ups.battery.charge", at, values[0])]
        told += [reading(f"host/disk:/{n}", "host.disk.percent", at, value) for n, value in enumerate(values[1:], 1)]
        await self.world.pipeline.take([self.terminals[terminal].batch(told, at)])

    async def until(self, at: int) -> None:
        """The time goes on to then, by a minute at most, and each time everybody looks whether something is due. Not while something is said or a
        sender looks what is due: neither takes a minute.
        """
        while True:
            while not all(bell.asleep for bell in self.bells) or self.ask(
                "SELECT 1 FROM outbox WHERE state = 'sending'"
            ):
                await asyncio.sleep(0.005)
            await self.world.tick(max(min(at, self.world.now + MINUTE), self.world.now))
            await self.dispatch.look()
            self.dispatch.wake()
            await self.told("gateway")
            if self.world.now >= at:
                return

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.world.store.conn.execute(sql).fetchall()

    def waiting(self, connector: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM outbox WHERE connector = '{connector}' AND state <> 'done'")[0][0])

    async def told(self, connector: str, *, within_s: float = 180.0) -> None:
        """Until nothing waits there any more. Time goes on, since waits are counted by it."""
        async with asyncio.timeout(within_s):
            while self.waiting(connector):
                await asyncio.sleep(0.02)
                self.world.now += S // 2
                self.dispatch.wake()

    def undelivered(self) -> list[str]:
        """The state of each incident that the way to the ticket system had."""
        found = self.ask("SELECT corr_id, state FROM incident ORDER BY opened_at")
        book = self.world.pipeline.fold.book
        return [state for name, state in found if name in book.incidents and book.incidents[name].fault == UNDELIVERED]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("TILLWATCH_TEST_GATEWAY", "whsec_dGlsbHdhdGNoLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk=")
    with listening() as listener:
        yield listener


def called(gateway: Listener) -> Counter[tuple[str, int, str]]:
    """How often somebody was called for (what happened, level, incident)."""
    said = [got.json() for got in gateway.got]
    return Counter((each["type"], each["data"]["level"], each["data"]["incident"]) for each in said)


def levels(gateway: Listener) -> list[int]:
    return sorted(level for _, level, _ in called(gateway).elements())


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("terminals", [10, 40])
async def test_an_hour_without_the_ticket_system_loses_and_doubles_nothing(
    tmp_path: Path, gateway: Listener, monkeypatch: pytest.MonkeyPatch, terminals: int
) -> None:
    """Five faults of each terminal come in an hour, and those of three in ten of them end in it: 200 and 60 of 40 terminals."""
    monkeypatch.setenv("TILLWATCH_TEST_ROUNDUP", SECRET)
    with running(tmp_path) as tracker:
        bank = Bank(tmp_path, tracker.address, ROUNDUP, gateway.address)
        async with bank.at_work():
            await bank.enrol(terminals + 1)
            await bank.say(terminals, FAULT[:1] + WELL[1:])
            await bank.told("desk")
            tracker.kill()
            await the_hour(bank, gateway, terminals)
            (before,) = known = set(tracker.every())
            waits = {row[0] for row in bank.ask("SELECT DISTINCT incident FROM outbox WHERE state <> 'done'")}
            assert len(waits - known) == PARTS * terminals + 1, "and that the ticket system is not told"
            assert bank.undelivered() == ["open"]
            assert_invariants(bank.config.database, lambda key: tracker.every().get(key, []))
        calls = called(gateway)
        async with bank.at_work(again=True):
            await bank.until(bank.world.now + MINUTE)
            assert called(gateway) == calls, "nobody is called again because the collector was started again"
            tracker.start()
            await bank.until(bank.world.now + 6 * MINUTE)
            await bank.told("desk")
            await bank.until(bank.world.now + MINUTE)
            await bank.told("desk")
            assert bank.undelivered() in (["restored"], ["resolved"]), "the way is well, and people are told so"
            assert bank.dispatch._overdue == ()
            all_is_there(bank, tracker.every(), before, terminals)


def all_is_there(bank: Bank, found: dict[str, list[Seen]], before: str, terminals: int) -> None:
    """before: the incident whose ticket was made before the outage."""
    assert_invariants(bank.config.database, lambda key: found.get(key, []))
    assert_told_once(bank.config.database, lambda key: found.get(key, []))
    late = [ticket for key, (ticket,) in found.items() if key != before]
    levels = dict(bank.ask("SELECT incident, level FROM outbox WHERE op = 'open'"))
    order = [levels[ticket.key] for ticket in sorted(late, key=lambda each: int(each.id))]
    first = [place for place, level in enumerate(order) if level == 1]
    assert len(first) == terminals
    assert max(first) < terminals + IN_FLIGHT, f"level 1 goes first: {order}"
    over = Counter(ticket.state for ticket in late)
    assert over[TicketState.RESOLVED] == 2 * ended(terminals), "what is over by itself has a ticket that says so"
    # Calls and reminders of an hour: a ticket has them in a note or two, not in ten.
    (updates, together) = bank.ask(
        "SELECT count(*), count(told_in) FROM outbox WHERE op = 'update' AND connector = 'desk'"
    )[0]
    assert updates > 3 * len(late)
    assert together > updates / 2
    assert sum(len(ticket.notes) for ticket in late) <= 2 * len(late)


def ended(terminals: int) -> int:
    """Of how many the faults end within the hour."""
    return terminals * 3 // 10


async def the_hour(bank: Bank, gateway: Listener, terminals: int) -> None:
    """Each minute a terminal has its faults; those of the first ones end half an hour later."""
    began = bank.world.now
    await bank.say(0, FAULT)
    await bank.until(began + 2 * MINUTE - S)
    assert called(gateway) == {}
    await bank.until(began + 2 * MINUTE + S)
    assert levels(gateway) == [1]
    await bank.until(began + 5 * MINUTE - S)
    assert levels(gateway) == [1]
    await bank.until(began + 5 * MINUTE + S)
    assert levels(gateway) == [1, 2, 2]
    for minute in range(6, 60):
        if minute - 5 < terminals:
            await bank.say(minute - 5, FAULT)
        if 0 <= minute - 35 < ended(terminals):
            await bank.say(minute - 35, WELL)
        await bank.until(began + minute * MINUTE)
    await bank.until(began + HOUR)
    calls = called(gateway)
    assert set(calls.values()) == {1}
    found = Counter((what, level) for what, level, _ in calls)
    opened, over = "incident.opened", "incident.resolved"
    lasting = {(opened, 1): terminals, (opened, 2): 2 * terminals + 1}  # and the incident of the way itself
    assert found == lasting | {(over, 1): ended(terminals), (over, 2): 2 * ended(terminals)}


@pytest.fixture
def request_tracker(tmp_path: Path) -> Iterator[RequestTrackerServer]:
    home = tmp_path / "rt"
    home.mkdir()
    server = RequestTrackerServer(home)
    yield server
    server.stop()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_request_tracker_that_is_stopped_and_started(
    tmp_path: Path, gateway: Listener, request_tracker: RequestTrackerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hour is real only in the collector's clock; that it is not there, and comes back with what it had, is."""
    monkeypatch.setenv("TILLWATCH_TEST_RT", request_tracker.token)
    request_tracker.start()
    bank = Bank(tmp_path, request_tracker.address, REQUEST_TRACKER, gateway.address)
    async with bank.at_work():
        await bank.enrol(3)
        await bank.say(0, FAULT)
        await bank.told("desk")
        request_tracker.stop()
        began = bank.world.now
        await bank.say(0, WELL)
        await bank.say(1, FAULT)
        await bank.until(began + 40 * MINUTE)
        await bank.say(2, FAULT)
        await bank.until(began + HOUR)
        calls = called(gateway)
        assert set(calls.values()) == {1}
        assert bank.undelivered() == ["open"]
        request_tracker.start()
        await bank.until(began + HOUR + MINUTE)
        await bank.told("desk")
        await bank.until(began + HOUR + 2 * MINUTE)
        await bank.told("desk")
        assert bank.undelivered() in (["restored"], ["resolved"])
        assert_invariants(bank.config.database, request_tracker.tickets)
        assert_told_once(bank.config.database, request_tracker.tickets)
