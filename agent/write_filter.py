"""Whether Windows' Unified Write Filter throws away, at the next start of the machine, what the agent writes. Terminals with Windows IoT often
have one: every write succeeds and none lasts, so that only the filter itself can tell before it happens.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Protocol

TIMEOUT = 30.0
"""Seconds for the answer: PowerShell takes five to start on a slow terminal."""
# The classes are documented and their names are not translated, which the output of uwfmgr is.
QUESTION = (
    r"$n = 'root\standardcimv2\embedded';"
    " @{ enabled = (Get-CimInstance -Namespace $n -ClassName UWF_Filter).CurrentEnabled;"
    " volumes = @(Get-CimInstance -Namespace $n -ClassName UWF_Volume -Filter 'CurrentSession = TRUE' | ForEach-Object {"
    " @{ drive = $_.DriveLetter; protected = $_.Protected;"
    " excluded = @((Invoke-CimMethod -InputObject $_ -MethodName GetExclusions).ExcludedFiles | ForEach-Object { $_.FileName }) } })"
    " } | ConvertTo-Json -Depth 4 -Compress"
)


class WriteFilterError(Exception):
    """The filter is there and did not say what it does."""


@dataclass(frozen=True, slots=True)
class Volume:
    """drive: such as `C:`; excluded: folders and files that are written through."""

    drive: str
    protected: bool
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterState:
    """Of the running session."""

    enabled: bool
    volumes: tuple[Volume, ...] = ()

    def discards(self, path: str) -> bool:
        """Whether what is written there is gone after the next start."""
        where = PureWindowsPath(path)
        for volume in self.volumes:
            if volume.drive.upper() == where.drive.upper():
                kept = (PureWindowsPath(volume.drive + "\\") / entry for entry in volume.excluded)
                return self.enabled and volume.protected and not any(where.is_relative_to(each) for each in kept)
        return False


class WriteFilter(Protocol):
    """What keeps writes from lasting on this machine. Asked once after each start of the agent, from a thread, and by doctor."""

    def state(self) -> FilterState | None:
        """None where there is no filter. Raises WriteFilterError. May take TIMEOUT: call it from a thread."""
        ...


class UnifiedWriteFilter:
    """Asks Windows, where uwfmgr is installed. ask: a question to PowerShell, its answer."""

    def __init__(self, manager: Path, ask: Callable[[str], str]) -> None:
        self._manager, self._ask = manager, ask

    def state(self) -> FilterState | None:
        return parse(self._ask(QUESTION)) if self._manager.exists() else None


def here() -> WriteFilter | None:
    """The filter of this machine; None on every system but Windows."""
    if sys.platform == "win32":
        root = os.environ.get("SYSTEMROOT", r"C:\Windows")
        system = Path(root) / "System32"
        return UnifiedWriteFilter(system / "uwfmgr.exe", _powershell)
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        return None


def parse(answer: str) -> FilterState:
    try:
        told = json.loads(answer)
        volumes = tuple(
            Volume(str(row["drive"]), row["protected"] is True, tuple(str(name) for name in row["excluded"] or ()))
            for row in told["volumes"]
            if row["drive"]
        )
        return FilterState(told["enabled"] is True, volumes)
    except (ValueError, KeyError, TypeError) as error:
        raise WriteFilterError(f"the write filter's answer cannot be read: {answer[:200]!r} ({error})") from None


def _powershell(question: str) -> str:
    import subprocess  # noqa: PLC0415 - Windows with a filter only

    command = ["powershell.exe", "-NoProfile", "-NonInteractive", "-Command", question]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603 - a constant
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WriteFilterError(f"the write filter could not be asked: {error}") from None
    if done.returncode:
        raise WriteFilterError(f"the write filter could not be asked: {done.stderr.strip()[:200]}")
    return done.stdout
