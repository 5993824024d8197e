"""A console of a process of its own over a real store with a collector that takes acts: `python -m tests.collector.web.bank FOLDER [SECONDS_AGO]` prints its address. The bank
has two branches with faults of every kind that the inbox shows. Who asks is chen, a technician, or who the header X-Who names: NAME:ROLE[:BRANCH].

More faults come when a line is written to its standard input: `TERMINAL COMPONENT SIGNAL VALUE`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from starlette.datastructures import Headers

from tests.collector.conftest import UNITS
from tests.collector.desk import Desk
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.model import State
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.people.directory import Asker
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.web.__main__ import listen
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.entry.door import Shown

POLICY = """
[person.chen]
name = "Chen Wei"
phone = "13800000001"
[person.zhang]
name = "Zhang Min"
phone = "13800000002"
""" + "".join(
    f'[[shift]]\nrole = "{role}"\npeople = ["{who}"]\nhours = "00:00-24:00"\n'
    for role, who in (
        ("duty engineer", "zhang"), ("backup engineer", "chen"), ("section head", "zhang"), ("department manager", "chen"),
    )
)  # fmt: skip
DISPENSER = "atm/CashDispenser"


def build(folder: Path, ago: int) -> Desk:
    desk = Desk(folder, policy=POLICY, ago=ago * S)
    desk.enrol("ATM-0101", "ATM-0102", "ATM-0103", "ATM-0104", branch="Harbour Road")
    desk.enrol("ATM-0201", "ATM-0202", branch="Station Square", region="South")
    desk.say("ATM-0101", DISPENSER, "atm.device", "hardwareError", State.CRIT, lasting=30)
    desk.say("ATM-0101", f"{DISPENSER} dispenser", "atm.cash", "stop", State.CRIT, lasting=30)
    desk.say("ATM-0102", "host/disk:/", "host.disk.percent", 99, lasting=150)
    desk.say("ATM-0102", "host/disk:/var", "host.disk.percent", 93, lasting=150)
    desk.say("ATM-0201", "ups", "ups.battery.charge", 10, State.CRIT, lasting=30)
    desk.say("ATM-0202", f"{DISPENSER} unit:1", "atm.unit.supply", "low", State.WARN, lasting=60)
    desk.say("ATM-0103", "host/disk:/", "host.disk.percent", 93, lasting=150)
    with_alarm = next(each for each in desk.incidents() if each.terminal == "ATM-0103")
    desk.operate(action="hold", incident=with_alarm.id, reason="parts", terminal="ATM-0103")
    return desk


class Collector:
    """Takes acts, and readings as they are asked for."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lines: list[str] = []
        self._senders: dict[str, Sender] = desk.senders

    async def run(self) -> None:
        store = SqliteStore(self._desk.path)
        pipeline = Pipeline(store, open_authority(self._desk.path.parent / "authority").ack_key, UNITS)
        rules = pipeline.fold.book.rules
        await pipeline.start(shipped_text(), rules.text)
        while True:
            await pipeline.take_requests()
            while self._lines:
                terminal, component, signal, value = self._lines.pop(0).split()
                await self._says(pipeline, terminal, component.replace("_", " "), signal, value)
            await pipeline.take([])
            await asyncio.sleep(0.05)

    async def _says(self, pipeline: Pipeline, terminal: str, component: str, signal: str, value: str) -> None:
        now = pipeline.now()
        told: float | str = float(value) if value.replace(".", "").isdecimal() else value
        state = State.NONE if isinstance(told, float) else State.CRIT
        rows = [reading(component, signal, at, told, state) for at in range(now - 400 * S, now, 20 * S)]
        await pipeline.take([self._senders[terminal].batch(rows, now)])

    def hear(self) -> None:
        for line in sys.stdin:
            self._lines.append(line)


def shown(headers: Headers) -> Shown:
    return Shown(bearer=headers.get("x-who", "chen:technician"))


def who(said: Shown) -> Asker:
    name, role, *branch = (said.bearer or "").split(":")
    return Asker(Visitor(name, Role(role), Scope(branches=frozenset(branch))))


def main() -> None:
    import uvicorn

    folder = Path(sys.argv[1])
    desk = build(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 2400)
    collector = Collector(desk)
    threading.Thread(target=lambda: asyncio.run(collector.run()), daemon=True).start()
    threading.Thread(target=collector.hear, daemon=True).start()
    console = Console(lambda: SqliteReader(desk.path), acts=ActsDoor(desk.path), database=desk.path)
    console.house.shown = shown  # type: ignore[method-assign]
    console.house.who = who  # type: ignore[method-assign]
    listener = listen("127.0.0.1", 0)
    print(f"bank on http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    server = uvicorn.Server(uvicorn.Config(console.app, log_level="error", lifespan="on", ws="websockets-sansio"))
    asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
