"""What is asked for twice is done once: told again after an answer was lost, while it is under way, after the console was killed in the middle."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tillwatch.collector.people.console_db import open_console
from tillwatch.collector.web.acting import Kept, NotTaken
from tillwatch.collector.web.rest.once import KEPT_NS, MAX_KEPT, Answer, Once, Reused

DONE = Answer(200, b"{}")


class Work:
    """Counts how often it is done; fails with these errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.times = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> Answer:
        self.times += 1
        await self.go.wait()
        if self.errors:
            raise self.errors.pop(0)
        return DONE


async def never(_: int) -> Answer | None:
    return None


@pytest.fixture
def once(tmp_path: Path) -> Iterator[Once]:
    made = Once(lambda: open_console(tmp_path / "console.db"), lambda: 10**18)
    yield made
    made.close()


def again(tmp_path: Path, now: int = 10**18) -> Once:
    """Of the next life of the console."""
    return Once(lambda: open_console(tmp_path / "console.db"), lambda: now)


async def test_the_answer_outlives_the_console(once: Once, tmp_path: Path) -> None:
    work = Work()
    assert await once("chen", "key-0001", b"a", work, never) == DONE
    other = again(tmp_path)
    assert await other("chen", "key-0001", b"a", work, never) == DONE
    with pytest.raises(Reused):
        await other("chen", "key-0001", b"b", work, never)
    other.close()
    assert work.times == 1


async def test_while_it_is_under_way_the_second_waits_for_the_first(once: Once) -> None:
    work = Work()
    work.go.clear()
    both = [asyncio.create_task(once("chen", "key-0001", b"a", work, never)) for _ in range(3)]
    while not work.times:
        await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*both) == [DONE] * 3
    assert work.times == 1


async def test_what_was_not_done_may_be_done(once: Once) -> None:
    work = Work(NotTaken("nothing was done"))
    with pytest.raises(NotTaken):
        await once("chen", "key-0001", b"a", work, never)
    assert await once("chen", "key-0001", b"a", work, never) == DONE
    assert work.times == 2


async def test_what_is_kept_is_looked_up_and_not_done_again(once: Once) -> None:
    work, found = Work(Kept("it is kept")), Answer(200, b'{"found": true}')
    with pytest.raises(Kept):
        await once("chen", "key-0001", b"a", work, never)

    async def begun(at: int) -> Answer | None:
        assert at == 10**18
        return found

    assert await once("chen", "key-0001", b"a", work, begun) == found
    assert await once("chen", "key-0001", b"a", work, never) == found, "from now on it is known"
    assert work.times == 1


async def test_what_was_cut_off_before_it_was_asked_for_is_done(once: Once, tmp_path: Path) -> None:
    """The console was killed: that it was begun is all that is known, and nobody was asked."""
    work = Work()
    work.go.clear()
    cut = asyncio.create_task(once("chen", "key-0001", b"a", work, never))
    while not work.times:
        await asyncio.sleep(0)
    other = again(tmp_path)
    second = Work()
    assert await other("chen", "key-0001", b"a", second, never) == DONE
    other.close()
    work.go.set()
    await cut
    assert second.times == 1


async def test_a_key_is_forgotten_after_a_day_and_the_file_stays_small(once: Once, tmp_path: Path) -> None:
    work = Work()
    await once("chen", "key-0001", b"a", work, never)
    late = again(tmp_path, 10**18 + KEPT_NS)
    assert await late("chen", "key-0001", b"b", work, never) == DONE
    late.close()
    db = open_console(tmp_path / "console.db")
    rows = ((f"p{n}", "key", 10**18 + KEPT_NS + n, 200, b"") for n in range(MAX_KEPT))
    db.execute("BEGIN")
    db.executemany("INSERT INTO request_done VALUES (?, ?, ?, ?, ?)", rows)
    db.execute("COMMIT")
    last = again(tmp_path, 10**18 + KEPT_NS + MAX_KEPT)
    await last("chen", "key-0002", b"a", work, never)
    last.close()
    assert db.execute("SELECT count(*) FROM request_done").fetchone()[0] <= MAX_KEPT
    assert db.execute("SELECT count(*) FROM request_done WHERE key = 'key-0001'").fetchone()[0] == 0
    db.close()


async def test_a_file_that_cannot_be_written_does_nothing(tmp_path: Path) -> None:
    def broken() -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    once, work = Once(broken, lambda: 1), Work()
    with pytest.raises(NotTaken, match="disk I/O error"):
        await once("chen", "key-0001", b"a", work, never)
    once.close()
    assert work.times == 0
