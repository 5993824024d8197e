"""The command `move`: what it is given, what it says while it works and when it is done."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from tillwatch.collector.commands.acts import prepare_data_dir
from tillwatch.collector.config import Config
from tillwatch.collector.moving.moving import Moved, MoveError, into_file, into_postgres
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.lock import InUseError
from tillwatch.collector.store.sqlite import StoreError

CommandError = (MoveError, InUseError, StoreError)

SHOWN_EVERY_S = 0.2


def run_move(config: Config, options: argparse.Namespace) -> int:
    where = config.store
    if not isinstance(where, Postgres):
        raise MoveError(
            "[store] postgres is not set: say there which database the state moves into, or with --back comes from"
        )
    prepare_data_dir(config.collector.data_dir)
    told = _Told()
    moved = into_file(where, config.database, told) if options.back else into_postgres(config.database, where, told)
    print(
        json.dumps(asdict(moved), ensure_ascii=False, indent=2)
        if options.json
        else _described(moved, back=options.back)
    )
    return 0


def _described(moved: Moved, *, back: bool) -> str:
    text = (
        f"{moved.rows} rows, {moved.entries} entries of the journal, in {moved.seconds:.0f} s: every row was compared\n"
        f"from {moved.source}\nto   {moved.target}"
    )
    if back:
        return f"{text}\nTake [store] postgres out of the configuration, then start the collector."
    return f"{text}\nThe file stays as it was, and no collector starts on it any more. Start the collector."


class _Told:
    """One line that is written over and over, for a person alone."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        if sys.stderr.isatty() and (done == of or time.monotonic() - self._shown > SHOWN_EVERY_S):
            self._shown = time.monotonic()
            sys.stderr.write(f"\r{what}: {done} of {of} rows\x1b[K" + ("\n" if done == of else ""))
            sys.stderr.flush()
