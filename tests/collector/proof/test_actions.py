"""Every act that the collector or the console journals anywhere is in one group of the audit log, and no group names one that nobody does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import tillwatch.collector
from tillwatch.collector import fold, operators
from tillwatch.collector.journal import Kind
from tillwatch.collector.proof import signed_acts
from tillwatch.collector.proof.actions import GROUPS, group_of
from tillwatch.collector.store import requests
from tillwatch.collector.web.rest import acts

COLLECTOR = Path(next(iter(tillwatch.collector.__path__)))
NO_ACTS = ("tickets", "simulate")
"""Bodies for ticket systems have an `action` that is advice; the simulation plays what people do elsewhere."""
ANY = re.compile(r"[a-z]+(-[a-z]+)*")


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in COLLECTOR.rglob("*.py"):
        if path.relative_to(COLLECTOR).parts[0] not in NO_ACTS:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def named(tree: ast.Module) -> Iterator[ast.expr]:
    """What stands for the name of an act: of facts in braces, and of an Actor's facts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "action"
            )
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "facts" and node.args:  # fmt: skip
            yield node.args[0]


def journaled() -> dict[str, str]:
    """Action -> a module that writes it."""
    found: dict[str, str] = {}
    for path, tree in trees():
        for value in named(tree):
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[value.value] = path.name
    found |= {act.action: "acts.py" for table in (acts.INCIDENT, acts.ALARM) for act in table.values()}
    tables = (acts_ for name, acts_ in vars(fold).items() if name.startswith("OF_"))
    found |= dict.fromkeys((*operators.ACTS, *chain.from_iterable(tables), *signed_acts.SIGNED), "the fold")
    found |= {kind.name.lower(): "the journal" for kind in (Kind.STARTED, Kind.STOPPED)} | {"rules": "the journal"}
    found.pop(requests.FINDINGS, None)  # of the predictions, which are no person's act
    return found


def test_every_act_that_is_journaled_is_in_one_group() -> None:
    listed = [action for actions in GROUPS.values() for action in actions]
    assert len(listed) == len(set(listed))
    found = journaled()
    assert {action: where for action, where in found.items() if action not in listed} == {}


def test_no_group_names_an_act_that_nobody_journals() -> None:
    listed = {action for actions in GROUPS.values() for action in actions}
    written = set(journaled())
    assert all(ANY.fullmatch(action) for action in listed)
    assert listed - written == set()


def test_a_token_of_a_person_is_no_token_of_a_terminal() -> None:
    assert group_of("token", {"branch": "Harbour"}) == "key"
    assert group_of("token", {"did": "made", "person": "li.na"}) == "people"
    assert group_of("of-a-later-version") == "handling"
