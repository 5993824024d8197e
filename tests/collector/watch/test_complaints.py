"""Complaints on their way to a desk, without a collector."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.collector.tickets.conftest import Desk
from tillwatch.collector.tickets.desks.webhook import WebhookPort
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.signature import read_secrets
from tillwatch.collector.watch.complaints import FILE, KEPT_NS, LEVEL, MEND, MISSING, Complaints, message
from tillwatch.collector.watch.memory import Grievance
from tillwatch.collector.watch.path import Stage

AT = 1_790_000_000 * 10**9
GRIEVANCE = Grievance("WATCH-20261121-140500-7", AT, 1, "the broker does not take the watchdog's batch")


@contextlib.asynccontextmanager
async def running(complaints: Complaints):
    task = asyncio.create_task(complaints.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def rows(folder: Path) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        return db.execute("SELECT op, seq, state FROM outbox ORDER BY id").fetchall()


async def test_a_complaint_is_kept_until_the_desk_has_it_and_ends_as_its_ticket(
    tmp_path: Path, desk: Desk, secret_file: Path, until: Callable[..., Any]
) -> None:
    secrets = read_secrets(secret_file)
    # Told while nobody sends; the next process finds it.
    Complaints(tmp_path, WebhookPort(desk.address, secrets)).tell(
        message("watchdog", GRIEVANCE, Stage.BROKER, Op.OPEN, AT)
    )
    again = Complaints(tmp_path, WebhookPort(desk.address, secrets))
    async with running(again):
        await until(lambda: rows(tmp_path) == [("open", 1, "done")])
        (ticket,) = desk.tickets()
        assert (ticket["level"], ticket["terminal"], ticket["state"]) == (LEVEL, "watchdog", "open")
        assert ticket["what"] == f"The monitoring does not work from end to end: {GRIEVANCE.text}"
        for seq, op in ((2, Op.UPDATE), (3, Op.RESOLVE)):
            told = Grievance(GRIEVANCE.id, AT, seq, GRIEVANCE.text)
            again.tell(message("watchdog", told, Stage.TICKET, op, AT + seq))
        await until(lambda: [state for _, _, state in rows(tmp_path)] == ["done"] * 3)
    (ticket,) = desk.tickets()
    assert ticket["history"] == ["1 opened", "2 updated", "3 resolved"]
    assert ticket["what"] == "The monitoring works from end to end again"


async def test_what_was_delivered_long_ago_is_forgotten_at_a_start(
    tmp_path: Path, desk: Desk, secret_file: Path, until: Callable[..., Any]
) -> None:
    port = WebhookPort(desk.address, read_secrets(secret_file))
    complaints = Complaints(tmp_path, port)
    async with running(complaints):
        for seq, op in ((1, Op.OPEN), (2, Op.RESOLVE)):
            complaints.tell(message("watchdog", Grievance(GRIEVANCE.id, AT, seq, ""), Stage.BROKER, op, AT))
        await until(lambda: [state for _, _, state in rows(tmp_path)] == ["done"] * 2)
    Complaints(tmp_path, port)
    assert len(rows(tmp_path)) == 2
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        db.execute("UPDATE outbox SET done_at = done_at - ?", (KEPT_NS,))
    Complaints(tmp_path, port)
    assert rows(tmp_path) == []


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_says_what_is_missing_and_what_to_do(stage: Stage) -> None:
    told = message("watchdog", GRIEVANCE, stage, Op.OPEN, AT)
    assert MISSING[stage]
    assert told.action == MEND[stage]
    assert stage.value in told.cause
    assert len(told.incident) <= 40
    assert " " not in told.incident
