"""A console at whose door the test says who asks."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers

from tillwatch.collector.people.directory import Asker
from tillwatch.collector.people.roles import Visitor
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.entry.door import Shown

HEADER = "x-test-who"


def let_in(console: Console, who: Mapping[str, Visitor], usual: str) -> Console:
    """Whoever the header HEADER names, by name; without it the usual one."""

    def shown(headers: Headers) -> Shown:
        return Shown(bearer=headers.get(HEADER, usual))

    console.house.shown = shown  # type: ignore[method-assign]
    console.house.who = lambda said: Asker(who[said.bearer or usual])  # type: ignore[method-assign]
    return console
