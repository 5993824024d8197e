"""What every page and every route of the console is made with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tillwatch.collector.alarm.diagnosis import Cards
from tillwatch.collector.people.signing_in import SigningIn
from tillwatch.collector.store.db import Where
from tillwatch.collector.web.acting import Acts
from tillwatch.collector.web.entry.door import House
from tillwatch.collector.web.feed import Feed
from tillwatch.collector.web.predicting import Predicting
from tillwatch.collector.web.reads import Reads


@dataclass(frozen=True, slots=True)
class Parts:
    """now: UTC ns; acts: raises NotTaken where there is no store to write; config: the collector's configuration file, for what is done by a command of
    its own; store: the collector's store, for what is done in a process of its own; None where nobody said which. people: accounts and
    sessions; None where everybody only looks. house: who is let in. at_end: what is to be ended with the console.
    """

    reads: Reads
    feed: Feed
    now: Callable[[], int]
    acts: Acts
    cards: Cards
    predicting: Predicting
    config: Path | None = None
    store: Where | None = None
    people: SigningIn | None = None
    house: House = field(default_factory=House)
    at_end: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
