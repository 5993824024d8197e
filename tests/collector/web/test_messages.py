"""The catalogue: complete in both languages, nothing missing, nothing unused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tillwatch.collector.web import messages
from tillwatch.collector.web.messages import LANGUAGES, catalogue, choose

WEB = Path(messages.__file__).parent
SAYING = tuple(WEB.parent / "incident" / name for name in ("applies.py", "history.py", "why.py"))
"""Modules outside the console that speak in messages."""

KEY = re.compile(r"""["'`]([a-z]+\.[a-z0-9_]+)["'`]""")
# f"condition.{name}" and "condition." + name: every key that begins so.
FAMILY = re.compile(r"""["'`]([a-z]+\.[a-z_]*)(?:\$?\{|["'] \+)""")


def said() -> tuple[set[str], set[str]]:
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (*SAYING, *WEB.rglob("*"))
        if path.suffix in {".py", ".js", ".html"} and path.name != "messages.py"
    )
    return {key for key in KEY.findall(text) if not key.endswith((".js", ".json", ".css", ".svg", "_"))}, set(
        FAMILY.findall(text)
    )


def test_every_message_is_in_every_language_with_the_same_places():
    for key, texts in catalogue().items():
        assert set(texts) == set(LANGUAGES), key
        places = {language: sorted(re.findall(r"\{(\w+)\}", text)) for language, text in texts.items()}
        assert places["en"] == places["zh"], key
        assert all(texts.values()), key


def test_no_message_is_unused():
    exact, families = said()
    assert (
        sorted(
            key for key in catalogue() if key not in exact and not any(key.startswith(family) for family in families)
        )
        == []
    )


def test_no_message_is_missing():
    known = catalogue()
    sections = {key.partition(".")[0] for key in known}
    exact, families = said()
    called = {key for key in exact if key.partition(".")[0] in sections}
    assert sorted(called - set(known)) == []
    begun = {family for family in families if family.partition(".")[0] in sections}
    assert sorted(family for family in begun if not any(key.startswith(family) for key in known)) == []


@pytest.mark.parametrize(
    ("asked", "remembered", "accept", "language"),
    [
        (None, None, "", "en"),
        ("zh", "en", "en", "zh"),
        ("xx", "zh", "en", "zh"),
        (None, None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, None, "fr,en;q=0.8,zh;q=0.9", "zh"),
        (None, None, "de,fr;q=abc", "en"),
    ],
)
def test_the_language_is_asked_remembered_or_the_browsers(asked, remembered, accept, language):
    assert choose(asked, remembered, accept).language == language
