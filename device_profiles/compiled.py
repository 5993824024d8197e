"""Profiles and catalogue as one msgpack file, so that PyYAML and the profiles that no device needs are not resident in the agent.

`open_library` reads the file if it was made from the YAML that is there now; else it lets a child process compile it. What a device needs is
decoded when it is asked for.
"""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.device_profiles.model import DeviceProfile, Recognition, Signal
from tillwatch.device_profiles.plain import reader, to_plain

HERE = Path(__file__).resolve().parent
FILE = "profiles.msgpack"
FORMAT = 5
"""Part of the digest: raise it when an encoded dataclass of model.py changes."""
_HEAD_BYTES = 40
"""Format and digest: enough to see that the file is another one."""
_VERSION_DIGITS = 8
"""Of a profile's digest: to tell the versions of one profile apart, not to prove anything."""
_CATALOGUE, _RECOGNITIONS, _VERSIONS = "", "/", "//"
"""Under these names, which no profile has, the catalogue, what finds a device's profile, and the versions of the profiles are packed."""
_APART = frozenset({_CATALOGUE, _RECOGNITIONS, _VERSIONS})
COMPILE_SECONDS = 60
"""Compiling 200 profiles takes a slow terminal a few seconds; a child that hangs must not hang the agent."""

_log = logging.getLogger(__name__)


class CompiledError(Exception):
    """The compiled file cannot be made or is not one. The text says what to do."""


def digest(folder: Path = HERE, own: Collection[Path] = (), overrides: Path | None = None) -> bytes:
    """SHA-256 over every YAML file's name and bytes, which of a bank's own are recorded, and the format of the encoding. Raises OSError."""
    import hashlib  # noqa: PLC0415 - whoever only reads a library does not need it

    total = hashlib.sha256(bytes([FORMAT]))
    named = [(path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*.yaml"))]
    named += [(str(path), path) for path in (*own, *([overrides] if overrides else []))]
    for name, path in named:
        data = path.read_bytes()
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    total.update(bytes([path.with_suffix(".snmprec").exists() for path in own]))
    return total.digest()


class Library:
    """Everything that is compiled. Of a file only the places of its parts stay in memory: what a device needs is read when it needs it."""

    def __init__(self, source: bytes | Path) -> None:
        """Raises CompiledError where the bytes are not of this format, OSError where the file cannot be read."""
        self._source = source
        self._read_head()

    def _read_head(self) -> None:
        packed = self._source if isinstance(self._source, bytes) else self._source.read_bytes()
        unpacker = msgpack.Unpacker(strict_map_key=False)
        unpacker.feed(packed)
        try:
            form, self.digest, lengths = unpacker.unpack()
            if form != FORMAT:
                raise ValueError(form)
            self._places: dict[str, tuple[int, int]] = {}
            start = unpacker.tell()
            for name, length in lengths.items():
                self._places[name] = (start, length)
                start += length
            if start != len(packed):
                raise ValueError(f"{len(packed)} bytes instead of {start}")
        except (ValueError, TypeError, AttributeError, msgpack.UnpackException) as error:
            raise CompiledError(
                f"not compiled profiles of format {FORMAT}: {error}; delete the file, the agent makes it anew"
            ) from error
        self._head = packed[:_HEAD_BYTES]

    def _part(self, name: str) -> Any:
        if isinstance(self._source, bytes):
            start, length = self._places[name]
            return msgpack.unpackb(self._source[start : start + length], strict_map_key=False)
        with self._source.open("rb") as file:
            if file.read(_HEAD_BYTES) != self._head:  # an update compiled it anew
                self._read_head()
            start, length = self._places[name]
            file.seek(start)
            return msgpack.unpackb(file.read(length), strict_map_key=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all profiles, sorted."""
        return tuple(sorted(self._places.keys() - _APART))

    @property
    def recognitions(self) -> tuple[Recognition, ...]:
        """What finds the profile of a device; read anew each time. Raises as `profile` does."""
        known: tuple[Recognition, ...] = reader(tuple[Recognition, ...])(self._part(_RECOGNITIONS))
        return known

    def profile(self, name: str) -> DeviceProfile:
        """Raises KeyError; CompiledError and OSError where the file was replaced by something else."""
        if name in _APART:
            raise KeyError(name)
        profile: DeviceProfile = reader(DeviceProfile)(self._part(name))
        return profile

    def version(self, name: str) -> str:
        """Of a profile as it is in force, with what it extends and a bank's overrides: two that read alike have the same. Raises KeyError."""
        found: str = self._part(_VERSIONS)[name]
        return found

    def untested(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of which no recording shows that they read a device."""
        known = {each.id for each in self.recognitions if each.untested}
        return tuple(name for name in names if name in known)

    def signals(self) -> dict[str, Signal]:
        """The catalogue by name."""
        known: tuple[Signal, ...] = reader(tuple[Signal, ...])(self._part(_CATALOGUE))
        return {each.name: each for each in known}


def compile_library(profiles: Iterable[DeviceProfile], signals: Iterable[Signal], made_from: bytes) -> bytes:
    """What Library reads. made_from: digest()."""
    import hashlib  # noqa: PLC0415 - whoever only reads a library does not need it

    known = tuple(profiles)
    parts = {each.id: msgpack.packb(to_plain(each)) for each in known}
    versions = {n: hashlib.sha256(part).hexdigest()[:_VERSION_DIGITS] for n, part in parts.items()}
    parts[_CATALOGUE] = msgpack.packb([to_plain(each) for each in signals])
    parts[_RECOGNITIONS] = msgpack.packb([to_plain(each.recognition) for each in known])
    parts[_VERSIONS] = msgpack.packb(versions)
    head = [FORMAT, made_from, {n: len(part) for n, part in parts.items()}]
    return b"".join((msgpack.packb(head), *parts.values()))


def compile_folder(folder: Path = HERE, own: Iterable[Path] = (), overrides: Path | None = None) -> bytes:
    """Reads the YAML of the folder and of a bank's own files in this process. Raises ProfileError."""
    from tillwatch.device_profiles.catalogue import load_catalogue  # noqa: PLC0415 - PyYAML, which must not be resident
    from tillwatch.device_profiles.loader import load_yaml  # noqa: PLC0415 - the same
    from tillwatch.device_profiles.overrides import apply  # noqa: PLC0415 - the same

    files = tuple(own)
    made_from = digest(folder, files, overrides)
    catalogue = load_catalogue(HERE if not (folder / "catalogue.yaml").exists() else folder)
    profiles = load_yaml(folder, catalogue, files)
    if overrides:
        profiles = apply(overrides, profiles)
    return compile_library(profiles, catalogue.signals.values(), made_from)


def _write(path: Path, packed: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(packed)
    beside.replace(path)


def _compile_in_child(path: Path, own: tuple[Path, ...] = (), overrides: Path | None = None) -> None:
    command = [
        sys.executable,
        "-m",
        "tillwatch.device_profiles.compiled",
        str(path),
        str(overrides or ""),
        *map(str, own),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)  # noqa: S603 - our own interpreter and module
    if done.returncode:
        raise CompiledError(
            (done.stderr.strip() or f"compiling the profiles ended with {done.returncode}").splitlines()[-1]
        )


def own_files(folder: Path | None) -> tuple[Path, ...]:
    """A bank's own profiles: every YAML file beneath its folder, sorted. Raises OSError where there is no such folder."""
    if folder and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    return tuple(sorted(folder.rglob("*.yaml"))) if folder else ()


def open_library(cache_dir: Path, own: Path | None = None, overrides: Path | None = None) -> Library:
    """The library of the installed profiles, a bank's own in the folder `own`, and its overrides. cache_dir must exist and be writable the
    first time and after each change.

    Raises CompiledError with the ProfileError's own file, line and mend where a profile is wrong.
    """
    path = cache_dir / FILE
    try:
        files = own_files(own)
        wanted = digest(HERE, files, overrides)
    except OSError as error:
        raise CompiledError(
            f"{error.filename}: {error.strerror}; mend [profiles] in the agent's configuration"
        ) from error
    try:
        library = Library(path)
        if library.digest == wanted:
            return library
    except FileNotFoundError:
        pass
    except CompiledError as error:
        _log.warning("%s: %s", path, error)
    try:
        _compile_in_child(path, files, overrides)
        return Library(path)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompiledError(
            f"cannot compile the profiles to {path}: {error}; the agent must be able to write there"
        ) from error


def main(args: list[str]) -> int:
    """Compiles to the file named first; the second is the file of overrides or empty, the rest are a bank's own profiles. An error goes to
    stderr as one line.
    """
    from tillwatch.device_profiles.yaml_nodes import ProfileError  # noqa: PLC0415 - PyYAML, which must not be resident

    path, overrides, *own = args
    try:
        _write(Path(path), compile_folder(HERE, map(Path, own), Path(overrides) if overrides else None))
    except (ProfileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
