"""Acts that are done once, however often they are asked for: a phone whose connection broke sends the same request again, with the same
Idempotency-Key, and gets the answer to the first one. Answers are kept in the console's own file for a day.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

import msgpack

from tillwatch.collector.web.acting import Kept, NotTaken

KEPT_NS = 24 * 3600 * 10**9
"""How long an answer is known: a phone that was in a cellar for longer than a working day asks anew."""
MAX_KEPT = 50_000
"""Answers of all people together, some 100 MB at the worst: the oldest go first."""
MAX_ANSWER = 256 * 1024
"""Bytes of an answer that is kept; a longer one is said in a word when it is asked for again."""
KEY = re.compile(r"[A-Za-z0-9_.:-]{8,80}")

T = TypeVar("T")


class Reused(Exception):  # noqa: N818  # an answer (422), not a defect
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP; body: JSON."""

    status: int
    body: bytes


Begun = Callable[[int], Awaitable[Answer | None]]
"""Of a request that was begun at a time, UTC ns, and whose answer is not known: what became of it; None where it was never done."""


class Once:
    """connect: opens the console's file, on the thread that uses it. now: UTC ns."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], now: Callable[[], int]) -> None:
        self._connect = connect
        self._now = now
        self._db: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="once")
        self._going: dict[tuple[str, str], asyncio.Future[Answer]] = {}

    async def __call__(
        self, person: str, key: str, request: bytes, work: Callable[[], Awaitable[Answer]], begun: Begun
    ) -> Answer:
        """The answer of `work`, or of the first request with this key. request: what is asked for, whole. Raises Reused, and NotTaken as `work` does."""
        place, digest = (person, key), sha256(request).digest()
        going = self._going.get(place)
        if going is not None:
            return await asyncio.shield(going)
        mine = self._going[place] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._first(place, digest, work, begun)
        except BaseException as error:
            mine.set_exception(
                NotTaken("it is not known what became of it; ask again")
                if isinstance(error, asyncio.CancelledError)
                else error
            )
            mine.exception()  # nobody may wait for it
            raise
        else:
            mine.set_result(answer)
            return answer
        finally:
            del self._going[place]

    async def _first(
        self, place: tuple[str, str], digest: bytes, work: Callable[[], Awaitable[Answer]], begun: Begun
    ) -> Answer:
        row = await self._do(lambda db: _begin(db, *place, digest, self._now()))
        if row is not None:
            at, status, packed = row
            was, body = msgpack.unpackb(packed)
            if was != digest:
                raise Reused
            if status:
                return Answer(status, body)
            if (found := await begun(at)) is not None:
                await self._keep(place, digest, found)
                return found
        try:
            answer = await work()
        except Kept:
            raise  # it is on its way: who asks again is told what came of it
        except BaseException:
            await self._do(lambda db: _forget(db, *place))
            raise
        await self._keep(place, digest, answer)
        return answer

    async def _keep(self, place: tuple[str, str], digest: bytes, answer: Answer) -> None:
        body = answer.body if len(answer.body) <= MAX_ANSWER else b'{"detail": "it was done"}'
        packed = msgpack.packb([digest, body])
        await self._do(lambda db: _done(db, *place, answer.status, packed))

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            if self._db is None:
                self._db = self._connect()
            return work(self._db)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except sqlite3.Error as error:
            raise NotTaken(f"the console's own file cannot be written: {error}; ask again") from error

    def close(self) -> None:
        """Blocks until what is being kept is kept."""

        def end() -> None:
            if self._db is not None:
                self._db.close()

        self._thread.submit(end)
        self._thread.shutdown(wait=True)


def _begin(db: sqlite3.Connection, person: str, key: str, digest: bytes, now: int) -> tuple[int, int, bytes] | None:
    """What is known of the request already; None: nothing, and from now on that it is under way."""
    with closing(
        db.execute("SELECT at, status, answer FROM request_done WHERE person = ? AND key = ?", (person, key))
    ) as found:
        row: tuple[int, int, bytes] | None = found.fetchone()
    if row is not None and now - row[0] < KEPT_NS:
        return row
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM request_done WHERE at <= ?", (now - KEPT_NS,))
    db.execute(
        "DELETE FROM request_done WHERE at <= (SELECT at FROM request_done ORDER BY at DESC LIMIT 1 OFFSET ?)",
        (MAX_KEPT - 1,),
    )
    db.execute(
        "INSERT OR REPLACE INTO request_done (person, key, at, status, answer) VALUES (?, ?, ?, 0, ?)",
        (person, key, now, msgpack.packb([digest, b""])),
    )
    db.execute("COMMIT")
    return None


def _done(db: sqlite3.Connection, person: str, key: str, status: int, packed: bytes) -> None:
    db.execute(
        "UPDATE request_done SET status = ?, answer = ? WHERE person = ? AND key = ?", (status, packed, person, key)
    )


def _forget(db: sqlite3.Connection, person: str, key: str) -> None:
    db.execute("DELETE FROM request_done WHERE person = ? AND key = ?", (person, key))
