"""What the doctor says of how the agent was set up on this machine: who can read its keys, what its state lies on, what is switched off, and whether card
numbers were taken out of what devices said.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from tillwatch.agent import identity
from tillwatch.agent.settings import Config
from tillwatch.agent.switches import all_switches
from tillwatch.agent.text_door import removals

Said = tuple[str, str, str, str]
"""(check, result, text, mend) of a finding."""
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
LAYERED = frozenset({"overlay", "overlayfs", "aufs", "unionfs"})
MOUNTS = Path("/proc/self/mountinfo")


def of_setup(settings: Config) -> Iterator[Said]:
    if (
        sys.platform != "win32"
    ):  # there the key files are bound to the machine, and their access lists are the installer's
        yield from _keys(settings.state_dir)
    yield from _file_system(settings.state_dir, _mounts())
    yield from _switches(settings)
    yield _cards(settings.state_dir)


def _keys(folder: Path) -> Iterator[Said]:
    for name in (identity.SEED, identity.TLS_KEY):
        try:
            mode = stat.S_IMODE((folder / name).stat().st_mode)
        except OSError:
            continue  # another check tells of an identity that is not whole
        if mode & 0o077:
            yield (
                "key files",
                "fail",
                f"{folder / name} can be read by others than the agent (mode {mode:04o})",
                f"chmod 600 {folder / name}; if somebody may have copied it: tillwatch-agent rotate",
            )


def _mounts() -> str:
    try:
        return MOUNTS.read_text("utf-8", "replace")
    except OSError:  # another system than Linux
        return ""


def _file_system(folder: Path, mounts: str) -> Iterator[Said]:
    """mounts: as /proc/self/mountinfo has them (proc(5)); of two on one place the later one holds."""
    real, found, kind = str(folder.resolve()), "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        place = left.split()[4].replace("\\040", " ") if len(left.split()) > 4 else ""
        if place and f"{real}/".startswith(f"{place.rstrip('/')}/") and len(place) >= len(found):
            found, kind = place, right.split(" ")[0]
    if kind in IN_MEMORY:
        yield (
            "file system",
            "fail",
            f"{folder} lies in memory ({kind} on {found}): keys and readings are gone at the next start of the machine",
            "set [terminal] state_dir to a folder on a disk and move what is there",
        )
    elif kind in LAYERED:
        yield (
            "file system",
            "warn",
            f"{folder} lies on {kind} ({found}): where its upper layer is in memory, all is gone at the next start of the machine",
            "mount a partition of its own there, or leave the folder out of the write filter",
        )


def _switches(settings: Config) -> Iterator[Said]:
    for path, known in all_switches(settings.state_dir, settings.kinds()):
        if known:
            yield "switches", "warn", f"{path} switches off what it names", f"rm {path} when it may be read again"
        else:
            yield (
                "switches",
                "warn",
                f"{path} names no source and no kind of this configuration: it switches off nothing",
                "call it as the source is called in the configuration, or remove it",
            )


def _cards(folder: Path) -> Said:
    found = removals(folder)
    if not found.removed:
        return "card numbers", "ok", "none was in what devices said", ""
    day = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%d")
    return (
        "card numbers",
        "warn",
        f"{found.removed} of that shape were taken out of texts, the last on {day} in {found.where}",
        "find out why that device says them: packaging/docs/card-data.md",
    )
