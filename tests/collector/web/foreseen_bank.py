"""A bank of which something is foreseen: a disk that fills up, a battery that wears, cash that runs out, a fan that is unlike itself, a part that is likely
to fail, and a detector that was wrong too often. What is shown of it is what the fold made of entries of the journal.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

from tests.collector.desk import Desk
from tests.collector.sending import S, reading
from tillwatch.agent.model import State
from tillwatch.collector.predict.checkpoint import Checkpoint, Status, beside
from tillwatch.collector.predict.finding import (
    CLOSED,
    HIT,
    LATER,
    OPEN,
    OVER,
    SOON,
    Finding,
    Grade,
    Record,
    finding_id,
    kind_of,
)
from tillwatch.collector.predict.settings import DAY_NS

DAYS = 60
DISK, BATTERY, CASH, FAN, READER = (
    "host/disk:/",
    "ups/battery",
    "atm/CashDispenser unit:2",
    "host/fan:1",
    "atm/CardReader",
)
NAMES = ("atm-1", "atm-2", "atm-3", "atm-4", "atm-5")
EVIL = "<img src=x onerror=window.pwned=1>"


def finding(terminal: str, component: str, detector: str, signal: str, at: int, **more: object) -> Finding:
    begun = int(str(more.pop("begun", at)))
    facts = {"word": LATER, "status": OPEN, "model": "3f6c0d208b1e", **more}
    return Finding(
        id=finding_id(detector, terminal, component, begun), detector=detector, family=detector.partition("/")[0], terminal=terminal,
        component=component, kind=kind_of(component), signal=signal, begun=begun, at=at, **facts,  # type: ignore[arg-type]
    )  # fmt: skip


def due(now: int, *days: float) -> tuple[int, int, int]:
    near, likely, far = (now + int(each * DAY_NS) for each in days)
    return near, likely, far


class ForeseenBank(Desk):
    """A desk with some weeks of history. foreseen: what is said last, by what it is about; spare: for what happens beside its days."""

    spare = 3600 * S

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ago=DAYS * DAY_NS + self.spare)
        self.enrol("atm-1", "atm-2", branch="Harbour Road", region="South")
        self.enrol("atm-3", "atm-4", "atm-5", branch="人民路支行", region="North")
        self._live()
        now = self.now
        self.records = (
            Record("trend/disk-full", "host/disk", 14, 3, 2, 1, now - 150 * DAY_NS),
            Record("wear/ups-battery", "ups/battery", 5, 1, 4, 0, now - 170 * DAY_NS),
            Record(
                "anomaly/series", "host/fan", 2, 15, 0, 0, now - 90 * DAY_NS, demoted=True, demoted_at=now - 30 * DAY_NS
            ),
        )
        self.foreseen = {
            "disk": self._disk(now), "battery": self._battery(now), "cash": self._cash(now), "fan": self._fan(now), "reader": self._reader(now),
            "evil": self._evil(now),
        }  # fmt: skip
        over = replace(
            finding("atm-1", CASH, "runout/cash.empties", "atm.unit.count", now - 9 * DAY_NS, reason="runout.used", due=due(now, -3, -2, -1)),
            values={"text": "Cash runs out", "text.zh": "现金即将用尽", "what": "atm.unit.count", "unit": "1", "value": 300.0, "used": 120.0, "low_days": 2.0, "high_days": 4.0},
        )  # fmt: skip
        self.over = replace(over, status=CLOSED, word=OVER, at=now - 2 * DAY_NS, ended=now - 2 * DAY_NS, outcome=HIT)
        self.say_foreseen(over)
        self.say_foreseen(self.over, *self.foreseen.values(), grades=self._grades(now), records=self.records)
        self.wait(2400)

    def say_foreseen(
        self, *findings: Finding, grades: tuple[Grade, ...] = (), records: tuple[Record, ...] = ()
    ) -> None:
        async def work(world) -> None:  # type: ignore[no-untyped-def]
            n = world.pipeline.journal.n
            facts = {
                "position": n, "actor": "predictions", "findings": [each.facts() for each in findings], "grades": [each.facts() for each in grades],
                "records": [{name: getattr(each, name) for name in each.__slots__} for each in records],
            }  # fmt: skip
            await world.pipeline.foretold(facts)

        self.feed(work)

    def stand(self, *, behind: int = 0, looked_ago: int = 0, process: int = 1) -> None:
        """How far the process says that it is: so many days behind the log."""
        checkpoint = Checkpoint(beside(self.path))
        at, head = self.now - behind * DAY_NS, 10_000
        checkpoint.tell(Status(head - 40 * behind, at, head, time.time_ns() - looked_ago * S, 1200, process=process))
        checkpoint.close()

    def _live(self, first: int = 0, last: int = DAYS) -> None:
        async def work(world) -> None:  # type: ignore[no-untyped-def]
            for day in range(first, last):
                await world.tick(world.now + DAY_NS)
                for name in NAMES:
                    told = [
                        reading(component, signal, world.now, value, State.NONE)
                        for component, signal, value in _values(name, day)
                    ]
                    await world.pipeline.take([self.senders[name].batch(told, world.now)])

        self.feed(work)

    def _disk(self, now: int) -> Finding:
        values = {
            "text": "A disk fills up", "text.zh": "磁盘即将写满", "what": "host.disk.percent", "unit": "%", "value": 82.6, "slope": 0.71, "limit": 90.0,
            "low_days": 6.0, "high_days": 19.0,
        }  # fmt: skip
        readings = tuple(
            (DISK, "host.disk.percent", now - (6 - i) * DAY_NS, round(78.4 + 0.7 * i, 2)) for i in range(7)
        )
        return finding(
            "atm-1", DISK, "trend/disk-full", "host.disk.percent", now, begun=now - 4 * DAY_NS, due=due(now, 6, 11, 19), reason="trend.rising",
            values=values, readings=readings, record=self.records[0], word=SOON,
        )  # fmt: skip

    def _battery(self, now: int) -> Finding:
        values = {"title": "UPS battery", "title.zh": "UPS 电池", "used_share": 0.93, "rated": 5.0, "unit": "years", "purpose": "standby", "low_days": 20.0, "high_days": 140.0}  # fmt: skip
        return finding(
            "atm-1", BATTERY, "wear/ups-battery", "ups.battery.temperature", now, begun=now - 20 * DAY_NS, due=due(now, 20, 62, 140), reason="wear.used",
            values=values, factors=(("rated life at 25 °C", "5 years", 1.0), ("stress", 1.42, 1.0)), record=self.records[1],
            readings=((BATTERY, "ups.battery.temperature", now, 31.5),),
        )  # fmt: skip

    def _cash(self, now: int) -> Finding:
        values = {"text": "Cash runs out", "text.zh": "现金即将用尽", "what": "atm.unit.count", "unit": "", "value": 410.0, "used": 151.0, "low_days": 2.0, "high_days": 4.0}  # fmt: skip
        return finding(
            "atm-3", CASH, "runout/cash.empties", "atm.unit.count", now, due=due(now, 2, 2.7, 4), reason="runout.used", values=values, word=SOON,
            readings=((CASH, "atm.unit.count", now, 410.0),),
        )  # fmt: skip

    def _fan(self, now: int) -> Finding:
        values = {"what": "host.fan.speed", "unit": "rpm", "value": 1920.0, "low": 2700.0, "high": 3200.0}
        return finding(
            "atm-2", FAN, "anomaly/series", "host.fan.speed", now, reason="anomaly.level", values=values, demoted=True, record=self.records[2],
            readings=((FAN, "host.fan.speed", now, 1920.0),), factors=(("host.fan.speed", 1920.0, 14.2),),
        )  # fmt: skip

    def _reader(self, now: int) -> Finding:
        values = {"horizon_days": 30.0, "chance_share": 0.38, "times": 6.1, "factor": "hardware"}
        factors = (
            ("hardware", 4.0, 1.21),
            ("terminal-all-events", 19.0, 0.66),
            ("age", 6.2, 0.31),
            ("model", EVIL, 0.1),
        )
        return finding(
            "atm-4",
            READER,
            "failure/learnt",
            "",
            now,
            reason="failure.learnt",
            values=values,
            probability=0.38,
            factors=factors,
        )

    def _evil(self, now: int) -> Finding:
        """Of what a device calls itself."""
        values = {"what": EVIL, "unit": EVIL, "value": 1.0, "low": 0.0, "high": 0.5}
        return finding("atm-4", f"printer/{EVIL}", "anomaly/series", EVIL, now, reason="anomaly.level", values=values)

    def _grades(self, now: int) -> tuple[Grade, ...]:
        of = {name: each.id for name, each in self.foreseen.items()}
        rows = (
            ("atm-1", "high", 0.91, ((of["disk"], 0.6), (of["battery"], 0.22), ("faults", 0.09)), 2, 60),
            ("atm-3", "high", 0.74, ((of["cash"], 0.7), ("age", 0.04)), 3, 20),
            ("atm-4", "medium", 0.31, ((of["reader"], 0.27), ("overdue", 0.1)), -5, 45),
            ("atm-2", "low", 0.04, (("age", 0.04),), 200, 0),
            ("atm-5", "low", 0.02, (("age", 0.02),), 200, 0),
        )
        return tuple(
            Grade(name, grade, score, now, now - 4 * DAY_NS, reasons, 1.0, now + inspect * DAY_NS, effort)
            for name, grade, score, reasons, inspect, effort in rows
        )


def _values(name: str, day: int) -> list[tuple[str, str, float]]:
    wave = math.sin(day * 1.7)
    return {
        "atm-1": [
            (DISK, "host.disk.percent", round(41 + 0.7 * day + wave, 2)),
            (BATTERY, "ups.battery.temperature", round(30 + 1.5 * wave, 1)),
        ],
        "atm-2": [(FAN, "host.fan.speed", round(2950 + 120 * wave) if day < DAYS - 1 else 1920)],
        "atm-3": [(CASH, "atm.unit.count", 2300 - 151 * (day % 13) + round(20 * wave))],
        "atm-4": [("host", "host.cpu.percent", round(30 + 10 * wave, 1))],
        "atm-5": [("host", "host.cpu.percent", round(20 + 10 * wave, 1))],
    }[name]
