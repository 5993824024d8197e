"""Preset dictionaries for deflate, one for each schema of the wire. Fixed for ever once released: both sides must hold the same bytes.
A new schema adds an entry; none is ever changed. The most frequent strings stand last, where deflate reaches them with the shortest distance.
"""

from __future__ import annotations

SCHEMA = 1

_V1 = b""

PRESETS = {1: _V1}
