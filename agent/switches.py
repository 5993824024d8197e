"""The kill switch of each source: a file in the state directory that is looked for before every poll, so that it works within one interval and without a
restart. While it is there the device is not touched, what was open to it is closed, and the reason is a reading.

    STATE_DIR/off/NAME        a source by its name in the configuration, or all of a kind: system, smart, ipmi, windows, snmp, serial, nut, xfs, traps
    STATE_DIR/off/NAME/PART   one component: what is read of it is not taken. The device is still asked
    STATE_DIR/xfs4iot.off     the name that off/xfs had before
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SourceError

FOLDER = "off"
FORMER = {"xfs": "xfs4iot.off"}
KINDS = ("system", "smart", "ipmi", "windows", "snmp", "serial", "nut", "xfs", "traps")
MAX_PARTS = 200
"""Components of one source that can be switched off one by one; who wants more switches off the source."""


class Switches:
    """kinds: of each source by its name."""

    def __init__(self, state_dir: Path, kinds: Mapping[str, str]) -> None:
        self._state_dir, self._folder, self._kinds = state_dir, state_dir / FOLDER, kinds

    def why_off(self, source: str) -> str:
        """Why this source is not to be touched now, empty where it may be. A folder that cannot be read switches nothing."""
        kind = self._kinds.get(source, "")
        files = [self._folder / source]
        if kind:
            files.append(self._folder / kind)
        if kind in FORMER:
            files.append(self._state_dir / FORMER[kind])
        found = next((file for file in files if _is_there(file)), None)
        return "" if found is None else f"switched off by {found}; remove the file to read it again"

    def parts_off(self, source: str) -> Mapping[str, str]:
        """Component -> why nothing is taken of it."""
        folder = self._folder / source
        if not folder.is_dir():
            return {}
        try:
            found = sorted(path for path in folder.rglob("*") if path.is_file())[:MAX_PARTS]
        except OSError:
            return {}
        return {path.relative_to(self._folder).as_posix(): f"switched off by {path}" for path in found}


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


class SwitchedOff:
    """A Source that the configuration has with `enabled = false`: it is told as a reading why nothing is known of it, and nothing is opened."""

    classes = frozenset({PollClass.NORMAL})

    def __init__(self, name: str, where: str) -> None:
        self.name, self.why = name, f"switched off by enabled = false, {where}"

    async def poll(self, _: PollClass) -> list[Sample]:
        raise SourceError(self.why)

    async def close(self) -> None:
        """Nothing was opened."""


def all_switches(state_dir: Path, names: Collection[str]) -> list[tuple[Path, bool]]:
    """Every switch that is there, and whether it names something of this configuration."""
    folder = state_dir / FOLDER
    known = {*names, *KINDS}
    try:
        found = sorted(path for path in folder.rglob("*") if path.is_file())[:MAX_PARTS] if folder.is_dir() else []
    except OSError:
        found = []
    former = [state_dir / name for name in FORMER.values() if _is_there(state_dir / name)]
    return [(path, path.relative_to(folder).parts[0] in known) for path in found] + [(path, True) for path in former]
