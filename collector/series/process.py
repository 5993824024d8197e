"""The sinks beside a running collector: a process that is started with it, ended with it, and begun again when it ends by itself."""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec

from tillwatch.collector.child import keep_running
from tillwatch.collector.config import Config

log = logging.getLogger(__name__)

STOP_S = 4.0
"""To keep where each sink stands; killed it writes some seconds again."""
MISSING = "influxdb-client is not installed (pip install 'tillwatch[large]')"


def installed() -> bool:
    return find_spec("influxdb_client") is not None


class SinksProcess:
    """Cancelled, `run` ends the process and returns when it is gone."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def run(self) -> None:
        if not installed():
            log.error("nothing is written to sinks: %s; the collector runs without them", MISSING)
            await asyncio.Event().wait()
        source = ("--config", str(self._config.source)) if self._config.source is not None else ()
        await keep_running("the sinks", ("export", "--until-stdin-ends", *source), STOP_S)
