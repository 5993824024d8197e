"""Which series there are, and which row of the fleet's arrays each has. Rows are given in the order of arrival and never move, so that all that is
kept of a series is found by one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tillwatch.agent.model import device_of
from tillwatch.collector.predict.settings import Tables

MAX_SERIES = 200_000
"""A fleet of 2,000 terminals with a hundred numeric signals each. At 2 kB and the daily ring this is the most that one process should hold."""
MAX_TERMINAL_SERIES = 1_000
"""Of one terminal: a quarter of what the collector follows at all of one (fleet.MAX_SIGNALS), of which most are states and texts. One terminal cannot take the
places of ten others.
"""

MAX_PARTS = 100_000
"""A fleet of 2,000 terminals with fifty parts each."""

NONE = -1
"""No row: not a signal that is watched, or no place left."""


class Registry:
    """names: of each row (terminal, component, signal); component: of each row the index in `components`; counts: of each row whether it counts up; judged: whether it can be
    unusual; whole: whether it has no unit, so that it is a number of things. refused: series that found no place.
    """

    def __init__(self, tables: Tables) -> None:
        self._gauges, self._counters, self._unjudged = tables.gauges, tables.counters, tables.unjudged
        self._units = tables.units
        self.names: list[tuple[str, str, str]] = []
        self.component: list[int] = []
        self.counts: list[bool] = []
        self.judged: list[bool] = []
        self.whole: list[bool] = []
        self.components: list[tuple[str, str]] = []
        self.refused = 0
        self._component: dict[tuple[str, str], int] = {}
        self._rows: dict[str, dict[tuple[str, str], int]] = {}
        self._of_terminal: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def row(self, terminal: str, component: str, signal: str) -> int:
        """Of this series, which gets one where it is new and worth watching; else NONE."""
        rows = self._rows.setdefault(terminal, {})
        found = rows.get((component, signal))
        return found if found is not None else self._new(rows, terminal, component, signal)

    def rows_of(self, terminal: str) -> Sequence[int]:
        """In the order of arrival."""
        return self._of_terminal.get(terminal, ())

    def device(self, row: int) -> tuple[str, str]:
        """Terminal and device of a row."""
        terminal, component, _ = self.names[row]
        return terminal, device_of(component)

    def part(self, terminal: str, component: str) -> int:
        """Index in `components`, where a device as a whole is one, too."""
        key = terminal, component
        index = self._component.get(key)
        if index is None:
            index = self._component[key] = len(self.components)
            self.components.append(key)
        return index

    def known_part(self, terminal: str, component: str) -> int | None:
        """Index in `components` of one that is there."""
        return self._component.get((terminal, component))

    def see(self, terminal: str, component: str) -> None:
        """A part that speaks, also one that tells words only: it can fail like any other."""
        if (terminal, component) not in self._component:
            if len(self.components) < MAX_PARTS:
                self.part(terminal, component)
            else:
                self.refused += 1

    def known(self, terminal: str, component: str, signal: str) -> int:
        """The row of a series that is there, else NONE."""
        return self._rows.get(terminal, {}).get((component, signal), NONE)

    def _new(self, rows: dict[tuple[str, str], int], terminal: str, component: str, signal: str) -> int:
        counts = signal in self._counters
        if not counts and signal not in self._gauges:
            return NONE  # asked again each time: a name costs no place
        own = self._of_terminal.setdefault(terminal, [])
        if len(self.names) >= MAX_SERIES or len(own) >= MAX_TERMINAL_SERIES:
            self.refused += 1
            return NONE
        row = len(self.names)
        self._put(terminal, component, signal, counts=counts)
        rows[component, signal] = row
        return row

    def _put(self, terminal: str, component: str, signal: str, *, counts: bool) -> None:
        index = self.part(terminal, component)
        self._of_terminal.setdefault(terminal, []).append(len(self.names))
        self.names.append((terminal, component, signal))
        self.component.append(index)
        self.counts.append(counts)
        self.judged.append(signal not in self._unjudged)
        self.whole.append(not self._units.get(signal))

    def state(self) -> dict[str, Any]:
        return {
            "names": [list(each) for each in self.names], "counts": list(self.counts), "refused": self.refused,
            "components": [list(each) for each in self.components],
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Into a new one. A series keeps its row and its kind also where the tables have changed meanwhile."""
        for terminal, component in state["components"]:
            self.part(terminal, component)
        for (terminal, component, signal), counts in zip(state["names"], state["counts"], strict=True):
            self._rows.setdefault(terminal, {})[component, signal] = len(self.names)
            self._put(terminal, component, signal, counts=bool(counts))
        self.refused = int(state["refused"])
