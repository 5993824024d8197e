"""Rated lives of wear parts: which signal tells what is consumed, how much such a part is made for, and on whose word. lives.toml is shipped; one file of the
bank may change every figure by its id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tillwatch.collector.detect.rating import Rating, Stress, bounds
from tillwatch.collector.predict.tables import AGGREGATES, Entry, read_table, shipped_text

FILE = "lives.toml"
KEYS = (
    "part", "title", "words", "signal", "component", "model", "source", "counts", "left", "runs", "rated", "range", "unit", "stress", "temperature",
    "replaced", "serial", "step", "lead", "purpose", "evidence", "confidence",
)  # fmt: skip
SOURCES = ("counter", "hours", "calendar", "device_percent")
COUNTS = ("life", "service", "watched")
PURPOSES = ("replace", "service")
CONFIDENCE = ("doc", "assumed")
IN_DAYS = {"d": 1.0, "years": 365.25}
"""Units of a calendar life."""
LEAD = 30.0
"""Days in which a replacement is planned, where an entry says nothing else."""


@dataclass(frozen=True, slots=True)
class Step:
    """The step of a signal that a new part makes. of: which of the day's readings is looked at: the runtime of a UPS is that of a day's fullest battery; up:
    whether new is high; by: units, or, where relative, a share of the usual level.
    """

    signal: str
    of: str
    up: bool
    by: float
    relative: bool


@dataclass(frozen=True, slots=True)
class RatedLife:
    """One entry. rating: its figures, in counts, hours, days or (device_percent) as a share of 1; unit: as the table says it; the rest as lives.toml says."""

    id: str
    part: str
    title_en: str
    title_zh: str
    words: tuple[str, ...]
    signals: tuple[str, ...]
    component: re.Pattern[str] | None
    model: re.Pattern[str] | None
    rating: Rating
    unit: str
    counts: str
    left: bool
    runs: tuple[str, ...]
    temperature: tuple[str, ...]
    replaced: str
    serial: str
    step: Step | None
    lead: float
    purpose: str

    def about(self, component: str, model: str) -> bool:
        """Whether it is about such a component of a device of such a model (empty: not known)."""
        return (self.component is None or self.component.match(component) is not None) and (
            self.model is None or self.model.match(model) is not None
        )

    def running(self, value: float | str) -> bool:
        """Of a life in hours that no counter counts: whether the part runs while its signal says so: it turns, or says one of `runs`."""
        return value in self.runs if isinstance(value, str) else value > 0

    def share(self, percent: float) -> float:
        """Of a device_percent signal: the used share."""
        return (100.0 - percent if self.left else percent) / 100.0


@dataclass(frozen=True, slots=True)
class Lives:
    """All entries, by id."""

    by_id: dict[str, RatedLife]
    by_signal: dict[str, tuple[RatedLife, ...]]

    def of(self, signal: str, component: str, model: str = "") -> tuple[RatedLife, ...]:
        """The lives that a signal of a component tells of. One with a model that fits stands in place of those of the same part without one."""
        found = [each for each in self.by_signal.get(signal, ()) if each.about(component, model)]
        special = {each.part for each in found if each.model is not None}
        return tuple(each for each in found if each.model is not None or each.part not in special)


def strongest(lives: tuple[RatedLife, ...]) -> tuple[RatedLife, ...]:
    """Of the lives that a component has: what the device itself says of a part beats every figure of a data sheet for it."""
    told = {each.part for each in lives if each.rating.source == "device_percent"}
    return tuple(each for each in lives if each.part not in told or each.rating.source == "device_percent")


@lru_cache(maxsize=2)
def parse_lives(site: str = "", site_name: str = "site lives", shipped: str | None = None) -> Lives:
    """The shipped table with a bank's own laid over it, key by key. site: its text. Raises TableError."""
    own = (site_name, site) if site.strip() else None
    entries = read_table("life", KEYS, (FILE, shipped if shipped is not None else shipped_text(FILE)), own)
    by_id = {entry.id: _life(entry) for entry in entries}
    by_signal: dict[str, tuple[RatedLife, ...]] = {}
    for life in by_id.values():
        for signal in life.signals:
            by_signal[signal] = (*by_signal.get(signal, ()), life)
    return Lives(by_id, by_signal)


def _life(entry: Entry) -> RatedLife:
    title_en, title_zh = entry.both("title")
    source = entry.choice("source", SOURCES)
    unit = entry.text("unit", "")
    signals = entry.texts("signal")
    if not signals:
        entry.wrong("signal", 'is missing; add signal = "a name of the catalogue"')
    return RatedLife(
        id=entry.id,
        part=entry.text("part"),
        title_en=title_en,
        title_zh=title_zh,
        words=entry.texts("words"),
        signals=signals,
        component=entry.globs("component"),
        model=entry.globs("model"),
        rating=_rating(entry, source, unit),
        unit=unit,
        counts=entry.choice("counts", COUNTS, "life"),
        left=entry.flag("left"),
        runs=entry.texts("runs"),
        temperature=entry.texts("temperature"),
        replaced=entry.text("replaced", ""),
        serial=entry.text("serial", ""),
        step=_step(entry),
        lead=entry.number("lead", LEAD),
        purpose=entry.choice("purpose", PURPOSES, "replace"),
    )


def _rating(entry: Entry, source: str, unit: str) -> Rating:
    rated = entry.number("rated", 0.0)
    scale = 0.01 if source == "device_percent" else 1.0
    if source == "calendar" and rated:
        if unit not in IN_DAYS:
            entry.wrong("unit", f"{unit!r} is no unit of a calendar life; write one of {', '.join(IN_DAYS)}")
        scale = IN_DAYS[unit]
    if source == "hours" and unit != "h":
        entry.wrong("unit", f'{unit!r}: hours of operation are in "h"')
    if source == "device_percent" and rated != 100:
        entry.wrong("rated", "what the device says is of 100 %; write rated = 100")
    assumed = entry.choice("confidence", CONFIDENCE) == "assumed"
    evidence = entry.text("evidence")
    said = _range(entry, rated) or ((rated, rated) if source == "device_percent" else None)
    least, most = bounds(rated, assumed=assumed, said=said)
    return Rating(entry.id, source, rated * scale, least * scale, most * scale, _stress(entry), assumed, evidence)


def _range(entry: Entry, rated: float) -> tuple[float, float] | None:
    value = entry.keys.get("range")
    if value is None:
        return None
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
        or not 0 < value[0] <= rated <= value[1]
    ):
        entry.wrong("range", f"{value!r} is not the least and the most around rated ({rated:g}); write range = [3, 5]")
    return float(value[0]), float(value[1])


def _table(entry: Entry, key: str, needed: set[str], optional: set[str], shape: str) -> dict[str, object] | None:
    value = entry.keys.get(key)
    if value is None:
        return None
    if not isinstance(value, dict) or not needed <= set(value) <= needed | optional:
        entry.wrong(key, f"write {key} = {shape}")
    return value


def _stress(entry: Entry) -> Stress | None:
    shape = '{ kind = "arrhenius", ref_c = 25, halve_every_k = 10, least = 1 }'
    value = _table(entry, "stress", {"kind", "ref_c", "halve_every_k"}, {"least"}, shape)
    if value is None:
        return None
    numbers = [value["ref_c"], value["halve_every_k"], value.get("least", 0.0)]
    ref, halve, least = (each if isinstance(each, int | float) else float("nan") for each in numbers)
    if value["kind"] != "arrhenius" or not (-40 <= ref <= 125 and halve > 0 and 0 <= least <= 1):
        entry.wrong("stress", f"write stress = {shape}, halve_every_k above 0 and least from 0 to 1")
    return Stress(float(ref), float(halve), float(least))


def _step(entry: Entry) -> Step | None:
    shape = '{ signal = "ups.battery.runtime", of = "max", up = true, by_share = 0.3 }, or by = 10 in units'
    value = _table(entry, "step", {"signal", "of", "up"}, {"by", "by_share"}, shape)
    if value is None:
        return None
    relative = "by_share" in value
    by = value.get("by_share" if relative else "by")
    signal, of, up = value["signal"], value["of"], value["up"]
    if (
        not isinstance(signal, str)
        or not isinstance(of, str)
        or of not in AGGREGATES
        or not isinstance(up, bool)
        or ("by" in value) == relative
        or not isinstance(by, int | float)
        or not by > 0
    ):
        entry.wrong("step", f"write step = {shape}; of is one of {', '.join(AGGREGATES)}")
    return Step(signal, of, up, float(by), relative)
