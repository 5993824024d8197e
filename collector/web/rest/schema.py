"""The shapes that the REST API answers with. Times are ISO 8601 with offset; an absent time or deadline is null, never zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.read import (
    AlarmView,
    ComponentView,
    Health,
    History,
    MaskView,
    SignalView,
    StateView,
    TerminalView,
    WaitingView,
)

Condition = Literal["ok", "warn", "crit", "unknown"]
T = TypeVar("T")
Found = TypeVar("Found")

_SECOND = 1_000_000_000


def iso(ns: int) -> datetime | None:
    """A time of the store for the outside; 0 is "never". Microseconds are enough: readings are whole milliseconds."""
    return datetime.fromtimestamp(ns // _SECOND, UTC).replace(microsecond=ns % _SECOND // 1000) if ns else None


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class TerminalState(_Model):
    """What a terminal is worth to its customers now."""

    state: Annotated[
        str,
        Field(
            description="`in_service`, `supply_low`, `degraded`, `out_of_service`, `supervisor`, `offline`, `unmonitored`, `maintenance`, `not_commissioned`, `spare`, `repair` or `retired`",
            examples=["degraded"],
        ),
    ]
    since: Annotated[datetime | None, Field(description="By the readings' own time")]
    reason: Annotated[str, Field(description="The rule that decided", examples=["atm.jam"])]
    text: Annotated[str, Field(description="The same in words")]
    party: Annotated[str, Field(description="Who answers for it", examples=["hardware"])]
    cause: Annotated[str, Field(description="Why it is offline", examples=["power"])]
    why: Annotated[str, Field(description="The evidence for that")]
    lost: Annotated[list[str], Field(description="Functions that do not work", examples=[["withdrawal"]])]
    level: Annotated[int, Field(description="1 to 3, 0 for none", ge=0, le=3)]

    @classmethod
    def of(cls, view: StateView) -> TerminalState:
        return cls(
            state=view.state, since=iso(view.since), reason=view.reason, text=view.text, party=view.party, cause=view.cause, why=view.why,
            lost=list(view.lost), level=view.level,
        )  # fmt: skip


class Terminal(_Model):
    """One ATM, POS or branch server with an agent."""

    id: Annotated[str, Field(examples=["ATM-0012"])]
    branch: Annotated[str, Field(examples=["Harbour Road"])]
    region: Annotated[str, Field(examples=["South"])]
    terminal_class: Annotated[str, Field(alias="class", examples=["atm"])]
    condition: Annotated[
        str, Field(description="`ok`, `warn`, `crit` or `unknown`; no data is `unknown`", examples=["crit"])
    ]
    reason: Annotated[str, Field(description="Why the condition is what it is, where that is not an alarm")]
    connection: Annotated[
        str,
        Field(
            description="`online`, `offline` (the connection was closed), `silent` (it should have been heard), `new` (never heard of) or `revoked` (its keys were taken back)",
            examples=["online"],
        ),
    ]
    level: Annotated[
        int, Field(description="Level 1 to 3 of its worst open alarm, 0 for none", ge=0, le=3, examples=[2])
    ]
    open_alarms: Annotated[int, Field(examples=[1])]
    last_received: Annotated[datetime | None, Field(description="When the collector last got anything from it")]
    lost: Annotated[int, Field(description="Readings that the terminal itself declared lost or thinned", examples=[0])]
    components: Annotated[int, Field(examples=[7])]
    unknown_components: Annotated[int, Field(examples=[0])]
    state: Annotated[TerminalState | None, Field(description="null before anything was rolled up")] = None
    life_cycle: Annotated[str, Field(description="`in_service`, or out of it by decision", examples=["in_service"])] = (
        "in_service"
    )
    version: Annotated[str, Field(description="Of its agent; empty before it told", examples=["1.2.0"])] = ""

    @classmethod
    def of(cls, view: TerminalView) -> Terminal:
        return cls(
            id=view.id, branch=view.branch, region=view.region, terminal_class=view.terminal_class, condition=view.condition, reason=view.reason,
            connection=view.connection, level=view.level, open_alarms=view.open_alarms, last_received=iso(view.last_received), lost=view.lost,
            components=view.components, unknown_components=view.unknown_components,
            state=TerminalState.of(view.state) if view.state is not None else None, life_cycle=view.life_cycle, version=view.version,
        )  # fmt: skip


class Signal(_Model):
    """The latest value of one signal."""

    signal: Annotated[str, Field(examples=["battery.charge"])]
    unit: Annotated[str, Field(examples=["%"])]
    kind: Annotated[str, Field(description="`gauge`, `counter`, `state` or `text`", examples=["gauge"])]
    value: Annotated[
        int | float | str | None, Field(description="null: it was asked for and could not be read", examples=[97.5])
    ]
    at: Annotated[datetime | None, Field(description="When the terminal read it, on the collector's clock")]
    received: Annotated[datetime | None, Field(description="When the collector got it")]
    quality: Annotated[str, Field(description="`good`, `stale`, `clock_suspect` or `error`", examples=["good"])]
    state: Annotated[
        str,
        Field(description="What the device profile says of the value; `none` where it does not judge", examples=["ok"]),
    ]

    @classmethod
    def of(cls, view: SignalView) -> Signal:
        return cls(
            signal=view.signal, unit=view.unit, kind=view.kind, value=view.value, at=iso(view.at), received=iso(view.received), quality=view.quality, state=view.state,
        )  # fmt: skip


class Component(_Model):
    """A part of a terminal, or a device that it polls, with its own freshness."""

    name: Annotated[str, Field(description="`<device>` or `<device>/<part>`", examples=["ups/battery"])]
    condition: Annotated[str, Field(examples=["ok"])]
    reason: Annotated[str, Field(description="Why it is `unknown`, or what is wrong")]
    last_at: Annotated[datetime | None, Field(description="The newest reading of any of its signals")]
    interval_s: Annotated[float, Field(description="How often it is expected to be read, seconds", examples=[60.0])]
    due: Annotated[
        datetime | None, Field(description="When it becomes `unknown` if nothing new arrives; null: no deadline")
    ]
    signals: list[Signal]

    @classmethod
    def of(cls, view: ComponentView) -> Component:
        return cls(
            name=view.name, condition=view.condition, reason=view.reason, last_at=iso(view.last_at), interval_s=view.interval_s, due=iso(view.due),
            signals=[Signal.of(signal) for signal in view.signals],
        )  # fmt: skip


class Mask(_Model):
    """What keeps an alarm from being told by itself."""

    kind: Annotated[
        str,
        Field(
            description="`shelved`, `maintenance`, `child_of` (its cause is told) or `flapping`", examples=["shelved"]
        ),
    ]
    since: datetime | None
    until: Annotated[datetime | None, Field(description="null: something else ends it")]
    ref: Annotated[str, Field(description="The window, or the incident of the cause")]
    by: str
    reason: str

    @classmethod
    def of(cls, view: MaskView) -> Mask:
        return cls(
            kind=view.kind, since=iso(view.since), until=iso(view.until), ref=view.ref, by=view.by, reason=view.reason
        )


class Alarm(_Model):
    """One episode of one condition on one component, with what a person needs to act."""

    id: Annotated[int, Field(examples=[41])]
    rule: Annotated[str, Field(examples=["ups-on-battery"])]
    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    branch: Annotated[str, Field(examples=["Harbour Road"])]
    component: Annotated[str, Field(examples=["ups"])]
    signal: Annotated[str, Field(examples=["output.source"])]
    level: Annotated[int, Field(description="1: core business stopped; 2: part of it; 3: secondary", examples=[2])]
    condition: Annotated[
        str,
        Field(
            description="`active`, `unknown` (it was active and nothing is heard since) or `normal` (cleared)",
            examples=["active"],
        ),
    ]
    text: Annotated[str, Field(examples=["The terminal runs on battery"])]
    value: Annotated[int | float | str | None, Field(description="The value that raised it", examples=["battery"])]
    unit: str
    cause: str
    consequence: str
    action: str
    raised_at: Annotated[datetime | None, Field()]
    cleared_at: Annotated[datetime | None, Field(description="null: still open")]
    incident: Annotated[str, Field(description="Correlation id, the same in every system that hears of it")]
    ticket: Annotated[str, Field(description="The ticket system's own id; empty: none yet", examples=["INC0012345"])]
    ticket_state: Annotated[str, Field(examples=["open"])]
    acked_by: Annotated[str, Field(description="Who has taken it on; empty: nobody", examples=["li.wei"])]
    acked_at: Annotated[datetime | None, Field()]
    ack_until: Annotated[datetime | None, Field(description="When the acknowledgement ends if the fault lasts")]
    isa_state: Annotated[
        str,
        Field(
            description="After IEC 62682: `UNACK`, `ACKED`, `RTNUN` (over, and nobody has acknowledged it), `NORM`, `SHLVD` (shelved) or `DSUPR` (silent by design)",
            examples=["UNACK"],
        ),
    ]
    masks: list[Mask]
    returned: Annotated[bool, Field(description="Over, and nobody has acknowledged it: it stays on the list")]
    drill: Annotated[bool, Field(description="Somebody injected the fault")]

    @classmethod
    def of(cls, view: AlarmView) -> Alarm:
        return cls(
            id=view.id, rule=view.rule, terminal=view.terminal, branch=view.branch, component=view.component, signal=view.signal, level=view.level,
            condition=view.condition, text=view.text, value=view.value, unit=view.unit, cause=view.cause, consequence=view.consequence, action=view.action,
            raised_at=iso(view.raised_at), cleared_at=iso(view.cleared_at), incident=view.incident, ticket=view.ticket, ticket_state=view.ticket_state,
            acked_by=view.acked_by, acked_at=iso(view.acked_at), ack_until=iso(view.ack_until),
            isa_state=view.isa_state, masks=[Mask.of(mask) for mask in view.masks], returned=view.returned, drill=view.drill,
        )  # fmt: skip


class HistoryPoint(_Model):
    at: datetime | None
    value: Annotated[
        int | float | str | None, Field(description="A reading, or the mean of n readings; null: nothing could be read")
    ]
    least: float | None
    most: float | None
    n: Annotated[int, Field(description="Readings in this point")]


class SignalHistory(_Model):
    """A signal over time, oldest first. A hole between points is a hole in what is known."""

    terminal: str
    component: str
    signal: str
    unit: str
    resolution: Annotated[
        str, Field(description="`reading` (out of the sealed batches) or `hour` (roll-ups)", examples=["reading"])
    ]
    merged: Annotated[
        int,
        Field(
            description="Points that were merged into others to stay within the bound; extremes are kept", examples=[0]
        ),
    ]
    points: list[HistoryPoint]

    @classmethod
    def of(cls, history: History, merged: int) -> SignalHistory:
        return cls(
            terminal=history.terminal, component=history.component, signal=history.signal, unit=history.unit, resolution=history.resolution, merged=merged,
            points=[HistoryPoint(at=iso(p.at), value=p.value, least=p.least, most=p.most, n=p.n) for p in history.points],
        )  # fmt: skip


class Undelivered(_Model):
    """Messages of one level that wait for one receiver longer than the policy allows."""

    connector: Annotated[
        str,
        Field(description="NAME of [tickets.NAME] or [channels.NAME]", examples=["desk"]),
    ]
    level: Annotated[int, Field(ge=1, le=3, examples=[1])]
    count: Annotated[int, Field(description="With those that wait behind the oldest", examples=[3])]
    oldest_at: Annotated[datetime | None, Field(description="When the oldest of them was made")]
    answer: Annotated[
        str,
        Field(
            description="Why it waits, as the receiver said last; empty: it was not tried yet",
            examples=["no connection to desk.bank.example (ConnectTimeout)"],
        ),
    ]

    @classmethod
    def of(cls, view: WaitingView) -> Undelivered:
        return cls(
            connector=view.connector, level=view.level, count=view.count, oldest_at=iso(view.oldest_at), answer=view.answer
        )  # fmt: skip


class MonitoringHealth(_Model):
    """The health of the monitoring itself, counted since the collector started where not said otherwise."""

    journal_entries: Annotated[int, Field(examples=[120934])]
    last_entry_at: Annotated[datetime | None, Field(description="When the journal last grew")]
    outbox_pending: Annotated[int, Field(description="Deliveries to ticket systems that wait", examples=[0])]
    outbox_dead: Annotated[int, Field(description="Deliveries that were given up; a person must look", examples=[0])]
    undelivered: Annotated[
        list[Undelivered],
        Field(
            description="What waits longer than the policy allows (`undelivered` of its level), by receiver and level"
        ),
    ]
    refused: Annotated[dict[str, int], Field(description="Messages not taken, by reason", examples=[{"signature": 0}])]
    culprits: Annotated[
        dict[str, dict[str, int]],
        Field(
            description='The same by terminal; "" are all that are not enrolled',
            examples=[{"ATM-0417": {"flood": 1200}}],
        ),
    ] = {}
    started_at: datetime | None
    advanced_to: Annotated[
        datetime | None, Field(description="How far the collector's time has come; far behind now: it stands still")
    ]

    @classmethod
    def of(cls, health: Health, now: int) -> MonitoringHealth:
        """now: UTC ns."""
        return cls(
            journal_entries=health.journal_entries, last_entry_at=iso(health.last_entry_at), outbox_pending=health.outbox_pending, outbox_dead=health.outbox_dead,
            undelivered=[Undelivered.of(each) for each in health.waiting if each.late(now)],
            refused=dict(health.refused), culprits={one.terminal: dict(one.reasons) for one in health.culprits}, started_at=iso(health.started_at), advanced_to=iso(health.advanced_to),
        )  # fmt: skip


class Page(_Model, Generic[T]):
    """A part of a list. total: of the whole list after filtering."""

    items: list[T]
    total: Annotated[int, Field(examples=[60])]
    limit: Annotated[int, Field(examples=[100])]
    offset: Annotated[int, Field(examples=[0])]

    @classmethod
    def part(cls, found: Sequence[Found], made: Callable[[Found], T], limit: int, offset: int, **more: Any) -> Self:
        """Of all that was found, `limit` from `offset` on; only these are made. more: what a page of its own kind says beside them."""
        items = [made(each) for each in found[offset : offset + limit]]
        return cls(items=items, total=len(found), limit=limit, offset=offset, **more)


class Problem(_Model):
    """What went wrong, RFC 9457."""

    type: Annotated[str, Field(examples=["about:blank"])] = "about:blank"
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["no terminal 'ATM-9999'"])]
    instance: Annotated[str, Field(description="The path that was asked for")]
    errors: Annotated[list[dict[str, str]], Field(description="For 422: where and what")] = []
