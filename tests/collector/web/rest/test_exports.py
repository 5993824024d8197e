"""Lists as files: opened again as a person's spreadsheet opens them."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from tests.collector.fake_fleet import HOSTILE, NANO, FakeFleet
from tests.collector.web.as_visitor import HEADER, let_in
from tillwatch.collector.figures.table import Table
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.rest import exports

BASE = 1_790_000_000 * NANO
V1 = "/api/v1"
SOUTH = Visitor("wang", Role.TECHNICIAN, Scope(regions=frozenset({"South"})), zone="Asia/Shanghai")
ALL = Visitor("zhao", Role.AUDITOR, zone="Europe/Berlin")
Z = ZoneInfo("UTC")


class Hostile(FakeFleet):
    """One branch has a name that a spreadsheet would compute."""

    def _make(self, k):
        from dataclasses import replace

        view = super()._make(k)
        return replace(view, branch='=HYPERLINK("http://evil","x")') if view.id == "ATM-007" else view


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    fleet = lambda: Hostile(60, BASE, tmp_path / "changes.json")  # noqa: E731
    console = let_in(Console(fleet, now=lambda: BASE, with_pages=False), {"wang": SOUTH, "zhao": ALL}, "zhao")
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        yield client


def rows(answer) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("path", ["terminals", "alarms", "incidents", "risk"])
def test_every_list_comes_as_csv_and_as_a_workbook_with_the_same_rows(client, path):
    listed = client.get(f"{V1}/{path}", params={"limit": 1000}).json()
    plain = client.get(f"{V1}/{path}", params={"format": "csv"})
    book = client.get(f"{V1}/{path}", params={"format": "xlsx"})
    assert len(rows(plain)) == listed["total"]
    assert plain.headers["content-disposition"].endswith('-2026-09-21.csv"')
    sheet = openpyxl.load_workbook(io.BytesIO(book.content)).worksheets[0]
    assert sheet.max_row == listed["total"] + 1
    assert [cell.value for cell in sheet[1]] == list(
        csv.reader(io.StringIO(plain.content.decode("utf-8-sig"))).__next__()
    )
    assert sheet.freeze_panes == "B2"


def test_the_columns_are_those_of_the_schema(client):
    found = rows(client.get(f"{V1}/terminals", params={"format": "csv"}))
    first = next(row for row in found if row["id"] == "ATM-001")
    assert (first["class"], first["state.state"], first["state.lost"]) == ("atm", "degraded", "withdrawal; deposit")
    at = datetime.fromisoformat(first["last_received"])
    assert at.utcoffset().total_seconds() == 2 * 3600, "by the clocks of who asks"
    assert at == datetime.fromtimestamp(BASE // NANO - 1, UTC)


def test_no_text_becomes_a_formula(client):
    found = rows(client.get(f"{V1}/terminals", params={"format": "csv"}))
    assert next(row for row in found if row["id"] == "ATM-007")["branch"].startswith("'=HYPERLINK")
    assert any(row["id"] == HOSTILE for row in found)
    sheet = openpyxl.load_workbook(io.BytesIO(client.get(f"{V1}/terminals?format=xlsx").content)).worksheets[0]
    kinds = {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds


def test_a_file_has_only_what_its_reader_may_see(client):
    found = rows(client.get(f"{V1}/terminals", params={"format": "csv"}, headers={HEADER: "wang"}))
    assert {row["region"] for row in found} == {"South"}
    assert found[0]["last_received"].endswith("+08:00")


def test_a_filter_holds_for_the_file_too_and_another_form_is_refused(client):
    found = rows(client.get(f"{V1}/terminals", params={"format": "csv", "branch": "Market Square", "limit": 1}))
    assert {row["branch"] for row in found} == {"Market Square"}
    assert len(found) > 1
    assert client.get(f"{V1}/terminals", params={"format": "pdf"}).status_code == 422


def test_names_of_files_are_safe():
    assert exports.file_name('a/../b"\r\n北京 x', "csv", BASE, Z) == "tillwatch-a_.._b_x-2026-09-21.csv"
    assert exports.file_name("网点", "xlsx", BASE, Z) == "tillwatch-list-2026-09-21.xlsx"
    assert len(exports.file_name("x" * 500, "csv", BASE, Z)) < 100


async def test_what_does_not_fit_is_said_in_the_file(monkeypatch):
    monkeypatch.setattr(exports, "MAX_ROWS", 3)
    made = await exports.answer(Table(["n"], ([i] for i in range(10))), "csv", name="x", zone="UTC", now=BASE)
    text = "".join([piece async for piece in made.body_iterator])
    assert text.splitlines()[-1].startswith('"7 more rows are left out')
    assert len(text.splitlines()) == 5
    whole = await exports.answer(Table(["n"], [[1]]), "csv", name="x", zone="UTC", now=BASE, total=4)
    assert "3 more rows" in "".join([piece async for piece in whole.body_iterator])


async def test_more_workbooks_than_may_wait_are_refused():
    books = exports.Books()
    held = asyncio.Event()

    async def hold() -> None:
        async with books._turns:
            await held.wait()

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(books.make(Table(["n"], [[1]]), Z, "x", {})) for _ in range(exports.WAITING_BOOKS)]
    await asyncio.sleep(0)
    with pytest.raises(HTTPException) as refused:
        await books.make(Table(["n"], []), Z, "x", {})
    assert refused.value.status_code == 503
    held.set()
    await holding
    for file in await asyncio.gather(*waiting):
        file.close()
