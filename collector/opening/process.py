"""The openers beside a collector: processes that are started with it, ended with it, and begun again when they end by themselves."""

from __future__ import annotations

import asyncio
import logging
import sys

from tillwatch.collector.child import end
from tillwatch.collector.config import Config

log = logging.getLogger(__name__)

STOP_S = 4.0
"""To tell the others that it goes; killed it is missed after some seconds."""
AGAIN_S = (1.0, 5.0, 30.0)
"""Until it is begun again after it has ended by itself, the first time, the next one, and ever after. Its partitions are another one's meanwhile."""
WELL_S = 600.0
"""Running for so long it counts as well, and what comes next as the first time."""


class OpenerProcess:
    """Cancelled, `run` ends the process and returns when it is gone. index: which of this collector's openers it is."""

    def __init__(self, config: Config, index: int) -> None:
        self._config, self._index = config, index

    async def run(self) -> None:
        failed, loop = 0, asyncio.get_running_loop()
        while True:
            began = loop.time()
            code = await self._once()
            failed = 0 if loop.time() - began > WELL_S else failed
            wait = AGAIN_S[min(failed, len(AGAIN_S) - 1)]
            failed += 1
            if failed <= len(AGAIN_S):
                log.error("opener %d has ended by itself (%s); it is begun again in %g s", self._index, code, wait)
            await asyncio.sleep(wait)

    async def _once(self) -> int | str:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "tillwatch.collector.opening", "--config", str(self._config.source)),
                *("--index", str(self._index), "--until-stdin-ends"),
                stdin=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return f"it cannot be started: {error}"
        try:
            return await process.wait()
        finally:
            await end(process, STOP_S)
