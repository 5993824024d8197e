"""What the agent does on a machine that was made from an image and has no identity yet: it asks the collector to be enrolled by its serial number, soon and
then ever more rarely, until it is or somebody stops it. Fifty thousand machines that start at once spread over these times by chance.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from pathlib import Path

from tillwatch.agent import config
from tillwatch.agent.notify import notify, watchdog_seconds
from tillwatch.agent.settings import Config
from tillwatch.agent.transition import Condition

log = logging.getLogger(__name__)

TOKEN = "image-token"  # noqa: S105 - the file's name
"""Beside the configuration."""
FIRST = 5.0
"""Seconds within which the first attempt is made."""
AGAIN = 15.0
"""Seconds of the first pause; each one is twice the one before."""
MOST = 900.0
"""Seconds of the longest pause, and of one after a refusal: a person has to act first."""
ATTEMPT = 120.0
"""Seconds for one attempt: two connections, each of which may take its time to fail, and a name to look up."""
REFUSED = 5
"""The exit code of `enrol` where the collector answered and refused."""


def folder_of(settings: Config) -> Path:
    """Where the files of an image lie: the configuration's."""
    return settings.path.parent if settings.path is not None else config.default_path().parent


def token_file(settings: Config) -> Path:
    return folder_of(settings) / TOKEN


def pause(failures: int, *, refused: bool) -> tuple[float, float]:
    """Bounds in seconds, between which chance says when the next attempt is. failures: so far, from 1."""
    most = MOST if refused else min(MOST, AGAIN * 2.0 ** min(failures - 1, 16))
    return most / 2, most


async def enrolled(settings: Config, stop: asyncio.Event) -> bool:
    """Return when this machine is enrolled; False where `stop` was set before."""
    failing = Condition(log, "this machine is enrolled")
    failures = 0
    log.info("no identity, but %s: enrolling by the serial number", token_file(settings))
    notify("READY=1\nSTATUS=waits to be enrolled by the serial number of this machine")
    beating = asyncio.create_task(_watchdog())
    try:
        wait = random.uniform(0, FIRST)  # noqa: S311 - spreads load
        while not await _stopped(stop, wait):
            code, said = await _attempt(settings, stop)
            if stop.is_set():
                break
            if not code:
                failing.ends()
                notify("STATUS=")
                return True
            failures += 1
            wait = random.uniform(*pause(failures, refused=code == REFUSED))  # noqa: S311 - spreads load
            if failing.text != said:
                failing.text = ""  # another reason is news
            if failing.begins(said):
                log.info("the next attempt is in %.0f s, and they go on", wait)
        return False
    finally:
        beating.cancel()


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


async def _attempt(settings: Config, stop: asyncio.Event) -> tuple[int, str]:
    """Exit code and last words of `enrol`: a process of its own, since X.509 and HTTPS stay out of this one."""
    arguments = ["--state-dir", str(settings.state_dir)]
    if settings.path is not None:
        arguments += ["--config", str(settings.path)]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tillwatch.agent", "enrol", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    ending = asyncio.create_task(child.communicate())
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({ending, stopping}, timeout=ATTEMPT, return_when=asyncio.FIRST_COMPLETED)
        if ending not in done:
            child.kill()
        _, said = await ending
    finally:
        stopping.cancel()
        if child.returncode is None:
            child.kill()
    words = said.decode(errors="replace").strip().splitlines()[-1:]
    return child.returncode or 0, " ".join(words) or "no answer in time"


async def _watchdog() -> None:
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(watchdog_seconds() or MOST)
