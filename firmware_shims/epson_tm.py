"""Epson TM receipt printers: what every ESC/POS printer says, and their maintenance counters (GS g 2).

The counters are asked only of a printer that calls itself EPSON: another might print what it does not understand. Numbers above 127
count over the printer's life, those below since a technician set them back; both are asked, for wear and for service.
"""

from __future__ import annotations

from tillwatch.firmware_shims import escpos
from tillwatch.firmware_shims.base import Known, Mode, Query, Row, Shim, Trait, Value
from tillwatch.firmware_shims.framing import Paused

# > 1D 49 42                < 5F 45 50 53 4F 4E 00      "_EPSON" NUL
# > 1D 67 32 00 B2 00       < 5F 32 37 31 35 00         "_2715" NUL: 2715 cuts in its life (178 = 50 + 128)

LIFE = 128
"""Added to the number of a counter: the one that cannot be set back."""

SERVICE = "since-service"
_COUNTERS = (
    (20, "printer.lines", ""),
    (21, "printer.head.pulses", ""),
    (50, "printer.cuts", ""),
    (70, "printer.hours", "h"),
)


def _query(number: int) -> Query:
    return Query(
        b"\x1dg2\0" + number.to_bytes(2, "little"),
        escpos.form(rb"_(?P<count>[0-9]{1,10})\0"),
        every="slow",
        optional=True,
        given=("identity.maker", "EPSON"),
    )


def _count(raw: bytes, _known: Known) -> Value:
    return int(raw)


def _row(number: int, signal: str, unit: str, part: str) -> Row:
    # Asked twice like a rating: nothing prints between the two, and there is no checksum.
    return Row(
        signal=signal,
        query=_query(number),
        take="count",
        convert=_count,
        unit=unit,
        part=part,
        low=0,
        high=4_294_967_295,
        trait=Trait.STATIC,
    )


ROWS = (
    *escpos.ROWS,
    *(_row(number + LIFE, signal, unit, "") for number, signal, unit in _COUNTERS),
    *(_row(number, signal, unit, SERVICE) for number, signal, unit in _COUNTERS),
)

SHIM = Shim(
    name="epson_tm",
    title="Epson TM receipt printer: ESC/POS status, and counters of cuts, lines, head pulses and hours",
    line=escpos.LINE,
    framing=Paused(),
    rows=ROWS,
    whitelist=frozenset(row.query.request for row in ROWS),
    claim=escpos.PRINTER,
    modes=frozenset({Mode.EXCLUSIVE, Mode.HOSTED}),
    timeout=0.5,
    gap=0.1,
    tries=3,
    protocols=("epson",),
    report=escpos.SHIM.report,
)
