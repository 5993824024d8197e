"""What service control is told of the service, as a state machine without a clock or a call: pure. A check point counts up while something is pending and
is 0 otherwise, orders are taken only while it runs, and nothing follows STOPPED.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

ACCEPT_STOP = 0x01
ACCEPT_SHUTDOWN = 0x04
ACCEPT_POWER = 0x40
ACCEPT_PRESHUTDOWN = 0x100
ACCEPTED = ACCEPT_STOP | ACCEPT_SHUTDOWN | ACCEPT_POWER | ACCEPT_PRESHUTDOWN
"""No session changes: the agent has nothing to do with who is logged on. Pausing would be a gap in the record."""

START_HINT_MS = 60_000
"""Until the next check point or the end of the start. The first start compiles the device profiles, some seconds on a slow terminal; a disk that is busy
right after the machine's start makes ten times that."""
STOP_HINT_MS = 15_000
"""A stop takes at most 5 s (service.py); the same allowance for a slow disk."""


class Phase(IntEnum):
    """dwCurrentState"""

    STOPPED = 1
    START_PENDING = 2
    STOP_PENDING = 3
    RUNNING = 4


class Event(Enum):
    """PROGRESS: a step of the start or of the stop is done. READY: started. STOP: asked to stop. ENDED: no more of it runs."""

    PROGRESS = "progress"
    READY = "ready"
    STOP = "stop"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Status:
    """exit_code: of the program, 0 for a stop that was asked for. What is told of it follows from the phase."""

    phase: Phase = Phase.START_PENDING
    check_point: int = 1
    exit_code: int = 0

    @property
    def accepted(self) -> int:
        return ACCEPTED if self.phase is Phase.RUNNING else 0

    @property
    def wait_hint_ms(self) -> int:
        return {Phase.START_PENDING: START_HINT_MS, Phase.STOP_PENDING: STOP_HINT_MS}.get(self.phase, 0)


def step(status: Status, event: Event, exit_code: int = 0) -> Status:
    """The next status; the same one where the event changes nothing. exit_code: with ENDED."""
    if status.phase is Phase.STOPPED:
        return status
    if event is Event.ENDED:
        return Status(Phase.STOPPED, 0, exit_code)
    if event is Event.STOP and status.phase is not Phase.STOP_PENDING:
        return Status(Phase.STOP_PENDING, 1)
    if event is Event.READY and status.phase is Phase.START_PENDING:
        return Status(Phase.RUNNING, 0)
    if event is Event.PROGRESS and status.phase is not Phase.RUNNING:
        return replace(status, check_point=status.check_point + 1)
    return status
