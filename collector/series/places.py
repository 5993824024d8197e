"""Where each terminal stood at a place in the log: what its enrolment said. Taken from the log, and not from what is known now, so that a reading is written
under the same tags whenever it is written.
"""

from __future__ import annotations

from typing import Any

import msgpack

from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.series.lines import Place
from tillwatch.collector.store.db import Db

_ENROLLED = """
    SELECT terminal, facts FROM journal WHERE kind = ? AND payload IS NULL AND terminal <> '' AND n <= ? ORDER BY n"""


class Places:
    """As of entry n; then as entries are taken."""

    def __init__(self, db: Db, n: int) -> None:
        self._of: dict[str, Place] = {}
        for terminal, facts in db.execute(_ENROLLED, (int(Kind.OPERATOR), n)) if n else ():
            self._act(terminal, msgpack.unpackb(facts))

    def of(self, terminal: str) -> Place:
        return self._of.get(terminal, Place())

    def take(self, entry: Entry) -> None:
        if entry.kind is Kind.OPERATOR and entry.terminal:
            self._act(entry.terminal, entry.facts_map())

    def _act(self, terminal: str, facts: dict[str, Any]) -> None:
        if facts.get("action") == "enrol":
            self._of[terminal] = Place(facts["branch"], facts["region"], facts["class"])
