"""The part of the fake fleet that is about the monitoring itself: two windows, a week of acts, rules that fired, and a collector with a full spool somewhere."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from tillwatch.collector.duty.windows import Weekly, Window
from tillwatch.collector.oversight import (
    CertificateView,
    DoneView,
    Fix,
    IncidentRef,
    MonitoringFacts,
    News,
    RuleCount,
    RuleRecord,
    Shown,
    SpoolView,
    everything,
)
from tillwatch.collector.proof.acts_page import ActsPage, EntryCheck, Logged, Stretch, Wanted
from tillwatch.collector.proof.audit import Act

NANO = 1_000_000_000
HOUR = 3600 * NANO
DAY = 24 * HOUR


class FakeOversight:
    """An OversightReader. base: the "now" of the fleet, UTC ns."""

    base: int

    def windows(self) -> Mapping[str, Window]:
        windows = (
            Window("weekly-restart", "branch:Harbour Road", weekly=Weekly("Asia/Shanghai", (0, 2, 4), 90, HOUR), reason="Restart of the branch server", approved_by="board"),
            Window("M-3fa2c1d0", "branch:Market Square", self.base - HOUR, self.base + 3 * HOUR, reason="New switch", by="li.na", approved_by="chen.jun", change_ref="CHG-4711"),
        )  # fmt: skip
        return {each.id: each for each in windows}

    def _log(self) -> list[Logged]:
        rows = [
            ("li.na", "acknowledge", "ATM-001", {"alarm": 41, "note": "on the way"}),
            ("wang.wei", "window", "", {"id": "M-3fa2c1d0", "scope": "branch:Market Square", "reason": "New switch"}),
            ("collector", "rules", "", {"shipped": "0a1b", "site": "9f8e"}),
            ("chen.jun", "correct", "ATM-003", {"counts_as": "planned", "reason": "works at the branch"}),
            ("anna", "enrol", "ATM-013", {"key": "ab" * 32}),
            ("collector", "started", "", {}),
        ]
        return [
            Logged(Act(900 - k * 7, self.base - k * HOUR, *row, ok=True), sha256(bytes([k])).digest())
            for k, row in enumerate(rows)
        ]

    def acts(self, wanted: Wanted, before: int, limit: int, shown: Shown = everything) -> ActsPage:
        own = [each for each in self._log() if wanted.takes(each.act) and shown(each.act.terminal)]
        left = [each for each in own if not before or each.act.n < before]
        more = left[limit - 1].act.n if len(left) > limit else 0
        return ActsPage(tuple(left[:limit]), more, len(self._log()), self.base - 5 * HOUR)

    def entry(self, n: int) -> EntryCheck:
        found = {each.act.n: each for each in self._log()}
        if n not in found:
            raise KeyError(str(n))
        return EntryCheck(found[n], "operator", b"\0" * 32, ok=True, signed=None)

    def stretch(self, first: int, last: int) -> Stretch:
        return Stretch(first, last, self.base, last - first + 1, b"\1" * 32)

    def news(self, after: int) -> News:
        return News(0, (), ())

    def verified(self) -> DoneView:
        return DoneView(self.base - 3 * DAY, ok=True, entries=118_000)

    def rules_fired(self, since: int, shown: Shown = everything) -> Mapping[str, RuleCount]:
        return {"disk.full": RuleCount(14, 6, 9, 12, 5, 2, 11, 1, self.base - HOUR)}

    def rule_record(self, rule: str, since: int, now: int, shown: Shown = everything) -> RuleRecord:
        count = self.rules_fired(since).get(rule, RuleCount())
        if not count.raised:
            return RuleRecord(count, (0,) * 31, (), {}, (), ())
        incident = IncidentRef("HWM-3f2a9c11d0e4b5a6978c-1", "open", 2, "ATM-003", "Central Station", self.base - HOUR)
        fix = Fix("part_changed", "SSD 480 GB", 3, self.base - 4 * DAY, incident.id)
        return RuleRecord(count, tuple(k % 3 for k in range(31)), (("ATM-003", 5), ("POS-008", 2)), {"duty engineer": 11}, (incident,), (fix,))  # fmt: skip

    def monitoring(self, now: int) -> MonitoringFacts:
        return MonitoringFacts(
            store_bytes=3 * 1024**3, disk_free=40 * 1024**3, disk_total=100 * 1024**3, acts_waiting=0, away=((self.base - 40 * HOUR, self.base - 39 * HOUR),),
            spools=(SpoolView("ATM-001", self.base, 3, 9000, 40, "ok"), SpoolView("POS-002", self.base, 4100, 9_000_000, 7200, "thinning")),
            certificates=(CertificateView("ca.pem", self.base + 2000 * DAY), CertificateView("server.pem", self.base + 20 * DAY)),
            backup=DoneView(self.base - 20 * HOUR, ok=True, entries=120_000), verified=self.verified(), synchronised=None,
        )  # fmt: skip
