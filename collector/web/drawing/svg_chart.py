"""One signal over time as a small SVG that stands alone: in a ticket, a mail, a browser without scripts. Pure: the same readings give the same bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from html import escape
from typing import NamedTuple, TypeGuard
from unicodedata import east_asian_width

from tillwatch.collector.read import History, Point
from tillwatch.collector.web.drawing.series import gap_after, gaps, thin
from tillwatch.collector.web.messages import Text

WIDTH, HEIGHT = 480, 160
LEFT, RIGHT, TOP, BOTTOM = 48, 470, 24, 136
"""Of the field that is drawn in."""
MAX_DRAWN = RIGHT - LEFT
"""Points: more than one for a pixel shows nothing more. Extremes are kept as a band."""
MAX_LIMITS = 4
"""Limit lines, the gravest: more hide what they limit."""
MAX_HEADING = 48
"""Columns that fit above the field beside the day; a Chinese character takes two."""
MAX_UNIT = 12
"""Characters: a unit is a symbol. What is longer is none, and must not push the day aside."""
SYMBOLS = {"C": "°C", "ohm": "Ω"}
"""Units of the catalogue that people write otherwise; as in console.js."""
MAX_SIZE, MIN_SPAN = 1e300, 1e-200
"""Of numbers that are drawn: beyond these their differences are none in floating point. No sensor means them."""

_NOT_XML = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, section 2.2."""
_STEPS = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400)
"""Seconds between two marks of the time axis; past these whole months."""
_MONTH_S = 30 * 86_400
_MARKS = 6
_SI = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


class Colours(NamedTuple):
    """paper, ink, faint (words beside), frame, grid, gap, band (of extremes), line, limit, usual (what is usual), ahead (what is foretold)."""

    paper: str = "#fff"
    ink: str = ""
    faint: str = "#667"
    frame: str = "#99a"
    grid: str = "#e3e6ee"
    gap: str = "#eceef3"
    band: str = "#bcd3ee"
    line: str = "#1c5fa8"
    limit: str = "#b3261e"
    usual: str = "#e4f3e9"
    ahead: str = "#8a4b00"


LIGHT = Colours()
"""For paper and mail."""
DARK = Colours(
    "#161c23", "#e6ebf0", "#a5b2bf", "#6b7987", "#2c3640", "#232b34", "#27496a", "#74b9f5", "#ff9a9a", "#10301f", "#ffc861"
)  # fmt: skip


class Foretold(NamedTuple):
    """What is drawn of a finding. now: UTC ns; due: near end, most likely, far end, None where no date is said; limit: that it leads to; usual: least and
    most of what is usual.
    """

    now: int
    due: tuple[int, int, int] | None = None
    limit: float | None = None
    usual: tuple[float, float] | None = None


def draw(
    history: History, start: int, end: int, interval_s: float, limits: Sequence[float], zone: tzinfo, text: Text,
    foretold: Foretold | None = None, colours: Colours = LIGHT,
) -> str:  # fmt: skip
    """The chart. start, end: UTC ns, what the axis spans; interval_s: between two readings, 0 where it is not known; limits: of the rules, the gravest
    first; zone: of the times. Words cannot be drawn, and say so.
    """
    drawn, _ = thin(history, MAX_DRAWN)
    numbers = [point for point in drawn.points if drawable(point.value)]
    unit = f" ({SYMBOLS.get(history.unit, history.unit)[:MAX_UNIT]})" if history.unit else ""
    heading = f"{history.terminal} {history.component} {history.signal}"
    heading = _fitted(heading, MAX_HEADING - len(unit)) + unit
    parts = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{colours.paper}"/>',
        f'<text x="6" y="15" font-weight="bold">{_escaped(heading)}</text>',
        f'<text x="{RIGHT}" y="15" text-anchor="end" fill="{colours.faint}">{_escaped(_offset(end, zone))}</text>',
        f'<rect x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}" fill="none" stroke="{colours.frame}"/>',
    ]
    parts += _time_axis(start, end, zone, colours)
    if numbers:
        parts += _drawn(drawn, numbers, start, end, interval_s, limits[:MAX_LIMITS], text, foretold, colours)
    else:
        words = any(isinstance(point.value, str) for point in drawn.points)
        said = text("chart.no_numbers") if words else text("chart.no_readings")
        parts.append(
            f'<text x="{(LEFT + RIGHT) // 2}" y="84" text-anchor="middle" fill="{colours.faint}">{_escaped(said)}</text>'
        )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="11"{_ink(colours)} role="img">\n<title>{_escaped(heading)}</title>\n{body}\n</svg>\n'
    )


def _ink(colours: Colours) -> str:
    return f' fill="{colours.ink}"' if colours.ink else ""


def _drawn(
    drawn: History, numbers: Sequence[Point], start: int, end: int, interval_s: float, limits: Sequence[float],
    text: Text, foretold: Foretold | None, colours: Colours,
) -> Iterator[str]:  # fmt: skip
    """The values' axis, the gaps, the band of extremes, the line, the limits."""
    ends = [float(each) for point in numbers for each in (point.least, point.most, point.value) if drawable(each)]
    usual = foretold.usual if foretold is not None and foretold.usual is not None else ()
    low, high = min(*ends, *limits, *usual, ends[0]), max(*ends, *limits, *usual, ends[0])
    size = max(abs(low), abs(high))
    # What does not change has a place all the same, and so has what changes by less than the numbers can tell.
    margin = (high - low) * 0.06 if high - low > max(size * 1e-9, MIN_SPAN) else size * 0.1
    low, high = (low - margin, high + margin) if margin > MIN_SPAN else (-1.0, 1.0)

    def x(at: int) -> float:
        return round(LEFT + (at - start) / (end - start) * (RIGHT - LEFT), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP), 1)

    if usual:
        yield f'<rect x="{LEFT}" y="{y(usual[1])}" width="{RIGHT - LEFT}" height="{max(y(usual[0]) - y(usual[1]), 1):g}" fill="{colours.usual}"/>'
    for value in _ticks(low, high):
        yield f'<path d="M{LEFT} {y(value)}H{RIGHT}" stroke="{colours.grid}"/>'
        yield f'<text x="{LEFT - 4}" y="{y(value) + 4:g}" text-anchor="end">{_short(value)}</text>'
    holes = gaps(drawn.points, gap_after(drawn, interval_s))
    for since, until in holes:
        yield f'<rect x="{x(since)}" y="{TOP}" width="{x(until) - x(since):g}" height="{BOTTOM - TOP}" fill="{colours.gap}"/>'
    for run in _runs(numbers, [since for since, _ in holes]):
        if any(_or(point.least, point) < _or(point.most, point) for point in run):
            upper = [f"{x(point.at)} {y(_or(point.most, point))}" for point in run]
            lower = [f"{x(point.at)} {y(_or(point.least, point))}" for point in reversed(run)]
            yield f'<path d="M{"L".join([*upper, *lower])}Z" fill="{colours.band}"/>'
        line = "L".join(f"{x(point.at)} {y(_value(point))}" for point in run)
        # A reading between two gaps is a dot: a line of one point has no length.
        yield f'<path d="M{line}{"h0.1" if len(run) == 1 else ""}" fill="none" stroke="{colours.line}" stroke-width="{3 if len(run) == 1 else 1.5}" stroke-linecap="round"/>'
    for limit in limits:
        yield f'<path d="M{LEFT} {y(limit)}H{RIGHT}" stroke="{colours.limit}" stroke-dasharray="5 3"/>'
        place = y(limit) - 3 if y(limit) > TOP + 14 else y(limit) + 11
        yield f'<text x="{RIGHT - 4}" y="{place:g}" text-anchor="end" fill="{colours.limit}" stroke="{colours.paper}" stroke-width="3" paint-order="stroke">{_short(limit)}</text>'
    if foretold is not None:
        last = numbers[-1]
        yield from _ahead(foretold, (x(last.at), y(_value(last))), x, y, end, text, colours)


def _ahead(
    foretold: Foretold, last: tuple[float, float], x: Callable[[int], float], y: Callable[[float], float], end: int, text: Text,
    colours: Colours,
) -> Iterator[str]:  # fmt: skip
    """Today, the range of dates, and the way from the last reading to where it leads."""
    today = x(min(foretold.now, end))
    yield f'<path d="M{today} {TOP}V{BOTTOM}" stroke="{colours.faint}" stroke-dasharray="2 3"/>'
    if foretold.now < end:
        aside, anchor = (today + 3, "start") if today < RIGHT - LEFT else (today - 3, "end")
        yield f'<text x="{aside:g}" y="{BOTTOM - 5}" text-anchor="{anchor}" fill="{colours.faint}" stroke="{colours.paper}" stroke-width="3" paint-order="stroke">{_escaped(text("chart.today"))}</text>'
    if foretold.due is None:
        return
    near, likely, far = (x(min(max(each, foretold.now), end)) for each in foretold.due)
    yield f'<rect x="{near}" y="{TOP}" width="{max(far - near, 1):g}" height="{BOTTOM - TOP}" fill="{colours.ahead}" fill-opacity="0.14"/>'
    if foretold.limit is not None:
        goal = y(foretold.limit)
        yield f'<path d="M{last[0]} {last[1]}L{near} {goal}H{far}Z" fill="{colours.ahead}" fill-opacity="0.22"/>'
        yield f'<path d="M{last[0]} {last[1]}L{likely} {goal}" stroke="{colours.ahead}" stroke-dasharray="4 3" fill="none"/>'
        yield f'<circle cx="{likely}" cy="{goal}" r="3.5" fill="{colours.ahead}"/>'
    else:
        yield f'<path d="M{likely} {TOP}V{BOTTOM}" stroke="{colours.ahead}" stroke-dasharray="4 3"/>'


def _runs(points: Sequence[Point], breaks: Sequence[int]) -> Iterator[list[Point]]:
    """Stretches without a gap."""
    run: list[Point] = []
    ends = set(breaks)
    for point in points:
        run.append(point)
        if point.at in ends:
            yield run
            run = []
    if run:
        yield run


def _value(point: Point) -> float:
    assert isinstance(point.value, int | float)
    return float(point.value)


def drawable(value: object) -> TypeGuard[int | float]:
    """A number that the axis can be divided for."""
    return isinstance(value, int | float) and abs(value) <= MAX_SIZE


def _or(extreme: float | None, point: Point) -> float:
    return float(extreme) if drawable(extreme) else _value(point)


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers."""
    raw = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step)
    return [float(f"{k * step:.12g}") for k in range(first, math.floor(high / step) + 1)]


def _short(value: float) -> str:
    for name, size in _SI:
        if abs(value) >= max(size, 1e4):
            return f"{value / size:.4g}{name}"
    return f"{value:.4g}"


def _time_axis(start: int, end: int, zone: tzinfo, colours: Colours) -> Iterator[str]:
    span = (end - start) / 10**9
    step = next((each for each in _STEPS if span / each <= _MARKS), 0)
    form = "%Y-%m" if not step else "%m-%d" if step >= 86_400 else "%H:%M"
    for at in _marks(start, end, step, zone):
        place = round(LEFT + (at * 10**9 - start) / (end - start) * (RIGHT - LEFT), 1)
        yield f'<path d="M{place} {BOTTOM}v4" stroke="{colours.frame}"/>'
        label = datetime.fromtimestamp(at, UTC).astimezone(zone).strftime(form)
        yield f'<text x="{place}" y="{BOTTOM + 15}" text-anchor="middle">{label}</text>'


def _marks(start: int, end: int, step: int, zone: tzinfo) -> Iterator[int]:
    """Unix seconds at round local times. step: 0 for first days of months."""
    first = datetime.fromtimestamp(start // 10**9, UTC).astimezone(zone)
    at = first.replace(hour=0, minute=0, second=0, tzinfo=None)
    months = max(1, math.ceil((end - start) / 10**9 / _MONTH_S / _MARKS))
    if not step:
        at = at.replace(day=1)
    while (moment := int(at.replace(tzinfo=zone).timestamp())) * 10**9 <= end:
        if moment * 10**9 >= start:
            yield moment
        if step:
            at += timedelta(seconds=step)
        else:
            month = at.year * 12 + at.month - 1 + months
            if month >= 9999 * 12:
                return
            at = at.replace(year=month // 12, month=month % 12 + 1)


def _offset(at: int, zone: tzinfo) -> str:
    """The day, and how far the times are from UTC."""
    local = datetime.fromtimestamp(at // 10**9, UTC).astimezone(zone)
    return f"{local:%Y-%m-%d} UTC{local.isoformat()[-6:]}"


def _fitted(told: str, columns: int) -> str:
    """Cut to what fits."""
    wide = 0
    for k, each in enumerate(told):
        wide += 2 if east_asian_width(each) in "WF" else 1
        if wide > columns:
            return told[: k - 1] + "…"
    return told


def _escaped(told: str) -> str:
    return escape(_NOT_XML.sub("?", told))
