"""Kiosk printers of Custom (TG2460H, TG2480H, TL60, TL80, KPM): ESC/POS status, model byte, and their own counters of cuts, paper and power-ups.

The counters (GS E2, E3, E5) come as a number with a word, without a mark at their end: `2376 cuts`, `251550cm`, `512on`. They are asked
only of a printer whose model byte is one of Custom's.
"""

from __future__ import annotations

from tillwatch.firmware_shims import escpos
from tillwatch.firmware_shims.base import Convert, Known, Mode, Query, Row, Shim, Trait, Value
from tillwatch.firmware_shims.framing import Paused

# > 1D 49 31    < A8                               TG2480H
# > 1D 72 31    < 00                               paper present; 0F: at its end
# > 1D E2       < 32 33 37 36 20 63 75 74 73       "2376 cuts"
# > 1D E3       < 32 35 31 35 35 30 63 6D          "251550cm"
# > 1D E5       < 35 31 32 6F 6E                   "512on"

MODELS = {0xA7: "TG2460H", 0xA8: "TG2480H", 0xAC: "TL80", 0xAD: "TL60"}

MODEL = Query(b"\x1dI1", escpos.form(rb"(?P<model>[\xa0-\xbf])"), every="slow", optional=True)
SENSORS = Query(b"\x1dr1", escpos.SENSORS.form, every="normal", optional=True)
CUTS, LENGTH, STARTS = (
    Query(
        b"\x1d" + letter,
        escpos.form(rb"(?P<count>[0-9]{1,10}) ?%b\0?" % word),
        every="slow",
        optional=True,
        given=("identity.model", None),
    )
    for letter, word in ((b"\xe2", b"cuts"), (b"\xe3", b"cm"), (b"\xe5", b"on"))
)


def _model(raw: bytes, _known: Known) -> Value:
    return MODELS.get(raw[0], f"model {raw[0]:02X}")


def _count(divisor: int) -> Convert:
    def convert(raw: bytes, _known: Known) -> Value:
        return int(raw) if divisor == 1 else int(raw) / divisor

    return convert


def _counter(signal: str, query: Query, unit: str = "", divisor: int = 1) -> Row:
    return Row(
        signal=signal,
        query=query,
        take="count",
        convert=_count(divisor),
        unit=unit,
        low=0,
        high=4_294_967_295 / divisor,
        trait=Trait.STATIC,
    )


ROWS = (
    *escpos.STATUS_ROWS,
    Row(
        signal="printer.paper",
        query=SENSORS,
        take="status",
        convert=escpos.paper(0x03, 0x0C),
        part="sensors",
        states=escpos.PAPER_STATES,
        trait=Trait.STATE,
    ),
    Row(signal="identity.model", query=MODEL, take="model", convert=_model, trait=Trait.STATIC),
    _counter("printer.cuts", CUTS),
    _counter("printer.length", LENGTH, "m", 100),
    _counter("printer.power.cycles", STARTS),
)

SHIM = Shim(
    name="custom_kiosk",
    title="Custom kiosk printer (TG2460H, TG2480H, TL60, TL80): ESC/POS status, and counters of cuts, paper and power-ups",
    line=escpos.LINE,
    framing=Paused(),
    rows=ROWS,
    whitelist=frozenset(row.query.request for row in ROWS),
    claim=escpos.PRINTER,
    modes=frozenset({Mode.EXCLUSIVE, Mode.HOSTED}),
    timeout=0.5,
    gap=0.1,
    tries=3,
    protocols=("custom",),
)
