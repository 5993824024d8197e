"""`bundle` and `rollout` at the command line: what is wrong is said, what is done is record. That bundles reach terminals: test_rollout_live."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

from tests.collector.desk import Desk
from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import CONFIG, Report, Running

OVERRIDE = "- signal: ups.battery.charge\n  limits: {warn_below: 40}\n"
WHY = ("--reason", "cold rooms")


@pytest.fixture
def rolling(desk: Desk, tmp_path: Path) -> Desk:
    with closing(sqlite3.connect(desk.path)) as db, db:
        db.execute("INSERT OR REPLACE INTO meta VALUES ('settings', ?)", (msgpack.packb({"rollout.enabled": "True"}),))
    (tmp_path / "winter").mkdir()
    (tmp_path / "winter" / "overrides.yaml").write_text(OVERRIDE)
    desk.say("atm-1", AGENT, CONFIG, Report(0, Running.NONE).text())
    return desk


def test_made_published_listed_and_shown(rolling: Desk, tmp_path: Path) -> None:
    folder, file = str(tmp_path / "winter"), str(tmp_path / "winter.bundle")
    made = rolling.json("bundle", "make", folder, "-o", file)
    published = rolling.json("bundle", "publish", file, "--name", "winter-2026", *WHY)
    assert (published["digest"], published["reason"]) == (made["digest"], "cold rooms")
    assert published["files"] == {"overrides.yaml": len(OVERRIDE)}
    assert "none is ever changed" in rolling.refused("bundle", "publish", folder, "--name", "winter-2026", *WHY)
    assert [one["name"] for one in rolling.json("bundle", "list")] == ["winter-2026"]
    assert rolling.json("bundle", "show", "winter-2026")["overrides"] == OVERRIDE
    assert OVERRIDE.splitlines()[0] in rolling.done("bundle", "show", "winter-2026")
    assert "File exists" in rolling.refused("bundle", "make", folder, "-o", file)
    (tmp_path / "winter" / "agent.toml").write_text("[collector]\n")
    assert "nothing was made of it" in rolling.refused("bundle", "publish", folder, "--name", "other", *WHY)
    assert [act for act, _, _ in rolling.acts() if act == "bundle"] == ["bundle"]


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (("bundle", "make"), "bundle make DIR -o FILE", 2),
        (("bundle", "publish", "x", "--name", "No Name", *WHY), "small letters", 2),
        (("bundle", "publish", "x", "--name", "x"), "--reason is empty", 2),
        (("bundle", "show", "gone"), "no bundle is called gone", 1),
        (("rollout", "start", "gone", *WHY), "no bundle is called gone", 1),
        (("rollout", "start", "-"), "--reason is empty", 2),
        (("rollout", "start", "-", "--rings", "a=200%", *WHY), "no share", 2),
        (("rollout", "start", "-", "--good", "0%", *WHY), "more than 0% good", 2),
        (("rollout", "start", "-", "--minutes", "0", *WHY), "1 to 10080 minutes", 2),
        (("rollout", "start", "-", "--rings", "a=atm-9,rest", *WHY), "no terminal is called atm-9", 1),
        (("rollout", "start", "-", "--rings", "gone.toml", *WHY), "gone.toml", 2),
        (("rollout", "halt", *WHY), "no rollout was started", 1),
        (("rollout", "ring", "atm-9", "pilot"), "no terminal is called atm-9", 1),
        (("rollout", "ring", "atm-1", "Pilot"), "no name of a ring", 2),
    ],
)
def test_what_is_wrong_is_told(rolling: Desk, words: tuple[str, ...], said: str, status: int) -> None:
    assert said in rolling.refused(*words, status=status)


def test_off_until_it_is_switched_on(desk: Desk) -> None:
    assert "[rollout] enabled" in desk.refused("rollout", "start", "-", "--rings", "rest", *WHY)


def test_started_halted_and_returned(rolling: Desk, tmp_path: Path) -> None:
    rolling.done("bundle", "publish", str(tmp_path / "winter"), "--name", "winter", *WHY)
    (tmp_path / "rings.toml").write_text(
        '[gate]\ngood = "90%"\nbad = "0%"\nminutes = 30\nreturns = false\n[[ring]]\nname = "pilot"\nterminals = ["atm-1"]\n[[ring]]\nname = "rest"\nshare = "rest"\n'
    )
    assert "no rollout was started" in rolling.done("rollout", "status")
    started = rolling.json("rollout", "start", "winter", "--rings", str(tmp_path / "rings.toml"), *WHY)
    assert started["gate"] == {"good": 900_000, "bad": 0, "minutes": 30, "returns": False}
    assert (started["state"], started["ring"], started["rings"][0]["told"]) == ("running", "pilot", 1)
    assert "halt or return it first" in rolling.refused("rollout", "start", "winter", "--rings", "rest", *WHY)
    assert " > pilot" in rolling.done("rollout", "status")
    assert rolling.json("rollout", "halt", *WHY)["state"] == "halted"
    assert "does not run any more" in rolling.refused("rollout", "halt", *WHY)
    assert rolling.json("rollout", "return", *WHY)["state"] == "returned"
    assert "was returned already" in rolling.refused("rollout", "return", *WHY)
    assert rolling.json("rollout", "status")["rollouts"][0]["history"][-1]["why"] == "cold rooms"
    assert rolling.json("rollout", "ring", "atm-1", "pilot") == {"terminal": "atm-1", "ring": "pilot", "fixed": True}
    assert "shares decide" in rolling.done("rollout", "ring", "atm-1")
    assert [act for act, _, _ in rolling.acts() if act.startswith("rollout")] == [
        "rollout",
        "rollout-halt",
        "rollout-return",
    ]
    wrong = tmp_path / "wrong.toml"
    for text, said in (("[[ring]]\nname = 'a'\nshare = '1%'\nregion = 'N'\n", "not region"), ("[gates]\n", "there are"), ("[gate]\nevery = 1\n[[ring]]\nname='a'\nshare='1%'\n", "not every")):  # fmt: skip
        wrong.write_text(text)
        assert said in rolling.refused("rollout", "start", "winter", "--rings", str(wrong), *WHY, status=2)
