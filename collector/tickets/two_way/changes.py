"""What people did to a ticket, as facts for the journal: pure, from how it was journaled last and how it is now.

Facts of a TICKET_CHANGE: {incident, connector, external_id, url, state, origin: "seen", status, owner, by, updated_at (UTC ns), merged_into, gone,
verdict, part, said: [[id, by, at, text], ...]}. They tell the whole of it, so that taking them twice does no harm; `said` is what was not told before.
`key` is there where the ticket shows another one than its incident's: the id wins, and the key is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tillwatch.collector.tickets.message import MAX_TEXT
from tillwatch.collector.tickets.port import Remote, Said
from tillwatch.collector.tickets.two_way.tracked import Tracked

NOTES_AT_ONCE = 50
"""Notes in one set of facts: with MAX_TEXT each they stay within 100 KB. The rest comes in further ones."""

MAX_WORD = 500
"""Characters of a name, a status or a part."""

Facts = dict[str, Any]


def state_of(remote: Remote) -> str:
    return _word(remote.state.value if remote.state is not None else remote.status)


def said_since(last: str, said: tuple[Said, ...], at: int) -> tuple[Said, ...]:
    """The notes after the one with that id. Where that was taken away, those with a greater number; where ids are not numbers, those that are not
    older than `at` (UTC ns, there), when the ticket was looked at last.
    """
    if not last:
        return said
    for place, each in enumerate(said):
        if each.id == last:
            return said[place + 1 :]
    if last.isdecimal() and all(each.id.isdecimal() for each in said):
        return tuple(each for each in said if int(each.id) > int(last))
    return _not_before(at, said)


def touched(known: Tracked, remote: Remote) -> bool:
    """Whether it is not as it was journaled. Its status alone says nothing while that is not known: our own delivery may have set it."""
    return bool(
        remote.merged_into
        or remote.id != known.external_id
        or state_of(remote) != known.state
        or (known.status and _word(remote.status) != known.status)
        or _word(remote.owner) != known.owner
        or _word(remote.verdict) != known.verdict
        or _word(remote.part) != known.part
        or said_since(known.said, remote.said, known.updated_at)
    )


def seen(connector: str, known: Tracked, remote: Remote) -> list[Facts]:
    """Facts of what changed, none if nothing did. remote: as it is now, or the one that goes on in its place: then the first ones say so and no more."""
    if remote.id != known.external_id:
        merged = {
            **_facts(connector, known),
            "url": _word(remote.url),
            "merged_into": remote.id,
            "by": _word(remote.by),
        }
        # What people wrote there before belongs to another story.
        later = replace(remote, said=_not_before(known.updated_at, remote.said), merged_into="")
        return [merged, *seen(connector, replace(known, external_id=remote.id, said=""), later)]
    if not touched(known, remote):
        return []
    facts = _facts(connector, known) | {
        "url": _word(remote.url),
        "state": state_of(remote),
        "status": _word(remote.status),
        "owner": _word(remote.owner),
        "by": _word(remote.by),
        "updated_at": remote.updated_at,
        "verdict": _word(remote.verdict),
        "part": _word(remote.part),
    }
    if remote.key != known.incident:
        facts["key"] = _word(remote.key)
    notes = said_since(known.said, remote.said, known.updated_at)
    parts = [notes[start : start + NOTES_AT_ONCE] for start in range(0, len(notes), NOTES_AT_ONCE)] or [()]
    return [
        {**facts, "said": [[each.id, _word(each.by), each.at, _word(each.text, MAX_TEXT)] for each in part]}
        for part in parts
    ]


def gone(connector: str, known: Tracked) -> Facts:
    """Facts of a ticket that is not there any more."""
    return {**_facts(connector, known), "gone": True}


def _facts(connector: str, known: Tracked) -> Facts:
    """As it was."""
    return {
        "incident": known.incident,
        "connector": connector,
        "external_id": known.external_id,
        "url": known.url,
        "state": known.state,
        "origin": "seen",
        "status": known.status,
        "owner": known.owner,
        "by": "",
        "updated_at": known.updated_at,
        "merged_into": "",
        "gone": False,
        "verdict": known.verdict,
        "part": known.part,
        "said": [],
    }


def _not_before(at: int, said: tuple[Said, ...]) -> tuple[Said, ...]:
    return tuple(each for each in said if each.at >= at)


def _word(text: str, limit: int = MAX_WORD) -> str:
    # JSON may hold half of a pair of surrogates, which no journal entry can: a question mark is better than no change.
    return text[:limit].encode("utf-8", "replace").decode()
