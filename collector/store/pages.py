"""The chain of the journal, many entries in one row: time, kind, terminal, facts and payload digest of each, from which every digest between
the first and the last is computed again. Payloads are elsewhere, or gone; the chain does not need them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgpack
import zstandard

from tillwatch.collector.journal import Entry, Kind, chain
from tillwatch.collector.store.unzstd import unzstd

DIGEST = 32
LEVEL = 9
MAX_UNPACKED = 256 * 1024**2
"""Bytes that come out of one page: entries with rules or settings in their facts have some tens of KiB each."""


class PageError(Exception):
    """The row is damaged. The text says what does not fit."""


@dataclass(frozen=True, slots=True)
class Page:
    """Entries first_n to last_n. digest: the chain's after the last one."""

    first_n: int
    last_n: int
    digest: bytes
    data: bytes
    digests: bytes


def pack(entries: Sequence[Entry]) -> Page:
    """Entries without a hole between their numbers, each with the digest that follows from the one before it."""
    terminals: dict[str, int] = {}
    epochs: dict[bytes, int] = {}
    rests: dict[bytes, int] = {}
    last: dict[tuple[int, int], int] = {}
    columns: dict[str, list[int]] = {name: [] for name in ("terminal", "epoch", "step", "rest")}
    for entry in entries:
        terminal = terminals.setdefault(entry.terminal, len(terminals))
        epoch, seq, rest = _split(entry.facts)
        number = epochs.setdefault(epoch, len(epochs)) + 1 if epoch else 0
        step = seq - last.get((terminal, number), 0)
        last[terminal, number] = seq
        for name, value in zip(columns, (terminal, number, step, rests.setdefault(rest, len(rests))), strict=True):
            columns[name].append(value)
    times = array("q", (b - a for a, b in pairwise(entry.at for entry in entries)))
    body = msgpack.packb(
        [
            entries[0].at,
            _planes(times),
            bytes(entry.kind for entry in entries),
            list(terminals),
            list(epochs),
            list(rests),
            *columns.values(),
        ]
    )
    page = Page(
        entries[0].n,
        entries[-1].n,
        entries[-1].digest,
        zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(body),
        b"".join(entry.payload_digest for entry in entries),
    )
    fields = [(e.n, e.at, e.kind, e.terminal, e.facts, e.payload_digest) for e in entries]
    if [(e.n, e.at, e.kind, e.terminal, e.facts, e.payload_digest) for e in unpack(page)] != fields:
        msg = f"the entries {page.first_n} to {page.last_n} do not come back as they were"
        raise PageError(msg)
    return page


def unpack(page: Page, prev: bytes = b"") -> Iterator[Entry]:
    """The entries without payload. prev: the digest before the first one; without it their own digests are left empty. Raises PageError."""
    count = page.last_n - page.first_n + 1
    try:
        body = unzstd(page.data, MAX_UNPACKED)
        at, planes, kinds, terminals, epochs, rests, *columns = msgpack.unpackb(body)
        if len(page.digests) != count * DIGEST or {len(kinds), *map(len, columns)} != {count}:
            msg = f"{len(kinds)} entries and {len(page.digests)} bytes of digests where {count} entries should be"
            raise PageError(msg)
        steps = _values(planes)
        last: dict[tuple[int, int], int] = {}
        for i, (kind, terminal, number, step, rest) in enumerate(zip(kinds, *columns, strict=True)):
            at += steps[i - 1] if i else 0
            seq = last[terminal, number] = last.get((terminal, number), 0) + step
            facts = _join(epochs[number - 1], seq, rests[rest]) if number else rests[rest]
            digest = page.digests[i * DIGEST : (i + 1) * DIGEST]
            entry = (page.first_n + i, at, Kind(kind), terminals[terminal], facts)
            if prev:
                prev = chain(prev, *entry, digest)
            yield Entry(*entry, None, digest, prev)
    except (ValueError, TypeError, IndexError, OverflowError, zstandard.ZstdError, msgpack.UnpackException) as error:
        msg = f"cannot be read: {type(error).__name__} {error}"
        raise PageError(msg) from None


def _split(facts: bytes) -> tuple[bytes, int, bytes]:
    """Facts as epoch, seq and the other members, where they put together give the same bytes; else all of them as the other ones."""
    members: Any = msgpack.unpackb(facts) if facts else None
    if type(members) is dict and list(members)[:2] == ["epoch", "seq"]:
        epoch, seq = members.pop("epoch"), members.pop("seq")
        rest = msgpack.packb(members) if members else b""
        if (
            type(epoch) is bytes
            and epoch
            and type(seq) is int
            and 0 <= seq < 2**62
            and _join(epoch, seq, rest) == facts
        ):
            return epoch, seq, rest
    return b"", 0, facts


def _join(epoch: bytes, seq: int, rest: bytes) -> bytes:
    packed: bytes = msgpack.packb({"epoch": epoch, "seq": seq, **(msgpack.unpackb(rest) if rest else {})})
    return packed


def _planes(values: array[int]) -> bytes:
    """The bytes of 64-bit integers, all first ones, then all second ones: the upper ones hardly change."""
    raw = values.tobytes()
    return b"".join(raw[i::8] for i in range(8))


def _values(planes: bytes) -> array[int]:
    count = len(planes) // 8
    raw = bytearray(len(planes))
    for i in range(8):
        raw[i::8] = planes[i * count : (i + 1) * count]
    values = array("q")
    values.frombytes(bytes(raw))
    return values
