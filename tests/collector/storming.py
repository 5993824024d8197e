"""A storm: every branch has many faults at once. The real pipeline takes them, the real sender tells them to a ticket desk over HTTP.

`python storming.py STORE ADDRESS SECRET_FILE BRANCHES PARTS SECONDS` prints a JSON object: by level the seconds from each fault to the desk's
answer, in the order of the answers, and the memory of this process in MiB before and at its highest.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.collector.conftest import COLLECTOR_KEY, UNITS
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.model import MS
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.tickets.desks.webhook import WebhookPort
from tillwatch.collector.tickets.outbox import connect
from tillwatch.collector.tickets.port import Destination
from tillwatch.collector.tickets.sender import OutboxSender
from tillwatch.collector.tickets.signature import read_secrets

RULES = "".join(f'[[rule]]\nid = "{name}"\nfor = "0s"\nhold = "0s"\n' for name in ("disk.full", "ups.battery-low"))
POLICY = '[class.default.levels]\n"ups.battery-low" = 1\n'
PATIENCE_S = 300.0


class Storm:
    """answered: (level, seconds since the fault), as the answers came; found: UTC ns of the faults of each terminal."""

    def __init__(self, store: Path, branches: int, parts: int) -> None:
        self.path, self.parts = store, parts
        self.pipeline = Pipeline(SqliteStore(store), COLLECTOR_KEY, UNITS)
        self.senders = [Sender(f"atm-{i}", boot_at=time.time_ns() - 3600 * S) for i in range(branches)]
        self.found: dict[str, int] = {}
        self.answered: list[tuple[int, float]] = []
        self.told: set[str] = set()

    async def start(self) -> None:
        self.pipeline.store.route = lambda _, __, ___: (Destination("webhook"),)
        await self.pipeline.start(shipped_text(), RULES, policy=(self.pipeline.fold.book.policy.shipped, POLICY))
        for i, sender in enumerate(self.senders):
            await sender.enrol(self.pipeline, branch=f"branch-{i}", region=f"region-{i % 20}")
        await self.pipeline.take([sender.life(time.time_ns()) for sender in self.senders])

    def faults(self, sender: Sender) -> Message:
        """One of level 1 in twenty, three of level 2, the others of level 3: the priorities that EEMUA 191 expects."""
        now = time.time_ns() // MS * MS
        rows = [
            reading("ups", "ups.battery.charge", now, 10)
            if part == 0
            else reading(f"host/disk:/{part}", "host.disk.percent", now, 99 if part % 6 == 1 else 93)
            for part in range(self.parts)
        ]
        self.found[sender.name] = now
        return sender.batch(rows, now)

    async def blow(self, seconds: float) -> None:
        """Evenly over so many seconds, whatever the collector makes of it; what came meanwhile is taken together."""
        begin, waiting = time.monotonic(), list(self.senders)
        while waiting:
            due = len(self.senders) - len(waiting), (time.monotonic() - begin) / max(seconds, 1e-9) * len(self.senders)
            n = min(max(int(due[1]) - due[0], 0), len(waiting))
            if not n:
                await asyncio.sleep(0.005)
                continue
            group = [self.pipeline.look(self.faults(sender)) for sender in waiting[:n]]
            waiting = waiting[n:]
            await self.pipeline.take_opened(group)

    def sender(self, address: str, secret_file: Path) -> OutboxSender:
        port = WebhookPort(address, read_secrets(secret_file))
        sender = OutboxSender(partial(connect, self.path), port, on_change=self._changed)
        self.pipeline.on_messages = lambda _: sender.wake()
        return sender

    async def _changed(self, facts: dict[str, Any]) -> None:
        at, incident = time.time_ns(), facts["incident"]
        await self.pipeline.ticket_changed(facts)
        if incident not in self.told:
            self.told.add(incident)
            known = self.pipeline.fold.book.incidents[incident]
            self.answered.append((known.level, (at - self.found[known.terminal]) / S))

    async def all_told(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.told) < len(self.senders) * self.parts:
                await asyncio.sleep(0.02)

    def close(self) -> None:
        self.pipeline.store.close()


def memory(field: str) -> float:
    """MiB of this process."""
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


async def main(
    store: Path, address: str, secret_file: Path, branches: int, parts: int, seconds: float
) -> dict[str, Any]:
    storm = Storm(store, branches, parts)
    await storm.start()
    sending = asyncio.create_task(storm.sender(address, secret_file).run())
    before = memory("VmRSS:")
    await storm.blow(seconds)
    await storm.all_told()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    storm.close()
    by_level = {level: [s for each, s in storm.answered if each == level] for level in (1, 2, 3)}
    return {"seconds": by_level, "rss": before, "most": memory("VmHWM:")}


if __name__ == "__main__":
    given = sys.argv[1:]
    print(
        json.dumps(
            asyncio.run(main(Path(given[0]), given[1], Path(given[2]), int(given[3]), int(given[4]), float(given[5])))
        )
    )
