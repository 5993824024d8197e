"""The tables of the predictions: what ships with what a site says laid over it, key by key. Everything that the engine is told stands here, parsed once."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from importlib.resources import files
from typing import Any

from tillwatch.agent.wire import LEAST_PACE, MOST_PACE, USUAL_PACE
from tillwatch.collector.alarm.rules import Rules, parse_rules
from tillwatch.collector.predict.finding import FAMILIES, GRADES, HIGH, LOW, MEDIUM
from tillwatch.collector.predict.lives import Lives, parse_lives
from tillwatch.collector.predict.watched import Watch, check_rules, parse_watched
from tillwatch.collector.values import duration
from tillwatch.device_profiles.catalogue import kept_catalogue
from tillwatch.device_profiles.model import Kind

NS = 10**9
DAY_NS = 86_400 * NS
YEAR_DAYS = 365.25
FILE = "predictions.toml"

MAX_FALSE_ALARMS = 12.0
"""A terminal and year: who accepts more than one false finding a month reads none of them."""


class TablesError(ValueError):
    """The tables cannot be used. The text names the table, the key and what to write."""


@dataclass(frozen=True, slots=True)
class GradeTable:
    """medium, high: scores from which; ease: share below that, from which it is left; hold_ns: not before; routine: share of a run-out that counts; fault: what a hard fault adds, fading by
    half in fade_ns; overdue, age (a year): likewise.
    """

    medium: float
    high: float
    ease: float
    hold_ns: int
    routine: float
    fault: float
    fade_ns: int
    overdue: float
    age: float


@dataclass(frozen=True, slots=True)
class Tables:
    """counters: signals of the catalogue that count, gauges: those that measure; unjudged: those of them in which nothing is unusual; compared: those whose days
    are compared with their own past; words: states and texts
    that lives and watched values ask for; units: of the catalogue. Lengths in ns. anomaly_budget, failure_budget: false findings a
    terminal and year. floor, trust: by family; prior: judged findings that trust stands for; pace, inspect_ns: by grade; efforts: (pattern of the kind,
    minutes), the first that fits. digest: of the text that they were read from.
    """

    gauges: frozenset[str]
    counters: frozenset[str]
    unjudged: frozenset[str]
    compared: frozenset[str]
    words: frozenset[str]
    units: Mapping[str, str]
    horizon_ns: int
    soon_ns: int
    grace_ns: int
    anomaly_budget: float
    learn_ns: int
    hold_ns: int
    failure_budget: float
    floor: Mapping[str, float]
    trust: Mapping[str, float]
    prior: float
    grade: GradeTable
    pace: Mapping[str, float]
    inspect_ns: Mapping[str, int]
    visit_min: int
    effort_min: int
    efforts: tuple[tuple[str, int], ...]
    lives: Lives
    watch: Watch
    rules: Rules = field(repr=False)
    digest: str = field(default="", compare=False)

    def effort(self, kind: str) -> int:
        """Minutes of work on a part of this kind, without the way."""
        return next(
            (minutes for pattern, minutes in self.efforts if fnmatchcase(kind.lower(), pattern)), self.effort_min
        )

    @property
    def horizon_days(self) -> float:
        return self.horizon_ns / DAY_NS


def shipped_text() -> str:
    return (files("tillwatch.collector.predict") / FILE).read_text(encoding="utf-8")


def parse_tables(site: str = "", *, lives: str = "", watched: str = "", rules: Rules | None = None) -> Tables:
    """site, lives, watched: TOML texts of a bank's own, of the form of the shipped files; rules: in force, whose limits are those of the trends. Raises
    TablesError, and TableError for lives and watched.
    """
    shipped = shipped_text()
    merged = _merge(_toml(shipped, "shipped predictions"), _toml(site, "site predictions"), "site predictions")
    read = _Read(merged)
    ignored = merged["watch"]["ignore"]
    if not isinstance(ignored, list) or not all(isinstance(each, str) for each in ignored):
        raise TablesError(
            "predictions, [watch] ignore: write a list of names of signals, in which * stands for anything"
        )
    signals = kept_catalogue().signals
    rated, watch, in_force = parse_lives(lives), parse_watched(watched), rules or parse_rules()
    check_rules(watch, in_force)
    needed = _needed(rated, watch)
    gauges = _chosen([n for n, s in signals.items() if s.kind is Kind.GAUGE], ignored, needed)
    counters = _chosen([n for n, s in signals.items() if s.kind is Kind.COUNTER], ignored, needed)
    grade = GradeTable(
        medium=read.number("grade", "medium", 0.01, 10),
        high=read.number("grade", "high", 0.01, 10),
        ease=read.number("grade", "ease", 0, 0.9),
        hold_ns=read.length("grade", "hold"),
        routine=read.number("grade", "routine", 0, 1),
        fault=read.number("grade", "fault", 0, 1),
        fade_ns=read.length("grade", "fade"),
        overdue=read.number("grade", "overdue", 0, 1),
        age=read.number("grade", "age", 0, 1),
    )
    if grade.high <= grade.medium:
        raise TablesError(
            "predictions, [grade]: high is where the score is above that of medium; write a larger number"
        )
    efforts = merged["effort"]["kinds"]
    return Tables(
        gauges=gauges,
        counters=counters,
        unjudged=frozenset(name for name in gauges | counters if _fits(name, ignored)),
        compared=frozenset(name for name in gauges | counters if not _fits(name, ignored)),
        words=frozenset(n for n, s in signals.items() if n in needed and s.kind in {Kind.STATE, Kind.TEXT}),
        units={name: signals[name].unit for name in gauges | counters},
        horizon_ns=read.length("horizon", "look"),
        soon_ns=read.length("horizon", "soon"),
        grace_ns=read.length("horizon", "grace"),
        anomaly_budget=read.number("anomaly", "false_alarms", 0.001, MAX_FALSE_ALARMS),
        learn_ns=read.length("anomaly", "learn"),
        hold_ns=read.length("anomaly", "hold"),
        failure_budget=read.number("failure", "false_alarms", 0.001, MAX_FALSE_ALARMS),
        floor={family: read.number("floor", family, 0, 1) for family in FAMILIES},
        trust={family: read.number("trust", family, 0, 1) for family in FAMILIES},
        prior=read.number("trust", "prior", 0, 1000),
        grade=grade,
        pace={each: read.number("pace", each, LEAST_PACE / USUAL_PACE, MOST_PACE / USUAL_PACE) for each in GRADES},
        inspect_ns={each: read.length("inspect", each) for each in (LOW, MEDIUM, HIGH)},
        visit_min=round(read.number("effort", "visit", 0, 600)),
        effort_min=round(read.number("effort", "default", 1, 600)),
        efforts=tuple((kind.lower(), round(read.of(efforts[kind], "effort.kinds", kind, 1, 600))) for kind in efforts),
        lives=rated,
        watch=watch,
        rules=in_force,
        digest=sha256("\n".join((shipped, site, lives, watched)).encode()).hexdigest()[:12],
    )


MODEL = "identity.model"


def life_signals(lives: Lives) -> frozenset[str]:
    """Signals that wear asks for."""
    needed = {MODEL}
    for life in lives.by_id.values():
        needed.update(life.signals, life.temperature, filter(None, (life.replaced, life.serial)))
        if life.step is not None:
            needed.add(life.step.signal)
    return frozenset(needed)


def _needed(lives: Lives, watch: Watch) -> frozenset[str]:
    """Signals that wear, trends and run-outs ask for."""
    needed = set(life_signals(lives))
    for each in watch.by_id.values():
        needed.update(each.signals, filter(None, (each.whole,)))
    return frozenset(needed)


def _fits(name: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(name, each) for each in patterns)


def _chosen(names: Collection[str], ignored: Collection[str], needed: Collection[str]) -> frozenset[str]:
    return frozenset(name for name in names if name in needed or not _fits(name, ignored))


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TablesError(f"{where}: {error}") from None


def _merge(base: Mapping[str, Any], own: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A table is merged with its namesake, anything else takes its place; only [effort.kinds] takes keys that are not shipped."""
    merged = dict(base)
    free = where.endswith("kinds")
    for key, value in own.items():
        if key not in base and not free:
            raise TablesError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(base))}")
        if isinstance(base.get(key), Mapping) != isinstance(value, Mapping):
            raise TablesError(f"{where}: {key!r} is {'a table' if isinstance(base.get(key), Mapping) else 'no table'}")
        merged[key] = _merge(base[key], value, f"{where}, {key}") if isinstance(value, Mapping) else value
    if free:
        merged = {
            **own,
            **{key: merged[key] for key in base if key not in own},
        }  # a site's own patterns are asked first
    return merged


@dataclass(frozen=True, slots=True)
class _Read:
    table: Mapping[str, Any]

    def number(self, section: str, key: str, least: float, most: float) -> float:
        return self.of(self.table[section][key], section, key, least, most)

    def of(self, value: object, section: str, key: str, least: float, most: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise TablesError(f"predictions, [{section}] {key}: {value!r} is no number from {least:g} to {most:g}")
        return float(value)

    def length(self, section: str, key: str) -> int:
        try:
            length = round(duration(self.table[section][key]) * NS)
        except ValueError as error:
            raise TablesError(f"predictions, [{section}] {key}: {error}") from None
        if length <= 0:
            raise TablesError(f"predictions, [{section}] {key}: write a length that is more than nothing")
        return length
