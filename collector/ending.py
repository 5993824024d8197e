"""How a signal ends the collector: in order, and where that does not come to its end, as beside a database server that says nothing any more, without."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading

log = logging.getLogger(__name__)

STOP_MOST_S = 20.0
"""A stop in order takes five seconds at most; the service manager kills after thirty, and says nothing of why."""
HUNG_EXIT = 1


def on_signal(ended: asyncio.Event) -> None:
    """From now on SIGTERM and SIGINT set the event. Whoever is still there STOP_MOST_S later ends at once: what was not acknowledged the terminals still have."""

    def end() -> None:
        ended.set()
        timer = threading.Timer(STOP_MOST_S, _leave)
        timer.daemon = True
        timer.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)


def _leave() -> None:
    log.critical("the stop is not over after %.0f s; ending without order, terminals send again what is not acknowledged", STOP_MOST_S)  # fmt: skip
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(HUNG_EXIT)
