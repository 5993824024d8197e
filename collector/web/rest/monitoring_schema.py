"""The shapes of the monitoring's own health in the REST API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.web.messages import Text
from tillwatch.collector.web.monitoring import Check, Worst, by_state, worst_of
from tillwatch.collector.web.rest.schema import iso


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Outstanding(_Model):
    """One that stands out among what a part looks at."""

    name: Annotated[
        str,
        Field(description="A terminal, a receiver, a certificate; empty: none that is known", examples=["ATM-0417"]),
    ]
    value: float | None
    unit: str
    at: datetime | None
    href: Annotated[str, Field(description="Its page; empty: none", examples=["/terminal/ATM-0417"])]
    text: Annotated[str, Field(description="What else is said of it")]

    @classmethod
    def of(cls, each: Worst) -> Outstanding:
        return cls(name=each.name, value=each.value, unit=each.unit, at=iso(each.at), href=each.href, text=each.said)


class HealthPart(_Model):
    """One part of the monitoring: a figure, the limits that it is held to, what it means, and what to do."""

    key: Annotated[str, Field(examples=["silent"])]
    group: Annotated[
        str, Field(description="`agents`, `intake`, `collector`, `store` or `outward`", examples=["agents"])
    ]
    state: Annotated[
        str, Field(description="`ok`, `warn`, `fail`, `unknown`, or `off` where it is switched off", examples=["warn"])
    ]
    title: Annotated[str, Field(examples=["Terminals that are not heard"])]
    means: Annotated[str, Field(description="What the figure is")]
    mend: Annotated[str, Field(description="What to do where it is not well; empty: nothing")]
    value: Annotated[float | None, Field(description="Null: it is not known", examples=[3])]
    unit: Annotated[str, Field(examples=["s"])]
    warn: Annotated[float | None, Field(description="From there on it is a warning; null: no such limit")]
    fail: Annotated[float | None, Field(description="From there on it has failed")]
    at: Annotated[datetime | None, Field(description="What the figure is of")]
    count: Annotated[int, Field(description="How many are concerned")]
    total: Annotated[int, Field(description="Of how many; 0: not of a number")]
    text: Annotated[str, Field(description="What was said of it by who knows")]
    worst: list[Outstanding]

    @classmethod
    def of(cls, check: Check, text: Text) -> HealthPart:
        ill = check.state not in ("ok", "off")
        return cls(
            key=check.key, group=check.group, state=check.state, title=text(f"health.{check.key}_title"), means=text(f"health.{check.key}_means"),
            mend=text(f"health.{check.key}_mend") if ill else "", value=check.value, unit=check.unit, warn=check.warn, fail=check.fail, at=iso(check.at),
            count=check.count, total=check.of, text=check.said, worst=[Outstanding.of(each) for each in check.worst],
        )  # fmt: skip


class Monitoring(_Model):
    """How the monitoring itself is. state: of the part that is worst."""

    state: Annotated[str, Field(examples=["warn"])]
    at: datetime | None
    counts: Annotated[dict[str, int], Field(description="Parts by state", examples=[{"warn": 1, "ok": 16}])]
    parts: list[HealthPart]

    @classmethod
    def of(cls, checks: list[Check], now: int, text: Text) -> Monitoring:
        return cls(
            state=worst_of(checks), at=iso(now), counts=dict(by_state(checks)), parts=[HealthPart.of(each, text) for each in checks]
        )  # fmt: skip
