"""Histories of parts out of a file of comma separated values, from wherever they were kept. Columns: unit, age (a number that rises with each line of a unit), one for each
signal (empty: silent), and if wanted ended: 1 on the last line of a unit that ran to its end, else 0 or empty; without it all did. What cannot be read is
refused with line and column.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tillwatch.collector.learn.histories import MAX_READINGS, History
from tillwatch.collector.learn.lives_from_store import MAX_CELLS, MAX_SIGNALS

if TYPE_CHECKING:
    from _csv import Reader

UNIT, AGE, ENDED = "unit", "age", "ended"
MAX_UNITS = 10_000
"""Of one file. More parts of one kind teach nothing that ten thousand do not."""


class LivesFileError(Exception):
    """The file cannot be used. The text names file, line and column."""


@dataclass(frozen=True, slots=True)
class FromFile:
    """ended: whole lives, running: those that still go on, both in the order of the file; signals: the columns of the histories."""

    ended: tuple[History, ...]
    running: tuple[History, ...]
    signals: tuple[str, ...]


@dataclass(slots=True)
class _Unit:
    age: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))
    ended: int = 0
    """The line that says so."""


def read_lives(path: Path, chosen: Sequence[str] = ()) -> FromFile:
    """chosen: the signals that are read, all where there are none. Raises LivesFileError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _Reader(path, csv.reader(file), chosen).read()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LivesFileError(f"{path}: {error}") from None


class _Reader:
    def __init__(self, path: Path, rows: Reader, chosen: Sequence[str]) -> None:
        self._path, self._rows = path, rows
        self._names: list[str] = next(rows, [])
        self._signals = self._chosen(chosen)
        self._place = {name: place for place, name in enumerate(self._names)}
        self._units: dict[str, _Unit] = {}
        self._cells = 0

    def _chosen(self, chosen: Sequence[str]) -> tuple[str, ...]:
        names = self._names
        for needed in (UNIT, AGE):
            if needed not in names:
                raise self._wrong(
                    f"no column {needed!r}; the first line names them: {UNIT}, {AGE}, the signals, {ENDED}", 1
                )
        if double := [name for name in names if names.count(name) > 1 or not name.strip()]:
            raise self._wrong(f"two columns {double[0]!r}" if double[0].strip() else "a column without a name", 1)
        there = [name for name in names if name not in {UNIT, AGE, ENDED}]
        if strange := [name for name in chosen if name not in there]:
            raise self._wrong(
                f"no column {strange[0]!r}, which --signal asks for; there are {', '.join(there) or 'none'}", 1
            )
        signals = tuple(dict.fromkeys(chosen)) or tuple(there)
        if not 0 < len(signals) <= MAX_SIGNALS:
            raise self._wrong(f"{len(signals)} signals; it takes 1 to {MAX_SIGNALS}: choose with --signal", 1)
        return signals

    def read(self) -> FromFile:
        for row in self._rows:
            if not row:
                continue  # an empty line, such as the last one
            if len(row) != len(self._names):
                raise self._wrong(f"{len(row)} columns, where the first line has {len(self._names)}")
            self._row(row)
        labelled = ENDED in self._place
        ended = {name: bool(unit.ended) or not labelled for name, unit in self._units.items()}
        histories = [self._history(name, unit) for name, unit in self._units.items()]
        return FromFile(
            tuple(each for each in histories if ended[each.part]),
            tuple(each for each in histories if not ended[each.part]),
            self._signals,
        )

    def _row(self, row: list[str]) -> None:
        name = row[self._place[UNIT]].strip()
        if not name:
            raise self._wrong("is empty; every line says whose it is", column=UNIT)
        unit = self._units.get(name)
        if unit is None:
            if len(self._units) >= MAX_UNITS:
                raise self._wrong(f"more than {MAX_UNITS} units; learn from fewer", column=UNIT)
            unit = self._units[name] = _Unit()
        if unit.ended:
            raise self._wrong(f"{name!r} ended in line {unit.ended}; ended = 1 stands on its last line", column=ENDED)
        age = self._number(row[self._place[AGE]], AGE)
        if math.isnan(age):
            raise self._wrong("is empty", column=AGE)
        if unit.age and age <= unit.age[-1]:
            raise self._wrong(
                f"{age:g} is not above {unit.age[-1]:g}, that of the line before of {name!r}; sort by age", column=AGE
            )
        if len(unit.age) >= MAX_READINGS:
            raise self._wrong(f"more than {MAX_READINGS} lines of {name!r}; thin them out", column=UNIT)
        self._cells += len(self._signals)
        if self._cells > MAX_CELLS:
            raise self._wrong(f"more than {MAX_CELLS:,} values; choose signals with --signal, or thin the lines out")
        unit.age.append(age)
        unit.values.extend(self._number(row[self._place[signal]], signal) for signal in self._signals)
        if ENDED in self._place:
            said = row[self._place[ENDED]].strip()
            if said not in {"", "0", "1"}:
                raise self._wrong(f"{said!r} is neither 0 nor 1", column=ENDED)
            unit.ended = self._rows.line_num if said == "1" else 0

    def _number(self, text: str, column: str) -> float:
        text = text.strip()
        try:
            number = float(text) if text else math.nan
        except ValueError:
            raise self._wrong(f"{text!r} is no number", column=column) from None
        if text and not math.isfinite(number):
            raise self._wrong(f"{text!r} is no reading; leave it empty", column=column)
        return number

    def _history(self, name: str, unit: _Unit) -> History:
        return History(name, np.array(unit.age), np.array(unit.values).reshape(-1, len(self._signals)))

    def _wrong(self, text: str, line: int = 0, *, column: str = "") -> LivesFileError:
        where = f"{self._path}, line {line or self._rows.line_num}" + (f", column {column}" if column else "")
        return LivesFileError(f"{where}: {text}")
