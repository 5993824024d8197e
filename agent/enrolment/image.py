"""`tillwatch-agent prepare-image`: whether this disk can be copied onto many machines. Two machines with one identity are a fork to the collector, and keys
that lie in an image are everybody's who has it. What only one machine may have is named, and removed when asked.
"""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tillwatch.agent import identity
from tillwatch.agent.config import load
from tillwatch.agent.enrolment.first_boot import folder_of, token_file
from tillwatch.agent.enrolment.machine import OVERRIDE
from tillwatch.agent.settings import Config

KEYS = (identity.FILE, identity.SEED, identity.TLS_KEY, identity.TLS_CERT, identity.CA_CERT, identity.ROTATIONS, identity.NEXT, identity.CLAIM)  # fmt: skip
STATE = (*KEYS, "spool*", "profiles.*", "*.bookmark", "*.off", "windows-*.json", "bundles", ".*.new")
"""Names in a state directory. What else lies there is not the agent's and is left to whoever put it there."""
MACHINE_ID = Path("/etc/machine-id")


def run(args: argparse.Namespace) -> int:
    """Exit code 1 where something is left. Raises IdentityError where an agent runs."""
    settings = load(args.config, args.state_dir)
    left, strange = found(settings)
    if args.remove and left:
        if settings.state_dir.is_dir():
            with identity.hold(settings.state_dir):
                _remove(left)
        else:
            _remove(left)
        print(f"removed: {', '.join(map(str, left))}")
        if any(file.name == identity.FILE for file in left):
            print("this machine was a terminal: revoke it on the collector, tillwatch-collector revoke TERMINAL")
        left, strange = found(settings)
    for file in strange:
        print(f"{file}: not the agent's own; move it elsewhere, or every machine has it", file=sys.stderr)
    if left:
        print(
            f"not fit to be copied: {', '.join(map(str, left))}\nonly one machine may have them: tillwatch-agent prepare-image --remove",
            file=sys.stderr,
        )
        return 1
    for note in _notes(settings):
        print(f"note: {note}")
    if not strange:
        print("no identity, no keys and no readings: this disk can be copied")
    return int(bool(strange))


def found(settings: Config) -> tuple[list[Path], list[Path]]:
    """What only one machine may have, and what lies beside it and is not the agent's."""
    left: list[Path] = []
    strange: list[Path] = []
    for file in sorted(settings.state_dir.iterdir()) if settings.state_dir.is_dir() else ():
        if file.name == identity.LOCK:
            continue  # empty, and held while this looks
        (left if any(fnmatch.fnmatch(file.name, one) for one in STATE) else strange).append(file)
    override = folder_of(settings) / OVERRIDE
    return [*left, *([override] if override.exists() else [])], strange


def _remove(files: list[Path]) -> None:
    for file in files:
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)


def _notes(settings: Config) -> Iterator[str]:
    file = token_file(settings)
    if not file.exists():
        yield f"{file} is not there: the machines will wait for `tillwatch-agent enrol TOKEN`"
    elif sys.platform != "win32" and file.stat().st_mode & 0o007:
        yield f"every user can read {file}: chmod 640, and the agent's group"
    if sys.platform == "linux" and MACHINE_ID.exists() and MACHINE_ID.stat().st_size > 1:
        yield f"all machines will have one {MACHINE_ID}: empty it last, systemd then makes one at the first start (machine-id(5))"
