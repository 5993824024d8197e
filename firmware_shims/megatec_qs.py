"""Megatec's text protocol where the status is asked with QS: Mustek, and Voltronic's QS protocol. The answers are those of Q1.

`M` tells which of Voltronic's protocols it is: V is this one; P and T are the hexadecimal one (voltronic_qs_hex).
"""

from __future__ import annotations

from dataclasses import replace

from tillwatch.firmware_shims.base import Ended, Line, Shim
from tillwatch.firmware_shims.megatec_q1 import Q1, F, I, variant

# > QS\r
# < (229.8 229.8 229.9 031 50.1 13.6 27.0 00001001\r
# > F\r
# < #230.0 003 012.0 50.0\r

QS = replace(Q1, request=b"QS\r")

SHIM = Shim(
    name="megatec_qs",
    title="UPS that answers QS in plain text (Mustek, Voltronic QS protocol)",
    line=Line(baud=2400),
    framing=Ended(b"\r\n"),
    rows=variant(QS),
    whitelist=frozenset({QS.request, F.request, I.request}),
    claim=QS,
    refusals=frozenset({b"(NAK", b"N"}),
    timeout=3.0,
    gap=0.5,
    tries=3,
)
