"""Reads what Windows itself knows of the machine: drives, devices that are lost, its event log, and the statistics of point-of-service devices. Four
sources, so that one that cannot be read takes no other with it. They only ask; what they ask through are the interfaces Cim, EventLog and
PosStatistics, of which a recording is one too.

Not yet run on Windows: written from Microsoft's documentation and tested with recorded answers of our own making.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.settings import WindowsConfig
from tillwatch.agent.sources import Source, SourceError
from tillwatch.agent.sources.windows_cim import Answer, Cim, PowerShell
from tillwatch.agent.sources.windows_devices import DEVICES, Devices, listed
from tillwatch.agent.sources.windows_devices import QUERIES as ABOUT_DEVICES
from tillwatch.agent.sources.windows_events import CHANNELS, SYSTEM, samples
from tillwatch.agent.sources.windows_log import Channel, EventLog, Wevtutil
from tillwatch.agent.sources.windows_pos import PosChild, PosStatistics
from tillwatch.agent.sources.windows_pos import samples as pos_samples
from tillwatch.agent.sources.windows_state import Memory
from tillwatch.agent.sources.windows_storage import PHYSICAL, drives
from tillwatch.agent.sources.windows_storage import QUERIES as ABOUT_STORAGE
from tillwatch.agent.transition import Condition

log = logging.getLogger(__name__)

UNTRIED = "the Windows sources have not run on a Windows machine yet"
MEND = "compare what they give with Device Manager, Event Viewer and Get-PhysicalDisk before you rely on it"


class StorageSource:
    """The drives by Windows' storage management: `<name>/drive:<serial>`."""

    classes = frozenset({PollClass.SLOW})

    def __init__(self, name: str, cim: Cim) -> None:
        self.name, self._cim = name, cim
        self._trouble = Condition(log, f"{name}: reliability counters can be read again")

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """SourceError: Windows cannot be asked, refuses, or lists no drive."""
        if wanted not in self.classes:
            return []
        said = await self._cim.ask(ABOUT_STORAGE)
        rows = _needed(said[PHYSICAL.name])
        if not rows.rows:
            raise SourceError("Windows lists no physical drive: is the service Storage Spaces (SMPHost) on?")
        refused = [f"{query.of}: {error}" for query in ABOUT_STORAGE if (error := said[query.name].error)]
        if refused:
            self._trouble.begins(f"{self.name}: {'; '.join(refused)}; they need an administrator's right")
        else:
            self._trouble.ends()
        return drives(self.name, said)

    async def close(self) -> None:
        """Nothing is held open."""


class DevicesSource:
    """Plug and Play devices with a problem, and those that are expected: `<name>/device:<instance id>`, `<name>/expected:<name>`."""

    classes = frozenset({PollClass.NORMAL})

    def __init__(
        self, name: str, cim: Cim, *, expected: dict[str, str], ignore: tuple[str, ...], file: Path | None = None
    ) -> None:
        self.name, self._cim = name, cim
        self._memory = Memory(name, file)
        self._devices = Devices(expected, ignore, self._memory.kept.get("troubled"))

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """SourceError: Windows cannot be asked, refuses, or lists no device at all."""
        if wanted not in self.classes:
            return []
        said = await self._cim.ask(ABOUT_DEVICES)
        devices = listed(_needed(said[DEVICES.name]))
        if not devices:
            raise SourceError(
                "Windows lists no device, which cannot be; look at the WMI repository: winmgmt /verifyrepository"
            )
        found = list(self._devices.samples(self.name, devices))
        self._memory.keep({"troubled": self._devices.troubled})
        return found

    async def close(self) -> None:
        """Nothing is held open."""


class EventsSource:
    """The event log by groups: `<name>/events:disk`. Each event is told once, also across restarts.

    since: the record id from which a channel is read of which nothing is remembered; None: from its newest event on.
    """

    classes = frozenset({PollClass.NORMAL})

    def __init__(self, name: str, events: EventLog, *, file: Path | None = None, since: int | None = None) -> None:
        self.name, self._log = name, events
        self._memory = Memory(name, file)
        kept = self._memory.kept
        self._channels = [Channel(channel, kept.get("bookmarks", {}).get(channel, since)) for channel in CHANNELS]
        self._totals = Counter(kept.get("totals", {}))
        self._trouble = Condition(log, f"{name}: all channels can be read again")

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """SourceError: the channel System cannot be read."""
        if wanted not in self.classes:
            return []
        new, failed = [], []
        for channel in self._channels:
            try:
                new += await channel.read(self._log)
            except SourceError as error:
                if channel.name == SYSTEM:
                    raise
                failed.append(str(error))
        found = list(samples(self.name, new, self._totals))
        self._memory.keep(
            {
                "bookmarks": {each.name: each.bookmark for each in self._channels if each.bookmark is not None},
                "totals": dict(self._totals),
            }
        )
        if failed:
            self._trouble.begins(f"{self.name}: {'; '.join(failed)}")
        else:
            self._trouble.ends()
        if full := sum(channel.full for channel in self._channels):
            found.append(Sample(self.name, "monitor.omitted", full))
        if unread := sum(channel.unread for channel in self._channels):
            found.append(Sample(self.name, "windows.events.unread", unread))
        return found

    async def close(self) -> None:
        """Nothing is held open."""


class PosSource:
    """UnifiedPOS statistics: `<name>/printer:<id>`."""

    classes = frozenset({PollClass.SLOW})

    def __init__(self, name: str, statistics: PosStatistics) -> None:
        self.name, self._statistics = name, statistics

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """SourceError: Windows cannot be asked, or knows no point-of-service device."""
        if wanted not in self.classes:
            return []
        devices = await self._statistics.ask()
        if not devices:
            raise SourceError(
                "Windows knows no point-of-service device: their drivers must be for Windows.Devices.PointOfService, "
                "those for OPOS alone are not listed"
            )
        return list(pos_samples(self.name, devices))

    async def close(self) -> None:
        """Nothing is held open."""


def _needed(answer: Answer) -> Answer:
    if answer.error:
        raise SourceError(answer.error)
    return answer


def windows_sources(config: WindowsConfig, state_dir: Path | None) -> list[Source]:
    """Those that are configured, on Windows. Says once in the log that nobody has tried them there. state_dir: see sources()."""
    log.warning("%s; %s", UNTRIED, MEND)
    return sources(config, state_dir, PowerShell(), Wevtutil(), PosChild())


def sources(
    config: WindowsConfig,
    state_dir: Path | None,
    cim: Cim,
    events: EventLog,
    pos: PosStatistics,
    since: int | None = None,
) -> list[Source]:
    """state_dir: None remembers nothing. since: see EventsSource."""
    found: list[Source] = []
    for part, name in config.names().items():
        file = None if state_dir is None else state_dir / f"windows-{part}.json"
        if part == "storage":
            found.append(StorageSource(name, cim))
        elif part == "devices":
            found.append(DevicesSource(name, cim, expected=dict(config.expected), ignore=config.ignore, file=file))
        elif part == "events":
            found.append(EventsSource(name, events, file=file, since=since))
        else:
            found.append(PosSource(name, pos))
    return found
