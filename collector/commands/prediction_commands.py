"""The commands that show what is foreseen: `risk` ranks the terminals, `inspections` plans the visits, `predictions` says how far to believe all of it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tillwatch.collector.commands.acting import reading
from tillwatch.collector.commands.output import NS, CommandError, coloured, iso, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.predict import words
from tillwatch.collector.predict.checkpoint import Status, read_status
from tillwatch.collector.predict.finding import GRADES, LOW, Finding, Grade, Record
from tillwatch.collector.read import RiskView
from tillwatch.collector.web.lines import stamp

__all__ = ["CommandError", "run_inspections", "run_predictions", "run_risk"]

MOST = 10_000
"""Terminals in one list."""
MOST_FINDINGS = 200
"""Of one terminal, those that are over too."""
DAY_NS = 86_400 * NS


def run_risk(config: Config, options: argparse.Namespace) -> int:
    if options.terminal:
        return _one(config, options.terminal, as_json=options.json)
    least = GRADES.index(options.grade or LOW)
    with reading(config) as reader:
        views = [v for v in reader.at_risk(branch=options.branch, limit=MOST) if GRADES.index(v.grade.grade) >= least]
    if options.json:
        print_json([risk_fields(view) for view in views])
        return 0
    if not views:
        print("no terminal at risk" if not (options.grade or options.branch) else "no such terminal at risk")
        return 0
    print_table(
        ("TERMINAL", "RISK", "VISITS", "BRANCH", "WHY", "WHEN", "RIGHT SO FAR", "INSPECT BY"),
        [
            (v.terminal, v.grade.grade, f"{v.grade.score:.2f}", v.branch, _why(v), _when(_first(v)), _right(_first(v)), _day(v.grade.inspect_by))
            for v in views
        ],
    )  # fmt: skip
    return 0


def risk_fields(view: RiskView) -> dict[str, Any]:
    """As JSON: the grade, and each finding with its words."""
    fields = asdict(view)
    fields["grade"] = grade_fields(view.grade)
    fields["findings"] = [finding_fields(each) for each in view.findings]
    return fields


def grade_fields(grade: Grade) -> dict[str, Any]:
    return {**asdict(grade), "inspect_by": iso(grade.inspect_by) if grade.inspect_by else None}


def finding_fields(finding: Finding) -> dict[str, Any]:
    record = finding.record
    return {
        **finding.facts(),
        "text": list(words.sentences(finding, "en")),
        "precision": record.precision if record is not None else None,
        "due": None if finding.due is None else dict(zip(("near_at", "likely_at", "far_at"), finding.due, strict=True)),
    }


def _first(view: RiskView) -> Finding | None:
    """The finding that weighs most; else the first that has a right to an alarm."""
    by_id = {each.id: each for each in view.findings}
    ranked = [by_id[name] for name, _ in view.grade.reasons if name in by_id]
    return next(iter([*ranked, *(each for each in view.findings if not each.demoted)]), None)


def _why(view: RiskView) -> str:
    first = _first(view)
    if first is not None:
        more = f" (and {len(view.findings) - 1} more)" if len(view.findings) > 1 else ""
        return f"{first.component}: {words.reason(first, 'en')}{more}"
    return ", ".join(words.factor(name, "en") for name, _ in view.grade.reasons)


def _when(finding: Finding | None) -> str:
    if finding is None or finding.due is None:
        return (
            f"{finding.probability:.0%} within the horizon"
            if finding is not None and finding.probability is not None
            else ""
        )
    near, _, far = finding.due
    return _day(near) if _day(near) == _day(far) else f"{_day(near)} to {_day(far)}"


def _right(finding: Finding | None) -> str:
    return right(finding.record) if finding is not None and finding.record is not None else ""


def right(record: Record) -> str:
    judged = record.hits + record.false
    return f"{record.hits} of {judged}" if judged else "not judged yet"


def _day(at: int) -> str:
    return stamp(at)[:10] if at else "-"


def _one(config: Config, terminal: str, *, as_json: bool) -> int:
    with reading(config) as reader:
        try:
            reader.terminal(terminal)
        except KeyError:
            raise CommandError(f"no terminal {terminal}; see tillwatch-collector terminals") from None
        view = next((v for v in reader.at_risk(limit=-1) if v.terminal == terminal), None)
        findings = reader.findings(terminal, open_only=False, limit=MOST_FINDINGS)
    if as_json:
        risk = None if view is None else grade_fields(view.grade)
        print_json({"terminal": terminal, "risk": risk, "findings": [finding_fields(each) for each in findings]})
        return 0
    if view is None:
        print(f"{terminal}: nothing speaks for a risk")
    else:
        grade = view.grade
        print(
            f"{terminal}: {coloured(grade.grade)} risk, {grade.score:.2f} visits expected; look at it by {_day(grade.inspect_by)}, {grade.effort_min} min of work"
        )
        for name, weight in grade.reasons:
            found = next((each for each in view.findings if each.id == name), None)
            print(
                f"  {weight:.2f}  {words.factor(name, 'en') if found is None else f'{found.component}, {found.detector}'}"
            )
    for finding in findings:
        _print_finding(finding)
    return 0


def _print_finding(finding: Finding) -> None:
    state = (finding.outcome and f"over, {finding.outcome}") or ("over" if finding.ended else finding.word)
    print(
        f"\n{finding.component}  {finding.detector}  {state}{', without the right to an alarm' if finding.demoted else ''}, since {stamp(finding.begun)}"
    )
    for sentence in words.sentences(finding, "en"):
        print(f"  {sentence}")
    if finding.probability is not None:
        print(f"  probability within the horizon {finding.probability:.0%}")
    for name, value, weight in finding.factors:
        print(f"    {words.factor(name, 'en')}: {value} ({weight:+.2f})")
    for component, signal, at, value in finding.readings:
        print(f"    {stamp(at)}  {component} {signal} = {value}")


def run_inspections(config: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector.predict.__main__ import tables_of  # noqa: PLC0415 - as the next
    from tillwatch.collector.predict.inspection import rounds  # noqa: PLC0415 - the other commands need none of it

    tables, now = tables_of(config), time.time_ns()
    with reading(config) as reader:
        views = reader.at_risk(branch=options.branch, limit=MOST)
    made = rounds(tables, [v.grade for v in views], {v.terminal: v.branch for v in views}, now)
    by_id = {view.terminal: view for view in views}
    if options.json:
        print_json([
            {**asdict(each), "due": [{**asdict(due), "grade": grade_fields(due.grade), "why": _why(by_id[due.terminal])} for due in each.due]} for each in made
        ])  # fmt: skip
        return 0
    if not made:
        print("no inspection is due")
        return 0
    for each in made:
        print(
            f"{each.branch or 'no branch'}: {each.minutes} min with the way, {each.avoided:.2f} visits avoided, {each.worth:.2f} an hour"
        )
        print_table(
            ("  TERMINAL", "RISK", "DUE", "WORK", "AVOIDED AN HOUR", "WHY"),
            [(f"  {d.terminal}", d.grade.grade, _due(d.grade.inspect_by, d.overdue_ns), f"{d.grade.effort_min or tables.effort_min} min", f"{d.worth:.2f}",
              _why(by_id[d.terminal])) for d in each.due],
        )  # fmt: skip
    return 0


def _due(by: int, overdue: int) -> str:
    return f"{_day(by)}, {overdue // DAY_NS} d ago" if overdue >= DAY_NS else _day(by)


def run_predictions(config: Config, options: argparse.Namespace) -> int:
    status, now = read_status(config.database), time.time_ns()
    with reading(config) as reader:
        records = sorted(reader.records(), key=lambda each: (each.detector, each.kind))
    card = _card(config)
    if options.json:
        print_json({
            "enabled": config.predictions.enabled, "process": None if status is None else {**asdict(status), "behind": status.behind},
            "model": card, "detectors": [{**asdict(each), "precision": each.precision} for each in records],
        })  # fmt: skip
        return 0
    _print_process(config, status, now)
    _print_model(card, status)
    if not records:
        print("\nno finding was judged yet")
        return 0
    print()
    print_table(
        ("DETECTOR", "PARTS", "RIGHT", "PRECISION", "PREVENTED", "MISSED", "SINCE", ""),
        [
            (r.detector, r.kind, right(r), "-" if r.precision is None else f"{r.precision:.0%}", str(r.prevented), str(r.missed), _day(r.since),
             "demoted: on its page only" if r.demoted else "")
            for r in records
        ],
    )  # fmt: skip
    return 0


def _print_process(config: Config, status: Status | None, now: int) -> None:
    if not config.predictions.enabled:
        print("switched off: enabled = false in [predictions]")
    elif status is None:
        print("nothing was read yet; they begin with the collector")
    else:
        late = (now - status.at) // NS if status.behind else 0
        print(
            f"{'running' if status.process else 'not running'}, at entry {status.position} of {status.head}, {status.series} series"
            + (f", {status.behind} entries and {late} s behind" if status.behind else "")
        )
        for name, times in sorted(status.limits.items()):
            print(f"  {name}: more than is followed, {times} times")


def _card(config: Config) -> Mapping[str, Any] | None:
    """Out of the JSON beside the model: reading the model itself takes scikit-learn."""
    from tillwatch.collector.predict.learnt import HAZARD  # noqa: PLC0415 - numpy

    path = config.models / HAZARD
    if not path.exists():
        return None
    try:
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {"model": str(path), "trouble": f"its card cannot be read ({error})"}
    return {"model": str(path), **(card if isinstance(card, dict) else {})}


def _print_model(card: Mapping[str, Any] | None, status: Status | None) -> None:
    if card is None:
        print("failures: by the fixed rule; no model was trained (tillwatch-collector train)")
        return
    if "trained_on" not in card:
        print(f"failures: by the model {card['model']}; {card.get('trouble', 'its card is of another form')}")
        return
    learnt, holdout = card["trained_on"], card.get("holdout")
    print(
        f"failures: by the model {card['model']}, {learnt['failures']} failures of {learnt['units']} parts until {learnt['to'][:10]}"
    )
    if holdout is not None:
        values = {name: one["value"] for name, one in holdout["measures"].items()}
        shown = [
            f"{name} {values[name]:.3g}"
            for name in ("auc", "precision", "recall", "false_alarms", "calibration_slope")
            if values.get(name) is not None
        ]
        print(f"  on what came later: {', '.join(shown)}")
    level, reason = status.drift if status is not None else ("", "")
    if level:
        print(
            f"  {coloured('ok' if level == 'ok' else 'warn')}: {reason}"
            + ("; train it again" if level == "retrain" else "")
        )
