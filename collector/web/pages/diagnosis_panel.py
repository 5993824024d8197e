"""The panel of remote diagnosis, for pages about one terminal: what it can be asked now, asking it, and what became of it. A page that has it names
`diagnosis` among the `files` of its frame.
"""

from __future__ import annotations

from nicegui.element import Element

from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.web.pages.theme import STATIC


class Diagnosis(Element, component=STATIC / "diagnosis.js"):
    """Loads itself from the REST API. device: the one that is meant at first, empty for none."""

    def __init__(self, terminal: str, device: str = "") -> None:
        super().__init__()
        self._props["terminal"] = terminal
        self._props["device"] = device
        self._props["may"] = asking().may(Permission.DIAGNOSE)
