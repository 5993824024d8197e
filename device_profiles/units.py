"""What a device's unit is in the catalogue's: closed lists, so that a slip of the pen is an error of the profile and not a wrong number."""

from __future__ import annotations

import math
from types import MappingProxyType

LINEAR = MappingProxyType(
    {
        "C": ("C", 1.0, 0.0),
        "F": ("C", 5 / 9, -160 / 9),
        "K": ("C", 1.0, -273.15),
        "mC": ("C", 0.001, 0.0),
        "%": ("%", 1.0, 0.0),
        "ratio": ("%", 100.0, 0.0),
        "V": ("V", 1.0, 0.0),
        "mV": ("V", 0.001, 0.0),
        "kV": ("V", 1000.0, 0.0),
        "A": ("A", 1.0, 0.0),
        "mA": ("A", 0.001, 0.0),
        "W": ("W", 1.0, 0.0),
        "mW": ("W", 0.001, 0.0),
        "kW": ("W", 1000.0, 0.0),
        "VA": ("VA", 1.0, 0.0),
        "kVA": ("VA", 1000.0, 0.0),
        "var": ("var", 1.0, 0.0),
        "kvar": ("var", 1000.0, 0.0),
        "Wh": ("kWh", 0.001, 0.0),
        "kWh": ("kWh", 1.0, 0.0),
        "MWh": ("kWh", 1000.0, 0.0),
        "kvarh": ("kvarh", 1.0, 0.0),
        "Ah": ("Ah", 1.0, 0.0),
        "mAh": ("Ah", 0.001, 0.0),
        "Hz": ("Hz", 1.0, 0.0),
        "mHz": ("Hz", 0.001, 0.0),
        "kHz": ("Hz", 1000.0, 0.0),
        "MHz": ("Hz", 1e6, 0.0),
        "rpm": ("rpm", 1.0, 0.0),
        "dBm": ("dBm", 1.0, 0.0),
        "dB": ("dB", 1.0, 0.0),
        "hPa": ("hPa", 1.0, 0.0),
        "Pa": ("hPa", 0.01, 0.0),
        "kPa": ("hPa", 10.0, 0.0),
        "bar": ("hPa", 1000.0, 0.0),
        "psi": ("hPa", 68.9475729, 0.0),
        "mmHg": ("hPa", 1.33322387, 0.0),
        "ms": ("ms", 1.0, 0.0),
        "s": ("s", 1.0, 0.0),
        "ticks": ("s", 0.01, 0.0),
        "min": ("min", 1.0, 0.0),
        "h": ("h", 1.0, 0.0),
        "d": ("d", 1.0, 0.0),
        "weeks": ("d", 7.0, 0.0),
        "years": ("d", 365.25, 0.0),
        "B": ("B", 1.0, 0.0),
        "KiB": ("B", 1024.0, 0.0),
        "MiB": ("B", 1024.0**2, 0.0),
        "GiB": ("B", 1024.0**3, 0.0),
        "kB": ("B", 1e3, 0.0),
        "MB": ("B", 1e6, 0.0),
        "GB": ("B", 1e9, 0.0),
        "bit/s": ("bit/s", 1.0, 0.0),
        "kbit/s": ("bit/s", 1e3, 0.0),
        "Mbit/s": ("bit/s", 1e6, 0.0),
        "m": ("m", 1.0, 0.0),
        "cm": ("m", 0.01, 0.0),
        "mm": ("m", 0.001, 0.0),
        "in": ("m", 0.0254, 0.0),
        "ft": ("m", 0.3048, 0.0),
        "m/s": ("m/s", 1.0, 0.0),
        "l/min": ("l/min", 1.0, 0.0),
        "m3/h": ("l/min", 1000 / 60, 0.0),
        "cfm": ("l/min", 28.3168466, 0.0),
        "lx": ("lx", 1.0, 0.0),
        "l": ("l", 1.0, 0.0),
        "ohm": ("ohm", 1.0, 0.0),
        "ppm": ("ppm", 1.0, 0.0),
        "pages": ("pages", 1.0, 0.0),
        "1": ("", 1.0, 0.0),
    }
)
"""Device's unit -> the unit that it is a multiple of, factor, offset. `1` is a pure number."""
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
KNOWN = frozenset(LINEAR)


def convertible(unit: str, wanted: str) -> bool:
    """Whether a number in `unit` can be one in the catalogue's unit `wanted`."""
    base = LINEAR[unit][0]
    return base == wanted or (base in _SECONDS and wanted in _SECONDS) or (base == "W" and wanted == "dBm")


def convert(number: float, unit: str, wanted: str) -> float | None:
    """In the catalogue's unit `wanted`; None where that is another quantity, or no power at all is asked for in dBm."""
    if unit == wanted:
        return number
    base, factor, offset = LINEAR[unit]
    number = number * factor + offset
    if base == wanted:
        return number
    if base in _SECONDS and wanted in _SECONDS:
        return number * _SECONDS[base] / _SECONDS[wanted]
    if base == "W" and wanted == "dBm" and number > 0:
        return 10 * math.log10(number * 1000)
    return None
