"""Whether two machines speak under one identity. One machine's boots and epochs follow each other and never come back: what was left behind and
speaks again is a second one. Pure: the speakers so far and a life message go in, the speakers afterwards and the evidence come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tillwatch.agent.model import MS
from tillwatch.agent.wire import Life

MAX_SPEAKERS = 8
"""Boots of a terminal that are remembered: two machines alternate between two of them; the rest shows what was before."""
UP_SLACK_MS = 1_000
"""By which an uptime may go back: none should, a machine that wakes up may round."""
SAME_BOOT_NS = 10 * 60 * 10**9
"""How far apart the moments of one boot may be told. Where the boot id is made of the clock it changes when the clock is set."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One boot in one epoch, as its life messages told: n and uptime of the last one; first, last: when they were received, UTC ns."""

    boot: bytes
    epoch: bytes
    n: int
    up_ms: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"boot {self.boot.hex()[:8]} (up {_span(self.up_ms)}, epoch {self.epoch.hex()[:8]}, heard {_iso(self.last)})"


def heard(speakers: Sequence[Speaker], life: Life, at: int) -> tuple[list[Speaker], dict[str, str]]:
    """speakers: the one that was heard last is the last. Evidence: kind -> text with both machines' facts; empty where there is none."""
    mine = next((one for one in speakers if (one.boot, one.epoch) == (life.boot, life.epoch)), None)
    if mine is None:
        new = Speaker(life.boot, life.epoch, life.n, life.up, at, at)
        return [*speakers, new][-MAX_SPEAKERS:], {}
    if life.n <= mine.n:
        return list(speakers), {}  # a copy of an older message says nothing about now
    last, now = speakers[-1], replace(mine, n=life.n, up_ms=life.up, last=at)
    evidence = {}
    if mine is not last and not _one_boot(last, now):
        evidence["alternation"] = f"two machines speak in turn: {now} and {last}"
    elif life.up + UP_SLACK_MS < mine.up_ms:
        evidence["uptime"] = f"the uptime of one boot went back from {_span(mine.up_ms)}: {now}"
    return [*(one for one in speakers if one is not mine), now], evidence


def copied(speakers: Sequence[Speaker], life: Life) -> bool:
    """Whether it was heard before: a broker may deliver it again, behind the will that followed it. A spool that was put back counts anew, but the uptime goes on."""
    known = next((one for one in speakers if (one.boot, one.epoch) == (life.boot, life.epoch)), None)
    return life.state == "online" and known is not None and life.n <= known.n and life.up <= known.up_ms


def against(speakers: Sequence[Speaker], boot: bytes, up_ms: int, at: int) -> str:
    """Who is behind a second history: the boot that told it, and the one that was known before."""
    told = f"told by boot {boot.hex()[:8]} (up {_span(up_ms)}, at {_iso(at)})"
    others = [str(one) for one in speakers if one.boot != boot][-1:]
    return told + (f", while there is {others[0]}" if others else ", under the only boot that is known")


def _one_boot(one: Speaker, other: Speaker) -> bool:
    """Two names of one boot: made of a clock that was set meanwhile, they begin with four zeros (agent/clock.py)."""
    if one.epoch != other.epoch or one.boot[:4] != bytes(4) or other.boot[:4] != bytes(4):
        return False
    return abs((one.last - one.up_ms * MS) - (other.last - other.up_ms * MS)) < SAME_BOOT_NS


def _span(ms: int) -> str:
    minutes = ms // 60_000
    if minutes >= 48 * 60:
        return f"{minutes // 1440} d"
    return f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min" if minutes else f"{ms // 1000} s"


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
