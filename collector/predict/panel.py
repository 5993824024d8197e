"""What was known of each kind of part of a terminal at a moment, for the hazard: alarms of each party, unusual readings, replacements and visits of the last
days, how long ago, its age, class and model, how worn it is, and how far its readings lie from their own past. The same function serves who trains on years and who asks for today; nothing that
happens after a row's time changes that row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.features import Facts, Happenings, Past, View, features
from tillwatch.collector.learn.panel import Features
from tillwatch.collector.predict import strays
from tillwatch.collector.predict.finding import RULES, Happened, unit_of

PARTIES = ("hardware", "supplies", "cash", "power", "network", "software", "vandalism")
OTHER, UNUSUAL, CHANGED, VISITED = "other", "anomaly", "changed", "visited"
SEEN_UNUSUAL = "unusual"
"""What happened, to who trains on years in which anomalies were found: the engine notes its own by itself."""
EVENTS = (*PARTIES, OTHER, UNUSUAL, CHANGED, VISITED)
"""Columns are of these and no others, so that a model fits whatever fleet it is asked of."""
TERMINAL = "terminal"
"""Before the subject of a column that is about the whole terminal."""
VIEW = View()

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Unit:
    """One kind of device of one terminal: what fails, and is told of and mended, together. kind: see unit_of; born: UTC ns since when it is
    known, 0 where nobody says.
    """

    terminal: str
    kind: str
    terminal_class: str = ""
    model: str = ""
    born: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that counts. component: empty for the whole terminal; event: of EVENTS."""

    at: int
    terminal: str
    component: str
    event: str


def event_of(happened: Happened) -> Event | None:
    """None for what says nothing of what comes: what was cleared, and what was predicted."""
    match happened.what:
        case "raised" if happened.rule not in RULES.values():
            event = happened.party if happened.party in PARTIES else OTHER
        case "verdict" if happened.value == "part_changed":
            event = CHANGED
        case "maintained":
            event = VISITED
        case _ if happened.what == SEEN_UNUSUAL:
            event = UNUSUAL
        case _:
            return None
    return Event(happened.at, happened.terminal, happened.component, event)


def rows(
    units: Sequence[Unit],
    events: Iterable[Event],
    unit: Ints,
    at: Ints,
    worn: NDArray[np.float32] | None = None,
    strayed: NDArray[np.float32] | None = None,
) -> Features:
    """One row for each (index in units, UTC ns). worn: of each row the used share of rated life; strayed: (rows x strays.NAMES); nan where it is not known."""
    own = {(each.terminal, each.kind): index for index, each in enumerate(units)}
    terminals = {name: index for index, name in enumerate(dict.fromkeys(each.terminal for each in units))}
    part: list[tuple[int, int, int]] = []
    whole: list[tuple[int, int, int]] = []
    for each in events:
        kind = EVENTS.index(each.event)
        if (index := own.get((each.terminal, unit_of(each.component)))) is not None:
            part.append((index, each.at, kind))
        if (index := terminals.get(each.terminal)) is not None:
            whole.append((index, each.at, kind))
    of_terminal = np.array([terminals[each.terminal] for each in units], np.int64)
    born = np.array([float(each.born) if each.born else np.nan for each in units])
    words = {name: [getattr(each, field) for each in units] for name, field in _WORDS}
    of_part = features(Past(_happenings(part), facts=Facts(born, words)), unit, at, VIEW)
    of_whole = features(Past(_happenings(whole)), of_terminal[unit] if len(units) else unit, at, VIEW)
    wear = np.full(len(unit), np.nan, np.float32) if worn is None else worn
    far = np.full((len(unit), len(strays.NAMES)), np.nan, np.float32) if strayed is None else strayed
    return Features(
        (*of_part.names, *(f"{TERMINAL} {name}" for name in of_whole.names), "wear", *strays.NAMES),
        np.concatenate([of_part.values, of_whole.values, wear[:, None].astype(np.float32), far], axis=1),
        (*of_part.subjects, *(f"{TERMINAL} {name}" for name in of_whole.subjects), "wear", *strays.SUBJECTS),
        of_part.words,
    )


_WORDS = (("kind", "kind"), ("class", "terminal_class"), ("model", "model"))


def _happenings(found: Sequence[tuple[int, int, int]]) -> Happenings:
    columns = np.array(found, np.int64).reshape(-1, 3)
    return Happenings(columns[:, 0], columns[:, 1], columns[:, 2], EVENTS)
