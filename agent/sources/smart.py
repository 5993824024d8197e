"""Reads the drives of the machine through `smartctl`: SATA, NVMe, SAS, and what stands behind RAID controllers. One drive at a time, each with
a bound; a sleeping drive is not woken, a drive that does not answer takes no other with it. Nothing is asked but for what a drive knows of
itself: no self-test is started, no setting is changed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.program import Program
from tillwatch.agent.sources.smart_json import scanned
from tillwatch.agent.sources.smart_map import ASLEEP, Report, read_report, unread
from tillwatch.agent.transition import Condition

log = logging.getLogger(__name__)

ONE_DRIVE_S = 30.0
"""smartctl takes under a second; a failing drive may retry for its whole error-recovery time, some 7 to 20 s."""
ALL_DRIVES_S = 120.0
"""A poll, below the sampler's own bound. Drives that were not reached are declared, and have their turn first in the next poll."""
RESCAN_S = 86_400.0
"""Looking for drives opens every device; a drive that was exchanged shows within a day."""
MAX_DRIVES = 64
"""A branch server has up to 24 bays."""
MEND = "install smartmontools, or give its path: [smart] program"


class SmartSource:
    """name: the device in component names: `drives/drive:<serial>`. program: smartctl's name or path. drives: (device, type) pairs, the type
    as for `-d` or empty; none given: those that `smartctl --scan-open` finds.
    """

    classes = frozenset({PollClass.SLOW})

    def __init__(self, name: str, *, program: str = "smartctl", drives: Sequence[tuple[str, str]] = ()) -> None:
        self.name = name
        self._program = Program(program, MEND)
        self._given = tuple(drives)
        self._found: tuple[tuple[str, str], ...] = ()
        self._scanned_at: float | None = None
        self._parts: dict[tuple[str, str], str] = {}
        """The component of a drive that was read once: asleep it does not tell its serial number."""
        self._troubles: dict[tuple[str, str], Condition] = {}
        self._first = 0
        self._omitted = 0

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """All drives. SourceError: smartctl is not there, there is no drive, or no drive at all can be read."""
        if wanted not in self.classes:
            return []
        deadline = asyncio.get_running_loop().time() + ALL_DRIVES_S
        drives = await self._drives()
        turn = [*drives[self._first :], *drives[: self._first]]
        samples: list[Sample] = []
        seen: set[str] = set()
        failures: list[str] = []
        for number, drive in enumerate(turn):
            left = deadline - asyncio.get_running_loop().time()
            if number and left < ONE_DRIVE_S:
                self._first = (self._first + number) % len(drives)
                samples.append(Sample(self.name, "monitor.omitted", len(turn) - number))
                break
            report = await self._ask(drive)
            if report.access == "failed":
                failures.append(f"{drive[0]}: {report.reason}")
                self._trouble(drive).begins(f"{self.name}: {failures[-1]}")
            else:
                self._trouble(drive).ends()
            own = self._placed(drive, report)
            # One drive may be reached on two ways: by its own name and through its controller.
            if own and own[0].component not in seen:
                seen.add(own[0].component)
                samples += own
        if len(failures) == len(turn):
            raise SourceError("; ".join(failures[:3]))
        if self._omitted:
            samples.append(Sample(self.name, "monitor.omitted", self._omitted))
        return samples

    async def close(self) -> None:
        """Nothing is held open; smartctl ends with the poll that started it."""

    def _trouble(self, drive: tuple[str, str]) -> Condition:
        return self._troubles.setdefault(drive, Condition(log, f"{self.name}: {drive[0]} can be read again"))

    async def _drives(self) -> tuple[tuple[str, str], ...]:
        if self._given:
            return self._given
        if self._scanned_at is None or not self._found or time.monotonic() - self._scanned_at >= RESCAN_S:
            done = await self._program.run("--scan-open", "-j", seconds=ONE_DRIVE_S)
            found = scanned(_parsed(done.output))
            if not found:
                raise SourceError(
                    "smartctl --scan-open finds no drive; a virtual machine has none, "
                    "elsewhere the agent needs the right to open them, or name them: [smart] drives"
                )
            self._omitted = max(0, len(found) - MAX_DRIVES)
            if self._omitted:
                log.warning("%s: %d drives, of which %d are read", self.name, len(found), MAX_DRIVES)
            self._found, self._scanned_at, self._first = tuple(found[:MAX_DRIVES]), time.monotonic(), 0
        return self._found

    async def _ask(self, drive: tuple[str, str]) -> Report:
        device, kind = drive
        shown = f"{device} {kind}" if "," in kind else device  # drives behind one controller share a device
        arguments = ("-j", "-x", "-n", f"standby,{ASLEEP}", *(("-d", kind) if kind else ()), device)
        try:
            done = await self._program.run(*arguments, seconds=ONE_DRIVE_S)
        except SourceError as error:
            return unread(self.name, shown, str(error))
        try:
            return read_report(self.name, _parsed(done.output), shown)
        except ValueError:
            said = " ".join((done.errors or done.output).split()) or "nothing"
            return unread(
                self.name,
                shown,
                f"smartctl (exit status {done.status}, 7.0 or newer is needed) prints no JSON but: {said}",
            )

    def _placed(self, drive: tuple[str, str], report: Report) -> list[Sample]:
        """Its samples under the component that it had when it told its serial number. Nothing of a drive that sleeps and never has: its
        component would change when it wakes.
        """
        samples = list(report.samples)
        known = self._parts.get(drive)
        if report.access in {"read", "partial"}:
            self._parts[drive] = samples[0].component
        elif not report.drive.serial and known is not None:
            return [replace(sample, component=known) for sample in samples]
        elif not report.drive.serial and report.access == "asleep":
            return []
        return samples


def _parsed(text: str) -> object:
    """None for what is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
