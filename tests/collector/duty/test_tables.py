"""Each reader takes what it promises; everything else is told with its table, its key and the mend."""

from __future__ import annotations

from datetime import date

import pytest

from tillwatch.collector.duty import tables
from tillwatch.collector.duty.tables import PolicyError, Table


def table(**keys) -> Table:
    return Table("incident", keys)


def test_what_is_there_is_read_and_what_is_not_has_its_default():
    row = table(a="x", b=["x", "y", "x"], c=3, d=1, e="90s", f=date(2026, 10, 1), g={"h": "1h"})
    assert (row.text("a"), row.text("z", "d"), row.texts("a"), row.texts("b"), row.texts("z")) == (
        *("x", "d", ("x",), ("x", "y")),
        (),
    )
    assert (row.number("c", 5), row.number("z", 5), row.share("d", 0.5), row.share("z", 0.5)) == (3, 5, 1.0, 0.5)
    assert (row.span("e"), row.span("z", 7), row.moment("f"), row.moment("z")) == (
        90 * 10**9,
        7,
        date(2026, 10, 1),
        None,
    )
    assert row.table("g").span("h") == 3600 * 10**9
    assert row.table("z").names() == ()
    assert "a" in row
    assert "z" not in row
    row.done()


@pytest.mark.parametrize(
    ("read", "value", "mend"),
    [
        (lambda row: row.text("k"), 3, r"\[incident\] k = '3': write a text, in quotes"),
        (lambda row: row.text("k"), " ", "write a text"),
        (lambda row: row.texts("k"), ["x", 3], "a text or a list of texts"),
        (lambda row: row.one_of("k", ("a", "b")), "c", "write one of a, b"),
        (lambda row: row.number("k", 1, 2, 9), 1, "whole number from 2 to 9"),
        (lambda row: row.number("k", 1), True, "whole number"),
        (lambda row: row.share("k", 1), 0, "above 0 and at most 1"),
        (lambda row: row.share("k", 1), "30%", "such as 0.3"),
        (lambda row: row.span("k"), "10", 'such as "90s"'),
        (lambda row: row.span("k"), 10, 'such as "90s"'),
        (lambda row: row.span("k"), "²s", 'such as "90s"'),
        (lambda row: row.moment("k"), "2026-10-01", "without quotes"),
        (lambda row: row.zone("k", "UTC"), "Asia", 'such as "Asia/Shanghai"'),
        (lambda row: row.zone("k", "UTC"), "../etc/passwd", 'such as "Asia/Shanghai"'),
        (lambda row: row.table("k"), 3, r"\[incident.k\] is a table"),
        (lambda row: list(row.tables("k")), 3, r"\[\[incident.k\]\] is a list of tables"),
        (lambda row: list(row.tables("k")), [3], r"\[\[incident.k\]\] number 1, is a table"),
    ],
)
def test_what_cannot_be_read_is_told(read, value, mend):
    with pytest.raises(PolicyError, match=mend):
        read(table(k=value))


def test_what_is_missing_is_told():
    with pytest.raises(PolicyError, match=r"\[incident\] k: write a text"):
        table().text("k")
    with pytest.raises(PolicyError, match=r"\[incident\] k: write a duration"):
        table().span("k")


def test_what_nobody_asked_for_is_told_except_in_a_replay():
    row = table(a="x", verfy="4h")
    row.text("a")
    with pytest.raises(PolicyError, match=r"\[incident\]: unknown key 'verfy'; known are a"):
        row.done()
    Table("incident", {"verfy": "4h"}, replay=True).done()
    with pytest.raises(PolicyError, match="the policy: unknown table 'callendar'"):
        Table("", {"callendar": {}}).done()


def test_a_machine_without_time_zones_is_told(monkeypatch):
    monkeypatch.setattr(tables, "available_timezones", set)
    with pytest.raises(PolicyError, match="install its package tzdata"):
        table(k="Asia/Nowhere").zone("k", "UTC")
