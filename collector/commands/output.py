"""What commands print: tables, ages, values, JSON. Colours only where somebody looks, and not against NO_COLOR."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from unicodedata import east_asian_width

from tillwatch.agent.model import Value

DONE, FAILED, USAGE = 0, 1, 2
NS = 1_000_000_000
_TIMES = frozenset({
    "at", "received", "due", "last_received", "expires", "since", "until", "certificate", "start", "settle_until", "ack_until", "from", "to", "not_before",
})  # fmt: skip
_COLOURS = {"crit": "31", "fail": "31", "warn": "33", "unknown": "35", "silent": "35", "offline": "35", "ok": "32"}


class CommandError(Exception):
    """A command cannot be done. The text says why, and what to do; status: the exit code."""

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status


def print_json(value: Any) -> None:
    json.dump(_with_iso_times(value), sys.stdout, ensure_ascii=False, indent=2)
    print()


def _with_iso_times(value: Any) -> Any:
    """UTC nanoseconds inside, ISO 8601 outside; 0 stands for never."""
    if isinstance(value, dict):
        return {
            key: (iso(one) if one else None) if _is_time(key) and isinstance(one, int) else _with_iso_times(one)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_with_iso_times(one) for one in value]
    return value


def _is_time(key: str) -> bool:
    return key in _TIMES or key.endswith("_at")


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / NS, UTC).astimezone().isoformat(timespec="milliseconds")


def age(at: int) -> str:
    if not at:
        return "never"
    seconds = max(0, (time.time_ns() - at) // NS)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def value_text(value: Value, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def print_table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(_width(row[place]) for row in (headings, *rows)) for place in range(len(headings))]
    for row in (headings, *rows):
        filled = (cell + " " * (size - _width(cell)) for cell, size in zip(row, widths, strict=True))
        print("  ".join(map(coloured, filled)).rstrip())


def _width(text: str) -> int:
    """Columns on a terminal: Chinese characters and their punctuation take two."""
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def coloured(word: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return word
    colour = _COLOURS.get(word.strip())
    return f"\x1b[{colour}m{word}\x1b[0m" if colour else word
