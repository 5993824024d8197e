"""What a terminal runs beside its own configuration, step by step. Pure: the memory goes in, the next one comes out; keeping.py makes each step
lasting before the world follows it, so that whatever ends the process in between, the next start finds one of these states.

    directive -> staged -> trying -> good
                   |          |
                refused   fallen-back        what was good before runs again

Whoever is on probation has one start. If that does not end in order, by whatever cause, it is over: the terminal cannot tell a power cut
from a bundle that takes the machine down, and the collector can send it again under a new number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tillwatch.agent.wire import Report, Running

MOST_STARTS = 5
"""Starts in a row that ended without a word, after which also a bundle that was good is given up: its probation cannot see what a device says once a
month. Power cuts of a bad week are fewer, each is followed by an hour without one."""
UNSETTLED = "it ended without a word: killed, out of memory, hung, or the power was cut"


@dataclass(frozen=True, slots=True)
class Kept:
    """A bundle that is on this disk. digest: SHA-256 of its packed content."""

    number: int
    name: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Before:
    """What held when a bundle was taken. yields: values of the last poll of each source that answered; rss: bytes, 0 where it cannot be told."""

    yields: Mapping[str, int] = field(default_factory=dict)
    rss: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """mark: the highest number ever taken. good: None runs the terminal's own configuration alone. checked: whether the candidate is on probation.
    starts: in a row that have not ended in order. outcome, words: of directive `mark`, empty before the first.
    """

    mark: int = 0
    good: Kept | None = None
    candidate: Kept | None = None
    checked: bool = False
    starts: int = 0
    before: Before = field(default_factory=Before)
    outcome: str = ""
    words: str = ""

    @property
    def runs(self) -> Kept | None:
        """What runs, or is to be run by the next start."""
        return self.candidate if self.checked else self.good

    def report(self) -> Report:
        trying = self.candidate is not None and self.checked
        state = Running.TRYING if trying else Running(self.outcome or Running.NONE)
        kept = self.runs
        shown = (kept.digest.hex(), kept.name) if kept is not None else ("", "")
        return Report(self.mark, state, *shown, "" if trying else self.words)


def take(memory: Memory, kept: Kept | None, number: int) -> Memory:
    """A directive that is newer than all before; kept: None for its own configuration alone. What is good already, or is nothing, needs no probation."""
    assert number > memory.mark
    if kept is None or (memory.good is not None and kept.digest == memory.good.digest):
        return replace(_over(memory, Running.GOOD, ""), mark=number, good=kept)
    return replace(memory, mark=number, candidate=kept, checked=False, outcome=Running.NONE.value, words="")


def checked(memory: Memory, wrong: str, before: Before) -> Memory:
    """The candidate was looked at in a process of its own. wrong: empty where it can be run."""
    assert memory.candidate is not None
    if wrong:
        return _over(memory, Running.REFUSED, wrong)
    return replace(memory, checked=True, starts=0, before=before)


def start(memory: Memory) -> Memory:
    """Before anything of a bundle is used by a process that is to run it."""
    if memory.candidate is not None and memory.checked and memory.starts:
        memory = _over(memory, Running.FALLEN_BACK, UNSETTLED)
    elif memory.starts >= MOST_STARTS:
        memory = replace(_over(memory, Running.FALLEN_BACK, f"{memory.starts} times {UNSETTLED}"), good=None)
    return replace(memory, starts=memory.starts + 1) if memory.runs is not None else memory


def unusable(memory: Memory, why: str) -> Memory:
    """What `runs` cannot be used: damaged on the disk, or at odds with this version of the agent."""
    fallen = _over(memory, Running.FALLEN_BACK, why)
    return fallen if memory.checked else replace(fallen, good=None)


def passed(memory: Memory) -> Memory:
    assert memory.candidate is not None
    return replace(_over(memory, Running.GOOD, ""), good=memory.candidate)


def failed(memory: Memory, why: str) -> Memory:
    assert memory.candidate is not None
    return _over(memory, Running.FALLEN_BACK, why)


def settled(memory: Memory) -> Memory:
    """The process ends in order, or has run for long enough."""
    return replace(memory, starts=0) if memory.starts else memory


def _over(memory: Memory, outcome: Running, words: str) -> Memory:
    return replace(memory, candidate=None, checked=False, starts=0, before=Before(), outcome=outcome.value, words=words)
