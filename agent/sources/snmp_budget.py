"""What one SNMP device is asked at most, and when it is left alone: SNMP agents are small, some are slow, some sleep. Pure but for the counting.

Every request is counted where it leaves. A poll that asked more than a minute may have is followed by a rest that makes up for it; a device
that does not answer is asked less and less; one that sleeps is not woken. The sampler keeps the rest, tells the longer interval, and ends it for a trap.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakValueDictionary

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_values import Raw, number_of

REQUESTS_A_MINUTE = 600
"""To one device, over the polls of all classes: ten a second is what a management card answers beside its own work."""
VARBINDS_A_MINUTE = 12_000
"""Twenty in each of those requests."""
REQUESTS_A_POLL = 6_000
"""A table of 800 cells in each of 7 columns, one by one as SNMPv1 gives them. What needs more is not read to its end."""
FAILURES_AT_ONCE = 1
"""Failed polls before a device is asked less: one may be its restart, and the alarm must not wait."""
FIRST_BACK_OFF_S = 10.0
"""Doubles with each further failure. A failed poll alone takes 10 s by the default timeout and retry."""
MAX_BACK_OFF_S = 300.0
"""A device that came back is read within five minutes, or at once when it sends its coldStart trap."""
SLEEP_S = 900.0
"""A sleeping printer is asked four times an hour: some wake to answer, and a fuser that warms up takes 1 kW."""

TELL_REST_S = 10.0
"""A rest that is shorter than the usual FAST interval goes unsaid."""

HR_DEVICE_STATUS = "1.3.6.1.2.1.25.3.2.1.5."
HR_PRINTER_STATUS = "1.3.6.1.2.1.25.3.5.1.1."
HR_PRINTER_ERRORS = "1.3.6.1.2.1.25.3.5.1.2."
_RUNNING, _OTHER = 2, 1


class Budget:
    """Of one device, also where several tables of the configuration name it.

    turn: who holds it polls. requests, varbinds: of the poll that goes on; of variables, those asked for by GET and those that a walk brought.
    """

    def __init__(self) -> None:
        self.requests = self.varbinds = 0
        self.turn = asyncio.Lock()
        self._most = math.inf
        self._free, self._at = 1.0, -math.inf  # minutes of asking that are left; when that was

    def begin(self) -> None:
        """A poll. What a person asks for without one, such as a walk of the whole device, is counted and not bounded."""
        self.requests = self.varbinds = 0
        self._most = REQUESTS_A_POLL

    def request(self) -> None:
        """One is about to leave. Raises SourceError instead of the first beyond REQUESTS_A_POLL."""
        if self.requests >= self._most:
            raise SourceError(
                f"the device is not read to its end with {REQUESTS_A_POLL} requests; ask it with SNMP version 2c or 3, or give it a profile with fewer tables"
            )
        self.requests += 1

    async def wait(self) -> None:
        """`request` under the name by which gufo-snmp calls its policer before each datagram."""
        self.request()

    def rest(self, now: float) -> float:
        """To be called once, after each poll, with a monotone time: seconds from then on in which the device has had what it may be asked."""
        minutes = max(self.requests / REQUESTS_A_MINUTE, self.varbinds / VARBINDS_A_MINUTE)
        self._free = min(1.0, self._free + (now - self._at) / 60) - minutes
        self._at = now
        return max(0.0, -60 * self._free)


_budgets: WeakValueDictionary[tuple[str, int], Budget] = WeakValueDictionary()


def budget_of(host: str, port: int) -> Budget:
    """The one of the device there, for as long as a client has it."""
    return _budgets.setdefault((host, port), Budget())


@dataclass(slots=True)
class BackOff:
    """Failed polls in a row."""

    failures: int = 0

    def failed(self) -> float:
        """Seconds for which the device is now left alone."""
        self.failures += 1
        over = self.failures - FAILURES_AT_ONCE
        # Bounded before the power is: 2**10 is far beyond the longest.
        return min(MAX_BACK_OFF_S, FIRST_BACK_OFF_S * 2 ** (min(over, 10) - 1)) if over > 0 else 0.0

    def answered(self) -> None:
        self.failures = 0


def sleeping(raws: Mapping[str, Raw]) -> bool | None:
    """Whether it is a printer in standby, by RFC 3805, appendix E: running as a device, other as a printer, and no error. None: these values say nothing
    of it. Of several engines all have to sleep.
    """
    engines = {
        oid.removeprefix(HR_PRINTER_STATUS): raw for oid, raw in raws.items() if oid.startswith(HR_PRINTER_STATUS)
    }
    if not engines:
        return None
    return all(
        number_of(raw) == _OTHER
        and number_of(raws.get(HR_DEVICE_STATUS + index)) == _RUNNING
        and not any(_octets(raws.get(HR_PRINTER_ERRORS + index)))
        for index, raw in engines.items()
    )


def _octets(raw: Raw | None) -> bytes:
    return raw if isinstance(raw, bytes) else b""
