"""The state goes into PostgreSQL and back by the command that an operator types, and is what it was: also where the command is killed on its way, where something is
there already, and where a collector is started on the half of it or on what was left behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.moving.filling import filled
from tests.scale.servers import postgres
from tillwatch.collector.moving import copying
from tillwatch.collector.moving.moving import MoveError, into_file, into_postgres, left_mark, may_start
from tillwatch.collector.store.db import Db, Postgres, connect
from tillwatch.collector.store.lock import InUseError, locked
from tillwatch.collector.store.sqlite import StoreError


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as server:
        yield server


@pytest.fixture
def database(server: postgres.Server) -> Iterator[Postgres]:
    where = server.database("template0")
    yield where
    server.drop(where)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "collector.db"
    path.parent.mkdir()
    filled(path)
    return path


def _dump(db: Db, tables: list[copying.Table]) -> dict[str, list[tuple]]:
    return {table.name: [row for chunk in copying.rows(db, table) for row in chunk] for table in tables}


def _tables(file: Path) -> list[copying.Table]:
    with closing(connect(file, read_only=True, timeout_s=1)) as db:
        return copying.layout(db)


def test_there_and_back_it_is_what_it_was(file: Path, database: Postgres, tmp_path: Path) -> None:
    moved = into_postgres(file, database)
    assert moved.rows > 1000
    back = tmp_path / "back" / "collector.db"
    back.parent.mkdir()
    assert into_file(database, back).rows == moved.rows
    tables = _tables(file)
    with (
        closing(connect(file, read_only=True, timeout_s=1)) as one,
        closing(connect(back, read_only=True, timeout_s=1)) as other,
        closing(connect(database, read_only=True, timeout_s=1)) as there,
    ):
        assert _dump(other, tables) == _dump(one, tables)
        assert _dump(there, tables) == _dump(one, tables)


def test_new_rows_are_numbered_behind_those_that_came(file: Path, database: Postgres) -> None:
    into_postgres(file, database)
    with closing(connect(database, read_only=False, timeout_s=1)) as db:
        (most,) = db.execute("SELECT max(id) FROM operator_request").fetchone()
        db.execute("INSERT INTO operator_request (facts) VALUES (?)", (b"x",))
        assert db.execute("SELECT max(id) FROM operator_request").fetchone() == (most + 1,)


def test_a_state_that_is_there_is_not_touched(file: Path, database: Postgres, tmp_path: Path) -> None:
    into_postgres(file, database)
    with pytest.raises(MoveError, match=r"has moved to postgresql://.* already"):
        into_postgres(file, database)
    left_mark(file).unlink()
    with pytest.raises(MoveError, match=r"has a state already \(.*; name a new, empty one"):
        into_postgres(file, database)
    with pytest.raises(MoveError, match="has a state already"):
        into_file(database, file)
    with pytest.raises(MoveError, match="nothing to move"):
        into_postgres(tmp_path / "none.db", database)


def test_nobody_moves_what_runs(file: Path, database: Postgres) -> None:
    with locked(file), pytest.raises(InUseError, match="another collector"):
        into_postgres(file, database)
    with locked(database), pytest.raises(InUseError, match="another collector"):
        into_postgres(file, database)
    into_postgres(file, database)


def test_no_collector_starts_on_what_was_left_behind(file: Path, database: Postgres) -> None:
    may_start(file, file)
    may_start(file, database)
    into_postgres(file, database)
    with pytest.raises(StoreError, match=r"has moved to postgresql://.*: set \[store\] postgres"):
        may_start(file, file)
    may_start(file, database)
    left_mark(file).unlink()
    may_start(file, file)


def _command(data: Path, database: Postgres, *words: str) -> list[str]:
    config = data / "collector.toml"
    config.write_text(f'[collector]\ndata_dir = "{data}"\n[store]\npostgres = "{database.url}"\n')
    return [sys.executable, "-P", "-m", "tillwatch.collector", "move", "--config", str(config), *words]


def test_killed_on_its_way_it_goes_on_and_meanwhile_no_collector_starts(file: Path, database: Postgres) -> None:
    """kill -9 as soon as the first rows are there: asked of the server, since the command is killed wherever it is then."""

    async def killed() -> None:
        process = await asyncio.create_subprocess_exec(*_command(file.parent, database), stderr=subprocess.DEVNULL)
        with closing(connect(database, read_only=True, timeout_s=1)) as db:
            async with asyncio.timeout(60):
                while process.returncode is None and not copying.unfinished(db):
                    await asyncio.sleep(0)
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    asyncio.run(killed())
    with closing(connect(database, read_only=True, timeout_s=1)) as db:
        assert copying.unfinished(db)
    with pytest.raises(StoreError, match="a move into it was broken off"):
        may_start(file, database)
    # The lease of who was killed runs out first.
    with closing(connect(database, read_only=False, timeout_s=1)) as db:
        db.execute("UPDATE lease SET until = clock_timestamp()")
    done = subprocess.run([*_command(file.parent, database), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] > 1000
    tables = _tables(file)
    with (
        closing(connect(file, read_only=True, timeout_s=1)) as one,
        closing(connect(database, read_only=True, timeout_s=1)) as there,
    ):
        assert _dump(there, tables) == _dump(one, tables)
    refused = subprocess.run([*_command(file.parent, database)], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "has moved to" in refused.stderr
    assert "Traceback" not in refused.stderr + done.stderr
