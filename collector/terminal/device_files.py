"""The part of the fold that keeps the device file of each terminal and the notes that people write down of it. What is wrong with either was said before it
was journaled; what does not apply here changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillwatch.collector.book import Book
from tillwatch.collector.journal import Entry
from tillwatch.collector.terminal.asset import Note, changed
from tillwatch.collector.terminal.fleet import Fleet

ACTS = ("asset", "terminal-note")


class DeviceFiles:
    """of: the record of each terminal that has one, packed (asset.py)."""

    def __init__(self, book: Book, fleet: Fleet) -> None:
        self.of: dict[str, bytes] = {}
        self._book = book
        self._fleet = fleet

    def act(self, entry: Entry, facts: Mapping[str, Any]) -> None:
        if entry.terminal not in self._fleet.terminals:
            return
        if facts["action"] == "terminal-note":
            said = Note(entry.n, entry.terminal, entry.at, str(facts.get("actor", "")), str(facts.get("text", "")))
            if said.text:
                self._book.dirty.notes.append(said)
            return
        after = changed(self.of.get(entry.terminal, b""), facts)
        if after is None:
            return
        if after:
            self.of[entry.terminal] = after
        else:
            self.of.pop(entry.terminal, None)
        self._book.dirty.assets[entry.terminal] = after or None
