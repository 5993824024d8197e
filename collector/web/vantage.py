"""What is computed of the fleet as it was last read, once for all who see the same part of it: roll-ups, the path, what a search looks through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

from tillwatch.collector.incident.incident_views import IncidentView, InForce
from tillwatch.collector.people.roles import Permission, Scope, asking
from tillwatch.collector.read import TerminalView
from tillwatch.collector.web.feed import Feed
from tillwatch.collector.web.overview import Serving
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.translation import Translation

MAX_INCIDENTS = 2_000
"""Living incidents that are looked through: more than any bank works on; the lists of incidents have them all."""
MAX_KEPT = 512
"""Results kept of one revision. Scopes are few; whoever invents filters costs work, not memory."""
MINUTE_NS = 60 * 10**9
"""For how long a result holds that changes with the clock alone: hours of service, targets that are missed."""

T = TypeVar("T")


class Vantage:
    """now: UTC ns."""

    def __init__(self, reads: Reads, feed: Feed, now: Callable[[], int]) -> None:
        self.feed = feed
        self.now = now
        self._reads = reads
        self._kept: dict[tuple[object, ...], Any] = {}
        self._of: tuple[str, int] = ("", 0)

    async def once(self, key: tuple[object, ...], make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gives for whoever asks, made once until something changes. key: what beside the visitor's scope it depends on."""
        await self.feed.ready()
        of = (self.feed.revision, self.now() // MINUTE_NS)
        if of != self._of or len(self._kept) >= MAX_KEPT:
            self._kept = {}
            self._of = of
        kept, whole = self._kept, (self.scope, *key)
        if whole not in kept:
            kept[whole] = await make()
        return cast("T", kept[whole])

    @property
    def scope(self) -> Scope:
        """Of whoever asks. Raises PermissionError where nobody asks."""
        visitor = asking()
        if not visitor.may(Permission.SEE):
            raise PermissionError("nobody asks who may see the fleet")
        return visitor.scope

    def terminals(self) -> Sequence[TerminalView]:
        """Those that whoever asks may see, worst first."""
        return list(self.feed.terminals_of(self.scope).values())

    async def moment(self) -> str:
        """What an answer depends on, for its ETag: not the store's revision, which may be ahead of what was read of it."""
        await self.feed.ready()
        return f"{self.feed.revision}-{self.now() // MINUTE_NS:x}"

    async def incidents(self) -> Sequence[IncidentView]:
        """Those that live, in the scope of whoever asks; the texts are the rules' own."""
        return (await self.once(("incidents",), self._incidents))[0]

    async def _incidents(self) -> tuple[list[IncidentView], int]:
        at = self.now()
        return await self._reads(lambda reader: reader.incidents(at, limit=MAX_INCIDENTS))

    async def worded(self, words: Translation, language: str) -> Sequence[IncidentView]:
        """The same in the reader's language."""
        rules = (await self.in_force()).rules
        return [words.incident(each, rules, language) for each in await self.incidents()]

    async def in_force(self) -> InForce:
        return await self.once(("in force",), lambda: self._reads(lambda reader: reader.in_force()))

    async def serving(self) -> Serving:
        """Who is to serve customers at this hour, by the policy's calendars."""
        policy, at = (await self.in_force()).policy, self.now()
        known: dict[tuple[str, str], bool] = {}

        def serving(terminal_class: str, branch: str) -> bool:
            key = terminal_class, branch
            if key not in known:
                known[key] = policy.schedule(terminal_class, branch).is_open(at)
            return known[key]

        return serving
