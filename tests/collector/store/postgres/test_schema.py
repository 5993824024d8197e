"""The tables are those of the file, and what a released version kept is brought up to date as the file is."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S
from tests.collector.test_pipeline import disk, opened
from tests.scale.servers.postgres import Server
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.store.db import Db, Postgres, connect
from tillwatch.collector.store.opening import open_db, open_reader
from tillwatch.collector.store.postgres import schema
from tillwatch.collector.store.postgres.connection import PostgresDb
from tillwatch.collector.store.sqlite import SCHEMA_VERSION, StoreError

DATABASES = Path(__file__).parents[2] / "databases"
RELEASED = sorted(int(path.stem.rpartition("v")[2]) for path in DATABASES.glob("collector_v*.db"))
_NAMES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"


@pytest.fixture
def empty(postgres_server: Server) -> Iterator[Postgres]:
    where = postgres_server.database()
    yield where
    postgres_server.drop(where)


def tables_of(file: Db) -> list[str]:
    return [name for (name,) in file.execute(_NAMES)]


def rows_of(db: Db, table: str) -> list[tuple[Any, ...]]:
    # Numbers in `meta` are text there: its column takes one kind of value.
    rows = [
        tuple(b"%d" % v if table == "meta" and isinstance(v, int) else v for v in row)
        for row in db.execute(f"SELECT * FROM {table}")
    ]
    return sorted(rows, key=repr)


def test_every_table_and_column_of_the_file_is_there_in_its_order(database: Postgres, tmp_path: Path) -> None:
    with (
        closing(open_db(tmp_path / "new.db")) as file,
        closing(PostgresDb(database, read_only=True, timeout_s=5)) as served,
    ):
        for table in tables_of(file):
            columns = file.execute(f"SELECT name, pk FROM pragma_table_info('{table}') ORDER BY cid").fetchall()
            made = served.table(table)
            assert made.columns == tuple(name for name, _ in columns), table
            assert set(made.key) == {name for name, key in columns if key}, table
        (indexes,) = served.execute(
            "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_key' AND indexname NOT LIKE '%_pkey'"
        ).fetchone()
        (wanted,) = file.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchone()
        assert indexes == wanted


@pytest.mark.parametrize("version", RELEASED)
def test_what_a_released_version_kept_comes_to_the_same_as_in_its_file(
    version: int, empty: Postgres, tmp_path: Path
) -> None:
    file = Path(shutil.copy(DATABASES / f"collector_v{version}.db", tmp_path / "collector.db"))
    served = PostgresDb(empty, read_only=False, timeout_s=5)
    schema.migrate(served, version)
    with closing(sqlite3.connect(file)) as old:
        for table in tables_of(old):
            if rows := rows_of(old, table):
                served.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)
    schema.migrate(served)
    schema.renumber(served)
    with closing(open_db(file)) as now:
        for table in tables_of(now):
            assert rows_of(served, table) == rows_of(now, table), table
    assert served.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert verify_log(served, None).ok
    served.close()
    with closing(open_reader(empty)) as reader:
        assert {view.id for view in reader.terminals()}


async def test_numbers_go_on_where_they_were_whatever_was_rolled_back(database: Postgres, tmp_path: Path) -> None:
    world = World(tmp_path / "nowhere.db", database)
    (atm,) = await opened(world, "atm-1")
    world.store.begin()
    world.store.conn.execute(
        "INSERT INTO alarm_event (alarm, kind, at, level, detail) VALUES (1, 'raised', 1, 1, ?)", (b"",)
    )
    world.store.abandon()
    for i in range(4):
        await world.pipeline.take([atm.batch(disk(T0 + i * 9 * S, 99.0, 99.0), T0 + i * 9 * S)])
    numbers = [n for (n,) in world.store.conn.execute("SELECT seq FROM alarm_event ORDER BY seq")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers
    world.store.close()


def test_two_that_start_at_once_make_the_tables_once(empty: Postgres) -> None:
    faults: list[BaseException] = []

    def start() -> None:
        try:
            schema.open_postgres(empty).close()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    with closing(connect(empty, read_only=True, timeout_s=5)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_step_that_fails_leaves_the_version_before_and_its_rows(
    empty: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = PostgresDb(empty, read_only=False, timeout_s=5)
    schema.migrate(served, 7)
    served.execute("INSERT INTO meta VALUES ('kept', ?)", (b"1",))
    whole = schema.ddl
    monkeypatch.setattr(schema, "ddl", lambda version: whole(version) + "; SELECT 1 / 0")
    with pytest.raises(StoreError, match="division by zero"):
        schema.open_postgres(empty)
    assert served.execute("PRAGMA user_version").fetchone() == (7,)
    assert not served.has("rollout")
    served.close()


def test_one_version_says_clearly_that_it_is_not_for_another(database: Postgres, empty: Postgres) -> None:
    with closing(PostgresDb(database, read_only=False, timeout_s=5)) as db:
        db.execute("UPDATE schema_version SET version = ?", (SCHEMA_VERSION + 1,))
    with pytest.raises(StoreError, match="written by a newer tillwatch"):
        open_db(database)
    with pytest.raises(StoreError, match=f"has schema {SCHEMA_VERSION + 1}, this program reads {SCHEMA_VERSION}"):
        open_reader(database)
    with pytest.raises(StoreError, match="holds no store of a collector"):
        open_reader(empty)
