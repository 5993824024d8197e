"""Where each sink stands: one small file for each beside the database. The position in it is one that the sink has answered for, so that what is lost with a
process is written again, and nothing else. Without the file, all of the log is written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from tillwatch.collector.journal import GENESIS
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.whereabouts import writing

MAX_BYTES = 64 * 1024
BUSY_S = 10.0
"""Waiting for the collector's own transactions."""
MARKS_EVERY = 1_000
"""Entries between two marks at the least: so far one goes back at most where the log has gone on otherwise lately."""
MAX_MARKS = 64
"""Beyond, every second one of the older half goes: the farther back, the farther apart, and the first one is never far from the beginning."""
ASIDE = ".aside"
_SUFFIX = ".json"


class Mark(NamedTuple):
    """An entry of the log, by number and digest. at: its time, UTC ns."""

    n: int = 0
    digest: bytes = GENESIS
    at: int = 0


NOWHERE = Mark()
"""Before the first entry."""


@dataclass(frozen=True, slots=True)
class Standing:
    """position: up to here the sink has everything, and keeps it; marks: places before it, oldest first; written: the last entry that it answered for;
    head: the log's last entry at looked_at, UTC ns; points, texts, refused, retired, moved, backwards: lines written, texts that it has no room
    for, lines that it would not take, batches whose readings were retired, and of series.lines.Count, all since the file was made; rewound: how
    often it had forgotten what it took; process: 0 where it has ended; trouble: what keeps it from writing, since trouble_at; note: what people should
    know of what happened at note_at.
    """

    kind: str = ""
    position: Mark = NOWHERE
    marks: tuple[Mark, ...] = ()
    written: Mark = NOWHERE
    head: int = 0
    looked_at: int = 0
    points: int = 0
    texts: int = 0
    refused: int = 0
    retired: int = 0
    moved: int = 0
    backwards: int = 0
    rewound: int = 0
    process: int = 0
    trouble: str = ""
    trouble_at: int = 0
    note: str = ""
    note_at: int = 0

    @property
    def behind(self) -> int:
        """Entries that are to be written yet."""
        return max(self.head - self.written.n, 0)


def marked(marks: tuple[Mark, ...], position: Mark) -> tuple[Mark, ...]:
    """The marks with one more, where it is far enough from the last."""
    if marks and position.n < marks[-1].n + MARKS_EVERY:
        return marks
    marks = (*marks, position)
    if len(marks) <= MAX_MARKS:
        return marks
    half = len(marks) // 2
    return (*marks[:half:2], *marks[half:])


def folder(database: Path) -> Path:
    return database.parent / "sinks"


def path_of(database: Path, name: str) -> Path:
    return folder(database) / (name + _SUFFIX)


class KeptFile:
    """The file of one sink. Raises OSError where it cannot be written."""

    def __init__(self, database: Path, name: str) -> None:
        self.path = path_of(database, name)

    def load(self) -> Standing | None:
        """None where there is none, or it is damaged."""
        return _read(self.path)

    def save(self, standing: Standing, *, settled: bool) -> None:
        """settled: the position has moved, so that it must outlive a power cut before another one is written."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        with open(part, "w", encoding="utf-8", opener=_private) as file:
            json.dump(_plain(standing), file)
            if settled:
                file.flush()
                os.fsync(file.fileno())
        part.replace(self.path)


class KeptRow:
    """The same in a store that several collectors share, so that the next one to hold the lease goes on where the last one was. Raises sqlite3.Error."""

    def __init__(self, where: Where, name: str) -> None:
        self._where, self._key = where, f"sink:{name}"

    def load(self) -> Standing | None:
        with closing(writing(self._where, BUSY_S)) as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (self._key,)).fetchone()
        try:
            return _standing(json.loads(bytes(row[0]))) if row is not None else None
        except (ValueError, TypeError, KeyError):
            return None

    def save(self, standing: Standing) -> None:
        with closing(writing(self._where, BUSY_S)) as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (self._key, json.dumps(_plain(standing)).encode()))


def read_all(database: Path) -> dict[str, Standing]:
    """Every sink that is written to, by name."""
    try:
        names = sorted(folder(database).glob("*" + _SUFFIX))
    except OSError:
        return {}
    return {path.stem: standing for path in names if (standing := _read(path)) is not None}


def put_aside(database: Path, configured: Collection[str]) -> None:
    """What is kept of sinks that are not configured any more is set aside, and found again with them."""
    place = folder(database)
    if not place.is_dir():
        return
    for path in place.glob("*" + _SUFFIX):
        if path.stem not in configured:
            path.replace(path.with_name(path.name + ASIDE))
    for name in configured:
        path = path_of(database, name)
        aside = path.with_name(path.name + ASIDE)
        if aside.is_file() and not path.exists():
            aside.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _plain(standing: Standing) -> dict[str, Any]:
    said = asdict(standing)
    said["position"], said["written"] = _spelled(standing.position), _spelled(standing.written)
    said["marks"] = [_spelled(each) for each in standing.marks]
    return said


def _spelled(mark: Mark) -> list[int | str]:
    return [mark.n, mark.digest.hex(), mark.at]


def _mark(value: Any) -> Mark:
    n, digest, at = value
    return Mark(int(n), bytes.fromhex(digest), int(at))


def _read(path: Path) -> Standing | None:
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(MAX_BYTES))
        return _standing(said)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _standing(said: Mapping[str, Any]) -> Standing:
    plain = {
        one.name: said[one.name] for one in fields(Standing) if one.name not in {"position", "written", "marks"} and one.name in said
    }  # fmt: skip
    marks = tuple(_mark(each) for each in said["marks"])
    return Standing(position=_mark(said["position"]), written=_mark(said["written"]), marks=marks, **plain)
