from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tillwatch.agent.model import MS
from tillwatch.collector.fleet_load.ledger import Compared, LedgerError, Sent, compare, read, write
from tillwatch.collector.fleet_load.sealing import Plan, Sealer
from tillwatch.collector.fleet_load.terminals import Fleet
from tillwatch.collector.intake import Message
from tillwatch.collector.store.log import Log
from tillwatch.collector.store.sqlite import open_db

FLEET = Fleet(3, "1")


async def sent(world: World, batches: int = 3) -> list[Sent]:
    """What a run sends to a collector, all of it acknowledged."""
    await world.start()
    await world.pipeline.operate_all(
        [
            {"action": "enrol", "terminal": one.terminal, "branch": one.branch, "region": one.region, "class": "atm", "public": FLEET.key(n).public}
            for n, one in enumerate(FLEET.places())
        ]
    )  # fmt: skip
    plan = Plan(FLEET, world.now // MS, 1_000, 0, 20, 0.0, "run")
    sealer = Sealer(plan, range(FLEET.count))
    digests = [b""] * FLEET.count
    for k in range(batches):
        for n in range(FLEET.count):
            one = sealer.batch(n, world.now // MS + k, 1_000)
            digests[n] = one.digest
            await world.pipeline.take([Message(f"tw/1/{FLEET.name(n)}/batch", one.payload, world.now + k)])
    return [Sent(FLEET.name(n), plan.epoch(n), batches, batches, digests[n]) for n in range(FLEET.count)]


def compared(world: World, rows: list[Sent]) -> Compared:
    with closing(open_db(world.path)) as db:
        return compare(Log(db), rows)


async def test_what_was_sent_is_what_is_kept(world: World, tmp_path: Path) -> None:
    rows = await sent(world)
    write(tmp_path / "ledger", rows)
    assert read(tmp_path / "ledger") == rows
    found = compared(world, rows)
    assert (found.batches, found.acknowledged, found.sent, found.faults) == (9, 9, 9, ())


async def test_a_batch_that_was_stored_and_whose_ack_was_lost_is_no_fault(world: World) -> None:
    rows = await sent(world)
    one = rows[0]
    tail = one._replace(acknowledged=0, digest=b"")
    assert compared(world, [tail, *rows[1:]]).fits


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row._replace(acknowledged=4, last=4), "4 batches are acknowledged, and 3 are kept"),
        (lambda row: row._replace(digest=bytes(32)), "batch 3 is not the one that was sent"),
        (lambda row: row._replace(last=2, acknowledged=2), "batch 3 was never sent"),
        (lambda row: row._replace(epoch=b"x" * 12), "3 batches are acknowledged, and 0 are kept"),
    ],
)
async def test_what_does_not_fit_is_told(world: World, change: Callable[[Sent], Sent], said: str) -> None:
    rows = await sent(world)
    found = compared(world, [change(rows[0]), *rows[1:]])
    assert not found.fits
    assert any(said in fault for fault in found.faults), found.faults


async def test_a_hole_and_a_second_copy_in_the_log_are_seen(world: World) -> None:
    rows = await sent(world)
    db = world.store.conn
    n = db.execute("SELECT n FROM journal WHERE kind = 3 AND terminal = ? ORDER BY n", (rows[1].terminal,)).fetchall()
    db.execute("DELETE FROM journal WHERE n = ?", n[1])
    found = compared(world, rows)
    assert any("batch 3 stands behind batch 1" in fault for fault in found.faults), found.faults
    last = db.execute("SELECT max(n) FROM journal").fetchone()[0]
    db.execute(
        "INSERT INTO journal SELECT ?, at, kind, terminal, facts, payload, payload_digest, digest, t0, t1 FROM journal WHERE n = ?",
        (last + 1, n[0][0]),
    )
    found = compared(world, rows)
    assert any("batch 1 stands behind batch 3" in fault for fault in found.faults), found.faults


@pytest.mark.parametrize("content", [b"", b"\x81\xa9tillwatch\xa1x", b"{}"])
def test_a_file_that_is_no_ledger_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger").write_bytes(content)
    with pytest.raises(LedgerError, match="not written by"):
        read(tmp_path / "ledger")
    with pytest.raises(LedgerError, match="No such file"):
        read(tmp_path / "none")
