"""What the generic webhook is told back: a receiver that cannot be asked calls us with the change itself. Pure: a signed body becomes facts of the journal.

The body is JSON: {incident, state, status, owner, by, verdict, part, note, note_id}; all but `incident` may be missing, and what is missing stays as it was.
packaging/docs/ticket-hooks.md describes it for those who write the other side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tillwatch.collector.tickets.message import MAX_TEXT, TicketState
from tillwatch.collector.tickets.two_way.changes import MAX_WORD, Facts
from tillwatch.collector.tickets.two_way.tracked import Tracked

VERDICTS = frozenset({"true_fault", "part_changed", "false_alarm", "no_fault_found"})
KNOWN = frozenset({"incident", "state", "status", "owner", "by", "verdict", "part", "note", "note_id"})


class PushError(ValueError):
    """It says nothing that could be kept. The text says what to mend and repeats nothing but names of fields."""


def incident_of(body: bytes) -> str:
    """The incident of a body. Raises PushError."""
    incident = _read(body).get("incident")
    if not isinstance(incident, str) or not 0 < len(incident) <= 40 or not incident.isascii():
        raise PushError("incident is missing: the correlation id that came with the message")
    return incident


def facts_of(
    body: bytes,
    known: Tracked,
    *,
    connector: str,
    delivery_id: str,
    at: int,
    states: Mapping[str, str],
    verdicts: Mapping[str, str],
) -> Facts:
    """Facts of a TICKET_CHANGE, origin "seen". known: what was journaled last; at: when it came, UTC ns; states, verdicts: the words of the other
    side -> ours, beside ours. Raises PushError.
    """
    said = _read(body)
    word = _text(said, "state")
    state = states.get(word, word) or known.state
    if state not in set(TicketState) and word:
        raise PushError(f"state is neither one of {', '.join(TicketState)} nor in the table `states`")
    verdict = _text(said, "verdict")
    if (verdict := verdicts.get(verdict, verdict)) and verdict not in VERDICTS:
        raise PushError(f"verdict is neither one of {', '.join(sorted(VERDICTS))} nor in the table `verdicts`")
    note = _text(said, "note", MAX_TEXT)
    by = _text(said, "by")
    return {
        "incident": known.incident,
        "connector": connector,
        "external_id": known.external_id,
        "url": known.url,
        "state": state,
        "origin": "seen",
        "status": _text(said, "status") or word or known.status,
        "owner": _text(said, "owner") if "owner" in said else known.owner,
        "by": by,
        "updated_at": at,
        "merged_into": "",
        "gone": False,
        "verdict": verdict or known.verdict,
        "part": _text(said, "part") if "part" in said else known.part,
        "said": [[_text(said, "note_id") or delivery_id, by, at, note]] if note else [],
    }


def _read(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise PushError("the body is not JSON") from None
    if not isinstance(said, dict):
        raise PushError("the body is not a JSON object")
    return said


def _text(said: Mapping[str, Any], name: str, limit: int = MAX_WORD) -> str:
    value = said.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PushError(f"{name} is not a text")
    return value[:limit].encode("utf-8", "replace").decode()
