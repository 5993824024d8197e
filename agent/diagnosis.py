"""Remote diagnosis as values: what the collector may ask of a terminal, what a terminal says of it, and the bundle in pieces. A closed list, and
nothing on it changes a device. wire.py makes bytes of a command; results and pieces are readings like all others, so that they are signed,
kept and proven as those are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tillwatch.agent.keys import sha256

RESULT, PIECE, REJECTED, ALLOWED = "monitor.command", "monitor.bundle", "monitor.command.rejected", "monitor.commands"
"""Signals of the component `agent`: what became of a command; a piece of a bundle; a message that was no command; the kinds it takes."""
OFF = "off"
"""What ALLOWED says of a terminal that takes no commands."""
MAX_COMMAND_LIFE = 3_600 * 10**9
"""Ns between the issue of a command and its expiry: what a terminal believes at most. An order of yesterday is nobody's wish of today."""
MAX_KIND = 32
MAX_ARGUMENTS = 8
MAX_WORDS = 300
"""Characters that a result may say in words: the reading has 512 bytes, and some characters take three."""
MAX_BUNDLE = 48 * 1024
"""Compressed bytes of a bundle: as pieces some 65 KiB of readings, what a terminal on a slow line sends within a minute."""
PIECE_BYTES = 384
"""In base85 480 characters of the 512 bytes that a text reading has; number and place stand before them."""
MAX_PIECES = MAX_BUNDLE // PIECE_BYTES
MAX_MINUTES = 15
MIN_FACTOR, MAX_FACTOR = 2, 4
"""Times as often as configured that the ordinary class may be read while somebody repairs, never faster than the fast class is anyway."""

Argument = str | int


class CommandKind(StrEnum):
    """All that may be asked."""

    POLL_NOW = "poll-now"
    RAISE_SAMPLING = "raise-sampling"
    COLLECT_BUNDLE = "collect-bundle"
    SELF_REPORT = "self-report"


class Outcome(StrEnum):
    """DONE and REFUSED as they read. FAILED: begun, and it did not come to its end. INTERRUPTED: the agent ended meanwhile; it is not repeated."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Command:
    """One order to one terminal. number: rises with each; issued, expires: UTC ns by the collector's clock, on whole ms; epoch: of the stream
    that the terminal speaks in, so that a terminal which lost its memory takes none that was meant for the one before. kind: a word, since an
    agent may not know it. key: id of the collector's key that sealed it; sealing fills it in.
    """

    terminal: str
    number: int
    kind: str
    issued: int
    expires: int
    epoch: bytes
    arguments: Mapping[str, Argument]
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of command `number`. reason: a word of the refusals in packaging/docs/remote-diagnosis.md, empty where it was done."""

    number: int
    outcome: Outcome
    reason: str = ""
    words: str = ""

    def text(self) -> str:
        """As the reading carries it."""
        words = "".join(char if char.isprintable() else " " for char in self.words)[:MAX_WORDS].strip()
        return " ".join(filter(None, (str(self.number), self.outcome.value, self.reason or "-", words)))


def result_of(text: object) -> Result | None:
    """None for what is no result: of a later version, or nonsense."""
    parts = text.split(" ", 3) if isinstance(text, str) else []
    if len(parts) < 3 or not _number(parts[0]) or parts[1] not in set(Outcome):
        return None
    words = parts[3] if len(parts) == 4 else ""
    return Result(int(parts[0]), Outcome(parts[1]), "" if parts[2] == "-" else parts[2][:MAX_KIND], words)


def pieces_of(number: int, bundle: bytes) -> Iterator[str]:
    """The texts that carry a bundle of at most MAX_BUNDLE bytes. The last one is its seal, and short: it is what stays as the latest value."""
    assert len(bundle) <= MAX_BUNDLE
    parts = [bundle[start : start + PIECE_BYTES] for start in range(0, len(bundle), PIECE_BYTES)]
    for place, part in enumerate(parts, 1):
        yield f"{number} {place}/{len(parts)} {base64.b85encode(part).decode()}"
    yield f"{number} end/{len(parts)} {sha256(bundle).hex()}"


class Assembly:
    """The pieces of one bundle, in any order and more than once, until they are whole. What is no piece of it is passed over."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._parts: dict[int, bytes] = {}
        self._seal: tuple[int, str] | None = None

    def take(self, text: object) -> None:
        fields = text.split(" ") if isinstance(text, str) else []
        place, slash, total = fields[1].partition("/") if len(fields) == 3 else ("", "", "")
        if not slash or fields[0] != str(self._number) or not _number(total) or int(total) > MAX_PIECES:
            return
        if place == "end":
            self._seal = int(total), fields[2]
        elif _number(place) and 1 <= int(place) <= int(total):
            try:
                self._parts[int(place)] = base64.b85decode(fields[2])
            except (ValueError, binascii.Error):
                return

    @property
    def missing(self) -> int:
        """Pieces that are not here; the seal is one of them."""
        return MAX_PIECES if self._seal is None else self._seal[0] - len(self._parts)

    def whole(self) -> bytes | None:
        """The bundle, once every piece is here and its digest fits."""
        if self._seal is None:
            return None
        total, digest = self._seal
        bundle = b"".join(self._parts.get(place, b"") for place in range(1, total + 1))
        return bundle if set(self._parts) >= set(range(1, total + 1)) and sha256(bundle).hex() == digest else None


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 19
