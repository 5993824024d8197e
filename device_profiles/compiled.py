"""Profiles and catalogue as one msgpack file, so that PyYAML and the profiles that no device needs are not resident in the agent.

`open_library` reads the file if it was made from the YAML that is there now; else it lets a child process compile it. What a device needs is
decoded when it is asked for.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgpack

from tillwatch.device_profiles.model import DeviceProfile, Recognition, Signal

HERE = Path(__file__).parent
FILE = "profiles.msgpack"
FORMAT = 2
"""Part of the digest: raise it when an encoded dataclass of model.py changes."""
COMPILE_SECONDS = 60
"""Compiling 200 profiles takes a slow terminal a few seconds; a child that hangs must not hang the agent."""

_log = logging.getLogger(__name__)


class CompiledError(Exception):
    """The compiled file cannot be made or is not one. The text says what to do."""


def digest(folder: Path = HERE) -> bytes:
    """SHA-256 over every YAML file's name and bytes, and the format of the encoding."""
    total = hashlib.sha256(bytes([FORMAT]))
    for path in sorted(folder.rglob("*.yaml")):
        data = path.read_bytes()
        total.update(f"{path.relative_to(folder).as_posix()}\0{len(data)}\0".encode() + data)
    return total.digest()


def _plain(value: Any) -> Any:
    """A dataclass as {number of the field: value}, without what is the default."""
    if is_dataclass(value):
        known = fields(value)
        plain = {}
        for number, each in enumerate(known):
            held = getattr(value, each.name)
            default = each.default_factory() if each.default_factory is not MISSING else each.default
            if default is MISSING or held != default:
                plain[number] = _plain(held)
        return plain
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def _same(plain: Any) -> Any:
    return plain


@functools.cache
def _decoder(wanted: Any) -> Callable[[Any], Any]:
    """What makes a value of the annotated type out of what _plain made of it."""
    arguments = get_args(wanted)
    if get_origin(wanted) in {Union, UnionType}:
        decode = _decoder(next(each for each in arguments if each is not NoneType))
        return lambda plain: None if plain is None else decode(plain)
    if get_origin(wanted) is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            every = _decoder(arguments[0])
            return tuple if every is _same else lambda plain: tuple([every(p) for p in plain])
        each = [_decoder(argument) for argument in arguments]
        return lambda plain: tuple([decode(p) for decode, p in zip(each, plain, strict=True)])
    if is_dataclass(wanted) and isinstance(wanted, type):
        hints = get_type_hints(wanted)
        named = [(field.name, _decoder(hints[field.name])) for field in fields(wanted)]
        return lambda plain: wanted(**{named[n][0]: named[n][1](value) for n, value in plain.items()})
    return wanted if isinstance(wanted, type) and issubclass(wanted, Enum) else _same


class Library:
    """Everything that is compiled. Profiles and catalogue stay packed until they are asked for."""

    def __init__(self, packed: bytes) -> None:
        """Raises CompiledError where the bytes are not of this format."""
        try:
            form, self.digest, recognitions, self._profiles, self._catalogue = msgpack.unpackb(
                packed, strict_map_key=False
            )
            if form != FORMAT:
                raise ValueError(form)
            self.recognitions: tuple[Recognition, ...] = _decoder(tuple[Recognition, ...])(recognitions)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise CompiledError(
                f"not compiled profiles of format {FORMAT}: {error}; delete the file, the agent makes it anew"
            ) from error

    def profile(self, name: str) -> DeviceProfile:
        """Raises KeyError."""
        profile: DeviceProfile = _decoder(DeviceProfile)(msgpack.unpackb(self._profiles[name], strict_map_key=False))
        return profile

    def signals(self) -> dict[str, Signal]:
        """The catalogue by name."""
        known: tuple[Signal, ...] = _decoder(tuple[Signal, ...])(msgpack.unpackb(self._catalogue, strict_map_key=False))
        return {each.name: each for each in known}


def compile_library(profiles: Iterable[DeviceProfile], signals: Iterable[Signal], made_from: bytes) -> bytes:
    """What Library reads. made_from: digest()."""
    known = tuple(profiles)
    return bytes(
        msgpack.packb(
            [
                FORMAT,
                made_from,
                [_plain(each.recognition) for each in known],
                {each.id: msgpack.packb(_plain(each)) for each in known},
                msgpack.packb([_plain(each) for each in signals]),
            ]
        )
    )


def compile_folder(folder: Path = HERE) -> bytes:
    """Reads the YAML of the folder in this process. Raises ProfileError."""
    from tillwatch.device_profiles.catalogue import load_catalogue  # noqa: PLC0415 - PyYAML, which must not be resident
    from tillwatch.device_profiles.loader import load_yaml  # noqa: PLC0415 - the same

    made_from = digest(folder)
    catalogue = load_catalogue(HERE if not (folder / "catalogue.yaml").exists() else folder)
    return compile_library(load_yaml(folder, catalogue), catalogue.signals.values(), made_from)


def _write(path: Path, packed: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(packed)
    beside.replace(path)


def _compile_in_child(path: Path) -> None:
    command = [sys.executable, "-m", "tillwatch.device_profiles.compiled", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)  # noqa: S603 - our own interpreter and module
    if done.returncode:
        raise CompiledError(
            (done.stderr.strip() or f"compiling the profiles ended with {done.returncode}").splitlines()[-1]
        )


def open_library(cache_dir: Path) -> Library:
    """The library of the installed profiles. cache_dir must exist and be writable the first time and after each update.

    Raises CompiledError with the ProfileError's own file, line and mend where a profile is wrong.
    """
    path, wanted = cache_dir / FILE, digest()
    try:
        library = Library(path.read_bytes())
        if library.digest == wanted:
            return library
    except FileNotFoundError:
        pass
    except CompiledError as error:
        _log.warning("%s: %s", path, error)
    try:
        _compile_in_child(path)
        return Library(path.read_bytes())
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompiledError(
            f"cannot compile the profiles to {path}: {error}; the agent must be able to write there"
        ) from error


def main(args: list[str]) -> int:
    """Compiles to the file named by the one argument. An error goes to stderr as one line."""
    from tillwatch.device_profiles.yaml_nodes import ProfileError  # noqa: PLC0415 - PyYAML, which must not be resident

    try:
        _write(Path(args[0]), compile_folder())
    except (ProfileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
