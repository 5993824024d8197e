"""`expect`: the list of machines that may become a terminal by their serial number, and the claims that were refused. An import is all or nothing; what is taken over are
acts on record.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tillwatch.agent.wire import SerialError, normal_serial
from tillwatch.collector.commands.acting import reading
from tillwatch.collector.commands.acts import ActError, act_all, prepare_data_dir
from tillwatch.collector.commands.enrol_commands import listed
from tillwatch.collector.commands.output import DONE, FAILED, USAGE, CommandError, age, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import AuthorityError
from tillwatch.collector.trust.expected import EXPECTED, IMAGE, MAX_EXPECTED, Expected
from tillwatch.collector.trust.terminal_list import Row, chunks

__all__ = ["CommandError", "check_free", "run_expect"]

AT_ONCE = 500
"""Serial numbers in one act of removal or dismissal: 64 characters each, of the 64 KiB that an act may have."""


def run_expect(config: Config, options: argparse.Namespace) -> int:
    match options.action:
        case "import":
            return _import(config, options)
        case "list":
            return _list(config, options)
        case "refused":
            return _refused(config, options)
    return _settle(config, options)


def _import(config: Config, options: argparse.Namespace) -> int:
    if len(options.about) != 1:
        raise CommandError("expect import takes one CSV file", USAGE)
    path = Path(options.about[0])
    rows, digest = listed(path, serials=True)
    check_free(config, rows, path, image=options.image)
    acts = [
        {"action": "expect", "rows": part, "image": options.image, "source": path.name[:64], "digest": digest}
        for part in chunks(rows)
    ]
    if not options.dry_run:
        _journal(config, acts)
    if options.json:
        print_json({"rows": len(rows), "image": options.image, "dry_run": options.dry_run})
        return DONE
    print(f"{len(rows):,} machines {'would be expected; nothing was written' if options.dry_run else 'are expected'}")
    return DONE


def check_free(config: Config, rows: Sequence[Row], path: Path, image: str = "") -> None:
    """That no row takes the place of another machine's. Raises CommandError after every error was said."""
    with reading(config) as reader:
        kept = {one.serial: one for one in reader.expected()}
        images = {grant.name for grant in reader.grants() if grant.kind == IMAGE and grant.listed}
    if image and image not in images:
        raise CommandError(
            f"no image with a list of its own is called {image}; see tillwatch-collector enrol-status", USAGE
        )
    faults = list(_taken(rows, kept))
    if len(kept.keys() | {row.serial for row in rows}) > MAX_EXPECTED:
        faults.append(
            f"{path}: with these more than {MAX_EXPECTED:,} machines would be expected; remove what is claimed"
        )
    for fault in faults[:100]:
        print(f"{path}:{fault}" if fault[:1].isdigit() else fault, file=sys.stderr)
    if faults:
        raise CommandError(f"{len(faults)} errors; nothing was taken over")


def _taken(rows: Sequence[Row], kept: dict[str, Expected]) -> Iterable[str]:
    own = {row.serial for row in rows}
    others = {one.terminal: one for one in kept.values() if one.serial not in own}
    for row in rows:
        known, other = kept.get(row.serial), others.get(row.enrolment.terminal)
        if known is not None and known.state != EXPECTED and known.terminal != row.enrolment.terminal:
            yield f"{row.line}: column serial {row.serial} has become {known.terminal}: tillwatch-collector expect remove {row.serial}"
        elif other is not None:
            yield f"{row.line}: column terminal {other.terminal} is expected with serial number {other.serial}: tillwatch-collector expect remove {other.serial}"


def _list(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        found = [one for one in reader.expected() if not options.state or one.state == options.state]
    if options.json:
        print_json([told(one) for one in found])
        return DONE
    print_table(
        ("SERIAL", "TERMINAL", "BRANCH", "REGION", "CLASS", "RING", "STATE", "SINCE", "IMAGE"),
        [(one.serial, one.terminal, one.branch, one.region, one.terminal_class, one.ring or "-", one.state, age(one.at), one.image or "-") for one in found],
    )  # fmt: skip
    return DONE


def told(one: Expected) -> dict[str, Any]:
    fields = asdict(one)
    return fields | {"public": one.public.hex()}


def _refused(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        found = reader.refused_claims()
    if options.json:
        print_json([asdict(one) for one in found])
    elif found:
        print_table(
            ("SERIAL", "REASON", "SINCE", "FROM", "IMAGE", "TERMINAL"),
            [
                (one.serial, one.reason, age(one.at), one.address, one.image or "-", one.terminal or "-")
                for one in found
            ],
        )
        print(
            "settle them: expect import (it should be expected), expect release (let it be claimed again), expect dismiss"
        )
    else:
        print("no claim was refused", file=sys.stderr)
    return FAILED if found else DONE


def _settle(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        serials = _meant(reader, options)
    now = time.time_ns()
    if options.action == "release":
        acts: list[dict[str, Any]] = [{"action": "expect-release", "serial": serial} for serial in serials]
    else:
        action = f"expect-{options.action}"
        acts = [{"action": action, "serials": serials[n : n + AT_ONCE]} for n in range(0, len(serials), AT_ONCE)]
    _journal(config, acts)
    if options.json:
        print_json({"action": options.action, "serials": serials, "at": now})
        return DONE
    done = {"remove": "not expected any more", "release": "may be claimed once more", "dismiss": "settled"}
    print(
        f"{', '.join(serials[:5])}{f' and {len(serials) - 5} more' if len(serials) > 5 else ''}: {done[options.action]}"
    )
    return DONE


def _meant(reader: SqliteReader, options: argparse.Namespace) -> list[str]:
    refused = {one.serial for one in reader.refused_claims()}
    if options.action == "dismiss" and options.all:
        return sorted(refused)
    if not options.about:
        raise CommandError(f"expect {options.action} takes serial numbers", USAGE)
    known = refused if options.action == "dismiss" else {one.serial for one in reader.expected()}
    serials = []
    for text in options.about:
        try:
            serial = normal_serial(text)
        except SerialError as error:
            raise CommandError(f"{text}: {error}", USAGE) from None
        if serial not in known:
            what = "no refused claim waits for" if options.action == "dismiss" else "nothing is expected with"
            raise CommandError(
                f"{what} serial number {serial}; see tillwatch-collector expect list, and expect refused"
            )
        serials.append(serial)
    return serials


def _journal(config: Config, acts: Sequence[dict[str, Any]]) -> None:
    try:
        prepare_data_dir(config.collector.data_dir)
        act_all(config, acts)
    except (ActError, RequestError, StoreError, AuthorityError) as error:
        raise CommandError(str(error)) from None
