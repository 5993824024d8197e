"""`tillwatch-collector simulate`: a year of a bank that does not exist, replayed in minutes, and what the collector made of it. Exit 1 where a bar is
missed. It touches no configuration and no data of this collector.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.config import Config

if TYPE_CHECKING:
    from tillwatch.collector.simulate.report import Report

MOST_TERMINALS, MOST_DAYS = 1_000, 366
"""As many as give 50 million readings in a year, at 50,000 each."""
SHOWN = 20
"""Of what misses a bar: a screenful; JSON has all of it."""


def run_simulate(_: Config, options: argparse.Namespace) -> int:
    from tillwatch.collector.simulate.report import plain, report  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.simulate.year import simulate  # noqa: PLC0415
    from tillwatch.collector.store.sqlite import SqliteStore, StoreError  # noqa: PLC0415

    if not (1 <= options.terminals <= MOST_TERMINALS and 2 <= options.days <= MOST_DAYS and 0 <= options.pace <= 100):
        raise CommandError(f"a bank has 1 to {MOST_TERMINALS} terminals, 2 to {MOST_DAYS} days, and a pace of 0 to 100")
    if options.keep is not None and options.keep.exists():
        raise CommandError(f"{options.keep} is there already; --keep makes a new file")
    begun = time.monotonic()

    def progress(day: int) -> None:
        told = f"day {day} of {options.days}, {time.monotonic() - begun:.0f} s"
        if sys.stderr.isatty():
            print(f"\r{told}", end="" if day < options.days else "\n", file=sys.stderr, flush=True)
        elif day % 30 == 0:
            print(told, file=sys.stderr, flush=True)

    year = partial(
        simulate,
        options.terminals,
        options.days,
        options.seed,
        pace=options.pace,
        predictions=options.predictions,
        progress=progress,
    )
    try:
        if options.keep is None:
            outcome = year()
        else:
            with closing(SqliteStore(options.keep)) as store:
                outcome = year(store=store)
    except StoreError as error:
        raise CommandError(str(error)) from None
    found = report(outcome)
    if options.json:
        print(
            json.dumps({"seed": options.seed, "seconds": round(time.monotonic() - begun, 1), **plain(found)}, indent=2)
        )
    else:
        _show(found)
    return 0 if found.met else 1


def _show(found: Report) -> None:
    from tillwatch.collector.commands.output import print_table  # noqa: PLC0415 - help should not wait for it

    print_table(
        ("BAR", "ASKED", "FOUND", ""), [(b.name, b.asked, b.found, "ok" if b.met else "fail") for b in found.bars]
    )
    for bar in found.bars:
        if not bar.met:
            print(f"\n{bar.name}:", *bar.shown[:SHOWN], sep="\n  ")
            if len(bar.shown) > SHOWN:
                print(f"  and {len(bar.shown) - SHOWN} more")
    print()
    for name, figure in found.facts.items():
        print(f"{name}: {figure:.6g}" if isinstance(figure, float) else f"{name}: {figure}")
    print()
    heads = ("FAULTS", "TO BE TOLD", "TOLD", "WRONGLY")
    print_table(("WHAT", *heads), [(mode, *map(str, row.values())) for mode, row in found.modes.items()])
    print()
    _show_foretold(found)


def _show_foretold(found: Report) -> None:
    """Of the faults of parts: what could be seen, what was, and what the alarm alone gave."""
    from tillwatch.collector.commands.output import print_table  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.simulate.hindsight import plain_rows  # noqa: PLC0415

    def three(of: dict[str, float] | None) -> str:
        return "" if of is None else " ".join(f"{of[name]:g}" for name in ("p10", "median", "p90"))

    def share(of: float | None) -> str:
        return "" if of is None else f"{of:.0%}"

    heads = (
        "PART",
        "FAULTS",
        "ANNOUNCED",
        "FORETOLD",
        "DAYS BEFORE",
        "PRECISION",
        "FALSE/YEAR",
        "PREVENTED",
        "ALARM ALONE, H",
    )
    print_table(
        heads,
        [
            (
                mode,
                str(row["faults"]),
                share(row["recall_bound"]),
                share(row["recall"]),
                three(row["lead_days"]),
                share(row["precision"]),
                f"{row['false_per_terminal_year']:g}",
                str(row["prevented"]),
                three(row["without"]["lead_hours"]),
            )
            for mode, row in plain_rows(found.foretold).items()
        ],
    )
