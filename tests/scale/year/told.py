"""A year of the bank that does not exist, as what its collector is told: sealed messages, what people do, what the predictions say, and when it is away. The
simulator's own fold runs on these very messages, so that its people answer what a collector finds that is told the same.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tillwatch.agent.model import Batch, Reading
from tillwatch.agent.wire import (
    FIRST_PREV,
    Life,
    Opened,
    Refusal,
    SigningKey,
    VerifyKey,
    batch_topic,
    life_topic,
    open_batch,
    open_life,
    seal,
    seal_life,
)
from tillwatch.collector.journal import Kind
from tillwatch.collector.simulate import year
from tillwatch.collector.simulate.post import Post
from tillwatch.collector.simulate.times import HOUR
from tillwatch.collector.store.sqlite import SqliteStore

KILLED_EACH = 3
"""Of the times that the collector is away it was killed, every so many; else it was stopped in order."""


@dataclass(frozen=True, slots=True)
class Told:
    """at: UTC ns; payload: of messages; killed: the collector ends behind it, without a word."""

    at: int
    kind: Kind
    terminal: str
    facts: dict[str, Any]
    payload: bytes = b""
    killed: bool = False

    @property
    def topic(self) -> str:
        return batch_topic(self.terminal) if self.kind is Kind.BATCH else life_topic(self.terminal)


@dataclass(frozen=True, slots=True)
class Year:
    """told: in its order; start, end: UTC ns; path: what the simulator itself made of it, as a store."""

    told: list[Told]
    start: int
    end: int
    path: Path


class _Agent:
    """What seals for one terminal. It is its own registry: the Keys of the wire."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.signing = SigningKey(name.encode().ljust(32, b"\0"))
        self._verify = VerifyKey(self.signing.public)
        self._seq, self._prev = 0, FIRST_PREV

    def knows(self, terminal: str) -> bool:
        return terminal == self.name

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._verify if (terminal, key_id) == (self.name, self._verify.key_id) else Refusal.UNKNOWN_KEY

    def batches(self, said: Opened) -> list[tuple[Opened, bytes]]:
        """As many as the limit of an hour in each of them asks for."""
        hours: dict[int, list[Reading]] = {}
        for column in said.columns:
            for reading in column.readings():
                hours.setdefault(reading.at // HOUR, []).append(reading)
        return [self._batch(said, readings) for _, readings in sorted(hours.items())]

    def _batch(self, said: Opened, readings: list[Reading]) -> tuple[Opened, bytes]:
        self._seq += 1
        h = said.header
        sealed = seal(
            self.signing, Batch(tuple(readings)), terminal=self.name, epoch=h.epoch, seq=self._seq, prev=self._prev, floor=1, sent=h.sent,
            boot=h.boot, up=h.up, clock=h.clock,
        )  # fmt: skip
        self._prev = sealed.digest
        return open_batch(batch_topic(self.name), sealed.payload, self), sealed.payload

    def life(self, said: Life) -> tuple[Life, bytes]:
        payload = seal_life(self.signing, replace(said, key=self.signing.key_id, next=self._seq + 1))
        return open_life(life_topic(self.name), payload, self), payload


class _Sealing(Post):
    """What the stations say goes to the fold as a collector opens it, and is kept as it was sent."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.kept: list[Told] = []
        self._agents: dict[str, _Agent] = {}
        self._sealed: dict[bytes | Life, bytes] = {}
        """What was sealed and is not entered yet: a batch by its digest."""
        self._stops = 0

    def _agent(self, name: str) -> _Agent:
        return self._agents.setdefault(name, _Agent(name))

    def batch(self, at: int, opened: Opened) -> None:
        if opened.digest in self._sealed:  # it waited for the collector
            super().batch(at, opened)
            return
        for part, payload in self._agent(opened.header.terminal).batches(opened):
            self._sealed[part.digest] = payload
            super().batch(at, part)

    def life(self, at: int, life: Life) -> None:
        if life not in self._sealed:
            life, payload = self._agent(life.terminal).life(life)
            self._sealed[life] = payload
        super().life(at, life)

    def operate(self, at: int, facts: dict[str, Any]) -> int:
        if facts["action"] == "enrol":
            facts = facts | {"public": self._agent(facts["terminal"]).signing.public}
        return super().operate(at, facts)

    def change_rules(self, at: int, facts: dict[str, Any]) -> None:
        self._enter(Kind.STARTED, at, "", {"down_since": 0})
        super().change_rules(at, facts)

    def _enter(
        self,
        kind: Kind,
        at: int,
        terminal: str,
        facts: dict[str, Any],
        content: Opened | Life | None = None,
        span: tuple[int, int] | None = None,
    ) -> int:
        killed = False
        if kind is Kind.STOPPED:
            self._stops += 1
            killed = self._stops % KILLED_EACH == 0
        if killed:
            # The last thing that is kept: from here on the collector counts as down.
            kind, facts = Kind.OPERATOR, {"action": "note", "actor": "lin", "text": "The rack goes dark"}
            terminal = facts["terminal"] = next(iter(self._agents))
        payload = b""
        if isinstance(content, Opened):
            payload = self._sealed.pop(content.digest)
        elif content is not None:
            payload = self._sealed[content]
        self.kept.append(Told(at, kind, terminal, facts, payload, killed))
        return super()._enter(kind, at, terminal, facts, content, span)


def told(terminals: int, days: int, seed: int, pace: float, path: Path) -> Year:
    """path: of a file that is not there yet."""
    posts: list[_Sealing] = []

    def post(*given: Any) -> _Sealing:
        posts.append(_Sealing(*given))
        return posts[-1]

    with pytest.MonkeyPatch.context() as patch, closing(SqliteStore(path)) as store:
        patch.setattr(year, "Post", post)
        outcome = year.simulate(terminals, days, seed, pace=pace, predictions=year.ON, store=store)
    return Year(posts[0].kept, outcome.start, outcome.end, path)
