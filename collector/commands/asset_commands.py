"""`assets`: the device files of terminals as a table, out of the store and into it. An import is all or nothing: every error is said by line and column first, and
what is taken over are acts on record, one a terminal.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.collector.commands.acting import reading, the_terminal, zone_of
from tillwatch.collector.commands.acts import ActError, act_all, prepare_data_dir
from tillwatch.collector.commands.output import DONE, USAGE, CommandError, print_json, print_table
from tillwatch.collector.commands.progress import Progress
from tillwatch.collector.config import Config
from tillwatch.collector.figures.table import Table, csv_text
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.terminal import asset
from tillwatch.collector.terminal.asset_table import HEADS, MAX_BYTES, Read, read_table, rows_of
from tillwatch.collector.trust.authority import AuthorityError

__all__ = ["CommandError", "run_assets"]


def run_assets(config: Config, options: argparse.Namespace) -> int:
    match options.what, options.about:
        case ("import" | "show", ""):
            raise CommandError(
                f"assets {options.what} takes {'FILE.csv' if options.what == 'import' else 'TERMINAL'}", USAGE
            )
        case ("export", about) if about:
            raise CommandError("assets export takes nothing more; it writes to standard output", USAGE)
        case ("import", _):
            return _import(config, options)
        case ("show", _):
            return _show(config, options)
    return _export(config, options)


def _import(config: Config, options: argparse.Namespace) -> int:
    text = _text(Path(options.about))
    with reading(config) as reader:
        read = read_table(text, set(reader.places()))
        kept = reader.assets()
    if read.faults:
        _refuse(options, read)
    changes = {
        name: fields
        for name, fields in read.changes.items()
        if any(kept.get(name, {}).get(key) != value for key, value in fields.items())
    }
    same = len(read.changes) - len(changes)
    if not options.dry_run:
        _journal(config, changes)
    if options.json:
        print_json(
            {
                "rows": len(read.changes),
                "changed": sorted(changes),
                "same": same,
                "dry_run": options.dry_run,
                "errors": [],
            }
        )
        return DONE
    done = "would be changed; nothing was written" if options.dry_run else "changed"
    print(f"{len(changes)} device files {done}, {same} say the same already")
    return DONE


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            raise CommandError(f"{path} has {len(raw):,} bytes; the limit is {MAX_BYTES:,}: divide it")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CommandError(f"{path} line {line}: is not in UTF-8; save it as CSV UTF-8") from None


def _refuse(options: argparse.Namespace, read: Read) -> None:
    if options.json:
        print_json(
            {
                "rows": 0,
                "changed": [],
                "same": 0,
                "dry_run": options.dry_run,
                "errors": [asdict(fault) for fault in read.faults],
            }
        )
    else:
        for fault in read.faults:
            where = f"line {fault.line}" + (f", column {fault.column}" if fault.column else "")
            print(f"{options.about} {where}: {fault.text}", file=sys.stderr)
    more = f" and {read.more} more" if read.more else ""
    raise CommandError(f"{len(read.faults)}{more} errors; nothing was imported")


def _journal(config: Config, changes: Mapping[str, Mapping[str, Any]]) -> None:
    progress = Progress()
    acts: Sequence[dict[str, Any]] = [
        {"action": "asset", "terminal": name, "fields": dict(fields)} for name, fields in sorted(changes.items())
    ]
    try:
        prepare_data_dir(config.collector.data_dir)
        act_all(config, acts, lambda done: progress.at(f"{done} of {len(acts)} device files", done / len(acts)))
    except (ActError, RequestError, StoreError, AuthorityError) as error:
        raise CommandError(
            f"{error}. What was taken over before stays; the same import again takes over the rest"
        ) from None
    finally:
        progress.end()


def _export(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        kept, names = reader.assets(), sorted(reader.places())
    if options.json:
        print_json([{"terminal": name, **kept.get(name, {})} for name in names])
        return DONE
    sys.stdout.write(csv_text(Table(HEADS, rows_of(kept, names)), ZoneInfo("UTC")))
    return DONE


def _show(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        view = the_terminal(reader, options.about)
        file = reader.dossier(view.id, now)
        zone = zone_of(reader.in_force().policy, view.branch)
    if options.json:
        told = {
            "terminal": view.id,
            "fields": file.asset,
            "version": file.version,
            "serials": [asdict(each) for each in file.serials],
        }
        due = [
            {**asdict(each), "on": each.on.isoformat(), "last": each.last.isoformat() if each.last else None}
            for each in file.dues
        ]
        print_json({**told, "dues": due, "notes": [asdict(each) for each in file.notes]})
        return DONE
    if not file.asset:
        print(f"nothing is written down of {view.id}; tillwatch-collector assets import FILE.csv", file=sys.stderr)
    print_table(
        ("FIELD", "VALUE"),
        [(name, asset.written(name, value).replace("\n", " / ")) for name, value in file.asset.items()],
    )
    if file.dues:
        print()
        print_table(
            ("DUE", "ON", "DAYS", "LAST"),
            [(due.kind, str(due.on), str(due.days), str(due.last or "-")) for due in file.dues],
        )
        print(f"days by the clocks of {zone}")
    if file.serials:
        print()
        print_table(
            ("DEVICE", "LISTED", "TOLD", "SERIAL NUMBER"),
            [(each.component, each.listed or "-", each.told or "-", each.state) for each in file.serials],
        )
    return DONE
