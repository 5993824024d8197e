"""Automatic status of ESC/POS printers (ASB): four bytes at every change, if the program that prints has switched it on (GS a). Several
groups at once are the changes one after the other: the last is the present. Nothing is sent.

A printer that is well says nothing for hours, so silence on the line tells nothing: this is for whoever has the port and hands over what
comes, not for a tap. A group is told by fixed bits, first byte 0xx1xx00, others 0xx0xxxx; it has no checksum.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tillwatch.firmware_shims import escpos
from tillwatch.firmware_shims.base import Mode, Query, Row, Shim, Trait

# < 10 00 00 0F                  on-line, drawer pin 3 low, paper there
# < 3C 00 0F 0F                  off-line: the cover is open, the paper at its end; pin 3 high
# < 38 00 03 0F 10 00 03 0F      the cover was opened and closed again; paper near its end


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of automatic status; of several in a row the last."""

    def cut(self, received: bytes) -> tuple[bytes | None, bytes]:
        groups = list(escpos.ASB.finditer(received))
        if not groups:
            return None, received[-3:]
        return groups[-1][0], received[groups[-1].end() :]


ASB = Query(b"", re.compile(rb"(?P<group>%b)" % escpos.ASB.pattern), tells=True)


def _row(byte: int, mask: int, signal: str, clear: str, set_: str, state: str, part: str = "") -> Row:
    return escpos.flag_row(ASB, (byte, byte + 1), mask, signal, clear, set_, state, part)


ROWS = (
    _row(0, 0x08, "printer.online", "online", "offline", "warn"),
    _row(0, 0x04, "printer.drawer", "low", "high", "ok"),
    _row(0, 0x20, "printer.cover", "closed", "open", "warn"),
    _row(0, 0x40, "printer.feed", "idle", "feeding", "ok"),
    _row(1, 0x04, "printer.condition", "ok", "failed", "crit", "mechanism"),
    _row(1, 0x08, "printer.condition", "ok", "failed", "crit", "cutter"),
    _row(1, 0x20, "printer.condition", "ok", "failed", "crit", "electronics"),
    _row(1, 0x40, "printer.condition", "ok", "warning", "warn", "head"),
    Row(
        signal="printer.paper",
        query=ASB,
        take=(2, 3),
        convert=escpos.paper(0x03, 0x0C),
        states=escpos.PAPER_STATES,
        trait=Trait.STATE,
    ),
)

SHIM = Shim(
    name="escpos_asb",
    title="automatic status of a receipt printer that speaks ESC/POS",
    line=escpos.LINE,
    framing=Groups(),
    rows=ROWS,
    whitelist=frozenset(),
    claim=ASB,
    modes=frozenset({Mode.HOSTED}),
    protocols=("escpos-asb",),
)
