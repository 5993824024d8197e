"""What the agent works out before it stays resident: the configuration, read and checked, and the names of the catalogue, with the device
profiles compiled. On Linux the process that worked it out then executes itself anew and hands it to its successor, under the same pid, so that
neither the readers nor what they leave in memory stay for months. Elsewhere the same process goes on.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack

from tillwatch.agent.settings import Config, ConfigError
from tillwatch.device_profiles.plain import reader, to_plain

if TYPE_CHECKING:
    from tillwatch.device_profiles.compiled import Library

HANDED_OVER = "TILLWATCH_AGENT_PREPARED"
"""The environment variable with the number of the descriptor: an anonymous file in memory, because SNMP's secrets are in it."""
RESIDENT = {
    # The C library would keep an arena for each of the short-lived threads that read file systems and sensors.
    "MALLOC_ARENA_MAX": "1",
    # What deflating one batch takes goes back to the system after each, instead of growing the heap.
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    # A locale's character tables; Python speaks UTF-8 in this one too (PEP 540).
    "LC_ALL": "C",
    # Columns of each instruction, for the carets in tracebacks; lines stay.
    "PYTHONNODEBUGRANGES": "1",
}
"""What libc and Python read at their start only. Whoever sets one of them otherwise is obeyed."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """names: every signal of the catalogue; counters: those that only rise; verbose: whether to log what is normal too; version: of this agent; bundle: digest of
    the configuration bundle that it is prepared with, empty for none.
    """

    config: Config
    names: frozenset[str]
    counters: frozenset[str]
    verbose: bool
    version: str = ""
    bundle: bytes = b""


def library_of(config: Config) -> Library:
    """Compiled, if need be. Raises ConfigError."""
    from tillwatch.device_profiles.compiled import CompiledError, open_library  # noqa: PLC0415 - not resident without SNMP

    try:
        return open_library(config.compiled, config.profiles.folder, config.profiles.overrides)
    except CompiledError as error:
        raise ConfigError(str(error)) from None


def compiled_library(config: Config) -> Library:
    """What library_of has left, without looking at the YAML again. Raises ConfigError."""
    from tillwatch.device_profiles.compiled import FILE, CompiledError, Library  # noqa: PLC0415 - the same

    try:
        return Library(config.compiled / FILE)
    except (OSError, CompiledError) as error:
        raise ConfigError(f"{config.compiled / FILE}: {error}; start the agent again") from None


def prepare_for(config: Config, path: Path | None, named: Path | None, *, verbose: bool) -> Prepared:
    """With the configuration bundle that is to be run, where the operator lets them in. path, named: file and state directory of the command line."""
    if config.bundles.enabled:
        from tillwatch.agent.bundles.choosing import prepare_chosen  # noqa: PLC0415 - only where the operator lets them in

        return prepare_chosen(path, named, config.state_dir, verbose=verbose)
    return prepare(config, verbose=verbose)


def prepare(config: Config, *, verbose: bool) -> Prepared:
    """Raises ConfigError."""
    from tillwatch.device_profiles.model import Kind  # noqa: PLC0415 - not resident without SNMP

    signals = library_of(config).signals()
    counters = frozenset(name for name, signal in signals.items() if signal.kind is Kind.COUNTER)
    return Prepared(config, frozenset(signals), counters, verbose, _version())


def _version() -> str:
    """Empty where this program was never installed."""
    from importlib import metadata  # noqa: PLC0415 - it brings email with it

    try:
        return metadata.version("tillwatch")
    except metadata.PackageNotFoundError:
        return ""


def again() -> None:
    """Execute this program anew, from the reading of its configuration on, under the same pid; returns where the same process has to go on."""
    if sys.platform == "linux":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(os.environ))  # noqa: S606 - this very program


def hand_over(prepared: Prepared) -> None:
    """Does not return on Linux. Only for a process whose command line is this program's own: that is what is executed again."""
    if sys.platform == "linux":
        handle = os.memfd_create("tillwatch-agent", 0)
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(msgpack.packb(to_plain(prepared)))
        sys.stdout.flush()
        sys.stderr.flush()
        environment = {**RESIDENT, **os.environ, HANDED_OVER: str(handle)}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - this very program


def received() -> Prepared | None:
    """What the predecessor handed over; None in a process that has none."""
    handle = os.environ.pop(HANDED_OVER, "")
    if not handle:
        return None
    with os.fdopen(int(handle), "rb") as file:
        file.seek(0)
        prepared: Prepared = reader(Prepared)(msgpack.unpackb(file.read(), strict_map_key=False))
    return prepared
