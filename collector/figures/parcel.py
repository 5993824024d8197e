"""The report of a period with all its sheets as one file (ZIP): what `tillwatch-collector report` writes, and a workbook of all sheets. The console makes it in the
worker's process and hands out its members; addresses in names of components are masked, as everywhere in the console.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import msgpack

from tillwatch.collector.figures import sheets
from tillwatch.collector.figures.kept import Made, meta_of
from tillwatch.collector.figures.report import Report
from tillwatch.collector.figures.rollup import Log
from tillwatch.collector.figures.table import moment
from tillwatch.collector.figures.workbook import write_sheets
from tillwatch.collector.people import masking

SUFFIX = ".zip"
META = "meta"
WORKBOOK = "workbook"
FILES = ("report", "availability", "incidents", "kpi", "intervals", WORKBOOK)
"""Members: the page, the sheets, and all sheets as one workbook."""


def masked(log: Log) -> Log:
    """The same log with the names of components as the console shows them."""
    held = {each.component for each in log.incidents} | {each.component for each in log.turns}
    held |= {each.component for each in log.episodes} | {each.component for each in log.shelves}
    shown = masking.names(held)
    return replace(
        log,
        incidents=[replace(each, component=shown[each.component]) for each in log.incidents],
        turns=[replace(each, component=shown[each.component]) for each in log.turns],
        episodes=[replace(each, component=shown[each.component]) for each in log.episodes],
        shelves=[replace(each, component=shown[each.component]) for each in log.shelves],
    )


def name_of(named: Mapping[str, str], file: str) -> str:
    """What a member is called where it is taken away. named: Asked.files."""
    return named["report"].removesuffix(".html") + ".xlsx" if file == WORKBOOK else named[file]


def write(path: Path, report: Report, made: Made) -> None:
    """Make the file at `path`, whole or not at all, mode 0600. Raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    named = report.asked.files
    try:
        descriptor = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with (
            os.fdopen(descriptor, "wb") as out,
            zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as parcel,
        ):
            parcel.writestr(META, msgpack.packb(meta_of(report.computed, report.policy, made)))
            for name, text in report.files().items():
                parcel.writestr(next(kind for kind, one in named.items() if one == name), text)
            with tempfile.TemporaryDirectory(prefix="tillwatch-") as folder:
                book = Path(folder, "report.xlsx")
                _workbook(book, report, made)
                parcel.write(book, WORKBOOK)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _workbook(path: Path, report: Report, made: Made) -> None:
    it, asked = report.computed, report.asked
    zone = ZoneInfo(asked.zone)
    about = {
        "period": asked.name, "from": moment(it.start, zone), "to": moment(it.end, zone), "scope": ":".join(asked.scope).rstrip(":"), "time zone": asked.zone,
        "made": moment(made.at, zone), "log": str(made.log),
    }  # fmt: skip
    tables = {
        "availability": sheets.availability(it),
        "incidents": sheets.incidents(it),
        "kpi": sheets.kpi(it),
        "intervals": sheets.intervals(it),
    }
    write_sheets(path, tables, zone, about)
