"""What goes to PostgreSQL comes back as it was, one by one and as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scale.servers.postgres import Server
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.postgres.bulk import Pipeline, array
from tillwatch.collector.store.postgres.connection import PostgresDb
from tillwatch.collector.store.postgres.values import BYTEA, FLOAT8, INT8, TEXT, kept, said

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.text(st.sampled_from("\0\1\2a"), max_size=8)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def db(postgres_server: Server) -> Iterator[PostgresDb]:
    where = postgres_server.database("tables")
    with closing(PostgresDb(where, read_only=False, timeout_s=5)) as db:
        db.script(
            'CREATE TABLE kept (id BIGINT PRIMARY KEY, t TEXT COLLATE "C", b BYTEA, n BIGINT, r DOUBLE PRECISION)'
        )
        yield db
    postgres_server.drop(where)


@given(TEXTS, TEXTS)
def test_text_without_nul_is_kept_in_its_place(one: str, other: str) -> None:
    assert "\0" not in kept(one)
    assert said(kept(one)) == one
    assert (kept(one).encode() < kept(other).encode()) == (one.encode() < other.encode())


@given(TEXTS, st.binary(max_size=8), NUMBERS | st.booleans(), st.none() | st.floats(allow_nan=False))
def test_single_values(db: PostgresDb, text: str, data: bytes, number: int, real: float | None) -> None:
    db.execute("INSERT OR REPLACE INTO kept VALUES (1,?,?,?,?)", (text, data, number, real))
    assert db.execute("SELECT t, b, n, r FROM kept WHERE id = 1 AND t = ?", (text,)).fetchone() == (
        text,
        data,
        number,
        real,
    )


ROWS = st.lists(
    st.tuples(
        st.none() | TEXTS,
        st.none() | st.binary(max_size=8),
        st.none() | NUMBERS,
        st.none() | st.floats(allow_nan=False),
    ),
    max_size=6,
)


@given(ROWS)
def test_many_rows_at_once(
    db: PostgresDb, rows: list[tuple[str | None, bytes | None, int | None, float | None]]
) -> None:
    pipeline = Pipeline(db)
    put, gone = "INSERT OR REPLACE INTO kept VALUES (?,?,?,?,?)", "DELETE FROM kept WHERE id = ?"
    plans = pipeline.plan_of(put), pipeline.plan_of(gone)
    assert all(plans)
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM kept")
    if rows:
        pipeline.send(put, plans[0], [(n, *row) for n, row in enumerate(rows)])  # type: ignore[arg-type]  # see above
        # Of two of one key the last one counts, as in SQLite.
        pipeline.send(put, plans[0], [(99, "x", b"", 0, 0.0), (99, "y", b"", 0, 0.0)])  # type: ignore[arg-type]
        pipeline.send(gone, plans[1], [(0,)])  # type: ignore[arg-type]
        assert pipeline.answers() == [(put, len(rows)), (put, 1), (gone, 1)]
        db.execute("DELETE FROM kept WHERE id = 99 AND t = 'y'")
    db.execute("COMMIT")
    assert db.execute("SELECT t, b, n, r FROM kept ORDER BY id").fetchall() == rows[1:]


def test_a_number_that_is_too_large_is_refused_as_sqlite_refuses_it(db: Db) -> None:
    for kind in (INT8, FLOAT8):
        with pytest.raises(OverflowError):
            array(kind, [10**400])
    with pytest.raises(OverflowError):
        db.execute("SELECT ?", (2**63,))
    assert array(TEXT, [])[:4] == array(BYTEA, [None])[:4]


def test_what_sqlite_has_built_in(db: Db) -> None:
    query = "SELECT instr('a/b', '/'), instr(x'0102', x'02'), max(1, 2), min(1, 2), (SELECT count(*) FROM json_each('[\"a\", \"b\"]')), 1 = 1, sum(2)"
    assert db.execute(query).fetchone() == (2, 2, 2, 1, 2, 1, 2)
