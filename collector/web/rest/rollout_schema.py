"""The shapes of configuration bundles, rollouts and what terminals run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.agent.wire import MAX_TERMINAL
from tillwatch.collector.rollout.reading import MemberView, RolloutView
from tillwatch.collector.rollout.rings import LEAST_MINUTES, MAX_LISTED, MAX_RINGS, MOST_MINUTES, WHOLE, Gate, Tally
from tillwatch.collector.rollout.states import MAX_REASON, RUNNING, Bundle
from tillwatch.collector.web.rest.schema import iso

PERCENT = WHOLE // 100
MAX_NAME = 32
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$", examples=["pilot"])]
Reason = Annotated[
    str, Field(min_length=1, max_length=MAX_REASON, description="For the record", examples=["limits for cold rooms"])
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundleView(_Model):
    """A configuration bundle as it was published; none is ever changed."""

    id: Annotated[int, Field(description="Of its entry in the journal", examples=[4700])]
    name: Annotated[str, Field(examples=["winter-2026"])]
    digest: Annotated[str, Field(description="SHA-256 of its content, as terminals get it", examples=["3fa9" * 16])]
    at: datetime | None
    by: Annotated[str, Field(examples=["li.na"])]
    reason: Annotated[str, Field(examples=["limits for cold rooms"])]
    files: Annotated[dict[str, int], Field(description="Path and bytes", examples=[{"overrides.yaml": 312}])]

    @classmethod
    def of(cls, bundle: Bundle) -> BundleView:
        return cls(
            id=bundle.n, name=bundle.name, digest=bundle.digest.hex(), at=iso(bundle.at), by=bundle.by, reason=bundle.reason, files=dict(bundle.files)
        )  # fmt: skip


class BundleContent(BundleView):
    """With what is in it."""

    sampling: Annotated[dict[str, str | bool], Field(examples=[{"normal": "2m"}])]
    texts: Annotated[
        dict[str, str],
        Field(
            description="Path and YAML",
            examples=[{"overrides.yaml": "- signal: ups.battery.charge\n  limits: {warn_below: 40}\n"}],
        ),
    ]


class RingWanted(_Model):
    """By a share of the fleet, or by the names of terminals, or both."""

    name: Name
    share: Annotated[
        float,
        Field(ge=0, le=100, description="Percent of the whole fleet; 100: all that no ring before has", examples=[1]),
    ] = 0
    terminals: Annotated[
        list[Annotated[str, Field(max_length=MAX_TERMINAL)]], Field(max_length=MAX_LISTED, examples=[["ATM-0012"]])
    ] = []

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "share": round(self.share * PERCENT), "terminals": self.terminals}


class GateWanted(_Model):
    """What a ring must show before the next one begins."""

    good: Annotated[
        float,
        Field(
            gt=0, le=100, description="Percent of a ring's terminals that must report the bundle as good", examples=[95]
        ),
    ] = 95
    bad: Annotated[
        float,
        Field(
            ge=0, lt=100, description="Percent that may have fallen back, gone silent, or lost a source", examples=[2]
        ),
    ] = 2
    minutes: Annotated[
        int, Field(ge=LEAST_MINUTES, le=MOST_MINUTES, description="That a ring is watched", examples=[60])
    ] = 60
    returns: Annotated[bool, Field(description="Whether a rollout that halts takes the bundle back by itself")] = True

    def facts(self) -> dict[str, Any]:
        return {
            "good": round(self.good * PERCENT),
            "bad": round(self.bad * PERCENT),
            "minutes": self.minutes,
            "returns": self.returns,
        }

    @classmethod
    def of(cls, gate: Gate) -> GateWanted:
        return cls(good=gate.good / PERCENT, bad=gate.bad / PERCENT, minutes=gate.minutes, returns=gate.returns)


class RolloutWanted(_Model):
    """Bring a bundle to the fleet, ring by ring."""

    bundle: Annotated[
        str,
        Field(
            max_length=MAX_NAME,
            description="Its name; empty for the terminals' own configuration alone",
            examples=["winter-2026"],
        ),
    ]
    rings: Annotated[
        list[RingWanted],
        Field(
            min_length=1,
            max_length=MAX_RINGS,
            examples=[[{"name": "pilot", "share": 1}, {"name": "rest", "share": 100}]],
        ),
    ]
    gate: GateWanted = GateWanted()
    reason: Reason


class Why(_Model):
    """Why somebody does it."""

    reason: Reason


class RingOf(_Model):
    """The ring of one terminal, from the next rollout on."""

    ring: Annotated[
        str,
        Field(pattern=r"^([a-z0-9][a-z0-9._-]{0,31})?$", description="Empty: shares decide again", examples=["pilot"]),
    ]
    reason: Reason


class RingView(_Model):
    """One ring of a rollout. state: `ahead`, `running`, `passed` or `stopped`."""

    name: Annotated[str, Field(examples=["pilot"])]
    share: Annotated[float, Field(examples=[1])]
    terminals: Annotated[list[str], Field(description="Those that are named", examples=[["ATM-0012"]])]
    state: Annotated[str, Field(examples=["running"])]
    told: Annotated[int, Field(description="Terminals of it that take bundles", examples=[120])]
    good: Annotated[int, Field(description="Of these, that report it as good", examples=[118])]
    bad: Annotated[
        int, Field(description="Fallen back, refused, silent, or with a source that failed since", examples=[1])
    ]
    away: Annotated[int, Field(description="Not heard of yet", examples=[1])]
    apart: Annotated[int, Field(description="Terminals of it that take no bundles", examples=[4])]

    @classmethod
    def of(cls, view: RolloutView, place: int, tally: Tally) -> RingView:
        rollout, ring = view.rollout, view.rollout.rings[place]
        now = (
            "running"
            if rollout.state == RUNNING
            else "passed"
            if ring.name in {e.ring for e in rollout.history if e.what == "passed"}
            else "stopped"
        )
        state = "ahead" if place > rollout.ring else "passed" if place < rollout.ring else now
        return cls(
            name=ring.name, share=ring.share / PERCENT, terminals=list(ring.terminals), state=state,
            told=tally.told, good=tally.good, bad=tally.bad, away=tally.away, apart=tally.apart,
        )  # fmt: skip


class LossView(_Model):
    """A terminal that the bundle was bad for."""

    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    ring: Annotated[str, Field(examples=["pilot"])]
    at: datetime | None
    why: Annotated[str, Field(description="`fallen-back`, `refused`, `silent` or `source`", examples=["fallen-back"])]
    words: Annotated[
        str, Field(description="The terminal's own, or the sources", examples=["ups gave 12 values, now 0"])
    ]


class EventView(_Model):
    """What happened to a rollout: `started`, `ring`, `passed`, `halted`, `returned`, `done`."""

    at: datetime | None
    what: Annotated[str, Field(examples=["halted"])]
    ring: Annotated[str, Field(examples=["pilot"])]
    by: Annotated[str, Field(description="A person, or `collector` for the gate", examples=["collector"])]
    why: Annotated[
        str,
        Field(
            description="A person's reason, or `too-many-bad`, `too-few-good`, `nobody-takes-it`",
            examples=["too-many-bad"],
        ),
    ]


class Rollout(_Model):
    """One rollout. state: `running`, `halted`, `done` or `returned`."""

    id: Annotated[int, Field(description="Of its entry in the journal", examples=[4711])]
    bundle: Annotated[str, Field(description="Empty for the terminals' own configuration", examples=["winter-2026"])]
    state: Annotated[str, Field(examples=["running"])]
    at: datetime | None
    ended_at: datetime | None
    due: Annotated[datetime | None, Field(description="When the ring under way is judged")]
    by: Annotated[str, Field(examples=["li.na"])]
    reason: Annotated[str, Field(examples=["limits for cold rooms"])]
    gate: GateWanted
    rings: list[RingView]
    losses: list[LossView]
    history: list[EventView]

    @classmethod
    def of(cls, view: RolloutView) -> Rollout:
        one = view.rollout
        return cls(
            id=one.n, bundle=view.name, state=one.state, at=iso(one.at), ended_at=iso(one.ended_at), due=iso(one.due), by=one.by, reason=one.reason,
            gate=GateWanted.of(one.gate), rings=[RingView.of(view, place, tally) for place, tally in enumerate(view.tallies)],
            losses=[LossView(terminal=e.terminal, ring=e.ring, at=iso(e.at), why=e.why, words=e.words) for e in one.losses],
            history=[EventView(at=iso(e.at), what=e.what, ring=e.ring, by=e.by, why=e.why) for e in one.history],
        )  # fmt: skip


class ConfigView(_Model):
    """What one terminal is to run beside its own configuration, and what it says of that."""

    terminal: Annotated[str, Field(examples=["ATM-0012"])]
    branch: Annotated[str, Field(examples=["Harbour"])]
    region: Annotated[str, Field(examples=["North"])]
    version: Annotated[str, Field(description="Of its agent; empty where it never said one", examples=["1.0.0"])]
    ring: Annotated[str, Field(description="Empty while no rollout has placed it", examples=["pilot"])]
    fixed: Annotated[bool, Field(description="Placed by a person or a list: shares leave it")]
    bundle: Annotated[str, Field(description="That it is to run; empty for none", examples=["winter-2026"])]
    state: Annotated[
        str,
        Field(
            description="Empty, `off`, `none`, `waiting`, `trying`, `good`, `fallen-back` or `refused`",
            examples=["good"],
        ),
    ]
    since: datetime | None
    runs: Annotated[str, Field(description="The bundle that it runs, by its own word", examples=["winter-2026"])]
    words: Annotated[str, Field(description="Why it fell back or refused", examples=[""])]

    @classmethod
    def of(cls, view: MemberView) -> ConfigView:
        one = view.member
        return cls(
            terminal=one.terminal, branch=view.branch, region=view.region, version=view.version, ring=one.ring, fixed=one.fixed,
            bundle=view.bundle, state=one.state, since=iso(one.at), runs=one.said[3], words=one.said[4],
        )  # fmt: skip


class Configured(_Model):
    """Whether this collector brings bundles out, and the terminals. counts: by state, of all that this account sees."""

    enabled: bool
    counts: Annotated[dict[str, int], Field(examples=[{"good": 118, "waiting": 2}])]
    items: list[ConfigView]
    total: Annotated[int, Field(examples=[120])]
    limit: Annotated[int, Field(examples=[100])]
    offset: Annotated[int, Field(examples=[0])]
