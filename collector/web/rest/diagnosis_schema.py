"""The shapes of commands to terminals, and of what a terminal can be asked now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.agent.wire import MAX_FACTOR, MAX_MINUTES, MAX_NAME, MIN_FACTOR, CommandKind
from tillwatch.collector.diagnosis.order import LEAST_LIFE_S, LIFE_S, MAX_REASON, MOST_LIFE_S, Order, Reach, refusal
from tillwatch.collector.diagnosis.saying import said
from tillwatch.collector.web.rest.schema import iso

Kind = Literal["poll-now", "raise-sampling", "collect-bundle", "self-report"]
MAX_SHOWN_WORDS = 400


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CommandWanted(_Model):
    """Something that changes nothing on the terminal."""

    kind: Annotated[
        Kind,
        Field(
            description="`poll-now`: read the devices before their time, all or one. `raise-sampling`: read more often for a while. `collect-bundle`: what support "
            "needs to know of the agent, without secrets. `self-report`: what a device says of itself, read and not caused.",
            examples=["poll-now"],
        ),
    ]
    reason: Annotated[
        str,
        Field(
            min_length=1, max_length=MAX_REASON, description="For the record", examples=["UPS alarm after the storm"]
        ),
    ]
    component: Annotated[
        str,
        Field(
            max_length=MAX_NAME, description="The device, of poll-now (empty: all) and self-report", examples=["ups"]
        ),
    ] = ""
    minutes: Annotated[int | None, Field(ge=1, le=MAX_MINUTES, description="Of raise-sampling", examples=[15])] = None
    factor: Annotated[
        int | None, Field(ge=MIN_FACTOR, le=MAX_FACTOR, description="Of raise-sampling: times as often", examples=[4])
    ] = None
    life_s: Annotated[
        int, Field(ge=LEAST_LIFE_S, le=MOST_LIFE_S, description="Seconds that it may take to reach the terminal")
    ] = LIFE_S

    def arguments(self) -> dict[str, Any]:
        """Those that were given."""
        given = {"component": self.component.strip() or None, "minutes": self.minutes, "factor": self.factor}
        return {name: value for name, value in given.items() if value is not None}


class CommandView(_Model):
    """One command and what became of it."""

    id: Annotated[int, Field(description="Of its entry in the journal", examples=[4711])]
    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    kind: Annotated[str, Field(examples=["poll-now"])]
    arguments: Annotated[dict[str, str | int], Field(examples=[{"component": "ups"}])]
    by: Annotated[str, Field(description="Who asked", examples=["li.na"])]
    reason: Annotated[str, Field(examples=["UPS alarm after the storm"])]
    state: Annotated[str, Field(description="`asked`, `sent`, `done`, `refused` or `expired`", examples=["done"])]
    outcome: Annotated[
        str,
        Field(
            description="The terminal's own word: `done`, `failed`, `interrupted` or `refused`; empty before",
            examples=["done"],
        ),
    ]
    why: Annotated[str, Field(description="Why it was refused or failed, as a word", examples=["not-allowed"])]
    words: Annotated[str, Field(description="What the terminal says of it", examples=["3 of 3 devices read"])]
    said: Annotated[
        str,
        Field(
            description="The same as a word: `read`, `raised`, `bundle`, `late`, `most_bundles`, `most_commands`, `timeout`, `interrupted`; empty: none is known",
            examples=["read"],
        ),
    ]
    facts: Annotated[dict[str, int], Field(description="The numbers in it", examples=[{"n": 3, "of": 3}])]
    rest: Annotated[str, Field(description="What of `words` is not in it: the device's own text")]
    asked_at: datetime | None
    sent_at: datetime | None
    done_at: datetime | None
    expires_at: datetime | None
    bundle: Annotated[bool, Field(description="Whether there is a bundle to download")]

    @classmethod
    def of(cls, order: Order) -> CommandView:
        told = said(order)
        return cls(
            said=told.key, facts=told.facts, rest=told.rest[:MAX_SHOWN_WORDS],
            id=order.n, terminal=order.terminal, kind=order.kind, arguments=dict(order.arguments), by=order.by, reason=order.reason,
            state=order.state, outcome=order.outcome, why=order.why, words=order.words[:MAX_SHOWN_WORDS], asked_at=iso(order.asked_at),
            sent_at=iso(order.sent_at), done_at=iso(order.done_at), expires_at=iso(order.expires_at),
            bundle=order.kind == CommandKind.COLLECT_BUNDLE and order.outcome == "done",
        )  # fmt: skip


class Offer(_Model):
    """One kind, and why it cannot be asked now."""

    kind: Annotated[str, Field(examples=["collect-bundle"])]
    why_not: Annotated[
        str,
        Field(
            description="Empty where it can be asked, else `collector-off`, `no-commands`, `terminal-off`, `not-allowed`, `revoked` or `too-many`",
            examples=["not-allowed"],
        ),
    ]


class Diagnosis(_Model):
    """What can be asked of a terminal now, and what was asked."""

    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    connection: Annotated[str, Field(examples=["online"])]
    told_at: Annotated[datetime | None, Field(description="When the terminal last said what it takes")]
    offers: list[Offer]
    devices: Annotated[
        list[str], Field(description="What poll-now and self-report may name", examples=[["host", "ups"]])
    ]
    commands: Annotated[list[CommandView], Field(description="The newest first")]

    @classmethod
    def of(cls, terminal: str, reach: Reach, devices: list[str], orders: list[Order]) -> Diagnosis:
        return cls(
            terminal=terminal,
            connection=reach.connection,
            told_at=iso(reach.told_at),
            offers=[Offer(kind=kind, why_not=refusal(reach, kind)) for kind in CommandKind],
            devices=devices,
            commands=[CommandView.of(order) for order in orders],
        )
