"""What the running agent adds to a diagnostic bundle: the end of its log, how its sources stand, what its stream does. The bundle itself is made by a
process of its own (bundle.py), so that nothing of what it needs stays in this one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import deque

from tillwatch.agent.sampler import Sampler
from tillwatch.agent.settings import Config
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.uplink import Uplink
from tillwatch.agent.wire import MAX_BUNDLE

KEPT_LINES = 200
"""Of the log: some 40 KiB of memory. An agent that is well writes a few lines a day, one that is not tells each trouble once."""
MAX_LINE = 400
MAKE_S = 90.0
"""Seconds: the broker and the collector are reached for with 15 s each."""


class LogTail(logging.Handler):
    """The last lines of the log, cut."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record)[:MAX_LINE])


class Bundles:
    """Keeps the end of the log from its making on."""

    def __init__(self, config: Config, sampler: Sampler, uplink: Uplink, spool: Spool) -> None:
        self._config, self._sampler, self._uplink, self._spool = config, sampler, uplink, spool
        self._tail = LogTail()
        logging.getLogger().addHandler(self._tail)

    async def make(self) -> bytes:
        """Compressed. Raises RuntimeError."""
        where = ["--state-dir", str(self._config.state_dir)]
        if self._config.path is not None:
            where += ["--config", str(self._config.path)]
        command = (sys.executable, "-P", "-m", "tillwatch.agent", "bundle", "--packed", *where)
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(MAKE_S):
                made, said = await child.communicate(json.dumps(self._live()).encode())
        except TimeoutError:
            raise RuntimeError(f"the bundle was not made within {MAKE_S:.0f} s") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode or not 0 < len(made) <= MAX_BUNDLE:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(f"the bundle could not be made: {' '.join(last) or f'{len(made)} bytes came'}")
        return made

    def _live(self) -> dict[str, object]:
        uplink = self._uplink
        stream: dict[str, object] = {
            "connected": uplink.connected,
            "greeted": uplink.greeted,
            "resent": uplink.resent,
            "false_acks": uplink.bad_acks,
            "ack_latency_s": round(uplink.latency, 3),
        }
        try:
            stream |= {"next": self._spool.next_seq, "stored": self._spool.acked, "lost": self._spool.lost}
        except SpoolFullError as error:
            stream["spool"] = str(error)
        return {"log": list(self._tail.lines), "sources": self._sampler.standing(), "stream": stream}
