"""Lines of the case file (collector/incident/case.py) as text in one language, for readers without a script: the command line and the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from tillwatch.collector.incident.case import Line
from tillwatch.collector.web.messages import Text

_LOOSE = re.compile(r" ([,.;:)])")
"""Before these something was filled in that is empty, such as the unit of a count."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def say(text: Text, line: Line, rule_text: Callable[[str], str] = str) -> str:
    """The line, with times in this machine's zone and lengths in the largest unit that is whole. rule_text: of a rule's id."""
    said = text(line.key, **{name: _value(text, name, value, rule_text) for name, value in line.values.items()})
    return _LOOSE.sub(r"\1", " ".join(said.split()))


def _value(text: Text, name: str, value: float | str, rule_text: Callable[[str], str]) -> str:
    if name.endswith("_at") and isinstance(value, int):
        return stamp(value)
    if name.endswith("_s") and isinstance(value, int | float):
        return span(value)
    if name.endswith("_rule"):
        return rule_text(str(value))
    if name.endswith("_key"):
        return text.texts.get(str(value), str(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def stamp(at: int) -> str:
    return datetime.fromtimestamp(at // 10**9, UTC).astimezone().isoformat(sep=" ", timespec="seconds")


def span(seconds: float) -> str:
    whole = round(seconds)
    for length, unit in _UNITS:
        if whole >= length and whole % length == 0:
            return f"{whole // length} {unit}"
    return f"{seconds:g} s"
