"""Bodies of many batches in one blob, number by number: the same place in neighbouring bodies holds the same kind of number, so it packs
well, and one signal is read without building any other. Every body comes back byte for byte.

    blob  = zstd(u32 length | table | streams)
    table = msgpack [runs, corrections, shapes]
            runs         [shape, count] of neighbouring bodies
            corrections  position -> correction of the batch's times, ms, where there is one
            shapes       [members without their numbers, byte lengths of the streams]

A shape is what bodies have in common: names, and how many numbers stand where. Its streams are the base times, then the ticks, then format and
values of each column, each one place of all its bodies: [value] where it never changes, steps where they are shorter, else the values themselves. Bodies
that are not built that way are a shape of their own, and their stream is they themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any

import msgpack
import zstandard

from tillwatch.collector.store.unzstd import unzstd

LEVEL = 9
"""Of zstd: some ms for 256 bodies; level 19 takes ten times that for a twentieth less."""
MAX_UNPACKED = 64 * 1024**2
"""Bytes that come out of one blob: a segment is cut long before (`MAX_BYTES` in compaction.py)."""
_SAME, _STEPS, _AS_IS = 0, 1, 2
_KNOWN = ({"b", "t", "c", "s", "k"}, {"b", "t", "c", "s", "k", "x"}, {"b", "t", "c", "s", "k", "e"}, {"b", "t", "c", "s", "k", "x", "e"})  # fmt: skip


class BodiesError(Exception):
    """The blob is damaged. The text says what does not fit."""


def pack(bodies: Sequence[bytes], corrections: Sequence[int]) -> bytes:
    shapes: dict[bytes, tuple[int, list[Any]]] = {}
    runs: list[list[int]] = []
    for body in bodies:
        taken = _take_apart(body)
        shape, numbers = taken if taken is not None else (b"", body)
        index, rows = shapes.setdefault(shape, (len(shapes), []))
        rows.append(numbers)
        if runs and runs[-1][0] == index:
            runs[-1][1] += 1
        else:
            runs.append([index, 1])
    table: list[list[Any]] = []
    streams: list[bytes] = []
    for shape, (_, rows) in shapes.items():
        made = [_stream(column) for column in zip(*rows, strict=True)] if shape else rows
        table.append([shape, list(map(len, made))])
        streams += made
    odd = {i: ms for i, ms in enumerate(corrections) if ms}
    return deflate(msgpack.packb([runs, odd, table]), *streams)


def unpack(blob: bytes) -> Iterator[tuple[bytes, int]]:
    """Body and correction (ms) of each batch, in order. Raises BodiesError, before or between them."""
    runs, corrections, shapes = _open(blob)
    try:
        sources = [shape.bodies() for shape in shapes]
        order = (index for index, count in runs for _ in range(count))
        for i, index in enumerate(order):
            yield next(sources[index]), corrections.get(i, 0)
    except (ValueError, TypeError, IndexError, KeyError, RuntimeError, StopIteration, msgpack.UnpackException) as error:
        raise BodiesError(f"bodies cannot be read: {type(error).__name__} {error}") from None


def slices(blob: bytes, component: str, signal: str) -> Iterator[tuple[dict[str, Any], int]]:
    """For each batch that has it, a body with this signal alone, and the correction (ms). Raises BodiesError."""
    return ((body, correction) for _, body, correction in placed(blob, component, signal))


def placed(blob: bytes, component: str, signal: str) -> Iterator[tuple[int, dict[str, Any], int]]:
    """The same with the batch's place in the blob. Raises BodiesError."""
    runs, corrections, shapes = _open(blob)
    try:
        sources = [shape.slices(component, signal) for shape in shapes]
        place = 0
        for index, count in runs:
            source = sources[index]
            for i in range(place, place + count) if source is not None else ():
                body = next(source)  # type: ignore[arg-type]  # None has no turns
                if body is not None:
                    yield i, body, corrections.get(i, 0)
            place += count
    except (ValueError, TypeError, IndexError, KeyError, RuntimeError, StopIteration, msgpack.UnpackException) as error:
        raise BodiesError(f"bodies cannot be read: {type(error).__name__} {error}") from None


def _take_apart(body: bytes) -> tuple[bytes, list[Any]] | None:
    """The shape of a body and its numbers, if they put together give the same bytes."""
    try:
        members = msgpack.unpackb(body)
        if type(members) is not dict or set(members) not in _KNOWN:
            return None
        shape = dict(members)
        shape["b"] = None
        shape["t"] = [len(ticks) for ticks in members["t"]]
        shape["k"] = [[*row[:3], len(row) - 3] for row in members["k"]]
        numbers = [members["b"]]
        for ticks in members["t"]:
            numbers += ticks
        for row in members["k"]:
            numbers += row[3:]
        packed: bytes = msgpack.packb(shape)
        if msgpack.packb(members) != body or _put_together(shape, numbers) != body:
            return None
    except (ValueError, TypeError, KeyError, RecursionError, msgpack.UnpackException):
        return None
    return packed, numbers


def _put_together(shape: dict[str, Any], numbers: Sequence[Any]) -> bytes:
    place = 1
    ticks, rows = [], []
    for count in shape["t"]:
        ticks.append(list(numbers[place : place + count]))
        place += count
    for *head, count in shape["k"]:
        rows.append([*head, *numbers[place : place + count]])
        place += count
    packed: bytes = msgpack.packb({**shape, "b": numbers[0], "t": ticks, "k": rows})
    return packed


class _Shape:
    """One shape of a blob that was opened, with its streams."""

    def __init__(self, packed: bytes, streams: list[bytes], count: int) -> None:
        self._packed = packed
        self._streams = streams
        self._count = count

    @cached_property
    def _members(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = msgpack.unpackb(self._packed) if self._packed else None
        return found

    def bodies(self) -> Iterator[bytes]:
        if self._members is None:
            yield from self._streams
            return
        for numbers in zip(*(_values(stream, self._count) for stream in self._streams), strict=True):
            yield _put_together(self._members, numbers)

    def slices(self, component: str, signal: str) -> Iterator[dict[str, Any] | None] | None:
        """A body with the one column for each of the shape's bodies; None where the shape has no such column."""
        if self._members is None:
            return self._whole()
        try:
            ci, si = self._members["c"].index(component), self._members["s"].index(signal)
        except ValueError:
            return None
        rows = self._members["k"]
        position = next((i for i, row in enumerate(rows) if row[1] == si and row[0] == ci), -1)
        return self._sliced(position, component, signal) if position >= 0 else None

    def _whole(self) -> Iterator[dict[str, Any]]:
        for body in self._streams:
            yield msgpack.unpackb(body)

    def _sliced(self, position: int, component: str, signal: str) -> Iterator[dict[str, Any]]:
        assert self._members is not None
        counts, rows = self._members["t"], self._members["k"]
        *_, tick, count = rows[position]
        first_tick = 1 + sum(counts[:tick])
        first_value = 1 + sum(counts) + sum(row[3] for row in rows[:position])
        ticks = range(first_tick, first_tick + counts[tick])
        values = range(first_value, first_value + count)
        odd = [[0, i, how] for k, i, how in self._members.get("e", ()) if k == position]
        same = {"c": [component], "s": [signal], "x": self._members.get("x", []), "e": odd}
        wanted = (_values(self._streams[place], self._count) for place in (0, *ticks, *values))
        split = 1 + len(ticks)
        for numbers in zip(*wanted, strict=True):
            yield {"b": numbers[0], "t": [numbers[1:split]], "k": [[0, 0, 0, *numbers[split:]]], **same}


def _open(blob: bytes) -> tuple[list[list[int]], dict[int, int], list[_Shape]]:
    table, rest = inflate(blob)
    try:
        runs, corrections, shapes = msgpack.unpackb(table, strict_map_key=False)
        counts = [0] * len(shapes)
        for index, count in runs:
            counts[index] += count
        place, made = 0, []
        for count, (packed, lengths) in zip(counts, shapes, strict=True):
            ends = list(accumulate(lengths, initial=place))
            made.append(_Shape(packed, [rest[a:b] for a, b in pairwise(ends)], count))
            place = ends[-1]
        if place != len(rest):
            raise BodiesError(f"streams of {place} bytes in {len(rest)}")
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise BodiesError(f"the table of bodies cannot be read: {type(error).__name__} {error}") from None
    return runs, corrections, made


def _stream(column: Sequence[Any]) -> bytes:
    """One place of all bodies of a shape."""
    first = column[0]
    if all(value == first and type(value) is type(first) for value in column):
        same: bytes = msgpack.packb([_SAME, first])
        return same
    as_is: bytes = msgpack.packb([_AS_IS, *column])
    if set(map(type, column)) != {int}:
        return as_is
    moves = [first, *(b - a for a, b in pairwise(column))]
    if min(moves) < -(2**63) or max(moves) >= 2**64:
        return as_is
    steps: bytes = msgpack.packb([_STEPS, *moves])
    return steps if len(steps) < len(as_is) else as_is


def _values(stream: bytes, count: int) -> Sequence[Any]:
    how: int
    values: list[Any]
    how, *values = msgpack.unpackb(stream)
    if how == _SAME:
        return values * count
    return list(accumulate(values)) if how == _STEPS else values


@lru_cache(maxsize=1)
def _compressor() -> zstandard.ZstdCompressor:
    # It must not be used by two threads at once; the writer is the only one that packs.
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)


def deflate(table: bytes, *rest: bytes) -> bytes:
    """A table and what it describes, packed together."""
    return _compressor().compress(b"".join((len(table).to_bytes(4, "big"), table, *rest)))


def inflate(blob: bytes) -> tuple[bytes, bytes]:
    """Raises BodiesError."""
    try:
        whole = unzstd(blob, MAX_UNPACKED)
    except zstandard.ZstdError as error:
        raise BodiesError(f"does not unpack: {error}") from None
    end = 4 + int.from_bytes(whole[:4], "big")
    return whole[4:end], whole[end:]
