"""The oracle finds what it is there to find: a line that is well gives no word, each wrong one gives the word for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.device import SIGNALS, Answer, Run
from tests.chaos.oracle import Account, Bounds, findings
from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import Reading
from tillwatch.collector.alarm.rules import shipped_text

BOUNDS = Bounds(killed=3, stopped=1)
ANSWERS = [Answer(100_000 + n, T0 + n * S) for n in range(1, 41)]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "collector.db"


async def store(database: Path, *answers: Answer) -> None:
    """As a terminal sends them: two to a batch."""
    world = World(database)
    await world.pipeline.start(shipped_text(), "")
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    for two in zip(answers[::2], answers[1::2], strict=True):
        readings: list[Reading] = [
            reading("ups-1", signal, answer.at, reads_as(answer.n))
            for signal, reads_as in SIGNALS.items()
            for answer in two
        ]
        world.now = two[-1].at + S // 2
        await world.pipeline.take([atm.batch(readings, world.now)])
    await world.pipeline.stop()
    world.store.close()


def account(*runs: Run) -> Account:
    return {("atm-1", "ups-1"): runs}


async def test_what_is_well_gives_no_word(database: Path) -> None:
    await store(database, *ANSWERS)
    assert findings(database, account(Run(ANSWERS[:20], "stopped"), Run(ANSWERS[20:])), BOUNDS) == []


async def test_what_was_not_sealed_may_be_gone_when_it_was_killed(database: Path) -> None:
    await store(database, *ANSWERS[:20], *ANSWERS[23:37])
    runs = account(Run(ANSWERS[:23], "killed"), Run(ANSWERS[23:38], "stopped"), Run([]))
    assert findings(database, runs, BOUNDS) == []


@pytest.mark.parametrize(
    ("kept", "runs", "word"),
    [
        (
            ANSWERS[:10] + ANSWERS[12:],
            [Run(ANSWERS, "killed")],
            "process 1 of 1 of its agent: lost from the middle: [100011, 100012]",
        ),
        (ANSWERS[:36], [Run(ANSWERS, "killed")], "4 of its 40 readings are missing; it was killed, which explains 3"),
        (ANSWERS[:38], [Run(ANSWERS, "stopped")], "2 of its 40 readings are missing; it was stopped, which explains 1"),
        (ANSWERS[:38], [Run(ANSWERS)], "2 of its 40 readings are missing; it drained, which explains 0"),
        (ANSWERS, [Run(ANSWERS[:39])], "readings that were never made: [100040]"),
        (ANSWERS[:4] + ANSWERS[2:], [Run(ANSWERS)], "reading 100003 comes again"),
        (ANSWERS[4:6] + ANSWERS[:4] + ANSWERS[6:], [Run(ANSWERS)], "reading 100001 comes after 100006"),
        ([], [Run(ANSWERS)], "40 of its 40 readings are missing"),
        (
            ANSWERS,
            [Run([Answer(answer.n, answer.at + 5 * S) for answer in ANSWERS])],
            f"reading 100001 was answered at {T0 + 6 * S} and is kept as of {T0 + S}",
        ),
    ],
    ids=["middle", "killed", "stopped", "drained", "invented", "twice", "order", "nothing", "time"],
)
async def test_readings_that_are_not_those_made(database: Path, kept: list[Answer], runs: list[Run], word: str) -> None:
    await store(database, *kept)
    assert word in "\n".join(findings(database, account(*runs), BOUNDS))


def forget(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM journal WHERE n = 8")


def double(db: sqlite3.Connection) -> None:
    db.execute("UPDATE journal SET payload = (SELECT payload FROM journal WHERE n = 7) WHERE n = 8")


def damage(db: sqlite3.Connection) -> None:
    ((payload,),) = db.execute("SELECT payload FROM journal WHERE n = 8").fetchall()
    db.execute("UPDATE journal SET payload = ? WHERE n = 8", (payload[:-9] + bytes(9),))


def predate(db: sqlite3.Connection) -> None:
    db.execute("UPDATE journal SET at = at - 1 WHERE n = 8")


def misremember(db: sqlite3.Connection) -> None:
    db.execute("UPDATE stream SET mark = mark + 1")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (forget, "batch 6 follows batch 4"),
        (double, "entry 8: its frame is not what its digest says"),
        (damage, "atm-1, entry 8: "),
        (predate, "entry 8: the chain breaks at this entry"),
        (misremember, "table stream is not what the journal gives"),
    ],
)
async def test_a_store_that_was_changed(
    database: Path, change: Callable[[sqlite3.Connection], None], word: str
) -> None:
    await store(database, *ANSWERS)
    with closing(sqlite3.connect(database)) as db, db:
        change(db)
    assert word in "\n".join(findings(database, account(Run(ANSWERS)), BOUNDS))


OFF = 400 * 86_400 * S


def by_a_wrong_clock(answers: list[Answer]) -> list[Answer]:
    return [Answer(answer.n, answer.at + OFF) for answer in answers]


async def test_a_clock_that_was_wrong_explains_the_times_of_those_days_alone(database: Path) -> None:
    """The store is as it would be if the device were right: what it kept is compared with what the clock was."""
    await store(database, *ANSWERS)
    clocks = {"atm-1": [(T0, -OFF), (ANSWERS[20].at + OFF - S // 2, 0)]}
    early = account(Run([*by_a_wrong_clock(ANSWERS)]))
    assert findings(database, early, BOUNDS, {"atm-1": [(T0, -OFF)]}) == []
    assert any("is kept as of" in text for text in findings(database, early, BOUNDS))
    late = "\n".join(findings(database, early, BOUNDS, clocks))
    assert "reading 100001 was answered" not in late
    assert f"reading {ANSWERS[30].n} was answered" in late


async def test_what_could_not_be_sealed_may_be_gone_with_its_process(database: Path) -> None:
    await store(database, *ANSWERS[:30])
    assert findings(database, account(Run(ANSWERS, "killed", unsealed_s=7.0)), BOUNDS) == []
    missing = findings(database, account(Run(ANSWERS, "killed", unsealed_s=6.0)), BOUNDS)
    assert "it was killed, which explains 9" in "\n".join(missing)
