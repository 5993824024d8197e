"""What the watchdog says when a fault did not arrive, and how it is told without the collector: as an incident of its own, signed and posted from an
outbox of its own, which keeps it until the receiver has it. Any receiver of tillwatch's webhooks understands it.
"""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial
from pathlib import Path

from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.desks.webhook import WebhookPort
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Destination
from tillwatch.collector.tickets.sender import OutboxSender
from tillwatch.collector.watch.memory import Grievance
from tillwatch.collector.watch.path import Stage

FILE = "complaints.db"
KEPT_NS = 90 * 86_400 * 10**9
"""Delivered complaints older than this are forgotten at a start."""
LEVEL = 1
"""While the path is broken nobody hears of anything."""

MISSING = {
    Stage.BROKER: "the broker does not take the watchdog's batch",
    Stage.STORED: "the collector does not say that the watchdog's batch is stored",
    Stage.TICKET: "the ticket of the injected fault does not arrive",
    Stage.END_BROKER: "the broker does not take the end of the injected fault",
    Stage.END_STORED: "the collector does not say that the end of the injected fault is stored",
    Stage.RESOLVE: "the ticket of the injected fault is not resolved",
}
_BROKER = "See that the broker runs, that the watchdog reaches it, and that its certificate is good"
_STORED = "See that the collector runs and can write: `tillwatch-collector doctor`, its log, its disk"
_TICKET = (
    "See the collector's log for `drills`; that [watchdog] has the same receiver and secret on both sides, that the watchdog is enrolled with "
    "--class watchdog, and that the rule monitoring.drill is on"
)
MEND = {
    Stage.BROKER: _BROKER,
    Stage.STORED: _STORED,
    Stage.TICKET: _TICKET,
    Stage.END_BROKER: _BROKER,
    Stage.END_STORED: _STORED,
    Stage.RESOLVE: _TICKET,
}


def message(terminal: str, grievance: Grievance, stage: Stage, op: Op, at: int) -> TicketMessage:
    """The grievance as it is told now; its `told` is the number of this message. at: UTC ns."""
    return TicketMessage(
        incident=grievance.id,
        op=op,
        seq=grievance.told,
        level=LEVEL,
        terminal=terminal,
        branch="",
        region="",
        component=stage.value,
        what=f"The monitoring does not work from end to end: {grievance.text}"
        if op is not Op.RESOLVE
        else "The monitoring works from end to end again",
        at=at,
        since=grievance.since,
        cause=f"An injected fault has not passed the stage `{stage.value}` in time",
        consequence="Until it is mended no fault of any terminal may be seen, or no ticket of it arrive",
        action=MEND[stage],
    )


class Complaints:
    """The outbox and its sender. port: where complaints go."""

    def __init__(self, state_dir: Path, port: WebhookPort) -> None:
        self._file = state_dir / FILE
        with closing(open_db(self._file)) as db:
            outbox.prune(db, outbox.settled(db, time.time_ns() - KEPT_NS))
        self._sender = OutboxSender(partial(outbox.connect, self._file), port)

    def tell(self, told: TicketMessage) -> None:
        """Kept when it returns; it is sent as soon as the receiver takes it."""
        with closing(outbox.connect(self._file)) as db:
            outbox.enqueue(db, told, told.at, [Destination(self._sender.connector)])
        self._sender.wake()

    async def run(self) -> None:
        """Until cancelled."""
        await self._sender.run()
