"""The states of terminals out of the log of states, as people are shown them, and what people corrected of them."""

from __future__ import annotations

import json
from collections.abc import Collection

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.read import MAX_CORRECTIONS, StateView
from tillwatch.collector.records import OFFLINE, Correction, StateChange
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.folded import correction_of, state_of

_LATEST = 8
"""Rows among which the last word is looked for. Rows are in order of knowledge, the index in order of the readings' own time; between the two there
are a few rows at most, and a terminal has thousands in a year.
"""
_LAST = """
    SELECT s.terminal, s.since, s.at, s.kind, s.body FROM terminal t JOIN state_change s ON s.seq =
        (SELECT max(seq) FROM
            (SELECT seq, kind FROM state_change WHERE terminal = t.id ORDER BY since DESC, seq DESC LIMIT :latest) AS lately WHERE kind = 'state')
    WHERE :only IS NULL OR t.id IN (SELECT value FROM json_each(:only))"""
_CAUSE = """
    SELECT terminal, since, at, kind, body FROM state_change WHERE terminal = ? AND since = ? AND kind = 'cause' ORDER BY seq DESC LIMIT 1"""


def states(db: Db, rules: Rules, only: Collection[str] | None) -> dict[str, StateView]:
    """The state of each terminal now, or of these; none of those that were never rolled up."""
    found = {}
    wanted = {"only": json.dumps(sorted(only)) if only is not None else None, "latest": _LATEST}
    for row in db.execute(_LAST, wanted).fetchall():
        change = state_of(*row)
        if change.state == OFFLINE:
            later = db.execute(_CAUSE, (change.terminal, change.since)).fetchone()
            change = change if later is None else state_of(*later)  # what was found out of the very stretch that lasts
        found[change.terminal] = _view(change, rules)
    return found


def _view(change: StateChange, rules: Rules) -> StateView:
    rule = rules.by_id.get(change.reason)
    text = rule.text if rule is not None else change.reason
    return StateView(
        change.state,
        change.since,
        change.reason,
        text,
        change.party,
        change.cause,
        change.lost,
        change.level,
        change.why,
    )


def corrections(db: Db, terminal: str | None = None) -> list[Correction]:
    """Of one terminal, or the last ones of all."""
    rows = db.execute(
        "SELECT n, terminal, t0, t1, body FROM correction WHERE :only IS NULL OR terminal = :only ORDER BY n DESC LIMIT :most",
        {"only": terminal, "most": MAX_CORRECTIONS},
    )
    return [correction_of(*row) for row in rows][::-1]
