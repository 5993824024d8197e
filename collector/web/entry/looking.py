"""Looks at what is masked elsewhere: each is record before anything is shown, and refused where it cannot be. Looks of one person at one subject within an
hour are one entry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tillwatch.collector.people.roles import Visitor
from tillwatch.collector.web.acting import Acts

HOUR_NS = 3600 * 10**9
MAX_LOOKS = 10_000
"""Looks of this hour that are remembered; one that is forgotten is told of twice."""


class Looks:
    """now: UTC ns."""

    def __init__(self, acts: Acts, now: Callable[[], int]) -> None:
        self._acts = acts
        self._now = now
        self._until: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def __call__(self, visitor: Visitor, subject: str, **facts: Any) -> None:
        """Returns once that visitor may be shown the subject. facts: what else the entry says. Raises NotTaken."""
        key, now = (visitor.name, subject), self._now()
        if self._until.get(key, 0) > now:
            return
        await self._acts(visitor, {"action": "look", "subject": subject, **facts})
        self._until[key] = now + HOUR_NS
        self._until.move_to_end(key)
        if len(self._until) > MAX_LOOKS:
            self._until.popitem(last=False)
