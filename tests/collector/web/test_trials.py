"""Trials in processes of their own over a simulated bank: what comes of one is what the command says, one runs at a time, and one that is called off or takes too long
leaves no process behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.collector.simulated import bank, opened
from tillwatch.collector.web import trials
from tillwatch.collector.web.trials import (
    CALLED_OFF,
    DONE,
    FAILED,
    OVER,
    RUNNING,
    TOO_LONG,
    WAITS,
    Asked,
    Full,
    Trial,
    Trials,
)

DAY = 86_400 * 10**9
NEVER = '[[rule]]\nid = "env.door-open"\nfor = "60d"\n'


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bank(tmp_path_factory.mktemp("bank")).parent / "collector.db"


@pytest.fixture(scope="module")
def span(database: Path) -> tuple[int, int]:
    with opened(database) as db:
        (last,) = db.execute("SELECT max(at) FROM journal").fetchone()
    return last - 10 * DAY, last


@pytest_asyncio.fixture
async def made(database: Path) -> AsyncIterator[Trials]:
    made = Trials(database, time.time_ns)
    yield made
    await made.close()


async def until(what: Callable[[], bool], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not what():
            await asyncio.sleep(0.02)


def asked(
    span: tuple[int, int], text: str = "", rule: str = "env.door-open", only: frozenset[str] | None = None
) -> Asked:
    return Asked(rule, text, *span, only=only)


def at_work(trial: Trial) -> bool:
    return trial.state == RUNNING and trial.share > 0


async def test_a_rule_as_it_is_and_with_another_duration(made: Trials, span: tuple[int, int]) -> None:
    as_it_is, never = made.start("li.na", asked(span)), made.start("li.na", asked(span, NEVER))
    await until(lambda: as_it_is.state in OVER and never.state in OVER)
    assert (as_it_is.state, as_it_is.trouble, as_it_is.share) == (DONE, "", 1.0)
    report, other = as_it_is.report, never.report
    assert report is not None
    assert other is not None
    assert report["terminals"] == other["terminals"] == 6
    assert report["tried"]["episodes"] > other["tried"]["episodes"] == 0
    assert report["stood"]["episodes"] == other["stood"]["episodes"] > 0
    assert len(report["tried"]["list"]) == report["tried"]["episodes"]
    rows = report["by_terminal"]
    assert sum(row["tried"] for row in rows) == report["tried"]["episodes"]
    assert rows == sorted(rows, key=lambda row: -row["tried"])


async def test_it_is_tried_on_what_the_asker_may_see(made: Trials, span: tuple[int, int], database: Path) -> None:
    with opened(database) as db:
        (own,) = db.execute("SELECT id FROM terminal WHERE class = 'atm' ORDER BY id LIMIT 1").fetchone()
    trial = made.start("li.na", asked(span, only=frozenset({own})))
    await until(lambda: trial.state in OVER)
    assert trial.report is not None
    assert trial.report["terminals"] == 1
    assert {row["terminal"] for row in trial.report["by_terminal"]} <= {own}


async def test_one_runs_at_a_time_and_one_that_is_called_off_ends(made: Trials, span: tuple[int, int]) -> None:
    first, second = made.start("li.na", asked(span)), made.start("wang", asked(span))
    await until(lambda: at_work(first) or first.state in OVER)
    assert second.state == WAITS
    await made.call_off(first)
    assert first.state in (CALLED_OFF, DONE)
    assert first.done_at
    await until(lambda: second.state != WAITS)
    await made.call_off(second)
    assert second.state in OVER
    await made.call_off(second)


async def test_one_that_takes_too_long_is_ended(database: Path, span: tuple[int, int]) -> None:
    made = Trials(database, time.time_ns, limit_s=0.05)
    trial = made.start("li.na", asked(span))
    await until(lambda: trial.state in OVER)
    assert trial.state == TOO_LONG
    await made.close()


@pytest.mark.parametrize(
    ("rule", "text", "says"),
    [
        ("no.such.rule", "", "no rule 'no.such.rule'"),
        ("disk.full", '[[rule]]\nid = "disk.full"\nabove = 7\n', "is a list such as"),
        ("disk.full", "not toml", "the rules to try"),
    ],
)
async def test_what_cannot_be_tried_says_why(made: Trials, span: tuple[int, int], rule: str, text: str, says: str) -> None:  # fmt: skip
    trial = made.start("li.na", asked(span, text, rule))
    await until(lambda: trial.state in OVER)
    assert trial.state == FAILED
    assert says in trial.trouble


async def test_a_trial_is_its_askers_own_and_only_so_many_are_kept(made: Trials, span: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(trials, "WAITING", 1)
    monkeypatch.setattr(trials, "KEPT", 2)
    first = made.start("li.na", asked(span))
    second = made.start("wang", asked(span))
    with pytest.raises(Full):
        made.start("li.na", asked(span))
    assert made.of("li.na") == [first]
    with pytest.raises(KeyError):
        made.get("li.na", second.id)
    await made.call_off(second)
    await made.call_off(first)
    third = made.start("li.na", asked(span))
    assert made.of("li.na") == [third], "the oldest that is over made room"
