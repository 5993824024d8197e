"""A server that goes away and comes back, one that refuses, and what a connection promises."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S
from tests.collector.test_pipeline import disk, opened, rows
from tests.scale.servers.postgres import Server, free_port
from tillwatch.agent.wire import AckState
from tillwatch.collector.proof.rebuild import tables
from tillwatch.collector.store.db import Postgres, scan
from tillwatch.collector.store.lock import locked
from tillwatch.collector.store.opening import open_reader, open_store
from tillwatch.collector.store.postgres import connection
from tillwatch.collector.store.postgres.connection import PostgresDb, PostgresError
from tillwatch.collector.store.postgres.store import PostgresStore
from tillwatch.collector.store.sqlite import StoreError


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_over_a_restart_of_the_server_nothing_is_lost_and_nothing_kept_twice(
    how: signal.Signals, database: Postgres, postgres_server: Server, tmp_path: Path
) -> None:
    world = World(tmp_path / "nowhere.db", database)
    (atm,) = await opened(world, "atm-1")
    first, second = (atm.batch(disk(T0 + i * S, 99.0), T0 + i * S) for i in (1, 2))
    await world.pipeline.take([first])
    before = tables(world.store.conn)
    postgres_server.stop(how)
    try:
        with pytest.raises(StoreError, match="nothing of this group was stored"):
            await world.pipeline.take([second])
        # Nothing to go on from can be loaded either: what was folded and not kept is not gone on with.
        with pytest.raises(StoreError, match="cannot be loaded now"):
            await world.pipeline.take([second])
        with pytest.raises(StoreError):
            await world.pipeline.take_requests()
    finally:
        postgres_server.start()
    assert tables(world.store.conn) == before
    replies = await world.pipeline.take([first, second])
    assert replies["atm-1"].state is AckState.OK
    assert rows(world, "SELECT count(*), max(mark) FROM journal, stream WHERE kind = 3") == [(2, 2)]
    world.store.close()


async def test_a_connection_that_is_lost_between_the_steps_undoes_all(
    database: Postgres, postgres_server: Server, tmp_path: Path
) -> None:
    world = World(tmp_path / "nowhere.db", database)
    (atm,) = await opened(world, "atm-1")
    before = tables(world.store.conn)
    sent = atm.batch(disk(T0, 99.0), T0 + S)
    write = world.store.write

    def cut(group: object) -> None:
        write(group)  # type: ignore[arg-type]  # what the store is given
        postgres_server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE '%transaction%' OR query LIKE 'INSERT%'"
        )

    world.store.write = cut  # type: ignore[method-assign]  # the moment that is meant
    with pytest.raises(StoreError, match="nothing of this group was stored"):
        await world.pipeline.take([sent])
    world.store.write = write  # type: ignore[method-assign]
    assert tables(world.store.conn) == before
    assert (await world.pipeline.take([sent]))["atm-1"].state is AckState.OK
    world.store.close()


async def test_a_server_that_goes_between_the_steps_and_stays_away_undoes_all(
    database: Postgres, postgres_server: Server, tmp_path: Path
) -> None:
    """To roll back what was lost with its connection nobody has to be asked, and nobody is there."""
    world = World(tmp_path / "nowhere.db", database)
    (atm,) = await opened(world, "atm-1")
    before = tables(world.store.conn)
    sent = atm.batch(disk(T0, 99.0), T0 + S)
    write = world.store.write

    def gone(group: object) -> None:
        write(group)  # type: ignore[arg-type]  # what the store is given
        postgres_server.stop(signal.SIGQUIT)

    world.store.write = gone  # type: ignore[method-assign]  # the moment that is meant
    try:
        with pytest.raises(StoreError, match="nothing of this group was stored"):
            await world.pipeline.take([sent])
    finally:
        postgres_server.start()
    world.store.write = write  # type: ignore[method-assign]
    assert tables(world.store.conn) == before
    assert (await world.pipeline.take([sent]))["atm-1"].state is AckState.OK
    world.store.close()


def test_a_server_that_is_not_there_is_told_with_its_place_and_no_secret(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    where = Postgres(f"postgresql://tillwatch@127.0.0.1:{free_port()}/tillwatch", secret)
    with pytest.raises(StoreError, match="see that the server runs and lets this user in") as raised:
        open_store(where)
    assert where.url in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(where)
    with pytest.raises(StoreError, match="the password of PostgreSQL cannot be read"):
        open_store(Postgres(where.url, tmp_path / "nowhere"))


def test_a_statement_that_failed_makes_its_transaction_uncommittable(database: Postgres) -> None:
    with closing(PostgresDb(database, read_only=False, timeout_s=5)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO meta VALUES ('a', ?)", (b"",))
        with pytest.raises(PostgresError, match="42P01"):
            db.execute("SELECT * FROM nowhere")
        with pytest.raises(PostgresError, match="nothing of it is kept"):
            db.execute("COMMIT")
        db.execute("ROLLBACK")
        assert db.execute("SELECT count(*) FROM meta").fetchone() == (0,)
        with pytest.raises(PostgresError, match="no transaction is active"):
            db.execute("COMMIT")
        db.execute("BEGIN")
        with pytest.raises(PostgresError, match="within a transaction"):
            db.execute("BEGIN IMMEDIATE")


def test_there_is_one_writer_at_a_time_and_the_next_one_waits_no_longer_than_it_was_told(database: Postgres) -> None:
    with (
        closing(PostgresDb(database, read_only=False, timeout_s=5)) as one,
        closing(PostgresDb(database, read_only=False, timeout_s=0.2)) as other,
    ):
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(PostgresError, match="55P03"):
            other.execute("BEGIN IMMEDIATE")
        assert not other.in_transaction
        one.execute("COMMIT")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def test_a_question_that_takes_long_can_be_ended_by_another_thread(database: Postgres) -> None:
    with closing(PostgresDb(database, read_only=True, timeout_s=5)) as db:
        timer = threading.Timer(0.2, db.interrupt)
        timer.start()
        with pytest.raises(PostgresError, match="57014"):
            db.execute("SELECT pg_sleep(30)")
        timer.join()
        assert db.execute("SELECT 1").fetchone() == (1,)


def test_many_rows_come_in_bites_and_other_questions_between(
    database: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BITE", 10)
    with closing(PostgresDb(database, read_only=False, timeout_s=5)) as db:
        db.executemany("INSERT INTO outage VALUES (?,?)", [(n, n + 1) for n in range(35)])
        found = []
        for since, until in scan(db, "SELECT since, until FROM outage ORDER BY since"):
            assert db.execute("SELECT until FROM outage WHERE since = ?", (since,)).fetchone() == (until,)
            found.append(since)
        assert found == list(range(35))
        assert not db.in_transaction


async def test_a_role_that_may_only_read_and_write_rows_is_enough(
    database: Postgres, postgres_server: Server, tmp_path: Path
) -> None:
    name = database.url.rpartition("/")[2]
    role = f"run_{name}"
    postgres_server.sql(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        database=name,
    )
    where = Postgres(database.url.replace("//tillwatch@", f"//{role}@"))
    with locked(where) as fence:
        world = World(tmp_path / "nowhere.db", where)
        assert isinstance(world.store, PostgresStore)
        world.store.fence = fence
        (atm,) = await opened(world, "atm-1")
        await world.pipeline.take([atm.batch(disk(T0, 99.0), T0 + S)])
        with closing(open_reader(where)) as reader:
            assert [view.id for view in reader.terminals()] == ["atm-1"]
            assert reader.revision()
        with pytest.raises(PostgresError, match="42501"):
            world.store.conn.execute("DROP TABLE journal")
        world.store.close()


def test_who_goes_on_in_a_transaction_that_was_lost_writes_nothing(database: Postgres, postgres_server: Server) -> None:
    with closing(PostgresDb(database, read_only=False, timeout_s=5)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO meta VALUES ('a', ?)", (b"",))
        postgres_server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tillwatch' AND state LIKE 'idle in%'"
        )
        for _ in range(2):
            with pytest.raises(PostgresError):
                db.execute("INSERT INTO meta VALUES ('b', ?)", (b"",))
        with pytest.raises(PostgresError, match="lost in the middle of a transaction"):
            db.execute("COMMIT")
        assert db.in_transaction
        db.execute("ROLLBACK")
        assert db.execute("SELECT count(*) FROM meta").fetchone() == (0,)
