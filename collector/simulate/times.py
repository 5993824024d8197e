"""Lengths of time in the simulation, in ns."""

from __future__ import annotations

S = 10**9
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
