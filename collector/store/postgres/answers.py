"""Answers of a server are waited for with an end: one that is stopped, or that something between does not pass on any more, keeps its connection open and says nothing,
and no setting of the connection's sockets tells it from one that works.
"""

from __future__ import annotations

import math
import select
import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq.abc import PGconn

T = TypeVar("T")
LATE_S = 5.0
"""The server ends a statement that takes too long and says so; where that word does not come either it is stopped, or something between stopped to pass on."""


def hear(pgconn: PGconn, answer_s: float) -> None:
    """Wait until there is an answer, and send meanwhile what is still to be sent. Other threads run. Raises psycopg.OperationalError where none came in time: the
    connection is closed then, for an answer that comes later is to a question that nobody asks any more.
    """
    until = time.monotonic() + answer_s
    while pgconn.is_busy():
        events = select.POLLIN | (select.POLLOUT if pgconn.flush() else 0)
        left = until - time.monotonic()
        if left <= 0:
            pgconn.finish()
            raise _silent(answer_s)
        poll = select.poll()
        poll.register(pgconn.socket, events)
        poll.poll(None if left == math.inf else math.ceil(left * 1000))
        pgconn.consume_input()


def _silent(answer_s: float) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"no answer within {answer_s:g} s: the server is stopped or cut off")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """One that waits for the answer to a statement no longer than `answer_s`."""

    answer_s = math.inf

    def wait(self, gen: PQGen[T], *args: Any, **how: Any) -> T:
        return super().wait(self._bounded(gen), *args, **how)

    def _bounded(self, gen: PQGen[T]) -> PQGen[T]:
        until = time.monotonic() + self.answer_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() >= until:
                    self.pgconn.finish()
                    raise _silent(self.answer_s)
                wanted = gen.send(ready)
        except StopIteration as done:
            value: T = done.value
            return value
