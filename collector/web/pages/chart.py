"""A history as an ECharts option: gaps stay gaps, hours show their least and most, words become steps, units stand on the axis. Pure."""

from __future__ import annotations

from typing import Any

from tillwatch.agent.model import MS
from tillwatch.collector.read import History
from tillwatch.collector.web.drawing.series import gap_after, gaps, thin
from tillwatch.collector.web.messages import Text

CHART_POINTS = 1_500
"""Points drawn: about two for each pixel of the chart's width; more only make the page slow."""

MAX_WORDS = 12
"""Different texts drawn as steps: a state has fewer, a free text that has more is not a curve."""

MAX_SHADES = 60
"""Gaps shaded grey; the line is broken at the others too."""

_TIME_LABELS = {
    "year": "{yyyy}", "month": "{yyyy}-{MM}", "day": "{MM}-{dd}", "hour": "{HH}:{mm}", "minute": "{HH}:{mm}", "second": "{HH}:{mm}:{ss}", "millisecond": "{HH}:{mm}:{ss}",
}  # fmt: skip


def option(history: History, start: int, end: int, interval_s: float, text: Text) -> tuple[dict[str, Any], str]:
    """The chart's option and a line that says what it is made of. The line alone ("" option) when there is nothing to draw: then it is the reason.

    start, end: UTC ns, the range asked for, which the axis spans whether or not there is data in it.
    """
    drawn, merged = thin(history, CHART_POINTS)
    words = list(dict.fromkeys(str(point.value) for point in drawn.points if isinstance(point.value, str)))
    if len(words) > MAX_WORDS:
        return {}, text("chart.words", n=MAX_WORDS)
    if not any(point.value is not None for point in drawn.points):
        return {}, ""
    longest = (
        gap_after(drawn, interval_s) if not words or not merged else end - start
    )  # words are thinned to their changes
    holes = gaps(drawn.points, longest)
    breaks = {hole_start for hole_start, _ in holes}
    banded = any(
        point.least is not None and point.most is not None and point.least < point.most for point in drawn.points
    )
    mean: list[list[Any]] = []
    low: list[list[Any]] = []
    high: list[list[Any]] = []
    for point in drawn.points:
        if point.value is None:
            continue
        at = point.at // MS
        if words and mean and mean[-1][1] not in {"-", str(point.value)}:
            mean.append([at - 1, mean[-1][1], None, None, 1])  # a word holds until the next reading
        mean.append([at, str(point.value) if words else point.value, point.least, point.most, point.n])
        if banded and not words:
            number = float(point.value)
            least = point.least if point.least is not None else number
            low.append([at, least])
            high.append([at, (point.most if point.most is not None else number) - least])
        if point.at in breaks:
            for data in (mean, low, high) if low else (mean,):
                data.append([at + 1, "-" if words else None])  # a category axis takes null for its first word
    shades = sorted(holes, key=lambda hole: hole[0] - hole[1])[:MAX_SHADES]
    colour = {":color": "tw.colour('--tw-accent')"}
    series: list[dict[str, Any]] = [
        {
            "id": "value", "type": "line", "data": mean, "showSymbol": len(mean) <= 60, "symbolSize": 5, "connectNulls": False,
            "lineStyle": {"width": 1.6, **colour}, "itemStyle": colour, "sampling": None, "animation": False, "z": 3,
            "markArea": {
                "silent": True, "itemStyle": {":color": "tw.colour('--tw-gap')"}, "data": [[{"xAxis": a // MS}, {"xAxis": b // MS}] for a, b in shades],
            },
        },
        _band("least", low, shade=False),
        _band("most", high, shade=True),
    ]  # fmt: skip
    axis_text = {":color": "tw.colour('--tw-ink2')", "fontSize": 12}
    line = {"lineStyle": {":color": "tw.colour('--tw-line')"}}
    value_axis: dict[str, Any] = (
        {"type": "category", "data": words}
        if words
        else {"type": "value", "scale": True, "axisLabel": {":formatter": f"tw.axis({_js(history.unit)})"}}
    )
    value_axis["axisLabel"] = {
        **value_axis.get("axisLabel", {}),
        **axis_text,
        **({"width": 92, "overflow": "truncate"} if words else {}),
    }
    chart = {
        "animation": False,
        "backgroundColor": "transparent",
        "grid": {"left": 12, "right": 18, "top": 34, "bottom": 58, "containLabel": True},
        "tooltip": {
            "trigger": "axis", "confine": True, "appendToBody": False, ":formatter": f"tw.tip({_js(history.unit)})", ":backgroundColor": "tw.colour('--tw-panel')",
            ":borderColor": "tw.colour('--tw-line')", "textStyle": {":color": "tw.colour('--tw-ink')", "fontSize": 12},
        },
        "xAxis": {"type": "time", "min": start // MS, "max": end // MS, "axisLabel": {**axis_text, "formatter": _TIME_LABELS, "hideOverlap": True}, "axisLine": line, "splitLine": {"show": False}},
        "yAxis": {**value_axis, "name": history.unit if not words else "", "nameLocation": "end", "nameTextStyle": {**axis_text, "align": "left"}, "splitLine": {"show": True, **line}},
        "dataZoom": [
            {"type": "inside", "filterMode": "none"},
            {"type": "slider", "filterMode": "none", "height": 26, "bottom": 8, "brushSelect": False, ":borderColor": "tw.colour('--tw-line')", "textStyle": axis_text, "showDetail": False},
        ],
        "series": series,
    }  # fmt: skip
    made_of = [
        text("chart.by_hour" if history.resolution == "hour" else "chart.by_reading", n=f"{len(history.points):,}")
    ]
    if merged:
        made_of.append(text("chart.merged", n=f"{merged:,}"))
    if holes:
        made_of.append(text("chart.holes", n=len(holes)))
    return chart, " · ".join(made_of)


def _band(name: str, data: list[list[Any]], *, shade: bool) -> dict[str, Any]:
    """One edge of the band of least and most: two invisible lines stacked, the upper one with an area down to the lower."""
    area = {"areaStyle": {":color": "tw.colour('--tw-band')", "opacity": 1}} if shade else {}
    return {
        "id": name, "type": "line", "data": data, "stack": "band", "stackStrategy": "all", "showSymbol": False, "silent": True, "animation": False,
        "lineStyle": {"opacity": 0}, "itemStyle": {"opacity": 0}, "tooltip": {"show": False}, "z": 1, **area,
    }  # fmt: skip


def _js(unit: str) -> str:
    """A unit as a script literal: units come from the closed catalogue, but the wire carries them, so only plain characters pass."""
    plain = "".join(ch for ch in unit[:16] if ch.isalnum() or ch in "%/°µ^-")
    return f"'{plain}'"
