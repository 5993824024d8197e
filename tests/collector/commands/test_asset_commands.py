"""Device files by the command line: all of a table or nothing, on record, and out again."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from tests.collector.desk import Desk

TABLE = "terminal,maker,serials,warranty_until\natm-1,Acme,ups=UP-1; sda=D-1,2027-01-14\natm-2,Bolt,,\n"


@pytest.fixture
def table(desk: Desk, tmp_path: Path) -> Path:
    desk.enrol("atm-2")
    path = tmp_path / "devices.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_a_table_is_tried_imported_and_exported(desk: Desk, table: Path) -> None:
    assert "2 device files would be changed; nothing was written" in desk.done(
        "assets", "import", str(table), "--dry-run"
    )
    assert desk.json("assets", "show", "atm-1")["fields"] == {}
    assert "2 device files changed, 0 say the same already" in desk.done("assets", "import", str(table))
    assert desk.json("assets", "show", "atm-1")["fields"] == {
        "maker": "Acme", "serials": {"sda": "D-1", "ups": "UP-1"}, "warranty_until": "2027-01-14",
    }  # fmt: skip
    assert desk.acts()[-1] == ("asset", "atm-2", {"fields": {"maker": "Bolt"}})
    assert next(row for row in desk.json("audit") if row["action"] == "asset")["actor"] == getpass.getuser()
    table.write_text(desk.done("assets", "export"), encoding="utf-8")
    assert desk.json("assets", "import", str(table))["changed"] == []
    shown = desk.done("assets", "show", "atm-1")
    assert "warranty" in shown
    assert "untold" in shown


def test_nothing_is_imported_where_anything_is_wrong(desk: Desk, table: Path) -> None:
    table.write_text(TABLE + "atm-9,Acme,,2027-13-01\n", encoding="utf-8")
    said = desk.refused("assets", "import", str(table))
    assert f"{table} line 4, column terminal: no terminal is called 'atm-9'" in said
    assert "nothing was imported" in said
    code, out, _ = desk.call("assets", "import", str(table), "--json")
    assert code == 1
    assert '"column": "terminal"' in out
    assert desk.json("assets", "show", "atm-1")["fields"] == {}


def test_what_is_no_table_is_said(desk: Desk, table: Path) -> None:
    assert "No such file" in desk.refused("assets", "import", str(table.with_name("none.csv")))
    table.write_bytes("terminal,maker\natm-1,\xe9".encode("latin-1"))
    assert "line 2: is not in UTF-8" in desk.refused("assets", "import", str(table))
    assert "takes FILE.csv" in desk.refused("assets", "import", status=2)
    assert "did you mean atm-1" in desk.refused("assets", "show", "atm1")
