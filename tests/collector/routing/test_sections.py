"""An error says in which line what it names stands."""

from __future__ import annotations

import pytest

from tillwatch.collector.routing.sections import Lines

TEXT = """# a comment
[[route]]
name = "one"
  "queue" = "q"   # with a comment
[[ route ]]
name = "two"
level = [
    1,
]
[contract."北方 维保"]
vendor = "北方"
[[contract.'北方 维保'.covers]]
class = "atm"
[[contract.'北方 维保'.covers]]
class = "pos"
"""


@pytest.mark.parametrize(
    ("path", "row", "key", "line"),
    [
        ("route", 1, "", 2),
        ("route", 1, "name", 3),
        ("route", 1, "queue", 4),
        ("route", 2, "name", 6),
        ("route", 2, "level", 7),
        ("route", 2, "not there", 5),
        ("contract.北方 维保", 0, "vendor", 11),
        ("contract.北方 维保.covers", 1, "class", 13),
        ("contract.北方 维保.covers", 2, "class", 15),
    ],
)
def test_the_line_of_a_key_or_else_of_its_table(path: str, row: int, key: str, line: int) -> None:
    assert Lines(TEXT, "r.toml").where(path, row, key) == f"r.toml, line {line}"


def test_a_line_that_is_not_found_is_left_out() -> None:
    assert Lines(TEXT, "r.toml").where("fallback", 0, "role") == "r.toml"
