"""Sealed frames of one terminal, many in one row: what a frame repeats of its neighbours is left out or packed together, what can be computed
again is not kept, and every frame comes back byte for byte. A segment is believed only after it was opened again and compared.

A frame is header, body and signature. The headers are msgpack maps whose members hardly change: they stand member by member, integers as
steps, and `prev` only where it is not the digest of the frame before. Bodies are packed by bodies.py; signatures do not compress.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Any

import msgpack

from tillwatch.agent.wire import SIGNATURE, WireError, split_frame
from tillwatch.collector.journal import Kind
from tillwatch.collector.store import bodies
from tillwatch.collector.store.db import Db

_WHOLE, _MEMBERS = 0, 1


class SegmentError(Exception):
    """The row is damaged, or the frames are none that a segment can hold. The text says what does not fit."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The blobs of a segment. bodies: with corrections, all that a history needs; heads: numbers and headers."""

    bodies: bytes
    heads: bytes
    signatures: bytes


def pack(numbers: Sequence[int], frames: Sequence[bytes], corrections: Sequence[int]) -> Packed:
    """numbers: those of the journal's entries, ascending; corrections: of each batch's times, ms. Raises SegmentError."""
    try:
        parts = [split_frame(frame) for frame in frames]
    except WireError as error:
        raise SegmentError(str(error)) from None
    heads = [_steps(numbers), *_heads([head for head, _, _ in parts], frames)]
    packed = Packed(
        bodies.pack([body for _, body, _ in parts], corrections),
        bodies.deflate(msgpack.packb(heads)),
        b"".join(signature for _, _, signature in parts),
    )
    if list(unpack(packed)) != list(zip(numbers, frames, strict=True)):
        msg = "the frames do not come back as they were"
        raise SegmentError(msg)
    return packed


def unpack(packed: Packed) -> Iterator[tuple[int, bytes]]:
    """Number and frame of each entry, in order. Raises SegmentError where the row is damaged, before or between entries."""
    try:
        held = [body for body, _ in bodies.unpack(packed.bodies)]
        numbers, how, heads = msgpack.unpackb(bodies.inflate(packed.heads)[0], strict_map_key=False)
        numbers = list(accumulate(numbers))
        if len(packed.signatures) != len(held) * SIGNATURE or len(numbers) != len(held):
            msg = f"{len(held)} bodies, {len(numbers)} numbers and {len(packed.signatures)} bytes of signatures"
            raise SegmentError(msg)
        headers = iter(heads) if how == _WHOLE else None
        columns = None if headers else _Members(heads, len(held))
        prev = b""
        for i, (n, body) in enumerate(zip(numbers, held, strict=True)):
            head = next(headers) if headers else columns.head(i, prev)  # type: ignore[union-attr]  # one of both is there
            signature = packed.signatures[i * SIGNATURE : (i + 1) * SIGNATURE]
            frame = b"".join((len(head).to_bytes(2, "big"), head, body, signature))
            prev = sha256(frame).digest()
            yield n, frame
    except bodies.BodiesError as error:
        raise SegmentError(str(error)) from None
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        StopIteration,
        msgpack.UnpackException,
    ) as error:
        msg = f"the headers cannot be read: {type(error).__name__} {error}"
        raise SegmentError(msg) from None


def numbers(heads: bytes) -> list[int]:
    """Of the journal's entries, in order, out of the heads alone. Raises SegmentError."""
    try:
        return list(accumulate(msgpack.unpackb(bodies.inflate(heads)[0], strict_map_key=False)[0]))
    except bodies.BodiesError as error:
        raise SegmentError(str(error)) from None
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        msg = f"the headers cannot be read: {type(error).__name__} {error}"
        raise SegmentError(msg) from None


def find(db: Db, terminal: str, epoch: bytes, seq: int) -> tuple[int, bytes] | None:
    """Entry and frame of a batch that is in some segment, or None. Raises SegmentError if that one is damaged."""
    row = db.execute(
        "SELECT seq0, bodies, heads, signatures FROM segment "
        "WHERE terminal = ? AND epoch = ? AND seq1 >= ? AND kind = ? AND retired_n IS NULL ORDER BY seq1 LIMIT 1",
        (terminal, epoch, seq, Kind.BATCH),
    ).fetchone()
    if row is None or row[0] > seq:
        return None
    for n, frame in unpack(Packed(*row[1:])):
        if msgpack.unpackb(split_frame(frame)[0])["seq"] == seq:
            return n, frame
    return None


def _heads(heads: Sequence[bytes], frames: Sequence[bytes]) -> tuple[int, Any]:
    """How the headers are kept, and they: member by member where all have the same ones and msgpack spells them the same way again."""
    try:
        maps = [msgpack.unpackb(head) for head in heads]
        if any(type(m) is not dict or list(m) != list(maps[0]) for m in maps):
            return _WHOLE, list(heads)
        if [msgpack.packb(m) for m in maps] != list(heads):
            return _WHOLE, list(heads)
    except (ValueError, msgpack.UnpackException, RecursionError):
        return _WHOLE, list(heads)
    members: dict[str, Any] = {}
    for name in maps[0]:
        values = [m[name] for m in maps]
        if name == "prev":
            digests = [b"", *(sha256(frame).digest() for frame in frames[:-1])]
            members[name] = ["p", {i: v for i, v in enumerate(values) if v != digests[i]}]
        elif all(v == values[0] and type(v) is type(values[0]) for v in values):
            members[name] = ["c", values[0]]
        elif {type(v) for v in values} == {int}:
            members[name] = ["i", _steps(values)]
        else:
            members[name] = ["v", values]
    return _MEMBERS, members


class _Members:
    """Headers kept member by member."""

    def __init__(self, members: dict[str, Any], count: int) -> None:
        self._prev: dict[int, bytes] = {}
        self._columns: list[tuple[str, Any]] = []
        for name, (how, held) in members.items():
            if how == "p":
                self._prev = held
            column = [held] * count if how == "c" else list(accumulate(held)) if how == "i" else held
            self._columns.append((name, None if how == "p" else column))

    def head(self, i: int, prev: bytes) -> bytes:
        packed: bytes = msgpack.packb(
            {name: self._prev.get(i, prev) if column is None else column[i] for name, column in self._columns}
        )
        return packed


def _steps(values: Sequence[int]) -> list[int]:
    return [values[0], *(b - a for a, b in pairwise(values))]
