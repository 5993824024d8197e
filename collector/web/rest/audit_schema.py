"""The shapes of the audit log in the REST API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.oversight import DoneView
from tillwatch.collector.proof.actions import group_of
from tillwatch.collector.proof.acts_page import MAX_STRETCH, EntryCheck, Logged, Stretch
from tillwatch.collector.web.rest.schema import iso

MAX_DETAIL = 600
"""Characters of one fact in a list; the entry itself has all of it."""
MAX_NAMES = 40
"""Names of one fact that is a table, such as the labels of an alert; the entry itself has all of them."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class AuditEntry(_Model):
    """Something that somebody did, or that the collector did by itself, as the log has it."""

    n: Annotated[int, Field(description="Its number in the log", examples=[120934])]
    at: datetime | None
    actor: Annotated[str, Field(examples=["li.na"])]
    action: Annotated[str, Field(examples=["acknowledge"])]
    group: Annotated[
        str,
        Field(
            description="`sign_in`, `look`, `people`, `key`, `rule`, `correction`, `planning`, `collector` or `handling`",
            examples=["handling"],
        ),
    ]
    terminal: Annotated[str, Field(description="Whom it was about; empty: no single one", examples=["ATM-0417"])]
    text: Annotated[str, Field(description="Its other facts in one line", examples=["alarm=41 note=on the way"])]
    detail: Annotated[dict[str, Any], Field(description="The same by name; long ones are cut")]
    digest: Annotated[str, Field(description="Of the entry, SHA-256 over the one before it and its own facts, in hex")]

    @classmethod
    def of(cls, each: Logged) -> AuditEntry:
        act = each.act
        detail = {name: _short(value) for name, value in act.detail.items() if name not in ("signature", "role", "via")}
        return cls(
            n=act.n, at=iso(act.at), actor=act.actor, action=act.action, group=group_of(act.action, act.detail), terminal=act.terminal,
            text=" ".join(f"{name}={value}" for name, value in detail.items() if value not in ("", None)), detail=detail, digest=each.digest.hex(),
        )  # fmt: skip


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _cut(each) for name, each in islice(value.items(), MAX_NAMES)}
    if isinstance(value, bool | int | float) or value is None:
        return value
    return _cut(value)


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_DETAIL else f"{text[:MAX_DETAIL]}…"


class AuditPage(_Model):
    """Acts, the newest first."""

    items: list[AuditEntry]
    before: Annotated[
        int, Field(description="Ask with this for what comes next; 0: there is nothing further back", examples=[118002])
    ]
    looked_at: Annotated[int, Field(description="Acts that were looked through for this answer")]
    back_to: Annotated[datetime | None, Field(description="Time of the last one that was looked at")]
    whole: Annotated[
        bool,
        Field(description="The asker sees the whole fleet; false: acts that are about no terminal of his are left out"),
    ]


class AuditProof(_Model):
    """One entry of the log, and whether it is what the digests around it say."""

    entry: AuditEntry
    kind: Annotated[str, Field(examples=["operator"])]
    prev: Annotated[str, Field(description="The digest before it, in hex")]
    ok: Annotated[bool, Field(description="Its digest follows from the one before it and from its own facts")]
    signed: Annotated[
        bool | None,
        Field(description="Whether the collector's own key has signed it; null: an act of this kind is not signed"),
    ]
    facts: Annotated[dict[str, Any], Field(description="All of it")]

    @classmethod
    def of(cls, found: EntryCheck) -> AuditProof:
        return cls(
            entry=AuditEntry.of(found.logged), kind=found.kind, prev=found.prev.hex(), ok=found.ok, signed=found.signed, facts=found.logged.act.detail,
        )  # fmt: skip


class ChainFault(_Model):
    what: Annotated[str, Field(description="`hole` or `damage`")]
    first: int
    last: int
    text: str


class StretchAsked(_Model):
    """Entries whose chain is to be followed. last: 0 for the end of the log."""

    first: Annotated[
        int, Field(ge=0, le=2**53, description="0: as far back from the last as one look goes", examples=[118000])
    ] = 0
    last: Annotated[int, Field(ge=0, le=2**53, examples=[120934])] = 0


class ChainStretch(_Model):
    """What came of following the chain: every digest computed again from what the log has."""

    first: int
    last: int
    entries: int
    ok: bool
    digest: Annotated[str, Field(description="Of the last entry, in hex")]
    looked_at: Annotated[datetime | None, Field(description="When")]
    faults: Annotated[list[ChainFault], Field(description="The first of them")]

    @classmethod
    def of(cls, found: Stretch, at: int) -> ChainStretch:
        return cls(
            first=found.first, last=found.last, entries=found.entries, ok=found.ok, digest=found.digest.hex(), looked_at=iso(at),
            faults=[ChainFault(what=each.what, first=each.n, last=each.last, text=each.text) for each in found.faults[:20]],
        )  # fmt: skip


class ChainState(_Model):
    """How the log's chain was found when somebody looked last."""

    head: Annotated[int, Field(description="The last entry of the log")]
    verified_at: Annotated[
        datetime | None, Field(description="When `verify --log` last went through all of it; null: nobody noted that")
    ]
    verified_ok: bool | None
    verified_text: Annotated[str, Field(description="The first thing that did not fit")]
    verified_entries: int
    stretch: Annotated[
        ChainStretch | None, Field(description="The last stretch that was followed from this console since it started")
    ]
    most: Annotated[int, Field(description="Entries of one stretch")] = MAX_STRETCH

    @classmethod
    def of(cls, head: int, verified: DoneView, stretch: ChainStretch | None) -> ChainState:
        return cls(
            head=head, verified_at=iso(verified.at), verified_ok=verified.ok, verified_text=verified.text, verified_entries=verified.entries, stretch=stretch,
        )  # fmt: skip
