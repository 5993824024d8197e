"""Sealed batches on disk until they are settled, those of many terminals in one file after the other: of a batch only its place stays in memory. A file
goes when nothing in it is wanted any more. It is no terminal's spool: it need not outlive its process, and nothing is flushed.
"""

from __future__ import annotations

import os
from pathlib import Path

from tillwatch.agent.wire import MAX_PAYLOAD

SEGMENT = 64 * 1024 * 1024
"""Bytes of a file before the next one begins."""
_DIGEST = 32
_LENGTH = (_DIGEST + MAX_PAYLOAD).bit_length()
_OFFSET = (SEGMENT + _DIGEST + MAX_PAYLOAD).bit_length()


class Spool:
    """In `folder`, which is there and its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = -1
        self._size = SEGMENT
        self._files: dict[int, int] = {}
        self._held: dict[int, int] = {}
        """Batches that are wanted, by file."""

    def put(self, digest: bytes, payload: bytes) -> int:
        """Its place. Raises OSError, as where the disk is full."""
        if self._size >= SEGMENT:
            self._next()
        record = digest + payload
        if os.pwrite(self._files[self._number], record, self._size) != len(record):
            raise OSError("the disk is full")
        place = (self._number << _OFFSET | self._size) << _LENGTH | len(record)
        self._size += len(record)
        self._held[self._number] += 1
        return place

    def payload(self, place: int) -> bytes:
        return self._read(place, _DIGEST, place & (1 << _LENGTH) - 1)

    def digest(self, place: int) -> bytes:
        return self._read(place, 0, _DIGEST)

    def release(self, place: int) -> None:
        """It is settled."""
        number = place >> _LENGTH + _OFFSET
        self._held[number] -= 1
        if not self._held[number] and number != self._number:
            self._remove(number)

    def close(self) -> None:
        for number in list(self._files):
            self._remove(number)

    def _read(self, place: int, first: int, last: int) -> bytes:
        number, offset = place >> _LENGTH + _OFFSET, place >> _LENGTH & (1 << _OFFSET) - 1
        return os.pread(self._files[number], last - first, offset + first)

    def _next(self) -> None:
        full, self._number = self._number, self._number + 1
        path = self._folder / f"{self._number:06d}"
        self._files[self._number] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._held[self._number] = 0
        self._size = 0
        if full >= 0 and not self._held[full]:
            self._remove(full)

    def _remove(self, number: int) -> None:
        os.close(self._files.pop(number))
        del self._held[number]
        (self._folder / f"{number:06d}").unlink()
