"""What a sync works with, as tests play it: the journal of the collector, and a ticket system in memory that tells whole seconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.links import keep_link
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import Caps, GoneError, Remote, Said

START = 1_772_352_000 * SECOND


@dataclass
class Clock:
    now: int = START

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class Journal:
    """Takes facts as the pipeline does: kept, and with them the link, in one transaction."""

    def __init__(self, path: Path) -> None:
        self.conn = sqlite3.connect(path, timeout=60, isolation_level=None)
        self.facts: list[dict[str, Any]] = []
        self.fails = 0

    async def __call__(self, facts: dict[str, Any]) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no journal")
        self.facts.append(facts)
        keep_link(self.conn, facts)

    def incident(self, incident: str, ticket: str, connector: str = "memory", *, state: str = "open") -> None:
        """An incident, and the ticket that was made for it."""
        self.conn.execute(
            "INSERT INTO incident (corr_id, terminal, branch, level, state, opened_at, restored_at, seq)"
            " VALUES (?, 'atm-1', 'north', 2, ?, ?, 0, 1)",
            (incident, state, START),
        )
        self.conn.execute(
            "INSERT INTO outbox (connector, incident, op, seq, body, level, created_at, state, attempts)"
            " VALUES (?, ?, 'open', 1, x'', 2, ?, 'done', 1)",
            (connector, incident, START),
        )
        keep_link(self.conn, told(incident, ticket, connector, "open"))

    def row(self, incident: str, state: str) -> None:
        """Where our delivery for it stands."""
        self.conn.execute(
            "UPDATE outbox SET state = ?, attempts = attempts + (? = 'sending') WHERE incident = ?",
            (state, state, incident),
        )

    def link(self, incident: str) -> dict[str, Any]:
        self.conn.row_factory = sqlite3.Row
        found = self.conn.execute("SELECT * FROM ticket_link WHERE incident = ?", (incident,)).fetchone()
        self.conn.row_factory = None
        return dict(found)

    def seen(self) -> list[tuple[str, str, str]]:
        """(incident, state, owner) of what people did."""
        return [(each["incident"], each["state"], each["owner"]) for each in self.facts]

    def notes(self) -> list[str]:
        return [said[3] for each in self.facts for said in each["said"]]


def told(incident: str, ticket: str, connector: str, state: str) -> dict[str, Any]:
    """Facts of a delivery."""
    return {
        "incident": incident,
        "connector": connector,
        "external_id": ticket,
        "url": f"http://desk/{ticket}",
        "state": state,
        "origin": "delivered",
    }


@dataclass
class MemoryPort:
    """Tickets by id. clock: of the system; overlap: s that it looks back; lists_notes: its list of changes has them."""

    clock: Callable[[], int]
    name: str = "memory"
    caps: Caps = field(default_factory=Caps)
    overlap: int = 2
    lists_notes: bool = False
    tickets: dict[str, Remote] = field(default_factory=dict)
    raises: list[Exception] = field(default_factory=list)
    unreadable: dict[str, Exception] = field(default_factory=dict)
    on_read: Callable[[str], None] = lambda _: None
    asked: int = 0
    reads: list[str] = field(default_factory=list)

    def open(self, incident: str, ticket: str, **fields: Any) -> None:
        self.tickets[ticket] = Remote(
            ticket, incident, f"http://desk/{ticket}", "new", TicketState.OPEN, updated_at=self._second()
        )
        self.change(ticket, **fields)

    def change(self, ticket: str, **fields: Any) -> None:
        if fields.get("state"):
            fields.setdefault("status", fields["state"].value)
        self.tickets[ticket] = replace(self.tickets[ticket], updated_at=self._second(), **fields)

    def say(self, ticket: str, text: str) -> None:
        held = self.tickets[ticket].said
        note = Said(str(len(held) + 1), "li.wei", self.clock(), text)
        self.change(ticket, said=(*held, note), by="li.wei")

    def _second(self) -> int:
        return self.clock() // SECOND * SECOND

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        self.asked += 1
        if self.raises:
            raise self.raises.pop(0)
        if not cursor:
            return [], str(self._second())
        since = int(cursor) - self.overlap * SECOND
        found = [each for each in self.tickets.values() if each.updated_at >= since]
        return [each if self.lists_notes else replace(each, said=()) for each in found], str(self._second())

    async def read(self, ticket: str) -> Remote:
        self.reads.append(ticket)
        if ticket in self.unreadable:
            raise self.unreadable[ticket]
        if ticket not in self.tickets:
            raise GoneError(f"there is no ticket {ticket}")
        found = self.tickets[ticket]
        self.on_read(ticket)
        return found

    async def find(self, key: str) -> list[Remote]:
        return [each for each in self.tickets.values() if each.key == key]

    async def note(self, ticket: str, text: str) -> None:
        self.change(ticket)

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:
        self.change(ticket, state=target)

    async def preflight(self):
        return []

    async def create(self, draft):
        raise NotImplementedError

    async def has_note(self, ticket: str, mark: str) -> bool:
        return False

    async def close(self) -> None: ...
