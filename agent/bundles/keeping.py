"""The memory of bundles and their content on the disk, in `bundles` under the state directory. Each writing is whole or not at all, and lasting when it
returns, also across a power cut: the step that follows may rely on it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack

from tillwatch.agent.bundles.machine import Kept, Memory
from tillwatch.agent.identity import write_private
from tillwatch.agent.keys import sha256
from tillwatch.agent.wire import MAX_PACKED
from tillwatch.device_profiles.plain import reader, to_plain

if TYPE_CHECKING:
    from tillwatch.device_profiles.bundle import Content

log = logging.getLogger(__name__)

FOLDER, MEMORY = "bundles", "memory"
FORM = 1
PACKED = ".bundle"
_SHORT = 16
"""Bytes of a digest in a file's name: Windows has paths of 260 characters."""


class DamagedError(Exception):
    """A bundle that cannot be used. The text says why."""


def folder_of(state_dir: Path) -> Path:
    return state_dir / FOLDER


def load(folder: Path) -> Memory:
    """What cannot be read is as if it had never been, and told: the terminal then runs its own configuration, and takes the next directive."""
    try:
        form, digest, packed = msgpack.unpackb((folder / MEMORY).read_bytes())
        if form != FORM or digest != sha256(packed):
            raise ValueError(f"not what was written there, or of another form than {FORM}")
        memory: Memory = reader(Memory)(msgpack.unpackb(packed, strict_map_key=False))
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as error:
        log.error("%s: %s; this terminal runs its own configuration alone", folder / MEMORY, error)
        return Memory()
    return memory


def save(folder: Path, memory: Memory) -> None:
    """Raises OSError, and then what was kept before still is."""
    folder.mkdir(mode=0o700, exist_ok=True)
    packed = msgpack.packb(to_plain(memory))
    _last(folder / MEMORY, msgpack.packb([FORM, sha256(packed), packed]))


def keep(folder: Path, digest: bytes, packed: bytes) -> None:
    """The content of a directive. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    _last(_file(folder, digest), packed)


def lay_out(folder: Path, kept: Kept) -> tuple[Path, Content]:
    """Where the files of a bundle stand, ready to be read, and what it holds. What stands there is made anew where it differs from what was signed.

    Raises DamagedError.
    """
    from tillwatch.device_profiles.bundle import BundleError, unpack, write  # noqa: PLC0415 - not for the resident agent

    file = _file(folder, kept.digest)
    try:
        with file.open("rb") as open_file:
            packed = open_file.read(MAX_PACKED + 1)
        if sha256(packed) != kept.digest:
            raise DamagedError(f"{kept.name}: what is kept of it on this disk is not what was signed")
        content = unpack(packed)
        root = file.with_suffix("")
        write(content, root)
        # One file too many would be one more profile.
        wanted = {root / name for name, _ in content.files()}
        for stray in [path for path in root.rglob("*.yaml") if path not in wanted]:
            stray.unlink()
    except (OSError, BundleError) as error:
        raise DamagedError(f"{kept.name}: {error}") from None
    return root, content


def tidy(folder: Path, memory: Memory) -> None:
    """Remove every bundle that nobody needs any more."""
    import shutil  # noqa: PLC0415 - three compressors with it, for one use a bundle

    needed = {_file(folder, kept.digest).stem for kept in (memory.good, memory.candidate) if kept is not None}
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name == MEMORY or path.stem in needed:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _file(folder: Path, digest: bytes) -> Path:
    return folder / f"{digest[:_SHORT].hex()}{PACKED}"


def _last(path: Path, content: bytes) -> None:
    """Written, and its name in the folder too: a rename that only stands in memory is undone by a power cut."""
    write_private(path, content)
    if sys.platform != "win32":
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
