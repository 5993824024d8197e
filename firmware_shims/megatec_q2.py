"""Three-phase variants of Megatec that are asked with Q2; load (WA) and status bits (Q1) are those of megatec_q6.

The runtime in the answer is not read: its unit is documented nowhere.
"""

from __future__ import annotations

import re

from tillwatch.firmware_shims.base import Query, Row
from tillwatch.firmware_shims.megatec_q1 import Q1, hertz, number
from tillwatch.firmware_shims.megatec_q6 import BITS, WA, code_row, load_rows, megatec_shim, phases

# > Q2\r
# < (228.4 229.0 230.3 228.4 230.1 000.0 000.0 011 000 000 50.0 272.8 25.5 00000000 999.24 100 02 00 00 00 00 00000000 11\r

_V = rb"\d{3}\.\d"
_STATUS = re.compile(
    rb"\((?P<in1>%(v)b) (?P<in2>%(v)b) (?P<in3>%(v)b) (?P<fault>%(v)b) (?P<out1>%(v)b) (?P<out2>%(v)b) (?P<out3>%(v)b)"
    rb" (?P<load1>\d{3}) (?P<load2>\d{3}) (?P<load3>\d{3}) (?P<hertz>\d\d\.\d) (?P<battery>%(v)b) (?P<temperature>\d\d\.\d) [01]{8}"
    rb" \d{3}\.\d\d (?P<charge>\d{3}) \d\d (?P<faults>[0-9A-F]{2}(?: [0-9A-F]{2}){3}) (?P<warnings>[0-9A-F]{8}) [01]{2}"
    % {b"v": _V}
)

Q2 = Query(b"Q2\r", _STATUS, lead=b"(", min_len=117)

ROWS = (
    *phases("ups.input.voltage", Q2, "in", "input", "V", 500),
    *phases("ups.output.voltage", Q2, "out", "output", "V", 500),
    *phases("ups.output.load", Q2, "load", "output", "%", 200),
    Row(signal="ups.input.voltage.fault", query=Q2, take="fault", convert=number, unit="V", low=0, high=500),
    Row(signal="ups.input.frequency", query=Q2, take="hertz", convert=hertz, unit="Hz", low=0, high=75),
    Row(signal="ups.battery.voltage", query=Q2, take="battery", convert=number, unit="V", low=0, high=999),
    Row(signal="ups.temperature", query=Q2, take="temperature", convert=number, unit="C", low=-10, high=95),
    Row(signal="ups.battery.charge", query=Q2, take="charge", convert=number, unit="%", low=0, high=100),
    code_row(Q2, "faults", "faults", "failed", "crit"),
    code_row(Q2, "warnings", "warnings", "warning", "warn"),
    *load_rows(WA),
    *(row for row in BITS if row.query == Q1),
)

SHIM = megatec_shim("megatec_q2", "three-phase UPS that answers Q2", ROWS, Q2)
