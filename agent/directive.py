"""Configuration bundles as values: what the collector tells a terminal to run beside its own configuration, and what the terminal says of that. wire.py
makes bytes of a directive; a report is a reading like all others. What may stand in a bundle: device_profiles/bundle.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

CONFIG, NOT_TAKEN = "monitor.config", "monitor.config.rejected"
"""Signals of the component `agent`: what it runs; a message on the topic of bundles that was none."""
MAX_PACKED = 56 * 1024
"""Compressed bytes of a bundle: with its signature it is one message of a terminal's broker (128 KiB), and as an act one entry of the journal (64 KiB)."""
MAX_REPORT = 240
"""Characters that a report may say in words: the reading has 512 bytes, and some characters take two."""
DIGEST_SHOWN = 12
"""Hexadecimal digits of a digest in a report."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_NONE = "-"


class Running(StrEnum):
    """OFF: this terminal takes no bundles. NONE: it runs its own configuration alone, and was never told anything else. TRYING: on probation. GOOD: as
    told. FALLEN_BACK: it gave up what it was told, and runs what was good before. REFUSED: it was never run.
    """

    OFF = "off"
    NONE = "none"
    TRYING = "trying"
    GOOD = "good"
    FALLEN_BACK = "fallen-back"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Directive:
    """One order to one terminal to run this and nothing else. number: rises with each; epoch: of the stream that the terminal speaks in; issued: UTC ns,
    on whole ms; content: as packed, with SHA-256 `digest`; both empty for its own configuration alone. key: of the collector; sealing fills it in.
    """

    terminal: str
    number: int
    epoch: bytes
    issued: int
    name: str
    digest: bytes
    content: bytes
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """number: of the last directive that it took, 0 for none. digest, name: of the bundle that runs now, empty for none; the first digits are told."""

    number: int
    state: Running
    digest: str = ""
    name: str = ""
    words: str = ""

    def text(self) -> str:
        """As the reading carries it."""
        words = "".join(char if char.isprintable() else " " for char in self.words)[:MAX_REPORT].strip()
        shown = self.digest[:DIGEST_SHOWN] or _NONE
        return " ".join(filter(None, (str(self.number), self.state.value, shown, self.name or _NONE, words)))


def report_of(text: object) -> Report | None:
    """None for what is no report: of a later version, or nonsense."""
    parts = text.split(" ", 4) if isinstance(text, str) else []
    if len(parts) < 4 or not (parts[0].isascii() and parts[0].isdecimal() and len(parts[0]) <= 19):
        return None
    if parts[1] not in set(Running) or not (parts[3] == _NONE or valid_name(parts[3])):
        return None
    digest, name = ("" if part == _NONE else part for part in parts[2:4])
    return Report(int(parts[0]), Running(parts[1]), digest[:DIGEST_SHOWN], name, parts[4] if len(parts) == 5 else "")


def valid_name(name: str) -> bool:
    """Of a bundle: safe in a file name, an address and a line of a log."""
    return _NAME.fullmatch(name) is not None
