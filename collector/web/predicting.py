"""What the console knows of the predictions beside the store: whether they are switched on, how far their process is, and the tables that they go by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tillwatch.collector.detect import runout, trend
from tillwatch.collector.predict.check import LATE_NS, QUIET_NS
from tillwatch.collector.predict.checkpoint import Status
from tillwatch.collector.predict.finding import ANOMALY, FAILURE, FAMILIES, RUNOUT, TREND, Finding, Record
from tillwatch.collector.predict.settings import DAY_NS, Tables, parse_tables

OFF, NEW, TROUBLE, STOPPED, STUCK, BEHIND, WELL = "off", "new", "trouble", "stopped", "stuck", "behind", "well"
READY, LEARNING, BY_RULE = "ready", "learning", "by_rule"
LEARNT = f"{FAILURE}/learnt"


@dataclass(frozen=True, slots=True)
class Predicting:
    """status: how far the process is, None where there never was one."""

    enabled: bool = True
    status: Callable[[], Status | None] = lambda: None
    tables: Tables = field(default_factory=parse_tables)


@dataclass(frozen=True, slots=True)
class HowFar:
    """state: OFF, NEW (nothing was read or said yet), TROUBLE, STOPPED, STUCK (it does not move any more), BEHIND (it catches up) or WELL. entries: of the log
    that are to be read yet; at: UTC ns, the journal's time that it has come to; lag_ns: how far that is behind the last entry.
    """

    state: str
    entries: int = 0
    at: int = 0
    lag_ns: int = 0
    looked_at: int = 0
    series: int = 0
    trouble: str = ""

    @property
    def stale(self) -> bool:
        """What is shown may no longer be so."""
        return self.state in {OFF, TROUBLE, STOPPED, STUCK, BEHIND}


def how_far(predicting: Predicting, head: int, last_at: int, said: tuple[int, int], now: int) -> HowFar:
    """head, last_at: the journal's last entry and its time, UTC ns; said: the entry that something was said for last, 0 for none, and when; now: UTC ns."""
    status = predicting.status()
    if not predicting.enabled:
        return HowFar(OFF, at=status.at if status else 0)
    if status is None:
        position, at = said
        return HowFar(STOPPED, head - position, at) if position else HowFar(NEW, head)
    entries = max(head, status.head) - status.position
    state = WELL
    if status.trouble:
        state = TROUBLE
    elif not status.process:
        state = STOPPED
    elif entries and now - status.looked_at > QUIET_NS:
        state = STUCK
    elif entries and last_at - status.at > LATE_NS:
        state = BEHIND
    lag = max(last_at - status.at, 0) if entries else 0
    return HowFar(state, entries, status.at, lag, status.looked_at, status.series, status.trouble)


@dataclass(frozen=True, slots=True)
class Learning:
    """How far one family is. state: READY, LEARNING (until `until`, UTC ns, at the earliest) or BY_RULE (a fixed rule, too few failures yet)."""

    family: str
    state: str
    since: int = 0
    until: int = 0


def learning(
    predicting: Predicting, since: int, records: Sequence[Record], findings: Sequence[Finding], now: int
) -> Iterator[Learning]:
    """since: UTC ns of the first terminal, 0 for none; records, findings: what is known of any."""
    needs = {ANOMALY: predicting.tables.learn_ns, TREND: trend.LEAST * DAY_NS, RUNOUT: runout.LEAST * DAY_NS}
    learnt = LEARNT in {each.detector for each in records} | {each.detector for each in findings}
    for family in FAMILIES:
        until = since + needs.get(family, 0) if since else 0
        if family == FAILURE:
            yield Learning(family, READY if learnt else BY_RULE, since)
        elif family in needs and (not since or now < until):
            yield Learning(family, LEARNING, since, until)
        else:
            yield Learning(family, READY, since)
