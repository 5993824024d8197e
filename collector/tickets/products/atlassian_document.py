"""Atlassian Document Format, the form of every text in Jira Cloud's REST v3: from plain text, and back.

In REST v2 the same texts are wiki markup, in which the mark of a note, `[HWM-0011-1/2]`, is a link.
"""

from __future__ import annotations

import re
from typing import Any

_ADDRESS = re.compile(r"(https?://[^\s<>\"]+)")
_BLOCKS = {"paragraph", "heading", "codeBlock", "listItem", "tableRow", "mediaSingle", "blockquote", "panel"}

MAX_DEPTH = 50
"""Nesting that is followed when a document is read; what people write is some five deep."""


def document(text: str) -> dict[str, Any]:
    """A paragraph for each line; web addresses are links."""
    return {"type": "doc", "version": 1, "content": [_paragraph(line) for line in text.splitlines() or [""]]}


def plain(held: Any, depth: int = 0) -> str:
    """The text of a document, a line for each block. Text that is none stays as it is (REST v2)."""
    if isinstance(held, str):
        return held
    if not isinstance(held, dict) or depth > MAX_DEPTH:
        return ""
    kind = str(held.get("type"))
    if kind == "text":
        return str(held.get("text", ""))
    if kind == "hardBreak":
        return "\n"
    if kind in {"mention", "emoji", "inlineCard", "status", "date"}:
        told = held.get("attrs") or {}
        return str(told.get("text") or told.get("url") or told.get("shortName") or "")
    content = held.get("content")
    within = "".join(plain(each, depth + 1) for each in content) if isinstance(content, list) else ""
    if kind == "doc":
        return within.removesuffix("\n")
    return f"{within.removesuffix(chr(10))}\n" if kind in _BLOCKS else within


def _paragraph(line: str) -> dict[str, Any]:
    # A text node may not be empty, and a paragraph need not have any.
    content = [_text(part) for part in _ADDRESS.split(line) if part]
    return {"type": "paragraph", "content": content} if content else {"type": "paragraph"}


def _text(part: str) -> dict[str, Any]:
    if _ADDRESS.fullmatch(part):
        return {"type": "text", "text": part, "marks": [{"type": "link", "attrs": {"href": part}}]}
    return {"type": "text", "text": part}
