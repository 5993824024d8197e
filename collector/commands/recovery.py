"""The commands `backup` and `restore`: what they are given, what they say while they work and when they are done."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tillwatch.collector.commands.acts import prepare_data_dir
from tillwatch.collector.config import Config
from tillwatch.collector.store import done
from tillwatch.collector.store.backup import Backup, BackupError, Progress
from tillwatch.collector.store.backup import make as make_backup
from tillwatch.collector.store.backup import restore as restore_backup
from tillwatch.collector.store.lock import InUseError

CommandError = (BackupError, InUseError)

SHOWN_EVERY_S = 0.2
_KEYS = {
    "with": "with the collector's keys{accounts}: whoever reads it can speak for this collector",
    "sealed": "with the collector's keys{accounts}, sealed by the passphrase",
    "without": "without the collector's keys and the console's accounts",
}


def run_backup(config: Config, options: argparse.Namespace) -> int:
    target = options.file.absolute()
    prepare_data_dir(config.collector.data_dir)
    made = backup(config, target, keys=not options.without_keys, passphrase_file=options.passphrase_file)
    with contextlib.suppress(OSError):  # the backup is made all the same
        done.keep(
            config.database, done.BACKUP, made.at, ok=not made.faults, text=made.faults[0] if made.faults else "", entries=made.entries
        )  # fmt: skip
    print(json.dumps(asdict(made), ensure_ascii=False, indent=2, default=str) if options.json else described(made))
    return 1 if made.faults else 0


def run_restore(config: Config, options: argparse.Namespace) -> int:
    _check(config)
    source = options.file.absolute()
    prepare_data_dir(config.collector.data_dir)
    print(restore(config, source, passphrase_file=options.passphrase_file, damaged=options.damaged))
    return 0


def _check(config: Config) -> None:
    """Raises BackupError for a store that is not a file here."""
    if not isinstance(config.store, Path):
        raise BackupError(
            f"{config.store}: a backup is restored into a file: without [store] postgres, into a new data_dir; then `tillwatch-collector move`"
            " brings it into a new database"
        )


def backup(config: Config, target: Path, *, keys: bool, passphrase_file: Path | None) -> Backup:
    """Raises BackupError."""
    if passphrase_file is not None and not keys:
        raise BackupError("--passphrase-file seals keys, and --without-keys leaves them out: give one of them")
    authority = config.authority if keys else None
    return make_backup(config.store, authority, target, passphrase=_passphrase(passphrase_file), progress=_progress())


def described(made: Backup) -> str:
    until = _time(made.last_at) if made.last_at else "its beginning"
    accounts = f" and {made.accounts} accounts of the console" if made.accounts is not None else ""
    return (
        f"{made.path}: {made.size / 1024**2:.1f} MiB, {made.terminals} terminals, {made.entries} entries of the journal\n"
        f"to {until}, {'proven' if not made.faults else 'with damage'}; {_KEYS[made.keys].format(accounts=accounts)}"
        + "".join(f"\n  {fault}" for fault in made.faults)
    )


def restore(config: Config, source: Path, *, passphrase_file: Path | None, damaged: bool) -> str:
    """What was done, for a person. Raises BackupError and InUseError."""
    found, aside = restore_backup(
        source,
        config.database,
        config.authority,
        passphrase=_passphrase(passphrase_file),
        damaged=damaged,
        progress=_progress(),
    )
    lines = [f"restored to entry {found.entries} of the journal, backed up at {_time(found.at)}"]
    if aside is not None:
        lines.append(f"what was there is in {aside}")
    if found.keys == "without":
        lines.append(
            "it holds no keys: those of the data directory stand, and where there are none all terminals enrol again"
        )
    if found.accounts is not None:
        lines.append(
            f"{found.accounts} accounts of the console stand as they were then, also those disabled since and API tokens revoked since;\n"
            "everybody signs in anew, and links of invitation are void"
        )
    else:
        lines.append("it holds no accounts of the console: those of the data directory stand")
    lines.append(
        "What was done since then is not known to this collector: revoke and enrol again whom you revoked and enrolled. Tokens\n"
        "that were not used are void. Terminals send again what they still have, and declare what is gone."
    )
    return "\n".join(lines)


def _passphrase(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        first = file.read_bytes().partition(b"\n")[0].strip()
    except OSError as error:
        raise BackupError(f"--passphrase-file {file}: {error.strerror}") from None
    if not first:
        raise BackupError(f"--passphrase-file {file}: its first line is empty")
    return first


def _progress() -> Progress:
    """One line that is written over and over, for a person alone."""
    shown = 0.0

    def progress(what: str, done: int, of: int) -> None:
        nonlocal shown
        if sys.stderr.isatty() and (done == of or time.monotonic() - shown > SHOWN_EVERY_S):
            shown = time.monotonic()
            sys.stderr.write(f"\r{what}: {done} of {of}\x1b[K" + ("\n" if done == of else ""))
            sys.stderr.flush()

    return progress


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).astimezone().isoformat(timespec="seconds")
