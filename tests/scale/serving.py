"""The tests of the store's users, as they stand, over PostgreSQL: while `served` lasts, every file that a collector's state would be kept in is a database
of a server. What else is kept in files of SQLite stays there: accounts, what the predictions remember, figures that were computed.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pytest

from tests.scale.servers.postgres import Server
from tillwatch.collector.store import sqlite
from tillwatch.collector.store.db import Parameters, Postgres
from tillwatch.collector.store.postgres.connection import PostgresCursor, PostgresDb
from tillwatch.collector.store.postgres.schema import open_postgres
from tillwatch.collector.store.postgres.store import PostgresStore
from tillwatch.collector.store.sqlite import SqliteStore

OF_A_FILE = ("PRAGMA auto_vacuum", "PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA wal_checkpoint")


class AsOfSqlite(PostgresDb):
    """With what tests themselves ask of a connection. Statements of their own are kept one by one."""

    def execute(self, sql: str, parameters: Parameters = (), /) -> PostgresCursor:
        return super().execute("SELECT WHERE false" if sql.startswith(OF_A_FILE) else sql, parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def commit(self) -> None:
        pass


@contextmanager
def served(server: Server) -> Iterator[None]:
    made: dict[Path, Postgres] = {}
    open_ones: list[PostgresDb] = []
    open_file, real, begin = sqlite.open_db, sqlite3.connect, PostgresDb.__init__

    def opened(self: PostgresDb, *where: Any, **options: Any) -> None:
        begin(self, *where, **options)
        open_ones.append(self)

    def of(path: Path) -> Postgres:
        path = path.absolute()
        if path not in made:
            made[path] = server.database("tables")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()  # whoever looks whether there is a store finds one
        return made[path]

    def connect(name: Any, *more: Any, **options: Any) -> Any:
        path = Path(unquote(urlsplit(name).path)) if str(name).startswith("file:") else Path(name)
        if path.absolute() not in made:
            return real(name, *more, **options)
        read_only = "mode=ro" in str(name)
        return AsOfSqlite(made[path.absolute()], read_only=read_only, timeout_s=options.get("timeout", 5.0))

    def store(path: Path) -> PostgresStore:
        kept = PostgresStore(of(path))
        kept.path = path  # type: ignore[attr-defined]  # as the other has
        return kept

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresDb, "__init__", opened)
        patch.setattr(sqlite3, "connect", connect)
        for module in [each for name, each in sys.modules.items() if name.startswith(("tests.", "tillwatch."))]:
            if vars(module).get("open_db") is open_file:
                patch.setattr(module, "open_db", lambda path: open_postgres(of(path)))
            if vars(module).get("SqliteStore") is SqliteStore:
                patch.setattr(module, "SqliteStore", store)
        yield
    for one in open_ones:  # tests leave those open that nobody would miss of a file
        one.close()
    for where in made.values():
        server.drop(where)
