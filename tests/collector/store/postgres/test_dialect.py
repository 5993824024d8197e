"""SQLite's statements in PostgreSQL's words."""

from __future__ import annotations

import pytest

from tillwatch.collector.store.postgres.dialect import Table, conflict, translate, upsert, upsert_of

STREAM = Table(("terminal", "epoch", "mark"), ("terminal", "epoch"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("SELECT 1 WHERE a = ? AND b > ?", "SELECT 1 WHERE a = $1 AND b > $2"),
        ("WHERE ?1 = '' OR t = ?1", "WHERE $1 = '' OR t = $1"),
        ("SELECT '?', ':a', \"b?\" -- why?\n, ?", "SELECT '?', ':a', \"b?\" \n, $1"),
        ("SELECT x'00ff' || X''", "SELECT '\\x00ff'::bytea || '\\x'::bytea"),
        ("SELECT CAST(value AS INTEGER)", "SELECT CAST(value AS BIGINT)"),
        ("SELECT n::text FROM t", "SELECT n::text FROM t"),
        ("WHERE ? IS NULL OR a = ?", "WHERE $1::text IS NULL OR a = $2"),
        ("INSERT INTO segment VALUES (NULL,?)", "INSERT INTO segment VALUES (DEFAULT,$1)"),
        ("SELECT 'it''s ?'", "SELECT 'it''s ?'"),
    ],
)
def test_statements_in_order(said: str, meant: str) -> None:
    assert translate(said).text == meant


def test_named_values_come_in_the_order_of_their_first_use() -> None:
    found = translate("SELECT :b, :a, :b")
    assert (found.text, found.names) == ("SELECT $1, $2, $1", ("b", "a"))
    assert found.values({"a": 1, "b": 2}) == [2, 1]


def test_a_replaced_row_keeps_nothing() -> None:
    how, table, columns, rest = upsert_of("INSERT OR REPLACE INTO stream (terminal, epoch) VALUES (?,?)") or ("",) * 4
    assert upsert(how, table, STREAM, columns, rest) == (  # type: ignore[arg-type]  # it was found
        "INSERT INTO stream (terminal, epoch) VALUES (?,?) ON CONFLICT (terminal, epoch) DO UPDATE SET mark = DEFAULT"
    )
    assert conflict("REPLACE", STREAM, STREAM.columns).endswith("DO UPDATE SET mark = excluded.mark")
    assert conflict("IGNORE", STREAM, STREAM.columns) == "ON CONFLICT DO NOTHING"
    assert upsert_of("INSERT INTO stream VALUES (?,?,?)") is None
