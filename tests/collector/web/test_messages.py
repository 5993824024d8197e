"""The catalogue: complete in both languages, nothing missing, nothing unused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tillwatch.agent.model import State
from tillwatch.collector.incident.incidents import PLANNED
from tillwatch.collector.operators import _KINDS
from tillwatch.collector.proof.actions import GROUPS
from tillwatch.collector.store.reader import _UNKNOWN
from tillwatch.collector.store.terminal_reader import SILENCE, judge
from tillwatch.collector.web import messages
from tillwatch.collector.web.messages import LANGUAGES, TEXTS, catalogue, choose

WEB = Path(messages.__file__).parent
COLLECTOR = WEB.parent
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


def test_every_act_that_the_audit_log_sorts_has_a_word():
    acts = set().union(*GROUPS.values(), _KINDS)
    assert len(acts) > 30
    assert sorted(act for act in acts if f"audit.act_{act.replace('-', '_')}" not in catalogue()) == []


def test_two_clocks_of_the_pages_never_share_a_name():
    """A clock keeps its format under its name: the second of a name would be shown in the format of the first, such as a date as its day alone."""
    named = re.findall(
        r"""tw\.clock\((?:\w+ \? )?"([a-z-]+)"(?: : "([a-z-]+)")?,""",
        "".join(path.read_text(encoding="utf-8") for path in sorted((WEB / "static").glob("*.js"))),
    )
    names = [name for found in named for name in found if name]
    assert len(names) > 5
    assert sorted(names) == sorted(set(names))


def test_no_message_is_unused():
    exact, families = said()
    exact |= {f"{key}_one" for key in exact}  # said in its stead of one thing
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


def shipped_words() -> set[str]:
    """What the policy and the rules that ship say to people, for which a bank may put its own words."""
    policy = tomllib.loads((COLLECTOR / "policy.toml").read_text(encoding="utf-8"))
    rules = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted((COLLECTOR / "rules").glob("*.toml"))]
    steps = [step for target in policy["target"].values() for step in target["step"]]
    owners = {rule["owner"] for table in rules for rule in table.get("rule", ()) if "owner" in rule}
    reasons = {*SILENCE.values(), *_UNKNOWN.values(), judge("online", 0, int(State.CRIT), 0)[1], PLANNED}
    return {*policy["role"], *policy["hold"].values(), *(step["text"] for step in steps if "text" in step), *owners, *reasons}  # fmt: skip


def test_every_word_that_ships_is_in_the_catalogue_under_its_own_name():
    known = {key: texts["en"] for key, texts in catalogue().items() if key.startswith("shipped.")}
    wanted = {"shipped." + re.sub(r"[^a-z0-9]+", "_", word.lower()): word for word in shipped_words()}
    assert len(wanted) > 20
    assert sorted(set(wanted) ^ set(known)) == []
    assert {key: text for key, text in known.items() if text.lower() != wanted[key].lower()} == {}


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


@pytest.mark.parametrize(
    ("language", "values", "said"),
    [
        ("zh", {"age": "20 分钟"}, "采集端已有 20 分钟未收到任何数据：此处数值可能都已过时。"),
        ("zh", {"age": "5 h"}, "采集端已有 5 h 未收到任何数据：此处数值可能都已过时。"),
        ("zh", {"age": "两天"}, "采集端已有两天未收到任何数据：此处数值可能都已过时。"),
        ("en", {"age": "20 min"}, "Nothing has reached the collector for 20 min: every value here may be old."),
    ],
)
def test_a_value_of_chinese_signs_closes_up_with_chinese_text(language, values, said):
    assert TEXTS[language]("app.quiet", **values) == said
