"""Who is the one writer, over pauses, kills and a server that goes away; nothing here asks a clock of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S
from tests.collector.test_pipeline import disk, opened, rows
from tests.scale.servers.postgres import Server
from tillwatch.agent.wire import AckState
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.lock import InUseError, locked
from tillwatch.collector.store.opening import open_store
from tillwatch.collector.store.postgres import lease as lease_module
from tillwatch.collector.store.postgres.bulk import Pipeline
from tillwatch.collector.store.postgres.connection import PostgresDb, PostgresError
from tillwatch.collector.store.postgres.lease import Lease, asks, kept
from tillwatch.collector.store.postgres.store import PostgresStore
from tillwatch.collector.store.sqlite import FencedError, StoreError

HOLDER = Path(__file__).with_name("paused_holder.py")
SHORT_S = 0.3
WAIT_S = 60.0


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def lease(database: Postgres) -> Iterator[Callable[..., Lease]]:
    made: list[Lease] = []

    def make(good_s: float = 60.0) -> Lease:
        made.append(Lease(database, holder=f"collector {len(made)}", good_s=good_s))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_one_holds_it_and_the_other_waits_until_it_is_given_back(lease: Callable[..., Lease]) -> None:
    one, other = lease(), lease()
    assert one.acquire()
    assert not other.acquire()
    assert other.held_by() == "collector 0"
    one.renew()
    one.release()
    assert other.acquire()
    assert other.epoch > one.epoch
    with pytest.raises(FencedError, match=f"ran out under epoch {one.epoch}"):
        one.renew()


def test_one_that_ran_out_is_not_renewed_even_if_nobody_took_it(lease: Callable[..., Lease]) -> None:
    one = lease(SHORT_S)
    assert one.acquire()
    first = one.epoch
    until(lambda: one.held_by() == "")
    with pytest.raises(FencedError):
        one.renew()
    assert one.acquire()
    assert one.epoch > first


async def test_who_lost_it_writes_nothing_and_its_successor_goes_on_without_a_hole(
    database: Postgres, lease: Callable[..., Lease], tmp_path: Path
) -> None:
    one, other = lease(SHORT_S), lease()
    first = World(tmp_path / "first.db", database)
    (atm,) = await opened(first, "atm-1")
    assert one.acquire()
    assert isinstance(first.store, PostgresStore)
    first.store.fence = one
    until(other.acquire)
    sent = atm.batch(disk(T0, 99.0), T0 + S)
    with pytest.raises(FencedError, match="lease of fold"):
        await first.pipeline.take([sent])
    second = World(tmp_path / "second.db", database)
    assert isinstance(second.store, PostgresStore)
    second.store.fence = other
    assert (await second.pipeline.take([sent]))["atm-1"].state is AckState.OK
    with pytest.raises(FencedError):
        await first.pipeline.take([sent])
    assert rows(second, "SELECT count(*), max(mark) FROM journal, stream WHERE kind = 3") == [(1, 1)]
    first.store.close()
    second.store.close()


async def test_without_a_lease_marks_and_numbers_say_that_another_one_wrote(database: Postgres, tmp_path: Path) -> None:
    first, second = World(tmp_path / "first.db", database), None
    (atm,) = await opened(first, "atm-1")
    second = World(tmp_path / "second.db", database)
    sent = atm.batch(disk(T0, 99.0), T0 + S)
    await first.pipeline.take([sent])
    with pytest.raises(FencedError, match="another collector wrote what this one was about to"):
        await second.pipeline.take([sent])
    with pytest.raises(FencedError, match="takes nothing any more"):
        await second.pipeline.take([sent])
    second = second.restart()
    assert (await second.pipeline.take([sent]))["atm-1"].state is AckState.OK, "a duplicate, now that it has loaded"
    first.store.conn.execute("UPDATE stream SET mark = 7")
    with pytest.raises(FencedError, match="1 marks of streams are not where"):
        await second.pipeline.take([atm.batch(disk(T0, 99.0), T0 + 2 * S)])
    assert rows(first, "SELECT count(*) FROM journal WHERE kind = 3") == [(1,)]
    first.store.close()
    second.store.close()


def test_a_holder_that_is_stopped_in_its_transaction_is_cut_off_and_keeps_nothing(
    database: Postgres, postgres_server: Server, lease: Callable[..., Lease]
) -> None:
    """The process is stopped with its rows written and not committed, past its lease, and goes on then."""
    path = os.pathsep.join([str(HOLDER.parents[4]), *sys.path])
    holder = subprocess.Popen(
        [sys.executable, HOLDER, database.url, str(SHORT_S)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "written\n"
        holder.send_signal(signal.SIGSTOP)
        other = lease()
        until(other.acquire)  # waits for the transaction of the other one, as long as the server lets it be silent
        with closing(open_store(database, other)) as store:
            store.change(lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES ('who', ?)", (b"other",)))
            holder.send_signal(signal.SIGCONT)
            assert holder.stdout.read().startswith("StoreError")
            assert holder.wait(WAIT_S) == 0
            assert store.meta("who") == b"other"
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()  # type: ignore[union-attr]  # see above


def test_a_holder_that_is_stopped_between_the_statements_of_a_group_is_cut_off_too(
    lease: Callable[..., Lease], database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server waits for the rest of the group and counts no idle time: nothing but the next holder ends that."""
    monkeypatch.setattr(lease_module, "TAKE_WAIT_S", SHORT_S)
    one, other = lease(SHORT_S), lease()
    assert one.acquire()
    with closing(PostgresDb(database, read_only=False, timeout_s=5)) as db:
        pipeline = Pipeline(db)
        sql = "INSERT INTO meta VALUES (?,?)"
        plan = pipeline.plan_of(sql)
        assert plan is not None
        assert db.begin(immediate=True, also=f"; {asks(one)}").ntuples
        pipeline.send(sql, plan, [("half", b"")])
        pipeline.flush()

        def taken() -> bool:
            try:
                return other.acquire()
            except StoreError:
                return False

        until(taken)
        with pytest.raises(PostgresError):
            pipeline.answers()
        db.execute("ROLLBACK")
        assert db.execute("SELECT count(*) FROM meta WHERE key = 'half'").fetchone() == (0,)


def test_it_is_kept_while_a_block_lasts_and_no_second_collector_starts(database: Postgres) -> None:
    with locked(database) as fence:
        assert fence is not None
        with pytest.raises(InUseError, match=r"another collector on .* writes postgresql://"), locked(database):
            pass
    with locked(database) as again:
        assert again is not None
        assert again.epoch > fence.epoch


def test_a_server_that_is_away_for_a_while_does_not_cost_the_lease(
    lease: Callable[..., Lease], postgres_server: Server
) -> None:
    one = lease()
    assert one.acquire()
    postgres_server.stop()
    try:
        with pytest.raises(StoreError) as raised:
            one.renew()
        assert not isinstance(raised.value, FencedError)
        assert one.until > time.monotonic()
    finally:
        postgres_server.start()
    with kept(one):
        one.renew()
    with closing(Lease(one.where)) as other:
        assert other.acquire()
