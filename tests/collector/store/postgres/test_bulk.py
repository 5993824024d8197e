"""Groups of statements on their way, over a connection that takes little at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.scale.servers.postgres import Server
from tillwatch.collector.store.postgres.bulk import MAX_ROWS, Pipeline
from tillwatch.collector.store.postgres.connection import PostgresDb

LEAST = 4096
"""Bytes that the socket takes while nobody reads: the kernel gives a busy machine's connections no more either."""


@pytest.fixture
def db(postgres_server: Server) -> Iterator[PostgresDb]:
    where = postgres_server.database()
    with closing(PostgresDb(where, read_only=False, timeout_s=5)) as db:
        db.script("CREATE TABLE kept (id BIGINT PRIMARY KEY, b BYTEA)")
        with socket.socket(fileno=os.dup(db.connection().pgconn.socket)) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LEAST)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LEAST)
        yield db
    postgres_server.drop(where)


@pytest.mark.timeout(60)
def test_a_group_that_the_socket_does_not_take_at_once_is_sent_to_its_end(db: PostgresDb) -> None:
    pipeline = Pipeline(db)
    sql = "INSERT OR REPLACE INTO kept VALUES (?,?)"
    plan = pipeline.plan_of(sql)
    assert plan is not None
    db.begin(immediate=True)
    for first in range(0, 400, 100):
        pipeline.send(f"from {first}", plan, [(n, bytes(20_000)) for n in range(first, first + 100)])
    pipeline.flush()
    assert pipeline.answers() == [(f"from {first}", 100) for first in range(0, 400, 100)]
    db.end("COMMIT")
    assert db.execute("SELECT count(*), sum(length(b)) FROM kept").fetchone() == (400, 8_000_000)


def test_no_statement_has_more_rows_than_one_may_have(db: PostgresDb) -> None:
    pipeline = Pipeline(db)
    sql = "INSERT OR REPLACE INTO kept VALUES (?,?)"
    plan = pipeline.plan_of(sql)
    assert plan is not None
    db.begin(immediate=True)
    pipeline.send("all", plan, [(n, b"") for n in range(2 * MAX_ROWS + 1)])
    pipeline.flush()
    assert pipeline.answers() == [("all", MAX_ROWS), ("all", MAX_ROWS), ("all", 1)]
    db.end("COMMIT")
    assert db.execute("SELECT count(*), max(id) FROM kept").fetchone() == (2 * MAX_ROWS + 1, 2 * MAX_ROWS)
