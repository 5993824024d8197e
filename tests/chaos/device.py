"""A UPS that keeps its own account: every answer that becomes a reading carries a number that never comes again, and is written down
before it leaves. What the store shows is compared with this account and with nothing that the agent says.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tillwatch.agent.model import Value as Read

sys.path.append(str(Path(__file__).parents[2] / "packaging" / "demo"))

from snmp_responder import Plain, SnmpResponder, Value, integer, object_id, text, ticks

_MIB2 = "1.3.6.1.2.1"
_UPS = f"{_MIB2}.33.1"
_FIRST = 100_000
"""Above every sentinel of the profile."""
_ON_BATTERY, _ROUND = 8, 40
"""Of every 40 answers the last 8 say that the mains is gone: alarms, incidents and tickets arise under the faults too."""


def runtime(n: int) -> int:
    return n


def charge(n: int) -> int:
    return 30 + n % 60


def source(n: int) -> str:
    return "battery" if n % _ROUND >= _ROUND - _ON_BATTERY else "normal"


SIGNALS: dict[str, Callable[[int], Read]] = {
    "ups.battery.runtime": runtime,
    "ups.battery.charge": charge,
    "ups.output.source": source,
}
"""What an answer reads as. The runtime is the number itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """n: its number; at: UTC ns when it was given."""

    n: int
    at: int


@dataclass(slots=True)
class Run:
    """The answers that became readings of one process of the agent, and how that process ended: killed, or stopped, or not at all.
    unsealed_s: how long it had been unable to seal by then.
    """

    answers: list[Answer] = field(default_factory=list)
    ended: str = ""
    unsealed_s: float = 0.0


class CountingUps(SnmpResponder):
    """`runs`: one for each start of the agent, told by began(). quiet: answers no more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs: list[Run] = []
        self.quiet = False
        self._n = _FIRST
        self._seen: set[str] = set()
        self._full = False
        tree = {
            f"{_MIB2}.1.1.0": self._told("description", text, lambda: "UPS that counts"),
            f"{_MIB2}.1.2.0": object_id(_UPS),
            f"{_MIB2}.1.3.0": self._told("uptime", ticks, lambda: self._n),
            f"{_UPS}.2.1.0": integer(2),
            f"{_UPS}.2.3.0": self._told("runtime", integer, lambda: runtime(self._n)),
            f"{_UPS}.2.4.0": self._told("charge", integer, lambda: charge(self._n)),
            f"{_UPS}.4.1.0": self._told("source", integer, lambda: {"normal": 3, "battery": 5}[source(self._n)]),
        }
        super().__init__(0, "public", tree)

    def _told(self, name: str, kind: Callable[..., Value], content: Callable[[], Plain]) -> Value:
        def now() -> Plain:
            self._seen.add(name)
            return content()

        return kind(now)

    def began(self) -> None:
        """A new process of the agent is about to ask."""
        self.runs.append(Run())
        self._full = False

    def answer(self, message: bytes) -> bytes | None:
        if self.quiet:
            return None
        self._n += 1
        self._seen.clear()
        reply = super().answer(message)
        if self._seen >= {"uptime", "runtime", "charge", "source"} and self._is_fast():
            self.runs[-1].answers.append(Answer(self._n, time.time_ns()))
        return reply

    def _is_fast(self) -> bool:
        """Whether this is a poll of the fast class. A process reads everything once for the fast class and then once for the normal
        one, of which the signals here are no part; all later polls of the fast class ask for its own values alone.
        """
        if "description" not in self._seen:
            return True
        first, self._full = not self._full, True
        return first
