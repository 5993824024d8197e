"""Whatever stands in the record, every alarm and every incident has an answer, complete in both languages and in the order of its topics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.alarm.alarms import CHILD, FLAPPING, MAINTENANCE, SHELVED, Alarm, AlarmEvent, Mask
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.changes import Membership
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.incident import why
from tillwatch.collector.incident.case import Case, Line, Why
from tillwatch.collector.incident.history import lines_of
from tillwatch.collector.incident.incidents import CONSEQUENCE, LIVING, ROOT, SYMPTOM, Incident
from tillwatch.collector.read import OutgoingView, TicketView
from tillwatch.collector.records import LIFE_CYCLE, IncidentEvent
from tillwatch.collector.web.lines import say
from tillwatch.collector.web.messages import TEXTS

RULES, POLICY = parse_rules(), parse_policy()
S = 10**9
NOW = 1_790_000_000 * S
TOPICS = ("rule", "place", "mask", "people", "clock", "ticket")


def alarm(
    rule: str = "disk.full", value: Any = 93.0, *, level: int = 3, masks: tuple[Mask, ...] = (), **more: Any
) -> Alarm:
    detail = {
        "signal": next(iter(RULES.by_id[rule].signals), ""),
        "value": value,
        "unit": "%",
        "at": NOW - 60 * S,
        "since": NOW - 200 * S,
    }
    return Alarm(
        1, rule, "atm-1", "host/disk:/", 1, "active", level, NOW - 50 * S, 0, "HWM-1", detail, masks=masks, **more
    )


def incident(state: str = "open", **more: Any) -> Incident:
    told = 0 if state in ("settling", "dropped") else NOW - 45 * S
    base = Incident(
        "HWM-1",
        "atm-1",
        "Hill",
        3,
        state,
        NOW - 50 * S,
        0,
        1,
        announced_at=told,
        response_from=NOW - 50 * S,
        fault="disk.full",
    )
    return replace(base, **more)


def case(one: Alarm | None = None, of: Incident | None = None, role: str = ROOT, **more: Any) -> Case:
    about = one if one is not None else alarm()
    members = (
        (Membership("HWM-1", 1, about.rule, "atm-1", about.component, role, NOW - 50 * S, 0),) if of is not None else ()
    )
    events = (AlarmEvent(1, "raised", NOW - 50 * S, about.level, about.detail),)
    return Case(NOW, RULES, POLICY, about, events, "atm", incident=of, members=members, **more)


def keys(answer: Why) -> list[str]:
    return [line.key.removeprefix("why.") for line in answer.lines]


@pytest.mark.parametrize(
    ("given_case", "told", "head"),
    [
        (case(of=incident()), "told", "yes"),
        (case(of=incident("settling", settle_until=NOW + S)), "waits", "not_yet"),
        (case(of=incident("dropped")), "not_told", "never"),
        (case(of=incident("dropped", parent="HWM-2")), "not_told", "taken_up"),
        (case(of=incident(), role=CONSEQUENCE), "told", "yes"),
        (case(of=incident(), role=SYMPTOM), "not_told", "with_cause"),
        (case(of=incident("settling"), role=SYMPTOM), "waits", "with_cause_waits"),
        (case(), "not_told", "no_incident"),
        (case(alarm(masks=(Mask(SHELVED, NOW, NOW + S, "", "li", "x"),))), "not_told", "no_shelved"),
        (case(alarm(masks=(Mask(MAINTENANCE, NOW, 0, "w", "li", "x"),))), "not_told", "no_maintenance"),
        (case(alarm(masks=(Mask(SHELVED, NOW, NOW + S, "", "li", "x"),)), incident()), "told", "yes"),
    ],
)  # fmt: skip
def test_the_answer(given_case: Case, told: str, head: str) -> None:
    answer = why.explain(given_case)
    assert (answer.told, answer.head.key) == (told, f"why.{head}")


@pytest.mark.parametrize(
    ("rule", "value", "key", "limit"),
    [
        ("disk.full", 93.0, "above", 90.0),
        ("disk.full", 99, "above", 97.0),
        ("disk.full", 88.0, "not_back", 90.0),
        ("ups.battery-low", 12, "below", 20.0),
        ("ups.on-battery", "battery", "word", None),
        ("drive.ill", "failing", "judged", None),
        ("host.program", 3, "judged", None),
        ("terminal.silent", "silent", "found", None),
        ("terminal.silent", None, "found_itself", None),
    ],
)
def test_what_decided_is_named_with_its_limit(rule: str, value: Any, key: str, limit: float | None) -> None:
    line = next(line for line in why.explain(case(alarm(rule, value))).lines if line.key == f"why.{key}")
    assert line.values.get("limit") == limit


def test_what_decided_is_that_of_the_time_when_it_was_so() -> None:
    """The alarm itself keeps the reading by which it ended."""
    over = replace(alarm(value=20.0), condition="normal", cleared_at=NOW, returned=True)
    told = replace(case(over, incident()), alarm_events=(AlarmEvent(1, "raised", NOW, 3, alarm(value=93.0).detail), AlarmEvent(1, "cleared", NOW, 3, over.detail)))  # fmt: skip
    answer = why.explain(told)
    assert next(line for line in answer.lines if line.key == "why.above").values["value"] == 93.0
    assert {"over", "returned"} <= set(keys(answer))


def test_a_class_with_levels_of_its_own_is_named() -> None:
    policy = parse_policy('[class.atm.levels]\n"disk.full" = 1\n')
    line = next(
        line
        for line in why.explain(replace(case(alarm(level=1)), policy=policy)).lines
        if line.key == "why.class_level"
    )
    assert line.values == {"class": "atm", "level": 1}


def test_masks_say_by_whom_until_when_and_why() -> None:
    window = Window("w", "all", NOW - S, NOW + 60 * S, None, "new UPS", "li", "chen", "CHG-1")
    masks = (Mask(CHILD, NOW, ref="HWM-2"), Mask(FLAPPING, NOW), Mask(MAINTENANCE, NOW, 0, "w", "li", "new UPS"), Mask(SHELVED, NOW, NOW + S, "", "li", "x"))  # fmt: skip
    answer = why.explain(replace(case(alarm(masks=masks), incident()), windows={"w": window}, life_cycle="spare"))
    said = {line.key: line.values for line in answer.lines if line.topic == "mask"}
    assert set(said) == {
        "why.life_cycle",
        "why.child",
        "why.flapping",
        "why.maintenance",
        "why.approved",
        "why.window_until",
        "why.shelved",
    }
    assert said["why.window_until"]["until_at"] == NOW + 60 * S
    assert said["why.approved"] == {"by": "chen", "change": "CHG-1"}
    assert said["why.shelved"]["until_at"] == NOW + S


def test_what_is_on_hold_has_no_deadline_and_says_why() -> None:
    answer = why.explain(
        case(of=incident("acknowledged", held=((NOW - S, 0, "parts"),), responded_at=NOW - 2 * S, owner="li"))
    )
    held = next(line for line in answer.lines if line.key == "why.clock_held")
    assert held.values["reason"] == "Parts are on order"


@pytest.mark.parametrize(
    ("state", "key"), [("pending", "waits"), ("uncertain", "waits"), ("done", "delivered"), ("dead", "dead")]
)
def test_the_ticket_says_where_its_messages_are(state: str, key: str) -> None:
    message = OutgoingView(
        1, "desk", "HWM-1", "open", 1, 2, "", "", "", NOW, state, 3, 0, NOW if state == "done" else 0, "503"
    )
    assert keys(why.explain(case(of=incident(), messages=(message,))))[-1] == key
    assert keys(why.explain(case(of=incident())))[-1] == "no_message"
    with_ticket = case(of=incident(), ticket=TicketView("INC1", "", "open"), messages=(message,))
    assert keys(why.explain(with_ticket))[-2:] == ["ticket", key]


TIMES = st.integers(NOW - 10**6 * S, NOW + 10**6 * S)
LATER = st.one_of(st.just(0), TIMES)
WORD = st.text("abc äß中", max_size=8)
VALUES = st.one_of(
    st.none(), st.integers(-5, 200), st.floats(-5, 200), st.sampled_from(["battery", "failed", "silent", "x"])
)
MASKS = st.lists(
    st.builds(Mask, st.sampled_from([SHELVED, MAINTENANCE, CHILD, FLAPPING]), TIMES, LATER, WORD, WORD, WORD), max_size=4, unique_by=lambda m: m.kind
).map(tuple)  # fmt: skip
KINDS = [
    "opened",
    "joined",
    "left",
    "level",
    "root",
    "announced",
    "note",
    "escalated",
    "reminded",
    "acknowledged",
    "assigned",
    "in_repair",
    "held",
    "resumed",
    "restored",
    "reopened",
    "resolved",
    "closed",
    "verdict",
    "absorbed",
    "intermittent",
    "steady",
    "target_missed",
    "dropped",
    "something-new",
]
DETAIL = st.fixed_dictionaries(
    {},
    optional={
        "alarm": st.just(1), "role": st.sampled_from([ROOT, CONSEQUENCE, SYMPTOM]), "by": WORD, "to": WORD, "parent": WORD, "level": st.integers(1, 3),
        "was": st.integers(1, 3), "reason": st.sampled_from(["parts", "gone"]), "verdict": st.sampled_from(["true_fault", "drill"]),
        "people": st.lists(st.tuples(WORD, st.just("sms")).map(list), max_size=2), "roles": st.lists(WORD, max_size=2), "nobody": st.lists(WORD, max_size=2),
        "clock": st.sampled_from(["response", "repair"]), "text": WORD, "left_out": st.integers(0, 3),
        "terminals": st.lists(st.tuples(WORD, TIMES, WORD).map(list), min_size=1, max_size=50),
    },
)  # fmt: skip
EVENTS = st.lists(st.builds(IncidentEvent, st.just("HWM-1"), st.sampled_from(KINDS), TIMES, DETAIL), max_size=6)
MESSAGES = st.lists(
    st.builds(
        OutgoingView, st.integers(1, 9), WORD, st.just("HWM-1"), st.sampled_from(["open", "update", "resolve", "notify"]), st.integers(1, 9), st.integers(1, 3), WORD, WORD, WORD,
        TIMES, st.sampled_from(["pending", "sending", "uncertain", "done", "dead"]), st.integers(0, 9), LATER, LATER, WORD,
    ),
    max_size=3,
)  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rule = draw(st.sampled_from([*RULES.by_id, "gone.rule"]))
    known = RULES.by_id.get(rule)
    detail = {
        "signal": known.signal if known else "",
        "value": draw(VALUES),
        "unit": draw(WORD),
        "at": draw(TIMES),
        "since": draw(LATER),
    }
    if draw(st.booleans()):
        detail |= {"drill": True, "until": draw(TIMES)}
    about = Alarm(
        1, rule, "atm-1", draw(WORD), draw(st.integers(1, 3)), draw(st.sampled_from(["normal", "active", "unknown"])), draw(st.integers(1, 3)), draw(TIMES),
        draw(LATER), "HWM-1", detail, draw(LATER), draw(WORD), draw(LATER), draw(MASKS), returned=draw(st.booleans()), drill=draw(st.booleans()),
    )  # fmt: skip
    members = tuple(
        Membership("HWM-1", number, draw(st.sampled_from(list(RULES.by_id))), "atm-1", "ups", draw(st.sampled_from([ROOT, CONSEQUENCE, SYMPTOM])), draw(TIMES), draw(LATER))
        for number in range(draw(st.integers(1, 2)), 3)
    )  # fmt: skip
    of = incident(
        draw(st.sampled_from([*LIVING, "resolved", "closed", "dropped"])), scope=draw(st.sampled_from(["terminal", "branch", "region", "fleet"])),
        level=draw(st.integers(1, 3)), fault=draw(st.sampled_from([*RULES.by_id, "gone.rule"])), parent=draw(st.sampled_from(["", "HWM-2"])),
        responded_at=draw(LATER), restored_at=draw(LATER), release_at=draw(LATER), reopened=draw(st.integers(0, 2)), settle_until=draw(LATER),
        held=draw(st.sampled_from([(), ((NOW - 9 * S, 0, "parts"),), ((NOW - 9 * S, NOW - S, "gone"),), ((NOW - S, 0, "planned maintenance"),)])),
    )  # fmt: skip
    marks = [AlarmEvent(1, kind, draw(TIMES), 2, {"kind": draw(st.sampled_from([SHELVED, MAINTENANCE]))}) for kind in draw(st.lists(st.sampled_from(["masked", "unmasked"]), max_size=4))]  # fmt: skip
    return Case(
        NOW, RULES, POLICY, about, [AlarmEvent(1, "raised", NOW, about.level, detail), *marks], draw(st.sampled_from(["atm", "server", "none"])),
        draw(st.sampled_from(["in_service", *LIFE_CYCLE])), draw(st.sampled_from([of, None])), draw(EVENTS), members,
        windows={}, messages=draw(MESSAGES),
    )  # fmt: skip


def complete(lines: list[Line]) -> None:
    for line in lines:
        for text in TEXTS.values():
            said = say(text, line)
            assert "{" not in said, (line, said)
            assert said or line.key in ("event.said", "event.other"), line


@given(cases())
@settings(max_examples=150, deadline=None)
def test_every_case_has_a_complete_answer(drawn: Case) -> None:
    answers = [why.explain(drawn)]
    if drawn.incident is not None:
        answers.append(why.explain_incident(drawn))
        complete([line for event in drawn.events for line in lines_of(event, drawn)])
    for answer in answers:
        assert answer.told in ("told", "waits", "not_told")
        order = [TOPICS.index(line.topic) for line in answer.lines]
        assert order == sorted(order)
        complete([answer.head, *answer.lines])


def test_the_history_of_an_outage_names_its_terminals_and_counts_the_rest() -> None:
    stricken = [[f"atm-{n}", NOW, "offline (power)"] for n in range(45)]
    event = IncidentEvent("HWM-1", "opened", NOW, {"terminals": stricken, "left_out": 7})
    found, named = lines_of(event, case(of=incident()))
    assert (found.key, named.key, named.values["more"]) == ("event.opened", "event.stricken_more", 12)
    assert str(named.values["terminals"]).startswith("atm-0 (offline (power)); atm-1 ")
