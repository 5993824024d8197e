"""The predictions beside a running collector: a process that is started with it, ended with it, and begun again when it ends by itself. Whatever
becomes of it, the collector runs on.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from importlib.util import find_spec

from tillwatch.collector.child import keep_running
from tillwatch.collector.config import Config
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.predict.finding import CLOSED, OVER, UNKNOWN

log = logging.getLogger(__name__)

AT_ONCE = 10
"""Findings that end in one entry of the journal: one has some kilobytes of evidence, an entry 64 KiB at most."""
STOP_S = 4.0
"""To keep where it stands; killed it reads some minutes of the log again."""


async def switched_off(pipeline: Pipeline) -> None:
    """Nobody looks after what is open any more: it ends, and terminals are read at their own pace again. Blocks while the collector journals it."""
    pipeline.by_risk = False
    found = sorted(pipeline.fold.foretelling.open.values(), key=lambda each: each.id)
    for i in range(0, len(found), AT_ONCE):
        at, (position, part) = pipeline.now(), pipeline.fold.foretelling.reached
        over = [replace(f, status=CLOSED, word=OVER, at=at, ended=at, outcome=UNKNOWN) for f in found[i : i + AT_ONCE]]
        facts = {"position": position, "part": part + 1, "actor": "collector", "findings": [f.facts() for f in over]}
        await pipeline.foretold(facts)


class PredictionsProcess:
    """Cancelled, `run` ends the process and returns when it is gone."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def run(self) -> None:
        if find_spec("numpy") is None:
            log.error(
                "no predictions: numpy is not installed (pip install 'tillwatch[collector]'); the collector runs without them"
            )
            await asyncio.Event().wait()
        source = ("--config", str(self._config.source)) if self._config.source is not None else ()
        await keep_running("the predictions", ("predict", "--until-stdin-ends", *source), STOP_S)
