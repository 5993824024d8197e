"""Batches that were settled long ago, and come again: what the journal has of them, looked for in a bounded way."""

from __future__ import annotations

import logging

from tillwatch.collector.refusals import Unfit, UnfitError
from tillwatch.collector.store.segments import SegmentError
from tillwatch.collector.store.sqlite import Store

log = logging.getLogger(__name__)

LOOK_BACK_NS = 10 * 10**9
"""Between two searches in the journal of one terminal for a batch that is no recent one: reading its index takes up to a second, an honest
terminal comes to it once, after its spool was rolled back, and whoever repeats old batches is not answered.
"""


class LongAgo:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked: dict[str, int] = {}

    def digest(self, terminal: str, epoch: bytes, seq: int, now: int) -> bytes | None:
        """The digest of a batch that left the recent ones; None where it never came, is retired, or cannot be read. Raises UnfitError for who
        asks too often. now: UTC ns.
        """
        if 0 <= now - self._looked.get(terminal, -LOOK_BACK_NS) < LOOK_BACK_NS:
            raise UnfitError(Unfit.REPLAY, f"batch {seq} was settled long ago")
        self._looked[terminal] = now
        try:
            return self._store.stored_digest(terminal, epoch, seq)
        except SegmentError as error:
            log.error("terminal %s: a damaged part of the log cannot be compared with seq %d: %s", terminal, seq, error)
            return None
