"""The findings that stand: told when they are new, when their word changes, and else at most once a day; ended with what became of them. What was just
said and judged rests for a while, so that a detector that insists is not told every day what it was told already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from tillwatch.collector.predict.finding import CLOSED, FALSE, HIT, OPEN, OVER, Finding
from tillwatch.collector.predict.settings import DAY_NS

MAX_OPEN = 20_000
"""Findings that stand, in the fleet: ten a terminal of 2,000. Nobody plans more."""
MAX_OPEN_TERMINAL = 20
"""Of one terminal: with more it is the terminal that is to be looked at, not its parts."""
MAX_ENDED = 50_000
"""Findings that are over and wait for what becomes of them; beyond it the oldest are no longer told of."""
TOLD_AGAIN_NS = DAY_NS
RESTS = {HIT: 7 * DAY_NS, FALSE: 30 * DAY_NS}
"""After a hit the fault has its own alarm, and a week for its repair; after a false one the horizon passes before the same is said again."""

Key = tuple[str, str, str]
"""Detector, terminal, component."""


class Ledger:
    """refused: findings that found no place."""

    def __init__(self) -> None:
        self.refused = 0
        self._open: dict[Key, Finding] = {}
        self._ids: dict[str, Key] = {}
        self._of_terminal: dict[str, dict[Key, None]] = {}
        self._told: dict[Key, int] = {}
        self._ended: dict[str, Finding] = {}
        self._rests: dict[Key, int] = {}
        self._news: dict[str, Finding] = {}

    def __len__(self) -> int:
        return len(self._open)

    def get(self, detector: str, terminal: str, component: str) -> Finding | None:
        return self._open.get((detector, terminal, component))

    def of_terminal(self, terminal: str) -> Iterator[Finding]:
        """The open ones, in the order in which they began to stand."""
        return (self._open[key] for key in tuple(self._of_terminal.get(terminal, ())))

    def open(self) -> Iterator[Finding]:
        return iter(tuple(self._open.values()))

    def resting(self, detector: str, terminal: str, component: str, now: int) -> bool:
        return self._rests.get((detector, terminal, component), 0) > now

    def put(self, finding: Finding) -> bool:
        """A finding that stands, as of finding.at: new, or what it has become. Returns whether it is new; it is not where it rests or has no place."""
        key = finding.detector, finding.terminal, finding.component
        before = self._open.get(key)
        if before is None:
            if self.resting(*key, finding.at):
                return False
            own = self._of_terminal.setdefault(finding.terminal, {})
            if len(self._open) >= MAX_OPEN or len(own) >= MAX_OPEN_TERMINAL:
                self.refused += 1
                return False
            own[key] = None
            self._ids[finding.id] = key
        else:
            finding = replace(finding, id=before.id, begun=before.begun)
        self._open[key] = finding
        said_otherwise = before is None or (before.word, before.demoted) != (finding.word, finding.demoted)
        due_again = finding.at - self._told.get(key, 0) >= TOLD_AGAIN_NS and finding != replace(
            before or finding, at=finding.at
        )
        if said_otherwise or due_again:
            self._news[finding.id] = finding
            self._told[key] = finding.at
        return before is None

    def end(self, detector: str, terminal: str, component: str, at: int, outcome: str = "") -> Finding | None:
        """It stands no more. Returns it as it ended; None where none stood."""
        key = detector, terminal, component
        finding = self._open.pop(key, None)
        if finding is None:
            return None
        del self._of_terminal[terminal][key], self._ids[finding.id]
        if not self._of_terminal[terminal]:
            del self._of_terminal[terminal]
        self._told.pop(key, None)
        ended = replace(finding, status=CLOSED, word=OVER, at=at, ended=at, outcome=outcome)
        self._news[ended.id] = ended
        if outcome:
            self._rest(key, outcome, at)
        else:
            self._ended[ended.id] = ended
            if len(self._ended) > MAX_ENDED:
                del self._ended[next(iter(self._ended))]
                self.refused += 1
        return ended

    def judged(self, finding: str, outcome: str, at: int) -> None:
        """What became of a finding, by its id: it ends with that where it still stood."""
        key = self._ids.get(finding)
        if key is not None:
            self.end(*key, at, outcome)
        elif (ended := self._ended.pop(finding, None)) is not None:
            self._news[finding] = replace(ended, at=at, outcome=outcome)
            self._rest((ended.detector, ended.terminal, ended.component), outcome, at)

    def news(self, now: int) -> tuple[Finding, ...]:
        """What is to be told since this was last asked, each finding once, in the order in which it changed."""
        said = tuple(self._news.values())
        self._news.clear()
        self._rests = {key: until for key, until in self._rests.items() if until > now}
        return said

    def _rest(self, key: Key, outcome: str, at: int) -> None:
        if outcome in RESTS:
            self._rests[key] = at + RESTS[outcome]

    def state(self) -> dict[str, Any]:
        return {
            "open": [[_kept(each), self._told.get(key, 0)] for key, each in self._open.items()],
            "ended": [_kept(each) for each in self._ended.values()],
            "rests": [[*key, until] for key, until in self._rests.items()],
            "news": [_kept(each) for each in self._news.values()],
            "refused": self.refused,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for facts, told in state["open"]:
            finding = Finding.of(facts)
            key = finding.detector, finding.terminal, finding.component
            self._open[key], self._ids[finding.id] = finding, key
            self._of_terminal.setdefault(finding.terminal, {})[key] = None
            if told:
                self._told[key] = int(told)
        self._ended = {each["id"]: Finding.of(each) for each in state["ended"]}
        self._rests = {(d, t, c): int(until) for d, t, c, until in state["rests"]}
        self._news = {each["id"]: Finding.of(each) for each in state["news"]}
        self.refused = int(state["refused"])


def _kept(finding: Finding) -> dict[str, Any]:
    """All of it, also what a record leaves out, so that it comes back as it was."""
    return {each.name: getattr(finding, each.name) for each in fields(finding)} | {
        "values": dict(finding.values),
        "record": asdict(finding.record) if finding.record is not None else None,
    }


def standing(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Those that count: open, and not demoted."""
    return (each for each in findings if each.status == OPEN and not each.demoted)
