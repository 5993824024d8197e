"""Where a broker asks about terminals, and Prometheus about an opener: HTTPS on a port of each opener's own."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from tillwatch.collector.opening.access import answer
from tillwatch.collector.opening.figures import Figures
from tillwatch.collector.opening.keys import Known
from tillwatch.collector.web.inward.listening import Listener, RefusedError, read_body

log = logging.getLogger(__name__)

MAX_ASKING = 4_096
"""Questions of brokers at a time, each over a connection of its own. One that is turned away costs a terminal its rights on that connection, and RabbitMQ 3.10 keeps
the connection open: as many as a region's terminals that come back at once have under way.
"""
MAX_QUESTION = 4 * 1024
"""Bytes of a question of the broker; they have 200."""

HELP = {
    "messages": "Messages that the broker handed over",
    "opened": "Batches that were opened here",
    "forwarded": "Messages that went to the fold as they came: life messages, and what could not be opened",
    "groups": "Groups sent to the fold, those sent again among them",
    "answered": "Groups that the fold has stored",
    "resent": "Times that groups without an answer were sent again",
    "acks": "Acks published to terminals",
    "rerouted": "Acks that went by another way than the exchange of this opener's node: over another node, or by the name of the terminal's queue",
    "unsent": "Acks that were to go over another node and did not: too many waited, or it did not answer",
    "relayed": "Life messages sent on into the partition of their terminal",
}
GAUGES = {
    "queues": "Partitions that this opener has asked for, as the first or as a standby",
    "own_queues": "Partitions whose first choice this opener is",
    "members": "Openers that are there",
    "waiting": "Messages taken from the broker that the fold has not stored",
    "keys": "Terminals whose keys are known",
    "connected": "1 while it stands at the broker",
}


FOLD_EPOCH = "The lease under which a collector folds, one more each time another takes it; 0 while nobody does"


class Enrolled:
    """Whether a terminal is enrolled and not revoked, as of now; as of the last look at its keys where the store is away. Over one connection that stays: a terminal
    that connects makes a dozen questions, and a region thousands at once.
    """

    def __init__(self, known: Known, connect: Callable[[], Any]) -> None:
        self._known, self._connect = known, connect
        self._lock = threading.Lock()
        self._db: Any = None

    async def __call__(self, terminal: str) -> bool:
        try:
            return await asyncio.to_thread(self._active, terminal)
        except sqlite3.Error:
            return self._known.knows(terminal)

    def _active(self, terminal: str) -> bool:
        with self._lock:
            if self._db is None:
                self._db = self._connect()
            try:
                row = self._db.execute("SELECT state FROM terminal WHERE id = ?", (terminal,)).fetchone()
            except sqlite3.Error:
                self._db.close()
                self._db = None
                raise
        return row is not None and row[0] == "active"


class Folding:
    """Under which epoch somebody folds now: 0 for nobody, None where it cannot be said."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect

    async def __call__(self) -> int | None:
        try:
            return await asyncio.to_thread(self._epoch)
        except sqlite3.Error:
            return None

    def _epoch(self) -> int:
        with closing(self._connect()) as db:
            row = db.execute("SELECT epoch FROM lease WHERE name = 'fold' AND until > clock_timestamp()").fetchone()
        return int(row[0]) if row is not None else 0


def opener_app(figures: Figures, vhost: str, enrolled: Enrolled, folding: Folding) -> FastAPI:
    app = FastAPI(title="tillwatch opener", openapi_url=None, docs_url=None, redoc_url=None)

    @app.post("/access/{what}")
    async def access(request: Request, what: str) -> PlainTextResponse:
        try:
            body = await read_body(request, MAX_QUESTION)
        except RefusedError as error:
            return PlainTextResponse(str(error), status_code=error.status)
        asked = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        there = what == "user" and await enrolled(asked.get("username", ""))
        said = answer(what, asked, vhost, lambda _: there)
        if said != "allow":
            log.info("the broker is told not to let %.64s: %s", asked.get("username"), what)
        return PlainTextResponse(said)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(exposition(figures, await folding()), media_type="text/plain; version=0.0.4")

    return app


def exposition(figures: Figures, epoch: int | None) -> str:
    """The text format of Prometheus. epoch: under which somebody folds; what is not known is left out."""
    lines = [] if epoch is None else _metric("tillwatch_fold_epoch", "gauge", FOLD_EPOCH, [("", epoch)])
    for one in fields(figures):
        value = getattr(figures, one.name)
        if one.name in HELP:
            lines += _metric(f"tillwatch_opener_{one.name}_total", "counter", HELP[one.name], [("", value)])
        elif one.name in GAUGES:
            lines += _metric(f"tillwatch_opener_{one.name}", "gauge", GAUGES[one.name], [("", int(value))])
    dropped = [(f'{{reason="{why}"}}', n) for why, n in sorted(figures.dropped.items())]
    lines += _metric("tillwatch_opener_dropped_total", "counter", "Messages not taken in, by reason", dropped)
    return "\n".join(lines) + "\n"


def opener_listener(app: FastAPI, host: str, port: int, chain: Path) -> Listener:
    return Listener(app, host, port, chain, "the broker's questions about terminals", "amqp", MAX_ASKING)


def _metric(name: str, kind: str, text: str, values: list[tuple[str, int]]) -> list[str]:
    return [f"# HELP {name} {text}.", f"# TYPE {name} {kind}", *(f"{name}{labels} {value}" for labels, value in values)]
