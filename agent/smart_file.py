"""`tillwatch-agent smart`: shows what the agent would make of a recorded `smartctl -j -x`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tillwatch.agent.sources.smart_map import Report, read_report
from tillwatch.agent.trial import Trial, table

MAX_FILE = 8 << 20
"""Bytes; far more than smartctl prints."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recording", type=Path, metavar="FILE.json", help="what `smartctl -j -x DEVICE` printed")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def read(path: Path) -> Report:
    """The device in its component names is called by the file's name. Raises ValueError and OSError."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"over {MAX_FILE} bytes; smartctl prints no such file")
    try:
        said = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply; smartctl prints no such file") from None
    return read_report(path.stem[:40] or "drive", said)


def run(args: argparse.Namespace) -> int:
    """Prints `{drive, readings}`. 0: the file is smartctl's, also when it says that the drive could not be read; 1: it is not."""
    try:
        report = read(args.recording)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        print(f"smart: {args.recording}: {why}; record one with: smartctl -j -x DEVICE > FILE.json", file=sys.stderr)
        return 1
    trial = Trial("smart", report.samples)
    if args.json:
        drive = {
            **asdict(report.drive),
            "access": report.access,
            "reason": report.reason,
            "state": report.state.name.lower(),
            "findings": report.findings,
        }
        print(json.dumps({"drive": drive, "readings": trial.plain()["readings"]}, ensure_ascii=False))
    else:
        print(table(trial))
    return 0
