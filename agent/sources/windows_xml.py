"""XML as Windows and the drivers of its devices hand it over, flat: each element that holds text or attributes, in order. No document type, so no
entities of its own. expat without ElementTree, which would be another 0.6 MiB in the resident agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from xml.parsers import expat

MAX_ELEMENTS = 4_096
"""An event has some 30, the statistics of a device with everything some 400."""


@dataclass(frozen=True, slots=True)
class Element:
    """path: local names from below the root, such as `System/EventID`; the root itself is ``. text: without what its children hold."""

    path: str
    attributes: Mapping[str, str]
    text: str


def elements(document: str) -> list[Element]:
    """Children come before their parents. Raises ValueError: no XML, or more than MAX_ELEMENTS."""
    open_: list[tuple[str, dict[str, str], list[str]]] = []
    found: list[Element] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(found) + len(open_) >= MAX_ELEMENTS:
            raise ValueError(f"over {MAX_ELEMENTS} elements")
        open_.append((name.rpartition(":")[2], attributes, []))

    def text(data: str) -> None:
        if open_:
            open_[-1][2].append(data)

    def end(_name: str) -> None:
        path = "/".join(name for name, _, _ in open_[1:])
        _, attributes, texts = open_.pop()
        found.append(Element(path, attributes, "".join(texts).strip()))

    def doctype(*_: object) -> NoReturn:
        raise ValueError("has a document type")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = doctype
    try:
        # As bytes: text that says that it is UTF-16, as drivers write it, is read here already.
        parser.Parse(_without_declaration(document).encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise ValueError(f"no XML: {error}") from None
    return found


def _without_declaration(document: str) -> str:
    document = document.lstrip("\ufeff \t\r\n\0")
    return document.partition("?>")[2] if document.startswith("<?xml") else document
