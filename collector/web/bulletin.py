"""What changed, told apart by kind, for whoever follows the API instead of a page: the last changes are kept with numbers, so that a stream that broke goes on where it was,
and each reader gets what is of his part of the fleet.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tillwatch.collector.oversight import News
from tillwatch.collector.people.roles import Scope
from tillwatch.collector.read import AlarmView
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.reads import Busy, Reads, Unreadable

log = logging.getLogger(__name__)

KEPT = 1_000
"""Changes that are remembered: at one a second a quarter of an hour, in which a phone has found its way back."""
MAX_TOLD = 500
"""Of one kind in one event; how many more there are is said, and who needs them all asks the list."""

Item = dict[str, Any]
_Placed = tuple[str, str, Item]
"""Branch and region, and what is told of it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One change. n: its number; at: UTC ns; kinds: name of the event -> what it is about, each with its place."""

    n: int
    at: int
    revision: str
    kinds: tuple[tuple[str, tuple[_Placed, ...]], ...] = ()

    def told(self, scope: Scope) -> list[tuple[str, Item]]:
        """The events that somebody of this part of the fleet gets; kinds of which nothing is his are left out."""
        found = []
        for kind, items in self.kinds:
            own = [item for branch, region, item in items if scope.covers(branch, region)]
            if own:
                found.append((kind, {"items": own[:MAX_TOLD], "more": max(0, len(own) - MAX_TOLD)}))
        return found


class Bulletin:
    """Listens to the feed once for all streams. now: UTC ns."""

    def __init__(self, reads: Reads, feed: Feed, now: Callable[[], int]) -> None:
        self._reads, self._feed, self._now = reads, feed, now
        self.life = f"{time.time_ns() // 10**6:x}"
        self.last = 0
        self.closing = False
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._moved = asyncio.Event()
        self._alarms: dict[int, AlarmView] | None = None
        self._places: dict[str, tuple[str, str]] = {}
        self._event = -1
        self._commands: dict[int, str] = {}
        self._changes: asyncio.Queue[Change] = asyncio.Queue(KEPT)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Called by the first who wants to know; does nothing the next time."""
        if self._task is None:
            self._feed.listen(self._on_change)
            self._task = asyncio.create_task(self._run(), name="tell changes")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def since(self, n: int) -> list[Notice] | None:
        """Those after number n; None where some of them are forgotten, and everything is to be asked anew."""
        if n >= self.last:
            return []
        first = self._kept[0].n if self._kept else self.last + 1
        if n + 1 < first:
            return None
        return list(islice(self._kept, n + 1 - first, None))

    async def wait(self, n: int, within_s: float) -> bool:
        """Whether something came after number n, or the console ends, within that time."""
        try:
            async with asyncio.timeout(within_s):
                while self.last <= n and not self.closing:
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def _on_change(self, change: Change) -> None:
        if self._feed.closing:
            self._end()
        elif not self._changes.full():
            self._changes.put_nowait(change)

    def _end(self) -> None:
        self.closing = True
        self._moved.set()

    async def _run(self) -> None:
        await self._first()
        while True:
            change = await self._changes.get()
            try:
                await self._tell(change)
            except (Busy, Unreadable) as error:  # the next change asks again
                log.debug("what changed is not known: %s", error)

    async def _first(self) -> None:
        await self._feed.ready()
        self._alarms = {each.id: each for each in self._feed.alarms}
        self._places = self._now_placed()
        try:
            news = await self._reads.whole(lambda reader: reader.news(-1))
        except (Busy, Unreadable):
            return
        self._event, self._commands = news.event, {each.n: each.state for each in news.commands}

    def _now_placed(self) -> dict[str, tuple[str, str]]:
        return {name: (view.branch, view.region) for name, view in self._feed.terminals.items()}

    async def _tell(self, change: Change) -> None:
        # Whoever is gone is told of to those who saw him there.
        before, self._places = self._places, self._now_placed()
        places = before | self._places
        after = self._event
        news = await self._reads.whole(lambda reader: reader.news(after))
        kinds = [
            ("terminals", tuple(self._terminals(change, places))),
            ("alarms", tuple(self._alarm_changes(places))),
            ("incidents", tuple((each.branch, each.region, {"id": each.incident, "kinds": list(each.kinds)}) for each in news.incidents)),
            ("commands", tuple(self._command_changes(news, places))),
        ]  # fmt: skip
        self._event = max(news.event, self._event)
        told = tuple((kind, items) for kind, items in kinds if items)
        notice = Notice(self.last + 1, self._now(), change.revision, told)
        self._kept.append(notice)
        self.last = notice.n
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _terminals(self, change: Change, places: dict[str, tuple[str, str]]) -> Iterable[_Placed]:
        for name in sorted(change.terminals):
            view = self._feed.terminals.get(name)
            state = {"condition": view.condition, "connection": view.connection, "level": view.level} if view else {"gone": True}  # fmt: skip
            yield *places.get(name, ("", "")), {"id": name, **state}

    def _alarm_changes(self, places: dict[str, tuple[str, str]]) -> Iterable[_Placed]:
        before, after = self._alarms or {}, {each.id: each for each in self._feed.alarms}
        self._alarms = after
        for number in sorted(before.keys() | after.keys()):
            was, now = before.get(number), after.get(number)
            if was == now:
                continue
            view = now or was
            assert view is not None
            what = "raised" if was is None else "over" if now is None else "changed"
            item = {"id": number, "what": what, "terminal": view.terminal, "rule": view.rule, "level": view.level, "incident": view.incident}  # fmt: skip
            yield *places.get(view.terminal, ("", "")), item

    def _command_changes(self, news: News, places: dict[str, tuple[str, str]]) -> Iterable[_Placed]:
        before, self._commands = self._commands, {each.n: each.state for each in news.commands}
        for each in news.commands:
            if before.get(each.n) != each.state:
                item = {"n": each.n, "terminal": each.terminal, "kind": each.kind, "state": each.state}
                yield *places.get(each.terminal, ("", "")), item
