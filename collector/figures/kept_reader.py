"""What a kept file of figures answers: a scope whole, lists of scopes, what was down by cause and party, and the stretches, incidents and supplies behind
every figure. Each question is about one scope of the file; sums are those of what is listed.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.collector.figures.kept import FORM
from tillwatch.collector.figures.parcel import META
from tillwatch.collector.figures.rollup import KINDS, Scope

COLUMNS = {"region": "region", "branch": "branch", "class": "class", "vendor": "vendor", "terminal": "terminal"}
"""Of a row that belongs to a terminal, by kind of scope."""
ORDERS = {
    "down": "1.0 * down / max(scheduled, 1) DESC, name",
    "full": "1.0 * full_down / max(scheduled, 1) DESC, name",
    "unmonitored": "1.0 * unmonitored / max(scheduled, 1) DESC, name",
    "restore": "1.0 * restore_total / max(restore_n, 1) DESC, name",
    "incidents": "incidents DESC, name",
    "alarms": "alarms DESC, name",
    "name": "name",
}
MEASURES = (
    "response", "restored_net", "restored_gross", "resolved_net", "resolved_gross", "first_fix_7", "first_fix_30", "repeated", "reopened", "duplicates",
)  # fmt: skip
"""Figures of service that each incident has its own part in: met or not, true or not, or not to be told."""
PHASES = ("detect", "respond", "travel", "repair", "verify")
DEFINITIONS = {"network": "network", "any": "any_", "full": "full_"}

# Columns and orders in them are of the tables above; what is asked for stands in their places as values. Sums are total(): a fleet has more ns than an integer.
_COUNT = "SELECT count(*) FROM {} WHERE {}"
_SOME = "SELECT * FROM {} WHERE {} ORDER BY {} LIMIT ? OFFSET ?"
_CAUSES = """
    SELECT reason, party, total(until - since) AS length, count(*) AS stretches, count(DISTINCT terminal) AS terminals FROM stretch
    WHERE {} = ? AND {} GROUP BY reason, party ORDER BY length DESC, reason, party
"""
_RAN_OUT = """
    SELECT rule, party, min(level) AS level, count(*) AS episodes, count(DISTINCT terminal) AS terminals,
    total(min(CASE until WHEN 0 THEN :end ELSE until END, :end) - max(since, :start)) AS length FROM supply
    WHERE {} GROUP BY rule, party ORDER BY episodes DESC, rule
"""


@dataclass(frozen=True, slots=True)
class Meta:
    """Of a kept file. start, end, known: as in Computed; log, at: as in Made; targets: level -> (response, repair) in ns."""

    start: int
    end: int
    known: int
    log: int
    at: int
    fingerprint: bytes
    interruption: float
    targets: Mapping[int, tuple[int, int]]
    outages: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a list, with the number of all rows."""

    rows: list[dict[str, Any]]
    total: int


def read_meta(path: Path) -> Meta | None:
    """None: there is no such file, or it is of another form, or damaged."""
    try:
        with KeptFigures(path).open() as db:
            found = {key: msgpack.unpackb(value, strict_map_key=False) for key, value in db.execute("SELECT key, value FROM meta")}  # fmt: skip
    except (sqlite3.Error, OSError, ValueError):
        return None
    return _meta(found)


def read_parcel_meta(path: Path) -> Meta | None:
    """Of a report with its sheets (parcel.py); None as for the figures."""
    try:
        with zipfile.ZipFile(path) as parcel:
            found = msgpack.unpackb(parcel.read(META), strict_map_key=False)
    except (zipfile.BadZipFile, OSError, KeyError, ValueError):
        return None
    return _meta(found)


def _meta(found: dict[str, Any]) -> Meta | None:
    if found.get("form") != FORM:
        return None
    targets = {int(level): (one[0], one[1]) for level, one in found["targets"].items()}
    return Meta(
        found["start"], found["end"], found["known"], found["log"], found["at"], found["fingerprint"], found["interruption"], targets,
        [(since, until) for since, until in found["outages"]],
    )  # fmt: skip


class KeptFigures:
    """One file. Blocks; every call opens it anew, so that it may be replaced or removed between two. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            db.row_factory = sqlite3.Row
            yield db

    def figure(self, scope: Scope) -> dict[str, Any]:
        """What a report says of the scope, with branch, region, class and maker of a terminal. Raises KeyError."""
        with self.open() as db:
            row = db.execute("SELECT * FROM figure WHERE kind = ? AND name = ?", scope).fetchone()
        if row is None:
            raise KeyError(scope.name)
        found: dict[str, Any] = json.loads(zlib.decompress(row["body"]))
        return {**found, "place": {name: row[name] for name in ("branch", "region", "class", "vendor")}}

    def brief(self, scope: Scope) -> dict[str, Any] | None:
        """The row of a list of scopes."""
        with self.open() as db:
            row = db.execute("SELECT * FROM figure WHERE kind = ? AND name = ?", scope).fetchone()
        return _plain(row) if row is not None else None

    def scopes(self, kind: str, within: Scope, order: str, limit: int, offset: int) -> Part:
        """Scopes of a kind inside another one, the worst first. Of a kind that has no place of its own, all of them."""
        column = COLUMNS.get(within.kind) if kind in ("terminal", "branch") else None
        where, given = "kind = ?", [kind]
        if column == "region" or (column is not None and kind == "terminal"):
            where, given = f"{where} AND {'name' if column == 'terminal' else column} = ?", [kind, within.name]
        with self.open() as db:
            total = db.execute(_COUNT.format("figure", where), given).fetchone()[0]
            rows = db.execute(_SOME.format("figure", where, ORDERS[order]), (*given, limit, offset)).fetchall()
        return Part([_plain(row) for row in rows], total)

    def kinds(self) -> dict[str, int]:
        """Number of scopes, by kind."""
        with self.open() as db:
            counted = dict(db.execute("SELECT kind, count(*) FROM figure GROUP BY kind").fetchall())
        return {kind: counted.get(kind, 0) for kind in KINDS}

    def causes(self, within: Scope, definition: str, counts: str) -> list[dict[str, Any]]:
        """What of the time counts so, by cause and by who answers for it, the longest first: ns, stretches and terminals."""
        where, given = _within(within)
        column = DEFINITIONS[definition]
        with self.open() as db:
            rows = db.execute(_CAUSES.format(column, where), (counts, *given)).fetchall()
        return [dict(row) for row in rows]

    def stretches(
        self,
        within: Scope,
        *,
        definition: str,
        counts: str,
        reason: str | None,
        party: str | None,
        source: str | None,
        limit: int,
        offset: int,
    ) -> Part:
        """Stretches that are not plainly up, the longest first. counts: empty for all."""
        where, given = _within(within)
        for column, value in ((DEFINITIONS[definition], counts or None), ("reason", reason), ("party", party), ("source", source)):  # fmt: skip
            if value is not None:
                where, given = f"{where} AND {column} = ?", [*given, value]
        return self._part("stretch", where, given, "until - since DESC, terminal, since", limit, offset)

    def incidents(
        self, within: Scope, *, measure: str | None, verdict: str | None, slowest: str | None, limit: int, offset: int
    ) -> Part:
        """Told incidents of the period, without drills. measure: only those with this part in a figure of MEASURES, verdict `1`, `0` or `open`;
        slowest: of PHASES, or `restore`: only those that have it, the slowest first.
        """
        where, given = _within(within)
        where += " AND told AND NOT drill"
        if measure is not None:
            where += (
                f" AND {measure} IS NULL" if verdict == "open" else f" AND {measure} = {1 if verdict == '1' else 0}"
            )
        order = "opened DESC, id"
        if slowest is not None:
            column = "detect + respond + travel + repair" if slowest == "restore" else slowest
            where, order = f"{where} AND detect IS NOT NULL AND {column} IS NOT NULL", f"{column} DESC, id"
        return self._part("incident", where, given, order, limit, offset)

    def ran_out(self, within: Scope) -> list[dict[str, Any]]:
        """What ran out or filled up, by rule: episodes, terminals, and how long it lasted within the period."""
        where, given = _within(within)
        with self.open() as db:
            rows = db.execute(
                _RAN_OUT.format(where.replace("?", ":name")), {**self._span(db), "name": given[0] if given else ""}
            ).fetchall()
        return [dict(row) for row in rows]

    def supplies(self, within: Scope, rule: str | None, limit: int, offset: int) -> Part:
        """The episodes behind `ran_out`, the newest first."""
        where, given = _within(within)
        if rule is not None:
            where, given = f"{where} AND rule = ?", [*given, rule]
        return self._part("supply", where, given, "since DESC, terminal, component", limit, offset)

    def _span(self, db: sqlite3.Connection) -> dict[str, int]:
        return {key: msgpack.unpackb(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]) for key in ("start", "end")}  # fmt: skip

    def _part(self, table: str, where: str, given: Sequence[Any], order: str, limit: int, offset: int) -> Part:
        with self.open() as db:
            total = db.execute(_COUNT.format(table, where), given).fetchone()[0]
            rows = db.execute(_SOME.format(table, where, order), (*given, limit, offset)).fetchall()
        return Part([dict(row) for row in rows], total)


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if name != "body"}  # noqa: SIM118 - a row's own iteration is over values


def _within(scope: Scope) -> tuple[str, list[str]]:
    return ("1", []) if scope.kind == "fleet" else (f"{COLUMNS[scope.kind]} = ?", [scope.name])
