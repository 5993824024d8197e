"""What `tillwatch-collector report` may be told. Apart from what it does, so that the help of the command line waits for none of that."""

from __future__ import annotations

import argparse
from pathlib import Path

from tillwatch.collector.web.messages import LANGUAGES


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--month", metavar="YYYY-MM", help="a whole month (default: the last one that is over)")
    command.add_argument("--from", dest="since", metavar="DATE", help="from this day on, or from a time as in ISO 8601")
    command.add_argument(
        "--to", dest="until", metavar="DATE", help="up to, and without, this day or time (default: now)"
    )
    command.add_argument(
        "--scope",
        default="fleet",
        metavar="KIND:NAME",
        help="region:NAME, branch:NAME, vendor:NAME or terminal:ID (default: all)",
    )
    command.add_argument(
        "--zone", metavar="ZONE", help="time zone of its days, such as Asia/Shanghai (default: that of the policy)"
    )
    command.add_argument("--language", choices=LANGUAGES, default=LANGUAGES[0], help="of the page (default: en)")
    command.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="168 numbers: expected transactions of each hour of a week, from Monday 00:00",
    )
    command.add_argument(
        "--operators", type=int, default=1, metavar="N", help="people who watch the alarms at a time (default: 1)"
    )
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to (default: ./tillwatch-report-NAME; with --json nothing is written without it)",
    )
