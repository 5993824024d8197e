"""Profiles and catalogue as one msgpack file, so that PyYAML and the profiles that no device needs are not resident in the agent.

`open_library` reads the file if it was made from the YAML that is there now; else it lets a child process compile it. What a device needs is
decoded when it is asked for.
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.device_profiles.model import (
    Absent,
    Condition,
    DeviceProfile,
    Field,
    Item,
    Kind,
    Limits,
    Match,
    Poll,
    Recognition,
    Signal,
    Table,
    Test,
    Words,
)

HERE = Path(__file__).parent
FILE = "profiles.msgpack"
FORMAT = 1
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
    """Dataclasses as lists of their fields, in the order of model.py."""
    if hasattr(value, "__dataclass_fields__"):
        return [_plain(getattr(value, name)) for name in value.__dataclass_fields__]
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if isinstance(value, dict) else value


def _signal(plain: list[Any] | None) -> Signal | None:
    if plain is None:
        return None
    name, kind, unit, meaning, states = plain
    return Signal(name, Kind(kind), unit, meaning, tuple((word, severity) for word, severity in states))


def _signal_of(plain: list[Any]) -> Signal:
    signal = _signal(plain)
    assert signal is not None
    return signal


def _conditions(plain: list[Any]) -> tuple[Condition, ...]:
    return tuple(Condition(oid, Test(test), tuple(values)) for oid, test, values in plain)


def _field(plain: list[Any]) -> Field:
    oid, divisor, multiplier, offset, sentinels, pattern, percent_of, multiply_by, unsigned32, above, by, when = plain
    return Field(
        oid,
        divisor,
        multiplier,
        offset,
        tuple(sentinels),
        pattern,
        percent_of,
        multiply_by,
        unsigned32,
        above,
        by,
        _conditions(when),
    )


def _words(plain: list[Any] | None) -> Words | None:
    if plain is None:
        return None
    codes, ranges, bits, masks, none, overrides = plain
    return Words(
        codes,
        tuple((a, b, word) for a, b, word in ranges),
        tuple((bit, word) for bit, word in bits),
        tuple((mask, value, word) for mask, value, word in masks),
        none,
        tuple((word, _conditions(when)) for word, when in overrides),
    )


def _item(plain: list[Any]) -> Item:
    signal, fields, part, poll, optional, absent, words, limits, collected = plain
    return Item(
        _signal_of(signal),
        tuple(_field(each) for each in fields),
        part,
        Poll(poll),
        optional,
        Absent(absent),
        _words(words),
        Limits(limits[0], limits[1], limits[2], limits[3], _conditions(limits[4])) if limits else None,
        _signal(collected),
    )


def _table(plain: list[Any]) -> Table:
    group, items, collect, label, label_pattern, where, present = plain
    return Table(
        group,
        tuple(_item(each) for each in items),
        tuple(_item(each) for each in collect),
        tuple(label),
        label_pattern,
        _conditions(where),
        present,
    )


def _recognition(plain: list[Any]) -> Recognition:
    name, generic, matches = plain
    return Recognition(
        name, generic, tuple(Match(oid, description, tuple(present)) for oid, description, present in matches)
    )


def _profile(plain: list[Any]) -> DeviceProfile:
    name, title, recognition, scalars, tables = plain
    return DeviceProfile(
        name,
        title,
        _recognition(recognition),
        tuple(_item(each) for each in scalars),
        tuple(_table(each) for each in tables),
    )


class Library:
    """Everything that is compiled. Profiles and catalogue stay packed until they are asked for."""

    def __init__(self, packed: bytes) -> None:
        """Raises CompiledError where the bytes are not of this format."""
        try:
            form, self.digest, recognitions, self._profiles, self._catalogue = msgpack.unpackb(packed)
            if form != FORMAT:
                raise ValueError(form)
            self.recognitions = tuple(_recognition(each) for each in recognitions)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise CompiledError(
                f"not compiled profiles of format {FORMAT}: {error}; delete the file, the agent makes it anew"
            ) from error

    def profile(self, name: str) -> DeviceProfile:
        """Raises KeyError."""
        return _profile(msgpack.unpackb(self._profiles[name]))

    def signals(self) -> dict[str, Signal]:
        """The catalogue by name."""
        return {each[0]: _signal_of(each) for each in msgpack.unpackb(self._catalogue)}


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
