"""Files of the terminals of the fake fleet: one with everything, the hostile one with markup in every text, the others with little."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tillwatch.collector.detect.days_left import DaysLeft
from tillwatch.collector.predict.lives import Lives
from tillwatch.collector.read import TerminalView
from tillwatch.collector.terminal import asset
from tillwatch.collector.terminal.asset import Note, Told
from tillwatch.collector.terminal.bands import Band
from tillwatch.collector.terminal.dossier import (
    ALARM,
    CHANGE,
    EVERYWHERE,
    INCIDENT,
    KINDS,
    MAINTENANCE,
    NOTE,
    PART,
    RESTART,
    STATE,
    ComponentBands,
    DossierView,
    LifeView,
    Moment,
    RepairView,
    Similar,
    SimilarView,
    Strip,
    Timeline,
    VersionView,
)

S = 1_000_000_000
HOUR, DAY = 3600 * S, 86_400 * S
SCRIPT = "<img src=x onerror=window.pwned=1>"
HOSTILE = "ATM-006"
FILES: dict[str, dict[str, Any]] = {
    "ATM-001": {
        "asset_no": "B-2024-0417", "maker": "Acme", "model": "C4060", "serial": "CN-77-0417",
        "serials": {"printer": "PR-5001", "ups": "UP-9001"}, "address": "12 Harbour Road", "place": "lobby, left",
        "custody": "Branch operations", "installed": "2024-03-01", "bought": "2024-01-15", "supplier": "Acme Services",
        "warranty_until": "2026-10-02", "service_interval_days": 180, "last_service": "2026-03-02", "inspection_interval_days": 30,
        "last_inspection": "2026-09-11", "notes": "Second key with the porter.\nParking behind the building.",
    },
    "ATM-003": {"model": "C4060", "warranty_until": "2026-09-01"},
    HOSTILE: {"model": SCRIPT, "custody": SCRIPT, "address": SCRIPT, "serials": {f"printer/{SCRIPT}": SCRIPT}, "notes": SCRIPT},
}  # fmt: skip


class FakeDossiers:
    """The DossierReader of a fleet. base: its "now"."""

    base: int

    def terminal(self, terminal: str) -> TerminalView:
        raise NotImplementedError

    def terminals(self) -> Sequence[TerminalView]:
        raise NotImplementedError

    def asset(self, terminal: str) -> tuple[Mapping[str, Any], str]:
        self.terminal(terminal)
        kept = FILES.get(terminal, {})
        return kept, asset.version(asset.pack(kept))

    def amended(self, terminal: str, fields: Mapping[str, Any]) -> tuple[str, str]:
        kept, version = self.asset(terminal)
        after = asset.changed(asset.pack(kept), {"fields": fields})
        return version, asset.version(asset.pack(kept) if after is None else after)

    def assets(self) -> Mapping[str, Mapping[str, Any]]:
        return FILES

    def dossier(self, terminal: str, now: int) -> DossierView:
        kept, version = self.asset(terminal)
        said = SCRIPT if terminal == HOSTILE else "4.2.1"
        told = [Told("printer", "PR-5001", now), Told("ups", SCRIPT if terminal == HOSTILE else "UP-9002", now)]
        today = datetime.fromtimestamp(now / S, UTC).date()
        return DossierView(
            kept, version, tuple(asset.compare(kept, told)), tuple(asset.dues(kept, today)),
            (Note(17, terminal, now - 3 * DAY, "li.wei", SCRIPT if terminal == HOSTILE else "Cover is scratched"),),
            (VersionView("printer", "identity.firmware", said, now - 40 * DAY, "4.1.0", now - HOUR),
             VersionView("printer", "identity.serial", "PR-5001", 0, "", now - HOUR)),
            (RepairView(now - 20 * DAY, "HWM-1", "printer", "printer.fault", "part_changed", said),),
            now - 400 * DAY,
        )  # fmt: skip

    def timeline(self, terminal: str, start: int, end: int, kinds: Sequence[str] = KINDS) -> Timeline:
        self.terminal(terminal)
        now, said = self.base, SCRIPT if terminal == HOSTILE else "words"
        moments = (
            Moment(STATE, now - 400 * DAY, now - 2 * DAY, what="in_service"),
            Moment(STATE, now - 2 * DAY, what="degraded", lasts=True, level=2, text=said, values={"reason": "disk.full", "party": "hardware"}),
            Moment(ALARM, now - 2 * DAY, lasts=True, what="disk.full", component=said, level=2, ref="41", values={"drill": False}),
            Moment(INCIDENT, now - 2 * DAY, lasts=True, what="disk.full", component=said, level=2, ref="HWM-2", by=said, text=said),
            Moment(MAINTENANCE, now - 5 * DAY, now - 5 * DAY + 2 * HOUR, ref="M-1", by="planning", text=said),
            Moment(CHANGE, now - 9 * DAY, what="identity.firmware", component=said, values={"before": "4.1.0", "after": said}),
            Moment(CHANGE, now - 10 * DAY, what="life-cycle", ref="12", by=said, text=said, values={"state": "in_service"}),
            Moment(PART, now - 20 * DAY, what="printer.fault", component="printer", ref="HWM-1", text=said),
            Moment(NOTE, now - 3 * DAY, ref="17", by="li.wei", text=said),
            Moment(RESTART, now - 4 * DAY, what="machine", component="host"),
        )  # fmt: skip
        found = [m for m in moments if m.kind in kinds and m.at < end and (m.lasts or (m.until or m.at) >= start)]
        return Timeline(start, end, tuple(sorted(found, key=lambda m: m.at)))

    def strip(self, terminal: str, start: int, end: int) -> Strip:
        self.terminal(terminal)
        third = (end - start) // 3
        name = f"printer/{SCRIPT}" if terminal == HOSTILE else "printer"
        return Strip(
            start, end, (Band(start, end - 2 * DAY, "in_service"), Band(end - 2 * DAY, end, "degraded", ("disk.full",))),
            (
                ComponentBands(name, (Band(start, start + third, "ok"), Band(start + third, end - third, "unknown"), Band(end - third, end, "crit", ("disk.full",)))),
                ComponentBands("ups", (Band(start, end, "ok"),)),
            ),
        )  # fmt: skip

    def lives(self, terminal: str, lives: Lives, now: int) -> Sequence[LifeView]:
        self.terminal(terminal)
        cutter, engine = lives.by_id["printer.cutter"], lives.by_id["printer.engine"]
        name = f"printer/{SCRIPT}" if terminal == HOSTILE else "printer"
        return [
            LifeView("printer.cutter", cutter.part, cutter.title_en, cutter.title_zh, name, "printer.cuts", "counter", "replace", "cuts", 1_290_000.0,
                     1_500_000.0, 0.86, False, DaysLeft(20.0, 46.0, 118.0), now - 300 * DAY, False, cutter.rating.evidence),
            LifeView("printer.engine", engine.part, engine.title_en, engine.title_zh, name, "printer.pages", "counter", "replace", "pages", 41_000.0, 0.0,
                     None, True, None, now - 300 * DAY, True, engine.rating.evidence),
        ]  # fmt: skip

    def similar(self, terminal: str, now: int, covers: Callable[[str, str], bool] = EVERYWHERE) -> Similar:
        mine = self.terminal(terminal)
        others = [
            view
            for view in self.terminals()
            if view.id != terminal and view.terminal_class == mine.terminal_class and covers(view.branch, view.region)
        ]
        return Similar(
            4, "C4060", 1, 2.0, len(others), 1.0,
            tuple(SimilarView(view.id, view.branch, "C4060", ("model", "class"), view.condition, "degraded", view.open_alarms, 2, "low") for view in others[:5]),
        )  # fmt: skip
