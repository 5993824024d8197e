"""The shapes of acts on incidents and alarms in the REST API: what each needs, and what it has changed. Texts of people are short, printable and plain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tillwatch.collector.alarm.alarms import SHELF_NS
from tillwatch.collector.incident.applies import MAX_WORDS
from tillwatch.collector.incident.incidents import VERDICTS
from tillwatch.collector.web.rest.incident_schema import Incident, Line
from tillwatch.collector.web.rest.schema import Alarm, Problem

MAX_SPLIT = 500
"""Alarms of one incident that are listed, and so can be chosen."""
MAX_ACTS = 200
"""Acts in one request: what somebody selects in a list."""
SHELF_H = SHELF_NS / (3600 * 10**9)


def _printable(text: str) -> str:
    if text and not text.isprintable():
        raise ValueError("one line of printable characters")
    return text


_Plain = AfterValidator(_printable)
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_WORDS), _Plain]
Needed = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_WORDS), _Plain]
IncidentId = Annotated[str, StringConstraints(min_length=1, max_length=64), _Plain]
AlarmNumber = Annotated[int, Field(ge=1, le=2**62)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Acknowledge(_Body):
    """Somebody has taken it on: whoever sends this."""

    note: Annotated[Words, Field(examples=["on my way, 20 minutes"])] = ""


class Assign(_Body):
    to: Annotated[
        Needed, Field(description="Who has it from now on; of the roster, or anybody else", examples=["zhang.min"])
    ]
    note: Words = ""


class Hold(_Body):
    reason: Annotated[Needed, Field(description="A word of [hold] in the policy", examples=["parts"])]


class Nothing(_Body):
    """Nothing more is needed."""


class Resolve(_Body):
    verdict: Annotated[Literal["true_fault", "part_changed", "false_alarm", "no_fault_found", "drill"], Field(description="What it turned out to be: rules and predictions learn from it")]  # fmt: skip
    part: Annotated[Words, Field(description="Which part was changed", examples=["RM2-5425"])] = ""
    serial: Annotated[Words, Field(description="Of the new part", examples=["CN24K7719"])] = ""
    note: Words = ""

    @model_validator(mode="after")
    def _names_the_part(self) -> Resolve:
        if self.verdict == "part_changed" and not self.part:
            raise ValueError("part_changed needs `part`: which one, with its number if it has one")
        if len(self.part_text) > MAX_WORDS:
            raise ValueError(f"part and serial together: at most {MAX_WORDS - len(_SERIAL)} characters")
        return self

    @property
    def part_text(self) -> str:
        return f"{self.part}{_SERIAL}{self.serial}" if self.part and self.serial else self.part


_SERIAL = ", S/N "
assert set(Resolve.model_fields["verdict"].annotation.__args__) == set(VERDICTS)  # type: ignore[union-attr]  # a Literal


class NoteText(_Body):
    text: Annotated[Needed, Field(examples=["branch manager has the key"])]


class Split(_Body):
    alarms: Annotated[list[AlarmNumber], Field(min_length=1, max_length=MAX_SPLIT, description="Those that get an incident of their own", examples=[[41, 42]])]  # fmt: skip
    note: Words = ""


class Merge(_Body):
    into: Annotated[IncidentId, Field(description="The one that goes on", examples=["HWM-3f2a9c11d0e4b5a6978c-1"])]
    note: Words = ""


class Shelve(_Body):
    hours: Annotated[float, Field(gt=0, le=SHELF_H, allow_inf_nan=False, examples=[4])]
    reason: Annotated[Needed, Field(examples=["sensor is being replaced"])]
    second: Annotated[Words, Field(description="Who agreed; level 1 takes a second person")] = ""


class Item(BaseModel):
    """One act of many: on an incident, or on an alarm. Beside `act` what the act by itself takes."""

    model_config = ConfigDict(frozen=True, extra="allow")

    act: Annotated[str, StringConstraints(max_length=20), Field(examples=["acknowledge"])]
    incident: Annotated[IncidentId | None, Field(examples=["HWM-3f2a9c11d0e4b5a6978c-1"])] = None
    alarm: AlarmNumber | None = None
    seq: Annotated[
        int | None, Field(description="As If-Match: only if the incident has not changed since", ge=0, le=2**62)
    ] = None

    @model_validator(mode="after")
    def _names_one(self) -> Item:
        if (self.incident is None) == (self.alarm is None):
            raise ValueError("name an incident or an alarm")
        return self


class Items(_Body):
    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ACTS)]


class Acted(BaseModel):
    """What an act has changed: how the incident stands now (null: the alarm is part of none), and the alarm where the act was on one."""

    model_config = ConfigDict(frozen=True)

    incident: Incident | None
    alarm: Alarm | None = None
    changed: Annotated[
        list[Line],
        Field(description="What happened to it with that; empty where it was done before, by this very request"),
    ]
    still_there: Annotated[
        bool, Field(description="It was resolved, and by its readings the fault is still there: it is open again")
    ] = False


class Refused(Problem):
    """Why an act does not apply: the reason also as a line, for who says it in his own words and times."""

    reason: Line | None = None


class ItemAnswer(BaseModel):
    """Of one item: what it has changed, or why nothing."""

    model_config = ConfigDict(frozen=True)

    status: Annotated[int, Field(description="As the act by itself would have answered", examples=[200])]
    acted: Acted | None = None
    problem: Refused | None = None


class ItemAnswers(BaseModel):
    model_config = ConfigDict(frozen=True)

    items: Annotated[list[ItemAnswer], Field(description="One for each item, in their order")]
