"""What a run has done so far, added up over processes: counts, and how long acks took, to a twentieth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Any

_STEP = log(1.05)
_LEAST_S = 0.0001


class Latencies:
    """Seconds, in classes that are 5 % wide."""

    def __init__(self, counts: Counter[int] | None = None) -> None:
        self.counts: Counter[int] = Counter() if counts is None else counts
        self.most = 0.0

    def add(self, seconds: float) -> None:
        self.counts[int(log(max(seconds, _LEAST_S) / _LEAST_S) / _STEP)] += 1
        self.most = max(self.most, seconds)

    def quantile(self, share: float) -> float:
        """The middle of the class that it lies in; 0 of none."""
        wanted, seen = share * self.counts.total(), 0
        for place in sorted(self.counts):
            seen += self.counts[place]
            if seen >= wanted:
                return min(_LEAST_S * exp((place + 0.5) * _STEP), self.most)
        return 0.0


@dataclass(slots=True)
class Figures:
    """sent: batches, each once; resent: those that went out again; unsettled: sent and not known to be stored; greeted: terminals that the collector has
    answered; lost: connections; asked: life messages that the collector asked for; slow, paced: acks that asked for longer intervals, and terminals that are
    asked for another pace by their risk; late_s: by which the sender was behind its own plan at most; failed: terminals of which the collector says
    what it cannot say of them, by its words; cpu_s, rss_kib: of the processes.
    """

    sent: int = 0
    acknowledged: int = 0
    resent: int = 0
    unsettled: int = 0
    readings: int = 0
    sent_bytes: int = 0
    greeted: int = 0
    connected: int = 0
    lost: int = 0
    asked: int = 0
    slow: int = 0
    paced: int = 0
    verified: int = 0
    late_s: float = 0.0
    cpu_s: float = 0.0
    sealing_cpu_s: float = 0.0
    rss_kib: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)

    def plain(self) -> dict[str, Any]:
        """For a pipe."""
        found = {name: getattr(self, name) for name in _NUMBERS}
        latencies = {"counts": list(self.latencies.counts.items()), "most": self.latencies.most}
        return found | {"failed": self.failed, "latencies": latencies}


_NUMBERS = tuple(name for name in Figures.__dataclass_fields__ if name not in ("failed", "latencies"))


def of_plain(said: dict[str, Any]) -> Figures:
    latencies = Latencies(Counter(dict(said["latencies"]["counts"])))
    latencies.most = said["latencies"]["most"]
    return Figures(**{name: said[name] for name in _NUMBERS}, failed=Counter(said["failed"]), latencies=latencies)


def together(parts: Sequence[Figures]) -> Figures:
    whole = Figures()
    for part in parts:
        for name in _NUMBERS:
            one, other = getattr(whole, name), getattr(part, name)
            setattr(whole, name, max(one, other) if name == "late_s" else one + other)
        whole.failed += part.failed
        whole.latencies.counts += part.latencies.counts
        whole.latencies.most = max(whole.latencies.most, part.latencies.most)
    return whole
