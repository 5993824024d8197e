"""How a signal ends the collector and its console: in order, and where that does not come to its end, as beside a database server that says nothing any
more, without.
"""

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
        end_within(STOP_MOST_S, "terminals send again what is not acknowledged")

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)


def end_within(most_s: float, what: str) -> None:
    """A process that is still there so much later ends at once. what: becomes of what it was at."""
    timer = threading.Timer(most_s, _leave, (most_s, what))
    timer.daemon = True
    timer.start()


def _leave(most_s: float, what: str) -> None:
    log.critical("the stop is not over after %.0f s; ending without order, %s", most_s, what)
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(HUNG_EXIT)
