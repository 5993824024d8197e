"""Reads a channel of Windows' event log from a bookmark on, with `wevtutil`: a small native program of Windows itself that ends at once. Nothing is
written to the log, and no other command of it than `qe` (query events) is ever used.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.program import Program
from tillwatch.agent.sources.windows_cim import MEND, plain, system_program
from tillwatch.agent.sources.windows_events import Event, events

ASK_S = 30.0
MAX_EVENTS = 256
"""Of a channel in one poll, the newest; a start of Windows brings some 50 warnings and errors."""
NO_CHANNEL = 15_007
"""ERROR_EVT_CHANNEL_NOT_FOUND: a version of Windows without it."""


class EventLog(Protocol):
    """What has channels of events: Windows, or a recording. Called by one poll at a time."""

    async def newest(self, channel: str) -> str | None:
        """The newest event as XML, whatever its level; empty without any, None where the channel is not there. SourceError: it cannot be read."""

    async def after(self, channel: str, record: int, most: int) -> str:
        """At most `most` events of levels 1 to 3 with a higher record id, newest first, as a run of <Event> elements. SourceError: see above."""


class Wevtutil:
    """An EventLog. program: its path, empty for the system's own."""

    def __init__(self, program: str = "") -> None:
        self._program = Program(program or system_program("wevtutil.exe"), MEND, decode=console_text)

    async def newest(self, channel: str) -> str | None:
        return await self._query(channel, "*", 1)

    async def after(self, channel: str, record: int, most: int) -> str:
        wanted = f"*[System[(Level=1 or Level=2 or Level=3) and (EventRecordID>{record})]]"
        return await self._query(channel, wanted, most) or ""

    async def _query(self, channel: str, wanted: str, most: int) -> str | None:
        told = ("qe", channel, f"/q:{wanted}", "/f:XML", "/rd:true", f"/c:{most}", "/uni:true")
        done = await self._program.run(*told, seconds=ASK_S)
        if not done.status:
            return done.output
        if done.status & 0xFFFF == NO_CHANNEL:
            return None
        words = plain(" ".join(done.errors.split()))[:200] or f"exit status {done.status}"
        raise SourceError(
            f"wevtutil {told[0]} {channel}: {words}; the agent's user must be in the group Event Log Readers"
        )


def console_text(data: bytes) -> str:
    """UTF-16 as `/uni:true` asks for, UTF-8, or else the console's own code page: what a version of Windows takes for redirected output differs."""
    if data.startswith(b"\xff\xfe") or data[1:2] == b"\0":
        return data.decode("utf-16-le", "replace").removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("oem" if sys.platform == "win32" else "ascii", "replace")


@dataclass(slots=True)
class Channel:
    """Where the agent is in one channel. bookmark: the record id up to which everything is told; None before the first look. most: events that one
    query asks for; fewer after a query that failed, so that a few very long events never hold up the rest for good. full: the last look took all that
    it may, and older events may have been passed over. unread: events that could not be taken apart, so far.
    """

    name: str
    bookmark: int | None = None
    most: int = MAX_EVENTS
    full: bool = False
    unread: int = 0

    async def read(self, log: EventLog) -> list[Event]:
        """What is new, newest first; the bookmark moves with it. The first look of all only sets it: what lies before the agent is not its time.
        SourceError: the channel cannot be read.
        """
        self.full = False
        newest = await log.newest(self.name)
        if not newest:
            return []
        known, _ = events(self.name, newest)
        # An event that cannot be taken apart holds up nobody: what is behind the bookmark is asked for all the same.
        latest = known[0].record if known else self.bookmark
        if latest is None or (known and latest == self.bookmark):
            return []
        new: list[Event] = []
        if self.bookmark is not None:
            # A lower number: the log was cleared and numbers anew.
            since = self.bookmark if latest >= self.bookmark else 0
            asked = self.most
            try:
                text = await log.after(self.name, since, asked)
            except SourceError:
                self.most = max(1, self.most // 2)
                raise
            found, unread = events(self.name, text)
            self.most = MAX_EVENTS
            self.unread += unread
            # How many more there were is not known; they are older than these.
            self.full = len(found) + unread >= asked
            # What came between the two questions has its turn now; the bookmark goes with it.
            latest = max([latest, *(event.record for event in found)])
            new = [event for event in found if event.record > since]
        self.bookmark = latest
        return new
