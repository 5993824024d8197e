"""What is kept at hand to tell a copy of a batch from a second history: the digests of each terminal's last batches."""

from __future__ import annotations

RECENT = 64
"""Digests kept at hand for each terminal: eight windows, more than a reconnecting agent sends again."""
_SIZE = 32
"""Bytes of a SHA-256."""


class Digests:
    """Of the last batches of one epoch, side by side: 2 KiB where a dict of them takes 9, which was two fifths of all that is known of a terminal."""

    __slots__ = ("_last", "_row")

    def __init__(self, seq: int, digest: bytes) -> None:
        self._last = seq
        self._row = bytearray(digest or bytes(_SIZE))

    def add(self, seq: int, digest: bytes) -> None:
        """Of a later batch; digest: empty where there is none."""
        missing = min(seq - self._last - 1, RECENT)
        if missing:
            self._row += bytes(missing * _SIZE)
        self._row += digest or bytes(_SIZE)
        self._last = seq
        if len(self._row) > RECENT * _SIZE:
            del self._row[: -RECENT * _SIZE]

    def of(self, seq: int) -> bytes | None:
        """None where there is none at hand."""
        end = len(self._row) - (self._last - seq) * _SIZE
        if not _SIZE <= end <= len(self._row):
            return None
        digest = bytes(self._row[end - _SIZE : end])
        return digest if any(digest) else None
