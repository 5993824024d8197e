"""What the agent is to run with, chosen before it starts: the bundle on probation, the one that was good, or its own configuration alone. Each choice is
written down before anything of a bundle is used, so that whatever it does to this process, the next start knows of it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from tillwatch.agent import identity
from tillwatch.agent.bundles import keeping, machine
from tillwatch.agent.bundles.keeping import DamagedError
from tillwatch.agent.bundles.machine import Kept, Memory
from tillwatch.agent.config import Under, load
from tillwatch.agent.prepared import Prepared, prepare
from tillwatch.agent.settings import Config, ConfigError
from tillwatch.device_profiles.bundle import OVERRIDES, PROFILES

log = logging.getLogger(__name__)


def prepare_chosen(path: Path | None, named: Path | None, state_dir: Path, *, verbose: bool) -> Prepared:
    """named: the state directory of the command line. Raises ConfigError for the terminal's own file, and HeldError where an agent runs here."""
    folder = keeping.folder_of(state_dir)
    with identity.hold(state_dir):
        memory = keeping.load(folder)
        while True:
            memory = _written(folder, memory, machine.start(memory))
            kept = memory.runs
            if kept is None:
                return prepare(load(path, named), verbose=verbose)
            try:
                prepared = prepare(configured(path, named, folder, kept), verbose=verbose)
                return replace(prepared, bundle=kept.digest)
            except (ConfigError, DamagedError) as error:
                log.error("bundle %s: %s; it is given up", kept.name, error)
                memory = _written(folder, memory, machine.unusable(memory, str(error)))


def configured(path: Path | None, named: Path | None, folder: Path, kept: Kept) -> Config:
    """The terminal's own configuration with what the bundle says where that says nothing. Raises ConfigError and DamagedError."""
    root, content = keeping.lay_out(folder, kept)
    profiles: dict[str, str] = {}
    if content.profiles:
        profiles["folder"] = str(root / PROFILES)
    if content.overrides:
        profiles["overrides"] = str(root / OVERRIDES)
    under: Under = {"sampling": content.sampling, "profiles": profiles}
    config = load(path, named, under)
    if not profiles:
        return config  # what is compiled of the terminal's own stands already
    return replace(config, profiles=replace(config.profiles, compiled=root))


def _written(folder: Path, before: Memory, after: Memory) -> Memory:
    """A disk that does not take the step gets none of a bundle on probation: it could not be undone."""
    if after == before:
        return after
    try:
        keeping.save(folder, after)
    except OSError as error:
        log.error("%s: %s; no bundle is tried", folder, error)
        if after.checked:
            return machine.failed(after, f"this disk cannot be written: {error.strerror}")
    return after
