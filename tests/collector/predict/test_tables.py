from __future__ import annotations

import pytest

from tillwatch.collector.predict.tables import Entry, TableError, read_table

SHIPPED = ("shipped.toml", '[[thing]]\nid = "a"\nsize = 1\nname = "one"\n\n[[thing]]\nid = "b"\nsize = 2\n')
KEYS = ("size", "name", "only", "text", "on")


def read(site: str) -> dict[str, Entry]:
    return {entry.id: entry for entry in read_table("thing", KEYS, SHIPPED, ("bank.toml", site))}


def test_a_bank_changes_single_keys_and_adds_entries() -> None:
    found = read('[[thing]]\nid = "a"\nsize = 5\n[[thing]]\nid = "c"\nsize = 7\n')
    assert {name: dict(entry.keys) for name, entry in found.items()} == {
        "a": {"id": "a", "size": 5, "name": "one"},
        "b": {"id": "b", "size": 2},
        "c": {"id": "c", "size": 7},
    }


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ('\n[[thing]]\nid = "a"\nsice = 5\n', "bank.toml:3: [[thing]] a: unknown key 'sice'; known are"),
        ("[[thing]]\nsize = 5\n", 'bank.toml: a [[thing]] without an id; add id = "..."'),
        ('[[think]]\nid = "a"\n', "bank.toml: unknown table 'think'; the file has [[thing]] entries"),
        ('thing = "a"\n', "bank.toml: thing is a list of entries"),
        ("[[thing]\n", "bank.toml: "),
        ('[[thing]]\nid = "c"\n[[thing]]\nid = "c"\n', "[[thing]] c stands there twice"),
    ],
)
def test_a_table_that_is_wrong_says_where(site: str, said: str) -> None:
    with pytest.raises(TableError) as caught:
        read(site)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("line", "key", "ask"),
    [
        ("size = -1", "size", lambda entry: entry.number("size")),
        ("size = true", "size", lambda entry: entry.number("size")),
        ("size = nan", "size", lambda entry: entry.number("size")),
        ('size = "1"', "size", lambda entry: entry.number("size")),
        ("", "on", lambda entry: entry.number("on")),
        ("name = 1", "name", lambda entry: entry.text("name")),
        ('name = " "', "name", lambda entry: entry.text("name", "")),
        ("", "only", lambda entry: entry.text("only")),
        ("only = [1]", "only", lambda entry: entry.texts("only")),
        ('name = "x"', "name", lambda entry: entry.choice("name", ("y",))),
        ("on = 1", "on", lambda entry: entry.flag("on")),
        ('text = { en = "x" }', "text", lambda entry: entry.both("text")),
        ('text = "x"', "text", lambda entry: entry.both("text")),
    ],
)
def test_a_key_that_is_wrong_says_file_line_entry_and_key(line: str, key: str, ask) -> None:
    entry = read(f'# ours\n[[thing]]\nid = "z"\n{line}\n')["z"]
    with pytest.raises(TableError, match=rf"^bank\.toml:3: \[\[thing\]\] z, {key}: "):
        ask(entry)


def test_a_key_of_the_shipped_file_is_blamed_on_that() -> None:
    entry = read('[[thing]]\nid = "a"\nname = "two"\n')["a"]
    assert entry.number("size") == 1
    with pytest.raises(TableError, match=r"^shipped\.toml:2: \[\[thing\]\] a, size: no$"):
        entry.wrong("size", "no")
    with pytest.raises(TableError, match=r"^bank\.toml:2: \[\[thing\]\] a, name: no$"):
        entry.wrong("name", "no")


@pytest.mark.parametrize(
    ("globs", "fits", "fits_not"),
    [
        ('["*", "!*spare"]', ["x", "spare part"], ["a spare"]),
        ('"!*spare"', ["x"], ["a spare"]),
        ('["a*", "b*"]', ["Ax", "bx"], ["cx"]),
    ],
)
def test_patterns_take_and_take_away(globs: str, fits: list[str], fits_not: list[str]) -> None:
    found = read(f'[[thing]]\nid = "z"\nonly = {globs}\n')["z"].globs("only")
    assert found is not None
    assert [bool(found.match(name)) for name in (*fits, *fits_not)] == [True] * len(fits) + [False] * len(fits_not)
