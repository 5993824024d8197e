"""Tokens for a list of terminals and for images, at the command line over a real store: whole or not at all, on record, private, and taken back."""

from __future__ import annotations

import csv
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.desk import Desk
from tillwatch.agent.enrolment.claim import parse_token as parse_image_token
from tillwatch.agent.enrolment.enrol import parse_token
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.trust.registry import EnrolError, Refused, find_token, secret_digest

LIST = "terminal,branch,region,class,ring\nt-1,Harbour,North,atm,first\nt-2,Harbour,North,pos,\n"
SERIALS = "serial;terminal;branch;region;class\n5cg9231x4k;t-8;Harbour;North;atm\nNCR-0042;t-9;Harbour;North;atm\n"


def write(folder: Path, text: str, name: str = "list.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_list_becomes_tokens_that_are_good_once_each(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "tokens.csv"
    said = desk.done("enrol-token", "--list", write(tmp_path, LIST), "-o", str(out), "--expires", "14d", "--name", "north")  # fmt: skip
    assert "2 tokens" in said
    assert mode(out) == 0o600
    with out.open() as file:
        rows = list(csv.DictReader(file))
    tokens = {row["terminal"]: parse_token(row["token"]) for row in rows}
    assert {name: token.terminal for name, token in tokens.items()} == {"t-1": "t-1", "t-2": "t-2"}
    with closing(open_db(desk.path)) as db:
        placed = find_token(db, secret_digest(tokens["t-1"].secret), "t-1", desk.now)
        assert (placed.branch, placed.region, placed.terminal_class, placed.ring, placed.batch) == ("Harbour", "North", "atm", "first", "north")  # fmt: skip
    action, _, detail = desk.acts()[-1]
    assert action == "token-batch"
    assert (detail["name"], detail["count"], detail["source"]) == ("north", 2, "list.csv")
    assert detail["rows"] == [["t-1", "Harbour", "North", "atm", "first"], ["t-2", "Harbour", "North", "pos", ""]]
    status = desk.json("enrol-status", "north")
    assert (status["used"], status["count"], status["good"]) == (0, 2, True)
    assert [one["terminal"] for one in status["missing"]] == ["t-1", "t-2"]
    assert "north" in desk.done("enrol-status")
    assert "there is a batch or an image called north already" in desk.refused(
        "enrol-token", "--list", write(tmp_path, LIST), "-o", str(tmp_path / "more.csv"), "--name", "north", status=2
    )


def test_a_folder_takes_one_file_a_terminal(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    desk.done("enrol-token", "--list", write(tmp_path, LIST), "-o", str(out))
    assert sorted(path.name for path in out.iterdir()) == ["t-1.token", "t-2.token"]
    assert mode(out) == 0o700
    assert {mode(path) for path in out.iterdir()} == {0o600}
    assert parse_token((out / "t-2.token").read_text()).terminal == "t-2"
    assert "is there already" in desk.refused("enrol-token", "--list", write(tmp_path, LIST), "-o", str(out), status=2)


def test_what_is_wrong_is_said_by_line_and_nothing_is_made(desk: Desk, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "terminal,branch,region,class\nt-1,Harbour,North,atm\nt 2,Harbour,North,atm\nt-3,Harbour,North,kiosk\nt-1,,North,atm\nt-5,Harbour\n",
    )
    out = tmp_path / "tokens.csv"
    said = desk.refused("enrol-token", "--list", path, "-o", str(out))
    assert f"{path}:3: 't 2' is no terminal id" in said
    assert f"{path}:4: 'kiosk' is no class of terminals" in said
    assert f"{path}:5: the branch needs a name" in said
    assert f"{path}:5: column terminal t-1 stands in line 2, too" in said
    assert f"{path}:6: has 2 cells where the first line names 4 columns" in said
    assert "5 errors; nothing was taken over" in said
    assert not out.exists()
    assert list(tmp_path.glob(".tokens*")) == []
    assert desk.json("enrol-status") == []
    assert "terminal is missing" in desk.refused("enrol-token", "--list", write(tmp_path, "id\nx\n"), "-o", str(out)).replace("column ", "")  # fmt: skip
    assert "the list is empty" in desk.refused("enrol-token", "--list", write(tmp_path, "terminal,branch,region,class\n"), "-o", str(out))  # fmt: skip


def test_a_batch_is_taken_back_at_once(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "tokens.csv"
    desk.done("enrol-token", "--list", write(tmp_path, LIST), "-o", str(out), "--name", "north")
    with out.open() as file:
        token = parse_token(next(csv.DictReader(file))["token"])
    assert "2 tokens with it" in desk.done("enrol-token", "--revoke", "north")
    with closing(open_db(desk.path)) as db, pytest.raises(EnrolError) as caught:
        find_token(db, secret_digest(token.secret), "t-1", desk.now + 3600 * 10**9)
    assert caught.value.reason is Refused.EXPIRED
    assert desk.json("enrol-status", "north")["good"] is False
    assert "no batch or image is called south" in desk.refused("enrol-token", "--revoke", "south")


def test_an_image_has_a_token_for_its_list_and_an_end(desk: Desk, tmp_path: Path) -> None:
    path = write(tmp_path, SERIALS)
    assert "needs an end" in desk.refused("enrol-token", "--image", "kiosk", "--for", path, status=2)
    assert "within a year" in desk.refused("enrol-token", "--image", "kiosk", "--for", path, "--until", "2020-01-01T00:00", status=2)  # fmt: skip
    made = desk.json("enrol-token", "--image", "kiosk", "--for", path, "--until", "+30d")
    assert (made["count"], made["listed"]) == (2, 2)
    assert parse_image_token(made["token"]).image == "kiosk"
    expected = desk.json("expect", "list")
    assert [(one["serial"], one["terminal"], one["image"], one["state"]) for one in expected] == [
        ("5CG9231X4K", "t-8", "kiosk", "expected"),
        ("NCR-0042", "t-9", "kiosk", "expected"),
    ]
    assert "is expected with serial number NCR-0042" in desk.refused(
        "expect", "import", write(tmp_path, "serial,terminal,branch,region,class\nNCR-0043,t-9,H,N,atm\n", "b.csv")
    )
    desk.done("enrol-token", "--revoke", "kiosk")
    assert desk.json("enrol-status")[0]["good"] is False


def test_one_way_at_a_time(desk: Desk) -> None:
    assert "name a TERMINAL" in desk.refused("enrol-token", status=2)
    assert "do not go together" in desk.refused("enrol-token", "t-1", "--revoke", "north", status=2)
    assert "needs --branch" in desk.refused("enrol-token", "t-1", status=2)
    assert "no length of time" in desk.refused(
        "enrol-token", "t-1", "--branch", "B", "--region", "R", "--class", "atm", "--expires", "2y", status=2
    )
