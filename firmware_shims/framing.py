"""Framings beside those of `base`: answers that only a silence ends, and answers of several lines with a closing one."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paused:
    """All that came until the line fell silent is one answer (Modbus RTU, single status bytes): noise beside it spoils it as a whole."""

    def cut(self, received: bytes) -> tuple[bytes | None, bytes]:
        """Nothing but the silence ends an answer: the engine takes what there is then."""
        return None, received


@dataclass(frozen=True, slots=True)
class Until:
    """Text answers of several lines that end with one that `closing` matches. A frame has no white space at its ends."""

    closing: re.Pattern[bytes]

    def cut(self, received: bytes) -> tuple[bytes | None, bytes]:
        found = self.closing.search(received)
        if not found:
            return None, received
        return received[: found.end()].strip(), received[found.end() :]
