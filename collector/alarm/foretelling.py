"""The part of the fold that hears what the predictions say: which findings are open, and the alarms of the predicted rules that follow from them. What
the same position of the log was told for is heard once, so whoever reads it again after a kill may say it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tillwatch.agent.wire import LEAST_PACE, MOST_PACE, USUAL_PACE
from tillwatch.collector.alarm.alarming import Alarming
from tillwatch.collector.book import Book
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.predict import words
from tillwatch.collector.predict.finding import (
    CLOSED,
    LATER,
    OPEN,
    OVER,
    RULES,
    SOON,
    UNKNOWN,
    Finding,
    Grade,
    record_of,
)
from tillwatch.collector.terminal.fleet import Fleet, Terminal

MAX_OPEN = 64
"""Findings that are open on one terminal: nobody reads more of one machine. What comes beyond is left out, counted and shown."""
RETIRED = "retired"

Place = tuple[str, str, str]
"""(terminal, component, detector)."""
Part = tuple[str, str, str]
"""(terminal, family, component): what has one alarm."""


class SaidError(ValueError):
    """What was said is of another form. The text names what is wrong."""


def check(facts: Mapping[str, Any]) -> None:
    """Whether the fold can take these facts of a FINDING entry. Raises SaidError."""
    try:
        place = facts["position"], facts.get("part", 0)
        findings = [Finding.of(each) for each in facts.get("findings", ())]
        grades = [Grade.of(each) for each in facts.get("grades", ())]
        records = [record_of(each) for each in facts.get("records", ())]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SaidError(f"{type(error).__name__} {error}") from None
    numbers = [
        *place,
        *(n for f in findings for n in (f.begun, f.at, f.ended, *(f.due or ()))),
        *(g.at for g in grades),
    ]
    numbers += [at for f in findings for _, _, at, _ in f.readings]
    names = [name for f in findings for name in (f.id, f.terminal, f.component, f.detector, f.outcome)]
    names += [name for g in grades for name in (g.terminal, g.grade)]
    names += [name for r in records for name in (r.detector, r.kind)]
    if not all(type(n) is int and -(2**63) <= n < 2**63 for n in numbers) or not all(type(n) is str for n in names):
        raise SaidError("a number, or a name, is of another kind")
    if not all(
        isinstance(g.score, int | float)
        and isinstance(g.pace, int | float)
        and LEAST_PACE <= g.pace * USUAL_PACE <= MOST_PACE
        for g in grades
    ):
        raise SaidError("a grade without a score, or with a pace that no terminal goes")
    for each in findings:
        if each.family not in RULES or each.status not in (OPEN, CLOSED) or not (each.id and each.terminal):
            raise SaidError(f"finding {each.id!r}: family {each.family!r}, status {each.status!r}")


class Foretelling:
    """open: by id; newest: (begun, over, at) of the last episode of each detector on each component: what is told of an earlier one, or was
    told before, changes nothing. reached: (position, part) of what was said last; left_out: findings beyond MAX_OPEN; paces: what a
    terminal's sampling interval is to be multiplied with.
    """

    def __init__(self, book: Book, fleet: Fleet, alarming: Alarming) -> None:
        self.open: dict[str, Finding] = {}
        self.newest: dict[Place, tuple[int, bool, int]] = {}
        self.reached = (0, -1)
        self.left_out = 0
        self.paces: dict[str, float] = {}
        self._of: dict[str, set[str]] = {}
        self._book = book
        self._fleet = fleet
        self._alarming = alarming

    def load(self, finding: Finding) -> None:
        self.open[finding.id] = finding
        self._of.setdefault(finding.terminal, set()).add(finding.id)

    def known(self, facts: Mapping[str, Any]) -> bool:
        """Whether what stands for this position was heard before."""
        return (int(facts["position"]), int(facts.get("part", 0))) <= self.reached

    def said(self, facts: Mapping[str, Any], at: int) -> None:
        """facts: of a FINDING entry; at: UTC ns."""
        if self.known(facts):
            return
        self.reached = int(facts["position"]), int(facts.get("part", 0))
        touched: set[Part] = set()
        for each in facts.get("findings", ()):
            self._take(Finding.of(each), touched)
        for terminal, family, component in sorted(touched):
            self._judge(terminal, family, component, at)
        for each in facts.get("grades", ()):
            grade = Grade.of(each)
            if self._followed(grade.terminal):
                self._book.dirty.grades[grade.terminal] = grade
                self.paces[grade.terminal] = grade.pace
        for each in facts.get("records", ()):
            record = record_of(each)
            self._book.dirty.hit_rates[record.detector, record.kind] = record
        self._book.dirty.foretold = (*self.reached, self.left_out)

    def of(self, rule: str, terminal: str, component: str) -> tuple[Finding, ...]:
        """What an incident of this rule tells of now, the gravest first."""
        them = [self.open[number] for number in self._of.get(terminal, ())]
        told = [
            each for each in them if RULES[each.family] == rule and each.component == component and not each.demoted
        ]
        return tuple(sorted(told, key=_gravity))

    def look_at(self, terminal: Terminal, at: int) -> None:
        """Its life cycle or its keys may have changed: of one that is gone for good nothing is foreseen any more."""
        if self._followed(terminal.id):
            return
        self._end([self.open[number] for number in sorted(self._of.get(terminal.id, ()))], at)
        if self.paces.pop(terminal.id, None) is not None:
            self._book.dirty.grades[terminal.id] = None

    def answered(self, incident: Incident, at: int) -> None:
        """A person has settled it: what was foreseen there ends with that. What became of it is said by the engine, which hears the verdict."""
        parts = {(each.terminal, each.rule, each.component) for each in self._book.of(incident.corr_id)}
        self._end([each for each in self._sorted() if (each.terminal, RULES[each.family], each.component) in parts], at)

    def _end(self, findings: Iterable[Finding], at: int) -> None:
        parts = set()
        for each in findings:
            self._put(replace(each, status=CLOSED, word=OVER, at=max(at, each.at), ended=at, outcome=UNKNOWN))
            parts.add((each.terminal, each.family, each.component))
        for part in sorted(parts):
            self._judge(*part, at)

    def _sorted(self) -> list[Finding]:
        return [self.open[number] for number in sorted(self.open)]

    def rules_changed(self, at: int) -> None:
        """The table may have a rule, or a word, that it did not have before."""
        for part in sorted({(each.terminal, each.family, each.component) for each in self.open.values()}):
            self._judge(*part, at)

    def _followed(self, name: str) -> bool:
        terminal = self._fleet.terminals.get(name)
        return terminal is not None and terminal.state != "revoked" and terminal.life_cycle != RETIRED

    def _take(self, finding: Finding, touched: set[Part]) -> None:
        place = finding.terminal, finding.component, finding.detector
        said = finding.begun, finding.status == CLOSED, finding.at
        last = self.newest.get(place)
        if last is not None and said <= last:
            if finding.begun < last[0] and finding.status == CLOSED:
                self._book.dirty.findings[finding.id] = finding  # what became of an earlier one is often known later
            return
        known = self._of.get(finding.terminal, set())
        if finding.status == OPEN:
            if not self._followed(finding.terminal):
                return
            if finding.id not in known and len(known) >= MAX_OPEN:
                self.left_out += 1
                return
        elif last is None and finding.terminal not in self._fleet.terminals:
            return
        for number in sorted(known):
            former = self.open[number]
            if number != finding.id and (former.component, former.detector) == place[1:]:
                # The episode before ended without a word.
                self._put(replace(former, status=CLOSED, word=OVER, ended=finding.begun, outcome=UNKNOWN))
        touched.add((finding.terminal, finding.family, finding.component))
        self._put(finding)

    def _put(self, finding: Finding) -> None:
        place = finding.terminal, finding.component, finding.detector
        self.newest[place] = finding.begun, finding.status == CLOSED, finding.at
        self._book.dirty.findings[finding.id] = finding
        if finding.status == OPEN:
            self.load(finding)
        else:
            self.open.pop(finding.id, None)
            self._of.get(finding.terminal, set()).discard(finding.id)

    def _judge(self, terminal: str, family: str, component: str, at: int) -> None:
        """One alarm for what one family finds on one component: the gravest word of those that have the right to raise one."""
        them = [self.open[number] for number in sorted(self._of.get(terminal, ()))]
        them = [each for each in them if (each.family, each.component) == (family, component) and not each.demoted]
        words = {each.word for each in them}
        word = SOON if SOON in words else LATER if words else OVER
        evidence = {f"{each.detector} {each.word}": in_words(each) for each in sorted(them, key=_gravity)}
        since = min((each.begun for each in them), default=0)
        known = self._fleet.terminals[terminal]
        self._alarming.judge(RULES[family], known, component, word, at, evidence, min(since, at))


def _gravity(finding: Finding) -> tuple[bool, str]:
    return finding.word != SOON, finding.detector


def in_words(finding: Finding) -> str:
    """In English, for the alarm and its ticket: why, and when."""
    return ". ".join(filter(None, (words.reason(finding, "en"), words.when(finding, "en"))))
