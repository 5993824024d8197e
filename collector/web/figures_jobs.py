"""Figures for the console: which period and part of the fleet is kept as a file, how fresh it is, and the making of what is not. One is made at a time, in a
process of its own with a low priority; those that somebody waits for before those of a trend.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import sys
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tillwatch.collector.child import end
from tillwatch.collector.figures import parcel
from tillwatch.collector.figures.kept_reader import KeptFigures, Meta, read_meta, read_parcel_meta
from tillwatch.collector.figures.period import DAY_NS
from tillwatch.collector.figures.rollup import FLEET, Scope
from tillwatch.collector.figures.rows import fingerprint
from tillwatch.collector.people.roles import Visitor
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.store.whereabouts import anchor, as_text
from tillwatch.collector.web.reads import Busy

log = logging.getLogger(__name__)

MAX_JOBS = 40
"""That wait: three trends of twelve months. More are told to ask again."""
LIMIT_S = 1_800.0
"""For one: a month of 10,000 terminals takes about a minute; five years of a small fleet some."""
STOP_S = 2.0
MAX_FILES, MAX_BYTES = 120, 2 * 1024**3
"""Kept beside the store; those that were asked for least recently go first. A month of 10,000 terminals takes 50 MB."""
MINUTE_NS = 60 * 10**9
RUNNING_NS, RECENT_NS, SETTLED_NS = 5 * MINUTE_NS, 60 * MINUTE_NS, DAY_NS
"""How old figures may be before they are made anew: of a period that goes on; of one that is over, but whose incidents still end; and after that."""
SETTLES_NS = 35 * DAY_NS
"""After the end of a period: then it is known which fault came back within 30 days."""
LOOK_S = 3.0
"""Between two looks at what figures depend on."""
FAILED_S = 60.0
"""Before one that failed is tried again."""
MAX_WORDS = 400
SUFFIX = ".figures"


class NoFigures(Exception):  # noqa: N818  # a state of the console, answered with 503
    """They cannot be made. The text says why."""


@dataclass(slots=True)
class Job:
    """state: `waiting`, `running` or `failed`; done: of a hundred; more: what the worker is told besides; ended: set when it is over, however it ends."""

    start: int
    end: int
    scopes: frozenset[Scope]
    path: Path
    urgent: bool
    state: str = "waiting"
    done: int = 0
    error: str = ""
    failed_at: float = 0.0
    more: tuple[str, ...] = ()
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Wish:
    """A report with its sheets, instead of figures to ask questions of. name: of the period; zone: IANA name; config: of the collector, where one was named."""

    name: str
    scope: Scope
    zone: str
    language: str
    config: Path | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """For the worker."""
        named = ("--config", str(self.config)) if self.config is not None else ()
        return ("--report", *self.scope, "--name", self.name, "--zone", self.zone, "--language", self.language, *named)


@dataclass(frozen=True, slots=True)
class Found:
    """kept: None while there is nothing yet; job: what is being made, None where what is there is fresh; path: of what is kept, a parcel where a report was asked for."""

    kept: KeptFigures | None
    meta: Meta | None
    job: Job | None
    path: Path


def part_of(visitor: Visitor) -> frozenset[Scope]:
    """The part of the fleet that somebody may see, as scopes of the figures."""
    if visitor.scope.whole:
        return frozenset({FLEET})
    regions = {Scope("region", name) for name in visitor.scope.regions}
    return frozenset(regions | {Scope("branch", name) for name in visitor.scope.branches})


class FiguresJobs:
    """where: the collector's store; None: nothing can be computed. now: UTC ns; command: how the worker is started."""

    def __init__(self, where: Where | None, now: Callable[[], int], command: tuple[str, ...] = ()) -> None:
        self._where = where
        self._folder = anchor(where).with_name(anchor(where).name + SUFFIX) if where is not None else None
        self._now = now
        self._command = command or (sys.executable, "-P", "-m", "tillwatch.collector.figures.worker")
        self._jobs: dict[Path, Job] = {}
        self._runner: asyncio.Task[None] | None = None
        self._looked: tuple[float, bytes] = (-LOOK_S, b"")

    async def find(
        self,
        start: int,
        until: int,
        scopes: frozenset[Scope],
        *,
        wait_s: float = 0.0,
        urgent: bool = True,
        anew: bool = False,
        report: Wish | None = None,
    ) -> Found:
        """What is kept of [start, until); what is not, or is too old, is made meanwhile. wait_s: for what is not kept, or is not so any more; anew: make it even
        where it is fresh; report: instead of the figures. Raises NoFigures and Busy.
        """
        path = self._path(start, until, scopes, report)
        meta = await asyncio.to_thread(self._read, path)
        changed = meta is None or anew or meta.fingerprint != await self._fingerprint()
        job = self._jobs.get(path)
        if job is not None and job.state == "failed" and time.monotonic() - job.failed_at > FAILED_S:
            del self._jobs[path]
            job = None
        if job is None and (changed or meta is None or self._old(meta, until)):
            job = self._ask(Job(start, until, scopes, path, urgent, more=report.words if report is not None else ()))
        if job is None:
            return Found(KeptFigures(path), meta, None, path)
        job.urgent |= urgent
        if wait_s and changed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(job.ended.wait(), wait_s)
        if job.state == "failed" and meta is None:
            raise NoFigures(job.error)
        if job.ended.is_set():
            meta = await asyncio.to_thread(self._read, path)
        return Found(KeptFigures(path) if meta is not None else None, meta, None if job.ended.is_set() else job, path)

    def forget(self) -> None:
        """What figures depend on may have changed just now: look again at the next question."""
        self._looked = (-LOOK_S, b"")

    async def close(self) -> None:
        """End what is being made."""
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner

    def _path(self, start: int, until: int, scopes: Collection[Scope], report: Wish | None) -> Path:
        if self._folder is None:
            raise NoFigures("this console has no store to compute figures from; start it with --db")
        asked = (start, until, sorted(scopes)) if report is None else (start, until, sorted(scopes), report.words)
        key = sha256(repr(asked).encode()).hexdigest()[:24]
        return self._folder / f"{key}{parcel.SUFFIX if report is not None else '.db'}"

    def _read(self, path: Path) -> Meta | None:
        meta = read_parcel_meta(path) if path.suffix == parcel.SUFFIX else read_meta(path)
        if meta is not None:
            with contextlib.suppress(OSError):
                path.touch()  # asked for, so not the first to go
        return meta

    def _old(self, meta: Meta, until: int) -> bool:
        now = self._now()
        life = RUNNING_NS if now < until else RECENT_NS if now < until + SETTLES_NS else SETTLED_NS
        return now - meta.at >= life

    async def _fingerprint(self) -> bytes:
        at, kept = self._looked
        if time.monotonic() - at > LOOK_S:
            kept = await asyncio.to_thread(self._look)
            self._looked = (time.monotonic(), kept)
        return kept

    def _look(self) -> bytes:
        assert self._where is not None
        try:
            with closing(reading(self._where)) as db:
                return fingerprint(db)
        except (StoreError, sqlite3.Error) as error:
            raise NoFigures(f"the store cannot be read: {error}") from error

    def _ask(self, job: Job) -> Job:
        waiting = sum(each.state == "waiting" for each in self._jobs.values())
        if waiting >= MAX_JOBS:
            raise Busy(f"{waiting} periods are waiting to be computed")
        self._jobs[job.path] = job
        if self._runner is None or self._runner.done():
            self._runner = asyncio.get_running_loop().create_task(self._run(), name="figures")
        return job

    async def _run(self) -> None:
        while True:
            waiting = [each for each in self._jobs.values() if each.state == "waiting"]
            if not waiting:
                return
            # Those of a trend: the newest month first.
            job = min(waiting, key=lambda each: (not each.urgent, -each.end if not each.urgent else 0))
            try:
                await self._make(job)
            except (NoFigures, OSError) as error:
                job.state, job.error, job.failed_at = "failed", str(error), time.monotonic()
                log.error("figures cannot be computed: %s", error)
            else:
                self._jobs.pop(job.path, None)
            finally:
                job.ended.set()
            await asyncio.to_thread(self._tidy, job.path)

    async def _make(self, job: Job) -> None:
        assert self._where is not None
        job.state = "running"
        job.path.parent.mkdir(mode=0o700, exist_ok=True)
        scopes = [word for scope in sorted(job.scopes) for word in ("--scope", scope.kind, scope.name)]
        process = await asyncio.create_subprocess_exec(
            *self._command, "--db", as_text(self._where), "--out", str(job.path), "--from", str(job.start), "--to", str(job.end), *scopes, *job.more,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            errors = await asyncio.wait_for(self._follow(process, job), LIMIT_S)
        except TimeoutError:
            raise NoFigures(f"it took longer than {LIMIT_S:g} s; ask for a shorter period") from None
        finally:
            await end(process, STOP_S)
        if process.returncode != 0:
            said = errors.strip().splitlines() or ["the process ended without a word"]
            raise NoFigures(said[-1][-MAX_WORDS:])

    async def _follow(self, process: asyncio.subprocess.Process, job: Job) -> str:
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        try:
            async for line in process.stdout:
                job.done = int(line.split()[0])
            await process.wait()
            return (await errors).decode("utf-8", "replace")
        finally:
            errors.cancel()

    def _tidy(self, keep: Path) -> None:
        assert self._folder is not None
        if not self._folder.is_dir():
            return
        found = sorted(((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self._folder.iterdir() if path.suffix in (".db", parcel.SUFFIX)), reverse=True)  # fmt: skip
        taken = 0
        for place, (_, size, path) in enumerate(found):
            taken += size
            if path != keep and (place >= MAX_FILES or taken > MAX_BYTES):
                path.unlink(missing_ok=True)
