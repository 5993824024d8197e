"""The report of a period: one self-contained HTML page, CSV files and the same as JSON. Pure: what is written follows from the log, the policy and what
was asked for, so a report that is made again says the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.collector.alarm.diagnosis import Cards
from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.figures import sheets, time_view, work_view
from tillwatch.collector.figures.blocks import Facts, Page, Section, Tile, render
from tillwatch.collector.figures.intervals import intersect, union
from tillwatch.collector.figures.rollup import FLEET, KINDS, USUAL, Computed, Log, Scope, Settings, compute
from tillwatch.collector.figures.table import csv_text, moment
from tillwatch.collector.figures.tally import share
from tillwatch.collector.figures.time_view import Subject
from tillwatch.collector.figures.wording import Wording

SHEETS = ("availability", "incidents", "kpi", "intervals")
_UNSAFE = re.compile(r"[^\w.-]+")
MAX_NAME = 80
"""Characters of a file's name that come from a scope's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for. name: of the period, such as 2026-10; start, end: UTC ns; zone: IANA name, of all times and days in it."""

    name: str
    start: int
    end: int
    zone: str
    scope: Scope = FLEET
    language: str = "en"
    settings: Settings = USUAL

    @property
    def label(self) -> str:
        """For the names of files."""
        if self.scope == FLEET:
            return self.name
        return f"{self.name}-{_UNSAFE.sub('_', '-'.join(self.scope))[:MAX_NAME]}"

    @property
    def files(self) -> dict[str, str]:
        """Kind of file -> its name."""
        return {"report": f"report-{self.label}.html", **{kind: f"{kind}-{self.label}.csv" for kind in SHEETS}}


@dataclass(frozen=True, slots=True)
class Report:
    """All that was computed; the files are made when they are asked for."""

    asked: Asked
    computed: Computed
    policy: Policy
    titles: Mapping[str, str]

    def files(self) -> dict[str, str]:
        """File name -> its text, in UTF-8."""
        zone, named = ZoneInfo(self.asked.zone), self.asked.files
        return {
            named["report"]: render(self.page()),
            named["availability"]: csv_text(sheets.availability(self.computed), zone),
            named["incidents"]: csv_text(sheets.incidents(self.computed), zone),
            named["kpi"]: csv_text(sheets.kpi(self.computed), zone),
            named["intervals"]: csv_text(sheets.intervals(self.computed), zone),
        }

    def plain(self) -> dict[str, Any]:
        """For JSON: times as ISO 8601, lengths in ns."""
        it, asked, zone = self.computed, self.asked, ZoneInfo(self.asked.zone)

        def at(ns: int) -> str:
            return moment(ns, zone)

        corrections = [
            {
                "entry": each.n,
                "terminal": each.terminal,
                "since": each.since,
                "until": each.until,
                "counts_as": each.counts_as,
                "reason": each.reason,
                "party": each.party,
                "by": each.by,
                "at": each.at,
            }
            for each in it.corrections
        ]
        away = intersect(union(it.outages), [(it.start, it.end)])
        figures = [one for kind in KINDS for one in it.of_kind(kind)]
        said = {
            "period": {
                "name": asked.name,
                "from": at(it.start),
                "to": at(it.end),
                "asked_to": at(asked.end),
                "zone": asked.zone,
            },
            "known": at(it.known),
            "scope": {"kind": asked.scope.kind, "name": asked.scope.name},
            "interruption_limit": self.policy.interruption,
            "figures": [one.plain() for one in figures],
            "outages": [{"since": since, "until": until} for since, until in away],
            "corrections": corrections,
        }
        plain: dict[str, Any] = _outside(said, zone)
        return plain

    def page(self) -> Page:
        it, asked, policy = self.computed, self.asked, self.policy
        say = Wording(asked.language, asked.zone, self.titles)
        subject = Subject(it, policy, say, asked.files)
        served = it.whole.availability.terminals
        facts = (
            (say("report.scope"), say.scope(asked.scope)),
            (say("report.period"), f"{say.at(it.start)} … {say.at(it.end)}"),
            (say("report.zone"), asked.zone),
            (say("report.terminals"), str(served)),
            (say("report.known"), say.at(it.known)),
        )
        warnings = []
        if it.end < asked.end:
            warnings.append(say("report.cut", asked=say.at(asked.end), end=say.at(it.end)))
        if not served:
            warnings.append(say("report.nothing"))
        sections = [
            time_view.availability(subject),
            time_view.where(subject),
            time_view.unmonitored(subject),
            work_view.service(subject),
            work_view.incidents(subject),
            work_view.load(subject),
            time_view.scopes(subject),
            work_view.drills(subject),
            time_view.changes(subject),
            definitions(subject, flat=len(set(asked.settings.weights)) == 1),
        ]
        return Page(
            asked.language,
            say("report.title"),
            asked.name,
            facts,
            warnings,
            tiles(subject),
            say("report.contents"),
            [section for section in sections if section is not None and section.blocks],
        )


def make(log: Log, policy: Policy, asked: Asked, titles: Mapping[str, str]) -> Report:
    """titles: what the alarms of rules are called, in the language of the report."""
    return Report(asked, compute(log, policy, asked.start, asked.end, asked.settings), policy, titles)


def titles(rules: Rules, cards: Cards, language: str) -> Mapping[str, str]:
    """What the alarms of rules are called."""
    return {name: cards.card(rule, language).text for name, rule in rules.by_id.items()}


def _outside(value: Any, zone: ZoneInfo) -> Any:
    """Times of rows as they leave: ISO 8601, None for not yet."""
    if isinstance(value, dict):
        return {
            key: (moment(one, zone) or None)
            if key in ("since", "until", "at") and isinstance(one, int)
            else _outside(one, zone)
            for key, one in value.items()
        }
    return [_outside(one, zone) for one in value] if isinstance(value, list) else value


def tiles(subject: Subject) -> list[Tile]:
    say, whole, limit = subject.say, subject.whole, subject.policy.interruption
    shares, it = whole.availability.parts["network"].shares, whole.kpi
    net = shares.interruption_net
    judged = "" if net is None else "bad" if net > limit else "good"
    verdict = {"bad": say("summary.above"), "good": say("summary.within"), "": ""}[judged]
    note = say("summary.interruption_note", limit=say.percent(limit, 2), gross=say.percent(shares.interruption_gross))
    unseen = say.percent(share(shares.unmonitored, shares.scheduled))
    best = say("summary.availability_note", best=say.percent(shares.availability_best), unmonitored=unseen)
    levels = say("summary.incidents_note", l1=it.levels[1], l2=it.levels[2], l3=it.levels[3])
    longest = say(
        "summary.restore_note", n=it.restore.n, longest=say.span(it.restore.longest if it.restore.n else None)
    )
    return [
        Tile(say("summary.interruption"), say.percent(net), note, judged, verdict),
        Tile(say("summary.availability"), say.percent(shares.availability_worst), best),
        Tile(say("summary.response"), say.met(it.response), say.of(it.response)),
        Tile(say("summary.repair"), say.met(it.restored_net), say.of(it.restored_net)),
        Tile(say("summary.restore"), say.mean(it.restore), longest),
        Tile(say("summary.incidents"), str(it.incidents), levels),
    ]


def definitions(subject: Subject, *, flat: bool) -> Section:
    """What every figure means, in words, with the targets that are in force. flat: no hour weighs more than another."""
    say, policy = subject.say, subject.policy

    def targets(response: bool) -> str:  # noqa: FBT001 - two clocks, one sentence
        return say("unit.comma").join(
            say("definitions.target", level=level, time=say.span(target.response_ns if response else target.repair_ns))
            for level, target in sorted(policy.targets.items())
        )

    settings = policy.incident
    filled: dict[str, dict[str, object]] = {
        "response": {"targets": targets(response=True)},
        "repair": {"targets": targets(response=False)},
        "load": {"n": settings.flap_enter, "time": say.span(settings.flap_within_ns)},
    }
    names = ("schedule", "three", "unmonitored", "available", "interruption", "operating", "impact", "period", "response", "repair", "mttr", "fix", "load")  # fmt: skip
    keys = {name: f"definitions.{name}_text" for name in names} | (
        {"impact": "definitions.impact_flat"} if flat else {}
    )
    pairs = [(say(f"definitions.{name}"), say(keys[name], **filled.get(name, {}))) for name in names]
    return Section("definitions", say("definitions.title"), (Facts(pairs),))
