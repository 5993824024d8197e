"""The shapes of tickets and of messages on their way in the REST API. People's numbers and addresses are masked: who may see them sees them at the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.contacts import masked, without
from tillwatch.collector.read import OutgoingView, TicketView
from tillwatch.collector.web.rest.schema import iso


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ticket(_Model):
    """The ticket of an incident, as its system last told it."""

    id: Annotated[str, Field(description="The ticket system's own; empty: none yet", examples=["INC0012345"])]
    url: Annotated[str, Field(examples=["https://desk.bank.example/tickets/12345"])]
    state: Annotated[
        str,
        Field(
            description="`open`, `working`, `on_hold`, `resolved`, `closed`, `rejected`, `duplicate`, or its own word where that is none of these; before there is a ticket what becomes of the message that makes it",
            examples=["working"],
        ),
    ]
    connector: Annotated[
        str, Field(description="NAME of [tickets.NAME]; empty: no ticket system is configured", examples=["desk"])
    ]
    status: Annotated[str, Field(description="The system's own word for its state", examples=["Work in progress"])]
    owner: Annotated[str, Field(description="Who has it there; empty: nobody", examples=["zhang.min"])]
    updated_at: Annotated[datetime | None, Field(description="When it was changed last, by the system's clock")]
    verified_at: Annotated[datetime | None, Field(description="When it was last read; null: it never was")]
    verdict: Annotated[
        str,
        Field(
            description="What the technician found: `true_fault`, `part_changed`, `false_alarm`, `no_fault_found`; empty: nothing yet"
        ),
    ]
    part: Annotated[str, Field(description="What was changed", examples=["UPS battery"])]

    @classmethod
    def of(cls, view: TicketView) -> Ticket:
        return cls(
            id=view.id, url=view.url, state=view.state, connector=view.connector, status=view.status, owner=view.owner, updated_at=iso(view.updated_at),
            verified_at=iso(view.verified_at), verdict=view.verdict, part=view.part,
        )  # fmt: skip


class Delivery(_Model):
    """A message to a ticket system or to a person."""

    id: int
    incident: Annotated[str, Field(examples=["HWM-3f2a9c11d0e4b5a6978c-1"])]
    seq: Annotated[int, Field(description="Of the message in its incident; one message may go to several receivers")]
    op: Annotated[str, Field(description="`open`, `update` or `resolve` of the ticket, `notify` of a person")]
    level: Annotated[int, Field(ge=1, le=3)]
    connector: Annotated[
        str,
        Field(description="NAME of [tickets.NAME] or [channels.NAME]; empty: none is configured", examples=["desk"]),
    ]
    queue: Annotated[str, Field(description="In the receiver's own word; empty: its default", examples=["Hardware"])]
    channel: Annotated[str, Field(description="To a person: `phone`, `sms` or `mail`", examples=["sms"])]
    contact: Annotated[str, Field(description="Of that person, masked", examples=["+86 139 **** 0101"])]
    at: Annotated[datetime | None, Field(description="When it was made")]
    state: Annotated[str, Field(description="`pending`, `sending`, `uncertain`, `done` or `dead` (given up)")]
    attempts: int
    next_at: Annotated[
        datetime | None, Field(description="When it is tried next; null: now, in its turn, or never again")
    ]
    done_at: datetime | None
    answer: Annotated[str, Field(description="Of the receiver, or why it failed", examples=["201 Created"])]

    @classmethod
    def of(cls, view: OutgoingView) -> Delivery:
        waits = view.state in ("pending", "uncertain")
        return cls(
            id=view.id, incident=view.incident, seq=view.seq, op=view.op, level=view.level, connector=view.connector, queue=view.queue, channel=view.channel,
            contact=masked(view.contact), at=iso(view.created_at), state=view.state, attempts=view.attempts, next_at=iso(view.not_before if waits else 0),
            done_at=iso(view.done_at), answer=without(view.answer, view.contact),
        )  # fmt: skip
