"""Reads the machine's own BMC through `ipmitool` and the kernel's driver: its sensors, the new rows of its event log, its power. BMCs are slow and
some hang: one question at a time, each with a bound, and a BMC that lacks one of the three is read without it. Nothing is written to it, the
log is never cleared.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from pathlib import Path

from tillwatch.agent.model import PollClass, Sample, State
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.ipmi_map import Event, events, sensors, since, watts
from tillwatch.agent.sources.program import Finished, Program
from tillwatch.agent.transition import Condition

log = logging.getLogger(__name__)

SENSORS_S = 60.0
"""The first `sdr elist` reads the whole repository over a bus of 100 kbit/s or less: 5 to 40 s."""
ASK_S = 30.0
MAX_EVENTS = 64
"""Rows of the log that one poll asks for, the newest; a full log has thousands and takes minutes."""
MAX_TOLD = 5
"""New rows that are told in words, the worst first; the others are counted."""
BOOKMARK = "ipmi-sel.bookmark"
"""The file in the state directory."""
MEND = "install ipmitool, or give its path: [ipmi] program"


class IpmiSource:
    """name: the device in component names: `bmc`, `bmc/sensor:Inlet Temp`, `bmc/sel`. bookmark: a file of its own that keeps the last row of the
    log that was told; without a file each start begins with the newest row.
    """

    classes = frozenset({PollClass.NORMAL, PollClass.SLOW})

    def __init__(self, name: str, *, program: str = "ipmitool", bookmark: Path | None = None) -> None:
        self.name = name
        self._program = Program(program, MEND)
        self._file = bookmark
        self._bookmark = _read(bookmark) if bookmark else ""
        self._troubles = {
            what: Condition(log, f"{name}: {what} can be read again") for what in ("event log", "power", "bookmark")
        }

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """NORMAL: sensors, power and new events. SLOW: who it is. SourceError: ipmitool is not there, or the BMC does not answer."""
        if wanted is PollClass.SLOW:
            done = await self._asked("mc", "info", seconds=ASK_S)
            return list(self._identity(done.output))
        done = await self._asked("sdr", "elist", seconds=SENSORS_S)
        samples = [replace(each, component=f"{self.name}/{each.component}") for each in sensors(done.output)]
        if not samples:
            raise SourceError("ipmitool sdr elist lists no sensor; ask the BMC by hand: ipmitool sdr elist")
        # A BMC may lack either: then the sensors stand alone.
        if (power := await self._beside("power", "dcmi", "power", "reading")) is not None and (
            value := watts(power.output)
        ) is not None:
            samples.append(Sample(self.name, "ipmi.power", value, unit="W"))
        if (sel := await self._beside("event log", "sel", "elist", "last", str(MAX_EVENTS))) is not None:
            samples += self._events(events(sel.output))
        return samples

    async def close(self) -> None:
        """Nothing is held open."""

    async def _asked(self, *command: str, seconds: float) -> Finished:
        done = await self._program.run(*command, seconds=seconds)
        if done.status and not done.output.strip():
            said = " ".join(done.errors.split())[:200] or f"exit status {done.status}"
            raise SourceError(
                f"ipmitool {' '.join(command)}: {said}; the modules ipmi_si and ipmi_devintf must be loaded, "
                "and the agent's user needs the right to open /dev/ipmi0"
            )
        return done

    async def _beside(self, what: str, *command: str) -> Finished | None:
        try:
            done = await self._asked(*command, seconds=ASK_S)
        except SourceError as error:
            self._troubles[what].begins(f"{self.name}: {error}")
            return None
        self._troubles[what].ends()
        return done

    def _identity(self, text: str) -> list[Sample]:
        rows = (line.partition(":") for line in text.splitlines())
        said = {key.strip(): value.strip() for key, found, value in rows if found}
        found = []
        for signal, key in (
            ("identity.maker", "Manufacturer Name"),
            ("identity.model", "Product Name"),
            ("identity.firmware", "Firmware Revision"),
        ):
            value = "".join(c for c in said.get(key, "") if c.isprintable())[:100]
            if value and not value.startswith("Unknown"):
                found.append(Sample(self.name, signal, value))
        return found

    def _events(self, rows: list[Event]) -> list[Sample]:
        if not rows:
            return []
        new = since(rows, self._bookmark) if self._bookmark else []
        if rows[-1].key != self._bookmark:
            self._bookmark = rows[-1].key
            self._keep()
        worst = max((row.state for row in new), default=State.OK)
        word = next((row.word for row in reversed(new) if row.state is worst), "ok")
        part = f"{self.name}/sel"
        samples = [
            Sample(part, "ipmi.sel", word if new else "none", worst),
            Sample(part, "ipmi.sel.new", len(new)),
        ]
        if new:
            told = sorted(new, key=lambda row: row.state, reverse=True)[:MAX_TOLD]
            samples.append(Sample(part, "ipmi.sel.text", "; ".join(row.text for row in told)[:500]))
        return samples

    def _keep(self) -> None:
        if self._file is None:
            return
        trouble = self._troubles["bookmark"]
        beside = self._file.with_suffix(".new")
        try:
            beside.write_text(self._bookmark, "utf-8")
            beside.replace(self._file)
        except OSError as error:
            trouble.begins(
                f"{self.name}: {self._file}: {error.strerror}; after a restart new rows of the event log are missed"
            )
        else:
            trouble.ends()


def _read(file: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return file.read_text("utf-8").strip()
    return ""
