"""A small bank in which everything that a page can show has happened once, in a real store that the fold made; most texts of others try to be markup.

What is foreseen, and two months of readings, are those of ForeseenBank. On top of it: a branch without mains, a fire that somebody is at, an alarm on the
shelf, tickets as a ticket system tells them, an alert of another monitoring, planned work of today, a device file, notes and a replaced part.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.desk import HOUR
from tests.collector.sending import S
from tests.collector.web.foreseen_bank import DAYS, ForeseenBank
from tillwatch.agent.model import State
from tillwatch.collector.intake.alertmanager import AlertsSettings, facts_of
from tillwatch.collector.read import AlarmView
from tillwatch.collector.store.reader import SqliteReader

PAYLOADS = (
    "<img src=x onerror=window.pwned=1>",
    "<script>window.pwned=2</script>",
    '"><svg onload=window.pwned=3>',
    "'\"`--></style></script><b onmouseover=window.pwned=4>",
    "{{constructor.constructor('window.pwned=5')()}}",
    "${window.pwned=6}",
    "javascript:window.pwned=7",
    '=HYPERLINK("javascript:window.pwned=8") %s {n} {{n}}',
)
"""What somebody may have written into a field of a device, a ticket or a note: HTML, attributes, the templates of Vue and of Python, a link."""

HILL = tuple(f"atm-{n}" for n in range(20, 26))
MARKET = "Market <b>Square</b>"
DAY = 24 * HOUR
TODAY_S = 40 * 60
"""What happens at the end takes half an hour, and ends when the test begins."""


class WholeBank(ForeseenBank):
    """incident: of the branch without mains; evil: the terminal of which every text is a payload."""

    evil = "atm-9"
    spare = 10 * HOUR

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.wait((time.time_ns() - self.now) / S - TODAY_S)
        self._devices()
        self._faults()
        self._people()
        self._others()
        self.wait((time.time_ns() - self.now) / S - 30)
        self.stand()
        self.incident = next(view.incident for view in self.alarms() if view.rule == "ups.on-battery")

    def _live(self, first: int = 0, last: int = DAYS) -> None:
        self.enrol(*HILL, branch="Hill", region="North")
        self.enrol("atm-7", "atm-8", branch="Harbour Road", region="South")
        self.enrol(self.evil, branch=MARKET, region=PAYLOADS[2])
        today = datetime.fromtimestamp(time.time(), UTC).date()
        middle = (today.replace(day=1) - timedelta(days=1)).replace(day=15)
        then = DAYS - (today - middle).days
        super()._live(first, then)
        self._old_faults()
        super()._live(then, last)

    def alarms(self) -> list[AlarmView]:
        with closing(SqliteReader(self.path)) as reader:
            return list(reader.alarms())

    def _devices(self) -> None:
        for name in ("atm-1", self.evil):
            self.say(name, "printer", "identity.model", "TP-80" if name != self.evil else PAYLOADS[0], lasting=2)
            self.say(name, "printer", "identity.firmware", "4.1.0" if name != self.evil else PAYLOADS[1], lasting=2)
            self.say(name, "printer", "identity.serial", "PR-1" if name != self.evil else PAYLOADS[3], lasting=2)
            self.say(name, "printer", "printer.cuts", 1_290_000, lasting=2)
        for number, payload in enumerate(PAYLOADS):
            self.say(self.evil, f"printer/{payload}"[:96], "identity.name", payload, lasting=2)
            self.say(self.evil, f"host/disk:/{number}", "identity.model", payload, lasting=2)
        self.say("atm-1", "ups", "ups.output.source", "normal", lasting=5)

    def _old_faults(self) -> None:
        """In the middle of last month: what was settled, with a verdict and a part, and cash that ran out."""
        self.say("atm-7", "atm/CashDispenser unit:1", "atm.unit.supply", "empty", State.CRIT, lasting=7_200)
        self.say("atm-7", "atm/CashDispenser unit:1", "atm.unit.supply", "ok", State.OK, lasting=900)
        self.say("atm-8", "host/disk:/", "host.disk.percent", 99, lasting=600)
        found = next(view for view in self.alarms() if view.terminal == "atm-8")
        self.operate(
            action="resolve",
            incident=found.incident,
            terminal="atm-8",
            verdict="part_changed",
            part=PAYLOADS[0],
            note=PAYLOADS[1],
        )
        self.say("atm-8", "host/disk:/", "host.disk.percent", 20, lasting=2_000)
        times = {"from": self.now - 2 * HOUR, "to": self.now - HOUR}
        why = {"counts_as": "down", "reason": "the line of the branch was cut", "party": "network"}
        self.operate(action="correct", terminal="atm-8", **times, **why)

    def _faults(self) -> None:
        for name in HILL:
            self.say(name, "ups", "ups.output.source", "battery", lasting=5)
        self.say("atm-1", "env/smoke", "env.smoke", "alarm")
        self.say("atm-2", "host/disk:/", "host.disk.percent", 93, lasting=130)
        self.say("atm-3", "ups", "ups.battery.charge", 15)
        self.say("atm-4", "camera", "camera.casing", "open", lasting=5)
        self.say(self.evil, f"host/disk:{PAYLOADS[0]}", "host.disk.percent", 99, lasting=130)

    def _people(self) -> None:
        by_rule = {(view.terminal, view.rule): view for view in self.alarms()}
        fire, disk = by_rule["atm-1", "env.fire"], by_rule["atm-2", "disk.full"]
        self.operate(action="acknowledge", terminal="atm-1", alarm=fire.id, note=PAYLOADS[0])
        self.operate(action="note", terminal="atm-1", incident=fire.incident, text=PAYLOADS[4], note=PAYLOADS[4])
        self.operate(action="assign", terminal="atm-1", incident=fire.incident, to=PAYLOADS[1][:60], note=PAYLOADS[2])
        self.operate(
            action="shelve", terminal="atm-2", alarm=disk.id, until=self.now + HOUR, reason=PAYLOADS[3], second=""
        )
        self.operate(action="asset", terminal=self.evil, fields={
            "serial": PAYLOADS[0], "maker": PAYLOADS[1], "model": PAYLOADS[2], "asset_no": PAYLOADS[5], "custody": PAYLOADS[3][:60], "vendor": PAYLOADS[4],
            "contract": PAYLOADS[6], "address": PAYLOADS[0], "notes": "\n".join(PAYLOADS),
        })  # fmt: skip
        self.operate(action="asset", terminal="atm-1", fields={
            "serial": "AT-2291-0817", "maker": "Voltwerk", "model": "CashLine 4", "asset_no": "HR-0001", "custody": "Harbour Road branch", "vendor": "Nordservice",
            "contract": "NS-2024-17", "address": "1 Harbour Road", "bought": "2022-03-01", "warranty_until": "2027-03-01", "service_interval_days": 180,
        })  # fmt: skip
        self.operate(action="terminal-note", terminal="atm-1", text="The key is at the branch desk until six.")
        for payload in PAYLOADS:
            self.operate(action="terminal-note", terminal=self.evil, text=payload)
        for number, (scope, reason) in enumerate((("branch:Harbour Road", PAYLOADS[0]), (self.evil, PAYLOADS[2]))):
            times = {"from": self.now - HOUR + number * DAY, "to": self.now + 3 * HOUR + number * DAY}
            self.operate(action="window", id=f"M-{number}", scope=scope, **times, reason=reason, approved_by=PAYLOADS[1], change_ref=PAYLOADS[3])  # fmt: skip

    def _others(self) -> None:
        """The ticket system, and another monitoring."""
        incidents = sorted({view.incident for view in self.alarms()})
        begun = datetime.fromtimestamp(self.now / S, UTC).isoformat()
        alerts = [
            {"status": "firing", "startsAt": begun, "labels": {"alertname": payload, "branch": "Hill", "note": payload}, "annotations": {"summary": payload}}
            for payload in PAYLOADS
        ]  # fmt: skip

        async def tell(world: World) -> None:
            for number, incident in enumerate(incidents):
                evil = PAYLOADS[number % len(PAYLOADS)]
                name = f"T-{number}" if number % 2 else evil[:40]
                about = {"incident": incident, "connector": "webhook", "external_id": name}
                await world.pipeline.ticket_changed({**about, "url": f"https://desk.example/{number}", "state": "open"})
                said = [("1", evil, world.now, evil)]
                seen = {"origin": "seen", "owner": evil, "status": evil, "part": evil, "said": said, "updated_at": 0}
                await world.pipeline.ticket_changed({**about, **seen, "state": "working" if number else "on_hold"})
            body = json.dumps({"version": "4", "alerts": alerts}).encode()
            for facts in facts_of("prometheus", body, AlertsSettings(), world.now):
                await world.pipeline.operate(facts)

        self.feed(tell)
