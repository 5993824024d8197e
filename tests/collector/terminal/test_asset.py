"""The device file: what may be written in it, what it says of today, and serial numbers that are not those of the list."""

from __future__ import annotations

import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.terminal import asset
from tillwatch.collector.terminal.asset import (
    DIFFERS,
    FIELDS,
    INSPECTION,
    MASK,
    SAME,
    SERVICE,
    UNLISTED,
    UNTOLD,
    WARRANTY,
    FieldError,
    Told,
)

TODAY = date(2026, 11, 21)
lines = (
    st.text(
        st.characters(codec="utf-8", categories=("L", "N", "P", "Zs"), exclude_characters=f";={MASK}"),
        min_size=1,
        max_size=40,
    )
    .map(str.strip)
    .filter(bool)
)
values = {
    asset.TEXT: lines,
    asset.LONG: lines,
    asset.DATE: st.dates(date(1990, 1, 1), date(2099, 12, 31)).map(date.isoformat),
    asset.DAYS: st.integers(1, asset.MAX_DAYS),
    asset.SERIALS: st.dictionaries(lines, lines, min_size=1, max_size=5),
}
records = st.fixed_dictionaries({}, optional={name: values[field.kind] for name, field in FIELDS.items()})


@given(records)
def test_what_is_written_into_a_table_is_read_back_as_the_same(record):
    assert asset.checked({name: asset.written(name, value) for name, value in record.items()}) == record
    assert asset.checked(record) == record
    assert asset.unpack(asset.pack(record)) == record


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("colour", "red", "is no field"),
        ("bought", "21.11.2026", "write it as 2026-11-21"),
        ("bought", "1926-11-21", "outside"),
        ("service_interval_days", "half a year", "1 to 3660"),
        ("service_interval_days", 0, "1 to 3660"),
        ("service_interval_days", True, "1 to 3660"),
        ("service_interval_days", 1.5, "1 to 3660"),
        ("maker", "A" * 121, "121 characters"),
        ("maker", "A\x1b[31m", "cannot be printed"),
        ("maker", 7, "no text"),
        ("notes", "x" * 2001, "2001 characters"),
        ("serial", f"{MASK}{MASK}17", "in place of the value"),
        ("serials", "PinPad", "component=number"),
        ("serials", "a=1; a=2", "twice"),
        ("serials", {"a": 1}, "component=number"),
        ("serials", {f"c{n}": "1" for n in range(65)}, "65 numbers"),
    ],
)
def test_what_cannot_be_is_refused_with_the_mend(field, value, says):
    with pytest.raises(FieldError, match=says) as caught:
        asset.checked({field: value})
    assert caught.value.field == field


def test_an_empty_value_empties_its_field():
    kept = asset.pack({"maker": "Acme", "model": "C4060"})
    after = asset.changed(kept, {"fields": asset.checked({"maker": " ", "model": ""}) | {"maker": None}})
    assert after == b""


def test_a_change_over_another_state_changes_nothing():
    kept = asset.pack({"maker": "Acme"})
    assert asset.changed(kept, {"fields": {"maker": "Bolt"}, "was": asset.version(b"")}) is None
    after = asset.changed(kept, {"fields": {"maker": "Bolt"}, "was": asset.version(kept)})
    assert after is not None
    assert asset.unpack(after) == {"maker": "Bolt"}
    assert asset.changed(kept, {"fields": {"maker": "Acme"}}) is None


@given(
    st.dictionaries(
        st.sampled_from([*FIELDS, "later"]),
        st.one_of(
            st.none(),
            st.integers(),
            st.text(max_size=5),
            st.lists(st.integers(), max_size=2),
            st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
        ),
        max_size=6,
    )
)
def test_whatever_an_act_says_the_fold_takes_it(fields):
    after = asset.changed(asset.pack({"maker": "Acme"}), {"fields": fields})
    known = asset.unpack(after) if after else {}
    assert set(known) <= set(FIELDS)
    asset.dues(known, TODAY)
    asset.compare(known, [Told("host", "1", 1)])


def test_what_is_due_and_when():
    record = {
        "installed": "2026-01-01", "warranty_until": "2026-11-20", "service_interval_days": 180, "last_service": "2026-06-04",
        "inspection_interval_days": 30,
    }  # fmt: skip
    found = {due.kind: due for due in asset.dues(record, TODAY)}
    assert (found[WARRANTY].days, found[SERVICE].on, found[SERVICE].days) == (-1, date(2026, 12, 1), 10)
    assert (found[INSPECTION].on, found[INSPECTION].last) == (date(2026, 1, 31), None)
    assert [due.kind for due in asset.dues(record, TODAY)] == [INSPECTION, WARRANTY, SERVICE]
    assert asset.dues({"inspection_interval_days": 30}, TODAY)[0].days == 0
    listed = list(asset.listing({"b": record, "a": {"warranty_until": "2026-11-20"}}, TODAY, (WARRANTY,)))
    assert [name for name, _ in listed] == ["a", "b"]


def test_a_device_with_another_number_than_listed_stands_out():
    record = {"serial": "CN-77 0417", "serials": {"atm/PinPad": "EPP-1", "printer": "PR-5001", "ups": "UP-1"}}
    told = [
        Told("host", "cn770417", 5),
        Told("atm/PinPad", "EPP-2", 6),
        Told("printer/head", "PR-5001", 7),
        Told("sda", "D-9", 8),
    ]
    checks = {check.component: (check.state, check.listed, check.told) for check in asset.compare(record, told)}
    assert checks == {
        "atm/PinPad": (DIFFERS, "EPP-1", "EPP-2"), "host": (SAME, "CN-77 0417", "cn770417"), "printer/head": (SAME, "PR-5001", "PR-5001"),
        "ups": (UNTOLD, "UP-1", ""), "sda": (UNLISTED, "", "D-9"),
    }  # fmt: skip
    assert asset.compare(record, told)[0].state == DIFFERS


def test_a_number_for_a_device_with_several_parts_is_nobodys():
    told = [Told("ups/a", "1", 1), Told("ups/b", "2", 1)]
    states = {check.component: check.state for check in asset.compare({"serials": {"ups": "1"}}, told)}
    assert states == {"ups": UNTOLD, "ups/a": UNLISTED, "ups/b": UNLISTED}


def test_what_is_protected_shows_its_end_alone():
    shown = asset.masked(
        {"serial": "CN770417", "address": "1 Road", "serials": {"ups": "UP-9001", "x": "12"}, "maker": "Acme"}
    )
    assert shown == {
        "serial": "••••17",
        "address": "••••ad",
        "serials": {"ups": "••••01", "x": "••••"},
        "maker": "Acme",
    }
    for name in ("serial", "address"):
        with pytest.raises(FieldError):
            asset.checked({name: shown[name]})


@given(st.text(string.printable, max_size=50))
def test_a_note_is_a_text_of_lines(text):
    try:
        said = asset.note_text(text)
    except FieldError:
        return
    assert said == said.strip() != ""
