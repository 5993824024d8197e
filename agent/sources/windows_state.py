"""What the Windows sources must know again after a restart: bookmarks of the event log, its totals, devices that had a problem. One small JSON file
a source, replaced as a whole.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from tillwatch.agent.transition import Condition

log = logging.getLogger(__name__)

MAX_FILE = 65_536
"""Bytes; 64 instance ids of 200 characters take a fifth."""
MAX_NUMBER = (1 << 63) - 1

Numbers = Mapping[str, Mapping[str, int]]
"""Section -> name -> number."""


class Memory:
    """file: None keeps nothing. kept: as of the last start; a file that is damaged counts as none."""

    def __init__(self, name: str, file: Path | None) -> None:
        self._name, self._file = name, file
        self.kept: Numbers = _read(file) if file is not None else {}
        self._written = self.kept
        self._trouble = Condition(log, f"{name}: {file} can be written again")

    def keep(self, numbers: Numbers) -> None:
        """Writes where something changed. That it cannot is told once; the next call tries again."""
        if self._file is None or numbers == self._written:
            return
        beside = self._file.with_suffix(".new")
        try:
            beside.write_text(json.dumps(numbers), "utf-8")
            beside.replace(self._file)
        except OSError as error:
            self._trouble.begins(f"{self._name}: {self._file}: {error.strerror}; a restart forgets what was told")
        else:
            self._written = numbers
            self._trouble.ends()


def _read(file: Path) -> Numbers:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
        said = json.loads(data) if len(data) <= MAX_FILE else None
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {
        section: {name: n for name, n in numbers.items() if type(n) is int and 0 <= n <= MAX_NUMBER}
        for section, numbers in said.items()
        if isinstance(numbers, dict)
    }
