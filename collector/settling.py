"""What a collector does once it has loaded what it then keeps for months."""

from __future__ import annotations

import gc
import logging

from tillwatch.collector.huge_pages import collapse, taken

log = logging.getLogger(__name__)

GC_THRESHOLD = 50_000
"""Objects made and not freed before cycles are looked for: a few MiB at most."""


def settle() -> None:
    """Takes some 3 s for a GiB, most of them without the interpreter's lock."""
    # A group of opened batches is some ten thousand lists that live until it is stored: at the default of 700 the collector of cycles looks
    # at each of them twenty times and finds nothing, for 5 % of the work.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    try:
        collapse()
    except OSError as error:
        log.info("no huge pages under what is loaded, with which a large fleet would be folded faster: %s", error)
        return
    there = taken()
    huge, resident = sum(each.huge for each in there), sum(each.resident for each in there)
    log.info("%d of %d MiB are in huge pages", huge >> 20, resident >> 20)
