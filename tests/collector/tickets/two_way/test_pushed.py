"""What the other side of a generic webhook may say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.two_way.pushed import KNOWN, PushError, facts_of, incident_of
from tillwatch.collector.tickets.two_way.tracked import Tracked

HELD = Tracked("H-1", "T-7", "http://desk/T-7", "open", "new", "wang", verdict="true_fault", part="belt")


def facts(**said):
    body = json.dumps({"incident": "H-1", **said}).encode()
    return facts_of(
        body,
        HELD,
        connector="webhook",
        delivery_id="call_1",
        at=9,
        states={"In Arbeit": "working"},
        verdicts={"Teil getauscht": "part_changed"},
    )


def test_everything() -> None:
    said = facts(
        state="In Arbeit",
        status="In Arbeit (2. Linie)",
        owner="li.wei",
        by="li.wei",
        verdict="Teil getauscht",
        part="出钞皮带",
        note="在路上",
        note_id="n-5",
    )
    assert said == {
        "incident": "H-1",
        "connector": "webhook",
        "external_id": "T-7",
        "url": "http://desk/T-7",
        "state": "working",
        "origin": "seen",
        "status": "In Arbeit (2. Linie)",
        "owner": "li.wei",
        "by": "li.wei",
        "updated_at": 9,
        "merged_into": "",
        "gone": False,
        "verdict": "part_changed",
        "part": "出钞皮带",
        "said": [["n-5", "li.wei", 9, "在路上"]],
    }


def test_what_is_not_said_stays() -> None:
    said = facts(note="on my way")
    kept = ("state", "status", "owner", "verdict", "part")
    assert [said[name] for name in kept] == ["open", "new", "wang", "true_fault", "belt"]
    assert said["said"] == [["call_1", "", 9, "on my way"]]


def test_owner_can_be_taken_off() -> None:
    assert facts(owner="")["owner"] == ""


@pytest.mark.parametrize(
    ("said", "reason"),
    [({"state": "Warten"}, "states"), ({"verdict": "weiss nicht"}, "verdicts"), ({"owner": 5}, "owner is not a text")],
)
def test_words_that_nobody_explained_are_refused(said, reason) -> None:
    with pytest.raises(PushError, match=reason):
        facts(**said)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"incident": 5}', b'{"incident": ""}', b"\xff", b"[" * 100_000])
def test_no_incident(body) -> None:
    with pytest.raises(PushError):
        incident_of(body)


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)), st.text(max_size=30) | st.integers() | st.none()))
def test_any_fields_are_facts_or_refused(said) -> None:
    try:
        done = facts(**(said | {"incident": "H-1"}))
    except PushError:
        return
    assert done["incident"] == "H-1"
