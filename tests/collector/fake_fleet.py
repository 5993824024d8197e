"""A fleet that is the same on every run: terminals in branches with alarms, unknowns, histories with gaps and names that try to be markup.

`python -m tests.collector.fake_fleet --changes FILE` serves the console over it. FILE is JSON, `{"revision": 2, "terminals": {"ATM-001": {"condition":
"crit", ...}}, "fail": ""}`; writing it anew is how a test changes the fleet under a running console.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.collector.fake_diagnosis import FakeDiagnosis
from tests.collector.fake_dossiers import FakeDossiers
from tests.collector.fake_enrolment import FakeEnrolment
from tests.collector.fake_incidents import IN_FORCE, case_of, file_of, incident_of
from tests.collector.fake_oversight import FakeOversight
from tests.collector.fake_rollout import FakeRollouts
from tillwatch.collector.incident.case import Why
from tillwatch.collector.incident.incident_views import IncidentFile, IncidentView, InForce
from tillwatch.collector.incident.why import explain
from tillwatch.collector.predict.finding import Finding, Grade, Record
from tillwatch.collector.predict.supplies import Latest, Stored
from tillwatch.collector.read import (
    AlarmView,
    ComponentView,
    Health,
    History,
    IdentityView,
    Mark,
    OutgoingView,
    Point,
    RiskView,
    SignalView,
    StateView,
    StoredReading,
    StoredReadings,
    TerminalView,
    Touched,
    WaitingView,
)
from tillwatch.collector.records import Correction
from tillwatch.collector.terminal.component_groups import Cells, Part, cells, group_of

NANO = 1_000_000_000
HOUR = 3600 * NANO
BRANCHES = (
    ("Harbour Road", "South"),
    ("Market Square", "South"),
    ("Central Station", "Centre"),
    ("University", "Centre"),
    ("人民路支行", "North"),
    ("<b onclick=alert(1)>Airport</b>", "North"),
)
STREETS = (
    "High Street",
    "Station Square",
    "Mill Lane",
    "North Gate",
    "River Bank",
    "Old Market",
    "Castle Hill",
    "Queen Street",
    "Dock Road",
    "Park Row",
)
TOWNS = ("Ashford", "Belmont", "Carrick", "Dunmore", "Elstow", "Farley", "Granton", "Hexley", "Ilford", "Kelso", "Lowick", "Marden", "Norwell", "Oakham", "Penrith", "Radley", "Selby", "Thornby", "Upton", "Warwick")  # fmt: skip
SCRIPT = "<img src=x onerror=window.pwned=1>"
HOSTILE = "ATM-006"
"""The terminal whose component, text values and alarm carry markup."""

FAULTS = {
    "ATM-001": (
        1,
        "crit",
        "The terminal runs on battery and the charge falls",
        "ups/battery",
        "battery.charge",
        23.5,
        "%",
    ),
    "ATM-003": (2, "crit", "The disk of the terminal is nearly full", "system/disk.C", "disk.free", 3_221_225_472, "B"),
    "POS-008": (3, "warn", "Receipt paper is low", "printer", "paper.remaining", 9, "%"),
    "ATM-013": (2, "warn", "The cabinet is hotter than it should be", "environment", "temperature", 47.25, "°C"),
    HOSTILE: (3, "warn", f"Printer reports {SCRIPT}", f"printer/{SCRIPT}", "console.text", SCRIPT, ""),
}
SILENT = ("SRV-005", "POS-014")
NAMED = 60
"""Terminals that are as the tests of pages know them; those of a larger fleet are ill by the table below."""
ILL = (
    (41, 7, "out_of_service", 1, "crit", "Cash dispenser jammed", "atm/CashDispenser", "atm.cash", "jam", "hardware", ""),
    (31, 3, "degraded", 2, "crit", "The card reader does not read", "atm/CardReader", "atm.device", "fault", "hardware", ""),
    (23, 5, "supply_low", 3, "warn", "Receipt paper is low", "printer", "paper.remaining", 8, "supply", ""),
    (67, 11, "offline", 1, "unknown", "Nothing comes of the terminal any more", "host", "", None, "network", "network"),
    (151, 20, "offline", 1, "unknown", "Nothing comes of the terminal any more", "host", "", None, "power", "power"),
    (173, 13, "offline", 2, "unknown", "Nothing comes of the terminal any more", "host", "", None, "unknown", "unknown"),
    (89, 17, "maintenance", 0, "ok", "", "", "", None, "", ""),
    (211, 2, "spare", 0, "unknown", "", "", "", None, "", ""),
    (59, 19, "unmonitored", 3, "unknown", "PIN pad cannot be read", "atm/PinPad", "atm.epp", None, "monitoring", ""),
)  # fmt: skip
"""Every how many, from which on, state, level, condition, what is said, component, signal, value, party, cause."""
CUT_OFF = 13
"""Branch of a larger fleet of which nothing is heard."""
WORST = {"crit": 0, "unknown": 1, "warn": 2, "ok": 3}


def places(branches: int) -> list[tuple[str, str]]:
    """(branch, region) of a bank of so many branches, ten to a region; 0 for the six that have names of their own."""
    if not branches:
        return list(BRANCHES)
    return [
        (
            f"{STREETS[k % 10]}, {TOWNS[k // 10 % 20]}{f' {k // 200 + 1}' if k >= 200 else ''}",
            f"Region {TOWNS[k // 10 % 20]}",
        )
        for k in range(branches)
    ]


HAVE = {
    "ATM": ("cash", "card", "pin", "printer", "computer", "disk", "power", "network", "site"),
    "POS": ("card", "printer", "computer", "disk", "power", "network"),
    "SRV": ("computer", "disk", "power", "network", "camera", "site"),
}


def cells_of(kind: str, condition: str, component: str, *, whole: bool) -> Cells:
    """What a terminal of this kind shows. component: that is in this condition; whole: all of it is."""
    ill = group_of(component) if component else ""
    parts = [Part(group, "wan" if group == "network" and kind == "SRV" else "") for group in HAVE[kind]]
    return cells([(part, condition if whole or part.group == ill else "ok") for part in parts])


class FakeFleet(FakeDossiers, FakeOversight, FakeDiagnosis, FakeEnrolment, FakeRollouts):
    """A FleetReader over nothing. base: the "now" of the fleet, UTC ns; branches: 0 for the six that have names of their own."""

    def __init__(
        self, count: int = 60, base: int = 1_790_000_000 * NANO, changes: Path | None = None, branches: int = 0
    ) -> None:
        self.base = base
        self._changes = changes
        self._places = places(branches)
        self._terminals = {view.id: view for view in (self._make(k) for k in range(count))}

    def _make(self, k: int) -> TerminalView:
        branch, region = self._places[k % len(self._places)]
        kind = ("ATM", "POS", "ATM", "POS", "SRV")[k % 5] if k % 6 != 5 else "ATM"
        name = f"{kind}-{k + 1:03d}" if k >= 15 else ("ATM-001", "POS-002", "ATM-003", "POS-004", "SRV-005", HOSTILE, "ATM-007", "POS-008", "POS-009",
                "SRV-010", "ATM-011", "ATM-012", "ATM-013", "POS-014", "SRV-015")[k]  # fmt: skip
        if k >= NAMED:
            return self._ill(k, name, branch, region)
        fault = FAULTS.get(name)
        silent = name in SILENT
        condition = fault[1] if fault else "unknown" if silent or k % 17 == 16 else "ok"
        reason = (
            ""
            if fault or condition == "ok"
            else "silent since 47 minutes"
            if silent
            else "printer: no reading for 12 minutes"
        )
        return TerminalView(
            name, branch, region, {"ATM": "atm", "POS": "pos", "SRV": "server"}[name[:3]], condition, reason, "silent" if silent else "offline" if k % 23 == 22 else "online",
            fault[0] if fault else 0, 1 if fault else 0, self.base - (47 * 60 * NANO if silent else (k % 50 + 1) * NANO), 120 if k % 11 == 7 else 0, 7,
            7 if silent else 1 if condition == "unknown" else 0,
            cells=cells_of(name[:3], condition, fault[3] if fault else "printer" if condition == "unknown" else "", whole=silent),
            state=StateView("degraded", self.base - 7 * 60 * NANO, "ups.on-battery", fault[2], "power", "", ("withdrawal", "deposit"), fault[0]) if fault
            else StateView("offline", self.base - 47 * 60 * NANO, "", "", "unknown", "unknown", (), 0) if silent
            else StateView("in_service" if condition == "ok" else "unmonitored", self.base - 40 * HOUR, "", "", "", "", (), 0) if k % 7 else None,
        )  # fmt: skip

    def _ill(self, k: int, name: str, branch: str, region: str) -> TerminalView:
        """One of a large fleet: some are ill, by their number."""
        found = next((row for row in ILL if k % row[0] == row[1]), None)
        if k % len(self._places) == CUT_OFF:
            found = next(row for row in ILL if row[-1] == "network")
        since = self.base - (k * 7_919 % 86_400 + 60) * NANO
        gone = found is not None and found[2] == "offline"
        spare = found is not None and found[2] == "spare"
        state, level, condition, text, party, cause = (
            (found[2], found[3], found[4], found[5], found[9], found[10])
            if found
            else ("in_service", 0, "ok", "", "", "")
        )
        return TerminalView(
            name, branch, region, {"ATM": "atm", "POS": "pos", "SRV": "server"}[name[:3]], condition, text, "silent" if gone else "offline" if spare else "online",
            level, int(level > 0), since if gone else self.base - (k % 50 + 1) * NANO, 0, 7, 7 if gone or spare else int(condition == "unknown"),
            cells=cells_of(name[:3], condition, found[6] if found else "", whole=gone or spare),
            state=StateView(state, since, "", text, party, cause, (), level), life_cycle="spare" if spare else "in_service",
        )  # fmt: skip

    def _now(self) -> dict[str, object]:
        if self._changes is None or not self._changes.exists():
            return {}
        found: dict[str, object] = json.loads(self._changes.read_text())
        if found.get("fail"):
            raise OSError(found["fail"])
        return found

    def _all(self) -> dict[str, TerminalView]:
        changed = self._now().get("terminals", {})
        return {key: replace(view, **changed.get(key, {})) for key, view in self._terminals.items()}

    def terminals(self) -> Sequence[TerminalView]:
        return sorted(self._all().values(), key=lambda view: (view.level or 4, WORST[view.condition], view.id))

    def terminals_of(self, only: Collection[str]) -> Sequence[TerminalView]:
        return [view for view in self.terminals() if view.id in only]

    def touched(self, since: Mark | None) -> Touched:
        return Touched(Mark(self.revision(), 0, 0), None, alarms=True)

    def terminal(self, terminal: str) -> TerminalView:
        return self._all()[terminal]

    def places(self, only: set[str] | None = None) -> Mapping[str, tuple[str, str]]:
        return {name: (view.branch, view.region) for name, view in self._all().items() if only is None or name in only}

    def identity(self, terminal: str) -> IdentityView:
        return IdentityView("active", "", (), 0, (), "")

    def components(self, terminal: str) -> Sequence[ComponentView]:
        view = self.terminal(terminal)
        values = self._now().get("values", {})
        fault = FAULTS.get(terminal)
        silent = view.connection == "silent"

        def signal(
            component: str, name: str, unit: str, kind: str, value: object, state: str = "none", quality: str = "good"
        ) -> SignalView:
            if fault and (fault[3], fault[4]) == (component, name):
                value, state = fault[5], fault[1]
            value = values.get(f"{terminal} {component} {name}", value)
            return SignalView(
                component,
                name,
                unit,
                kind,
                value,
                view.last_received - NANO // 4,
                view.last_received,
                "stale" if silent else quality,
                state,
            )

        table: list[tuple[str, list[tuple[str, str, str, object]]]] = [
            ("system", [("cpu.used", "%", "gauge", 12.4), ("memory.used", "%", "gauge", 61.0), ("uptime", "s", "counter", 1_934_221)]),
            ("system/disk.C", [("disk.free", "B", "gauge", 48_318_382_080), ("disk.used", "%", "gauge", 54.1)]),
            ("ups", [("output.source", "", "state", "battery" if terminal == "ATM-001" else "normal"), ("input.voltage", "V", "gauge", 0.0 if terminal == "ATM-001" else 229.6), ("load", "%", "gauge", 31)]),
            ("ups/battery", [("battery.charge", "%", "gauge", 100.0), ("battery.temperature", "°C", "gauge", 26.5), ("battery.runtime", "s", "gauge", 2_640)]),
            ("printer", [("paper.remaining", "%", "gauge", 64), ("pages", "1", "counter", 182_331), ("state", "", "state", "idle")]),
            ("environment", [("temperature", "°C", "gauge", 24.8), ("humidity", "%", "gauge", None)]),
            (f"printer/{SCRIPT}" if terminal == HOSTILE else "network/eth0", [("console.text" if terminal == HOSTILE else "link.state", "", "text", SCRIPT if terminal == HOSTILE else "up"), ("errors", "1", "counter", 0)]),
        ]  # fmt: skip
        out = []
        for name, rows in table:
            unknown = silent or (view.condition == "unknown" and name == "printer")
            condition = "unknown" if unknown else fault[1] if fault and fault[3] == name else "ok"
            last = view.last_received - (12 * 60 * NANO if unknown and not silent else NANO // 4)
            reason = (
                "" if not unknown else "terminal is silent" if silent else "no reading for 12 minutes; asked every 60 s"
            )
            signals = tuple(signal(name, *row, quality="error" if row[3] is None else "good") for row in rows)
            out.append(ComponentView(name, condition, reason, last, 60.0, last + 180 * NANO, signals))
        return out

    def alarms(self, *, terminal: str | None = None, open_only: bool = True, limit: int = 500) -> Sequence[AlarmView]:
        views = self._all()
        out = []
        for number, (key, (level, _, text, component, signal, value, unit)) in enumerate(FAULTS.items(), 1):
            if key not in views or (terminal and key != terminal):
                continue
            ticket = f"INC00{12000 + number}" if number != 4 else ""
            common = (
                number, f"rule-{number}", key, views[key].branch, component, signal, level, "active", text, value, unit, "Mains power at the branch has failed" if number == 1 else "Outside the limit for 5 minutes",
                "The terminal stops in about 9 minutes" if number == 1 else "Service may stop", "Call the branch; check the mains fuse; bring a UPS" if number == 1 else "Plan a visit",
            )  # fmt: skip
            out.append(
                AlarmView(
                    *common,
                    self.base - number * 7 * 60 * NANO,
                    0,
                    f"3f6c{number}d20-8b1e-4c55-9d0a-77aa12f0c00{number}",
                    ticket,
                    "open" if ticket else "pending",
                    isa_state="UNACK",
                )
            )
            if not open_only:
                out.append(AlarmView(number + 100, *common[1:7], "normal", *common[8:], self.base - 90 * HOUR, self.base - 88 * HOUR, f"9a0c{number}d20-8b1e-4c55", f"INC00{11000 + number}", "resolved", isa_state="NORM"))  # fmt: skip
        for number, view in enumerate(views.values()):
            if number < NAMED or not view.level or (terminal and view.id != terminal):
                continue
            row = next((row for row in ILL if row[5] == view.reason and row[3] == view.level), ILL[0])
            out.append(
                AlarmView(
                    10_000 + number, f"ill-{row[0]}", view.id, view.branch, row[6], row[7], view.level, "active", row[5], row[8], "", "A part of it failed", "Customers are turned away",
                    "Send somebody", view.state.since if view.state else self.base, 0, f"b{number:07d}-8b1e-4c55-9d0a-77aa12f0c000", f"INC{number:07d}", "open", isa_state="UNACK",
                )
            )  # fmt: skip
        for key, changed in self._now().get("terminals", {}).items():
            if changed.get("level") and key not in FAULTS and (not terminal or terminal == key):
                out.append(AlarmView(900, "fresh", key, views[key].branch, "ups", "output.source", changed["level"], "active", "Fresh alarm of the test", "battery", "", "c", "c", "a", self.base, 0, "inc-900", "", "", isa_state="UNACK"))  # fmt: skip
        return sorted(out, key=lambda a: (a.level, -a.raised_at))[:limit]

    def alarm(self, alarm: int) -> AlarmView:
        found = {view.id: view for view in self.alarms(open_only=False)}
        if alarm not in found:
            raise KeyError(str(alarm))
        return found[alarm]

    def incidents(self, now: int, *, living: bool = True, limit: int = 500) -> tuple[list[IncidentView], int]:
        found = [incident_of(alarm, now) for alarm in self.alarms(open_only=living)]
        return found[:limit], len(found)

    def incident(self, corr_id: str, now: int) -> IncidentFile:
        found = {alarm.incident: alarm for alarm in self.alarms(open_only=False)}
        return file_of(found[corr_id], now)

    def find_incident(self, text: str) -> list[str]:
        return [alarm.incident for alarm in self.alarms(open_only=False) if alarm.incident.startswith(text)]

    def places_of(self, incidents: Collection[str]) -> Mapping[str, tuple[str, str]]:
        views = {view.id: view for view in self.incidents(self.base, living=False)[0]}
        return {each: (views[each].branch, views[each].region) for each in incidents if each in views}

    def asked(self, actor: str, request: str, since: int) -> str:
        return ""

    def forgotten(self) -> frozenset[int]:
        return frozenset()

    def handled(self) -> int:
        return self.revision()

    def in_force(self) -> InForce:
        self._now()
        return IN_FORCE

    def why(self, alarm: int, now: int) -> tuple[AlarmView, Why]:
        view = self.alarm(alarm)
        return view, explain(case_of(view, now))

    def history(self, terminal: str, component: str, signal: str, start: int, end: int) -> History:
        found = {(c.name, s.signal): s for c in self.components(terminal) for s in c.signals}[component, signal]
        hourly = end - start > 3 * 24 * HOUR
        step = HOUR if hourly else 60 * NANO
        points = []
        first = max(start, self.base - 60 * 24 * HOUR)
        for at in range(first - first % step, min(end, self.base) + 1, step):
            k = at // step
            since = self.base - at
            if at < start or HOUR * 9 < since < HOUR * 12 or (hourly and HOUR * 100 < since < HOUR * 130):
                continue  # the terminal was off
            if found.kind in {"state", "text"}:
                points.append(
                    Point(
                        at,
                        ("battery" if k % 400 < 25 else "normal") if found.signal == "output.source" else found.value,
                        None,
                        None,
                        1,
                    )
                )
                continue
            if found.value is None or HOUR * 4 < since < HOUR * 4 + 20 * 60 * NANO:
                points.append(Point(at, None, None, None, 1))
                continue
            wave = (abs(k % 48 - 24) - 12) / 24 + (k * 7919 % 13 - 6) / 60
            mean = float(found.value) * (1 + wave / 8) + wave
            points.append(
                Point(at, mean, mean * 0.9 - 1, mean * 1.08 + 1, 60) if hourly else Point(at, mean, mean, mean, 1)
            )
        return History(terminal, component, signal, found.unit, "hour" if hourly else "reading", tuple(points))

    def readings(self, terminal: str, component: str, signal: str, at: int, count: int) -> StoredReadings:
        points = self.history(terminal, component, signal, at - 2 * HOUR, at + 2 * HOUR).points
        nearest = [p for p in points if p.at <= at][-count:] + [p for p in points if p.at > at][:count]
        return StoredReadings(
            tuple(
                StoredReading(p.at, p.value, "good", "ok", p.at // (60 * NANO), 0, p.at + 2 * NANO, "5f0d3c1a9b8e7f60", p.at // (60 * NANO))
                for p in nearest
            ),
            retired=False,
        )  # fmt: skip

    def supplies(self, signals: Collection[str]) -> Sequence[Stored]:
        found = []
        for k, view in enumerate(self._all().values()):
            level = (0.0, 4.0, 31.0, 66.0)[k % 4]
            at = view.last_received
            signals_ = {"printer.tray.level": Latest(level, at)} if view.terminal_class == "pos" else {
                "atm.unit.count": Latest(level * 20, at), "atm.unit.capacity": Latest(2000.0, at),
                "atm.unit.supply": Latest({0.0: "empty", 4.0: "low"}.get(level, "ok"), at),
            }  # fmt: skip
            part = "printer" if view.terminal_class == "pos" else "atm/CashDispenser unit:1"
            if view.terminal_class != "server":
                found.append(
                    Stored(
                        view.id,
                        view.branch,
                        view.region,
                        view.terminal_class,
                        part,
                        view.connection == "online",
                        "",
                        at + 300 * NANO,
                        signals_,
                    )
                )
        return found

    def corrections(self, terminal: str | None = None) -> Sequence[Correction]:
        return ()

    def health(self) -> Health:
        return Health(
            120_934, self.base - NANO, 2, 1, (("bad_signature", 3), ("replayed", 1)), self.base - 40 * HOUR, self.base, waiting=tuple(self.waiting()),
        )  # fmt: skip

    def waiting(self) -> Sequence[WaitingView]:
        """Of `waiting` in the changes: [connector, level, count, seconds, limit in seconds, answer]."""
        rows = self._now().get("waiting", [])
        return [WaitingView(name, level, n, time.time_ns() - int(s * NANO), int(limit * NANO), answer) for name, level, n, s, limit, answer in rows]  # fmt: skip

    def undone(self) -> tuple[int, int]:
        return len(self.waiting()), 0

    def outgoing(
        self, *, connector: str | None = None, limit: int = 500, offset: int = 0
    ) -> tuple[list[OutgoingView], int]:
        return [], 0

    def at_risk(self, *, branch: str | None = None, region: str | None = None, limit: int = 500) -> Sequence[RiskView]:
        return ()

    def findings(self, terminal: str | None = None, *, open_only: bool = True, limit: int = 500) -> Sequence[Finding]:
        return ()

    def finding(self, number: str) -> Finding:
        raise KeyError(number)

    def records(self) -> Sequence[Record]:
        return ()

    def grades(self) -> Sequence[Grade]:
        return ()

    def foretold(self) -> tuple[int, int]:
        return (0, -1)

    def watched_since(self) -> int:
        return self.base - 3 * 24 * HOUR

    def revision(self) -> int:
        return int(self._now().get("revision", 1))


def main() -> None:
    from tillwatch.collector.web.__main__ import serve

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--branches", type=int, default=0)
    parser.add_argument("--changes", type=Path)
    options = parser.parse_args()
    base = time.time_ns()
    serve(lambda: FakeFleet(options.count, base, options.changes, options.branches), "127.0.0.1", options.port)


if __name__ == "__main__":
    sys.exit(main())
