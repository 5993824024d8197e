"""What runs out and what drifts, to which limit and how far ahead it is told. watched.toml is shipped; one file of the bank may change every entry by its id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.detect.sensed import Sensed
from tillwatch.collector.predict.tables import AGGREGATES, Entry, TableError, read_table, shipped_text

FILE = "watched.toml"
KEYS = (
    "signal", "component", "kind", "direction", "limit", "rule", "level", "whole", "share", "of", "low", "out", "unclear", "horizon", "lead", "text",
)  # fmt: skip
KINDS = ("trend", "runout", "sensor")
DIRECTIONS = ("up", "down")


@dataclass(frozen=True, slots=True)
class Watched:
    """One entry. rising: the limit lies above; limit: in the signal's unit, or, with share, of what `whole` says; None where `rule` has it, at `level` (0: its
    gravest); sensed: words of a sensor, None for the other kinds; horizon, lead: days; the rest as watched.toml says.
    """

    id: str
    signals: tuple[str, ...]
    component: re.Pattern[str] | None
    kind: str
    rising: bool
    limit: float | None
    rule: str
    level: int
    whole: str
    share: bool
    of: str
    sensed: Sensed | None
    horizon: float
    lead: float
    text_en: str
    text_zh: str

    def about(self, component: str) -> bool:
        """Whether it is about such a component."""
        return self.component is None or self.component.match(component) is not None

    def limit_at(self, rules: Rules, whole: float | None = None) -> float | None:
        """The limit in the signal's unit; None where it cannot be known: `whole` was not told, or the bank does without the rule."""
        if self.limit is not None:
            if not self.share:
                return self.limit
            return self.limit * whole if whole else None
        rule = rules.by_id.get(self.rule)
        steps = () if rule is None else rule.limits.above if self.rising else rule.limits.below
        fitting = [step for step in steps if self.level in {0, step.level}]
        return min(fitting, key=lambda step: step.level).limit if fitting else None

    def room(self, value: float, limit: float) -> float:
        """Of a run-out: units left until the limit, which is what `runout.put` takes as its level."""
        return max(limit - value if self.rising else value - limit, 0.0)


@dataclass(frozen=True, slots=True)
class Watch:
    """All entries, by id and by signal."""

    by_id: dict[str, Watched]
    by_signal: dict[str, tuple[Watched, ...]]

    def of(self, signal: str, component: str) -> tuple[Watched, ...]:
        """What is watched of a signal of a component."""
        return tuple(each for each in self.by_signal.get(signal, ()) if each.about(component))


@lru_cache(maxsize=2)
def parse_watched(site: str = "", site_name: str = "site watched", shipped: str | None = None) -> Watch:
    """The shipped table with a bank's own laid over it, key by key. site: its text. Raises TableError."""
    own = (site_name, site) if site.strip() else None
    entries = read_table("watched", KEYS, (FILE, shipped if shipped is not None else shipped_text(FILE)), own)
    by_id = {entry.id: _watched(entry) for entry in entries}
    by_signal: dict[str, tuple[Watched, ...]] = {}
    for each in by_id.values():
        for signal in each.signals:
            by_signal[signal] = (*by_signal.get(signal, ()), each)
    return Watch(by_id, by_signal)


def check_rules(watch: Watch, rules: Rules) -> None:
    """Raises TableError where an entry names a rule that has no limit of its direction. A rule that the bank switched off is no mistake."""
    for each in watch.by_id.values():
        if each.rule in rules.by_id and each.limit_at(rules) is None:
            side = "above" if each.rising else "below"
            msg = f"[[watched]] {each.id}, rule: {each.rule} has no limit {side}; name another rule, or write limit = a number"
            raise TableError(msg)


def _watched(entry: Entry) -> Watched:
    kind = entry.choice("kind", KINDS)
    signals = entry.texts("signal")
    if not signals:
        entry.wrong("signal", 'is missing; add signal = "a name of the catalogue"')
    sensor = kind == "sensor"
    text_en, text_zh = entry.both("text")
    limited = "limit" in entry.keys
    if not sensor and limited == ("rule" in entry.keys):
        entry.wrong("limit", "write either limit = a number, or rule = the id of an alarm rule that has one")
    share, whole = entry.flag("share"), entry.text("whole", "")
    if share and not (whole and limited):
        entry.wrong("share", "a share needs limit, and whole: the signal that it is a share of")
    level = entry.number("level", 0)
    if level not in {0, 1, 2, 3}:
        entry.wrong("level", "is 1, 2 or 3: which of the rule's limits is meant")
    horizon, lead = entry.number("horizon"), entry.number("lead")
    if lead > horizon:
        entry.wrong(
            "lead", f"planning takes {lead:g} days, but it is told only {horizon:g} days ahead; lengthen the horizon"
        )
    return Watched(
        id=entry.id,
        signals=signals,
        component=entry.globs("component"),
        kind=kind,
        rising=not sensor and entry.choice("direction", DIRECTIONS) == "up",
        limit=entry.number("limit", least=float("-inf")) if limited else None,
        rule=entry.text("rule", ""),
        level=int(level),
        whole=whole,
        share=share,
        of=entry.choice("of", AGGREGATES, "last"),
        sensed=_sensed(entry) if sensor else None,
        horizon=horizon,
        lead=lead,
        text_en=text_en,
        text_zh=text_zh,
    )


def _sensed(entry: Entry) -> Sensed:
    low, out = entry.texts("low"), entry.texts("out")
    if not low or not out or set(low) & set(out):
        entry.wrong("low", "a sensor needs the words that mean low and those that mean out, and none of them twice")
    return Sensed(low, out, entry.texts("unclear"))
