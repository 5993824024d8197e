"""Groups of opened messages on their way to the fold, its answers, and what openers and fold tell all openers: msgpack, versioned and bounded. Opened
batches carry their columns: to build them from here costs the fold a quarter of what inflating and decoding the sealed bytes costs it.

Both ends are processes of ours, and nobody else may write to these exchanges: what is opened here is not proven again, only its key is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgpack

from tillwatch.agent.model import Clock, Quality, State
from tillwatch.agent.wire import MAX_PAYLOAD, Column, Header, Opened, batch_topic, life_topic
from tillwatch.collector.intake import Message

VERSION = 1
ANSWER_KIND = "answer"
"""Type of an AMQP message to an opener that is an answer; all else is a greeting."""
MAX_MESSAGES = 200
"""Of a group: at 80 us of the fold each it is answered within 20 ms, and the cost of a group itself is spread thin."""
MAX_PAYLOADS = 1024 * 1024
"""Bytes of sealed messages in a group of more than one."""
MAX_GROUP = 32 * 1024 * 1024
"""Bytes of a group on its way. Columns of sparse batches are larger than what was sealed; 200 usual batches have 0.3 MB."""
MAX_DROPPED = 1000
"""Pairs of terminal and reason told with a group; the rest is told with the next."""
MAX_NAME = 128
"""Characters of the name of an opener: its host, its number and some random ones."""

_QUALITIES = {int(each): each for each in Quality}
_STATES = {int(each): each for each in State}
T = TypeVar("T")


class GroupError(ValueError):
    """Not such a message, or of a version that is not known here."""


@dataclass(frozen=True, slots=True)
class Group:
    """opener: who sent it; run, place: see window.py; number: counts this opener's groups; dropped: (terminal, why) of messages that were not taken in,
    with their number.
    """

    opener: str
    run: int
    place: int
    number: int
    messages: Sequence[Message]
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """number: of the group; stored: False where it is to be sent again; acks: (terminal, payload) to be published; refused: terminals of messages that
    proved to be nothing only at the fold.
    """

    number: int
    stored: bool
    acks: Sequence[tuple[str, bytes]] = ()
    refused: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Hello:
    """What is told to all openers: that this opener is there (opener), that it ends (bye), or that a fold begins to take groups (fold: the epoch of
    its lease).
    """

    opener: str = ""
    bye: bool = False
    fold: int = 0


def pack_group(group: Group) -> bytes:
    dropped = [[terminal, why, n] for (terminal, why), n in group.dropped.items()]
    rows = [_row(message) for message in group.messages]
    packed: bytes = msgpack.packb([VERSION, group.opener, group.run, group.place, group.number, rows, dropped])
    return packed


def open_group(packed: bytes, received: int) -> Group:
    """received: UTC ns, this machine's: the clocks of openers decide nothing. Raises GroupError."""

    def build(said: list[Any]) -> Group:
        opener, run, place, number, rows, dropped = said
        if type(opener) is not str or len(opener) > MAX_NAME or len(rows) > MAX_MESSAGES or len(dropped) > MAX_DROPPED:
            raise ValueError("a name, or more messages, than a group may have")
        if {type(run), type(place), type(number)} != {int}:
            raise ValueError("its place is no number")
        told = {(str(terminal), str(why)): int(n) for terminal, why, n in dropped}
        return Group(opener, run, place, number, [_message(row, received) for row in rows], told)

    return _opened("group", packed, build)


def pack_answer(answer: Answer) -> bytes:
    packed: bytes = msgpack.packb([VERSION, answer.number, answer.stored, list(answer.acks), list(answer.refused)])
    return packed


def open_answer(packed: bytes) -> Answer:
    """Raises GroupError."""

    def build(said: list[Any]) -> Answer:
        number, stored, acks, refused = said
        return Answer(
            int(number), bool(stored), tuple((str(t), bytes(ack)) for t, ack in acks), tuple(str(n) for n in refused)
        )

    return _opened("answer", packed, build)


def pack_hello(hello: Hello) -> bytes:
    packed: bytes = msgpack.packb([VERSION, hello.opener, hello.bye, hello.fold])
    return packed


def open_hello(packed: bytes) -> Hello:
    """Raises GroupError."""

    def build(said: list[Any]) -> Hello:
        opener, bye, fold = said
        if type(opener) is not str or len(opener) > MAX_NAME:
            raise ValueError("its name is none")
        return Hello(opener, bool(bye), int(fold))

    return _opened("hello", packed, build)


def _opened(what: str, packed: bytes, build: Callable[[list[Any]], T]) -> T:
    if len(packed) > MAX_GROUP:
        raise GroupError(f"a {what} of {len(packed)} bytes; the limit is {MAX_GROUP}")
    try:
        # Lists of a group are bounded by its bytes; a key of a map is never anything but text.
        said = msgpack.unpackb(packed, strict_map_key=True)
        if type(said) is not list or not said or said[0] != VERSION:
            raise GroupError(f"no {what} of version {VERSION}: openers and fold are of different versions")
        return build(said[1:])
    except GroupError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, msgpack.UnpackException) as error:
        raise GroupError(f"a {what} that cannot be read: {error}") from None


def _row(message: Message) -> list[Any]:
    _, _, terminal, kind = message.topic.split("/")
    opened = None if message.opened is None else _plain(message.opened)
    return [terminal, kind == "life", message.payload, opened]


def _message(row: list[Any], received: int) -> Message:
    terminal, life, payload, opened = row
    if type(terminal) is not str or type(payload) is not bytes or len(payload) > MAX_PAYLOAD:
        raise ValueError("a message without its terminal or its bytes")
    topic = life_topic(terminal) if life else batch_topic(terminal)
    return Message(topic, payload, received, None if opened is None else _batch(opened))


def _plain(opened: Opened) -> list[Any]:
    h = opened.header
    ticks: dict[int, tuple[int, list[int]]] = {}
    columns = []
    for one in opened.columns:
        at = ticks.setdefault(id(one.at), (len(ticks), one.at))[0]
        odd = [(i, int(quality), int(state)) for i, (quality, state) in one.odd.items()] if one.odd else None
        columns.append(
            (one.component, one.signal, at, one.values, int(one.quality), int(one.state), one.numeric, odd),
        )
    header = (h.terminal, h.key, h.epoch, h.seq, h.prev, h.floor, h.sent, h.boot, h.up, h.clock.src, h.clock.err_ms)
    return [[*header, h.lost, h.n, h.codec, h.schema], opened.digest, [at for _, at in ticks.values()], columns]


def _batch(said: list[Any]) -> Opened:
    head, digest, ticks, rows = said
    members = [*head[:9], Clock(head[9], head[10]), *head[11:]]
    header = Header(*members)
    columns = [
        Column(component, signal, ticks[at], values, _QUALITIES[quality], _STATES[state], numeric, _odd(odd))
        for component, signal, at, values, quality, state, numeric, odd in rows
    ]
    return Opened(header, digest, columns)


def _odd(said: list[list[int]] | None) -> dict[int, tuple[Quality, State]] | None:
    return {i: (_QUALITIES[quality], _STATES[state]) for i, quality, state in said} if said else None
