"""Who this terminal is: what the enrolment left in the state directory. `identity.json` is written last and read first; the seed of the
signing key never leaves the machine. One process at a time holds the directory.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.agent.protection import PREPARED_USE, SEED_USE, FileMode, ProtectionError, Protector
from tillwatch.agent.wire import (
    MAX_ROTATIONS,
    Rotation,
    SigningKey,
    VerifyKey,
    WireError,
    open_rotation,
    valid_terminal,
)

FILE = "identity.json"
SEED = "seed"
TLS_KEY = "tls.key"
TLS_CERT = "tls.crt"
CA_CERT = "ca.crt"
LOCK = "agent.lock"
SPOOL = "spool.db"
ROTATIONS = "rotations"
"""msgpack list of the statements that led to the key, oldest first: they outlive the spool."""
NEXT = "next.json"
"""The identity that a rotation has prepared and the running agent will take up."""
CLAIM = "claim.json"
"""Keys of an enrolment by serial number that the collector has not answered yet: whoever asks again must ask with the same ones."""
VERSION = 1
SECRETS = {SEED: SEED_USE, NEXT: PREPARED_USE, CLAIM: PREPARED_USE}
"""What is protected as a whole, for what; the TLS key brings its protection with it (protection.py)."""


class IdentityError(Exception):
    """The text says which file, what is wrong and what to do."""


class NotEnrolledError(IdentityError):
    pass


class HeldError(IdentityError):
    """Another process holds the state directory."""


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """ack_keys: the collector's keys, pinned at enrolment, by key id; https: host and port where it enrolled, None if it was not told;
    since: when the key was made, UTC ns; rotations: the statements that led to it; former: the keys that they handed over; own: these, and
    those of an identity that was enrolled over: what waits in the spool may be sealed by any of them. machine: (serial, digest of the system's id)
    of the machine that was enrolled, empty where they were not kept.
    """

    terminal: str
    branch: str
    region: str
    key: SigningKey
    ack_keys: dict[bytes, VerifyKey]
    broker: Broker
    state_dir: Path
    https: tuple[str, int] | None
    since: int
    rotations: tuple[bytes, ...]
    former: dict[bytes, VerifyKey]
    own: dict[bytes, VerifyKey]
    machine: tuple[str, str] = ("", "")


def load(state_dir: Path) -> Identity:
    file = state_dir / FILE
    try:
        data = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise NotEnrolledError(
            f"{state_dir}: this terminal is not enrolled; make a token on the collector, then: tillwatch-agent enrol TOKEN"
        ) from None
    except OSError as error:
        raise IdentityError(f"{file}: {error.strerror}; run this as the user that owns {state_dir}") from None
    except ValueError:
        raise _damaged(file) from None
    try:
        if data["version"] != VERSION or not valid_terminal(data["terminal"]):
            raise _damaged(file)
        keys = [VerifyKey(base64.b64decode(key, validate=True)) for key in data["ack_keys"]]
        mqtt, https, machine = data["mqtt"], data.get("https"), data.get("machine") or {}
        seed = state_dir / SEED
        key = SigningKey(_seed(seed))
        statements = _statements(state_dir / ROTATIONS)
        chain = _chain(statements, key.public)
        former, own = (
            {old.key_id: old for old in (VerifyKey(rotation.old) for _, rotation in some)}
            for some in (chain, statements)
        )
        identity = Identity(
            terminal=data["terminal"],
            branch=str(data["branch"]),
            region=str(data["region"]),
            key=key,
            ack_keys={key.key_id: key for key in keys},
            broker=Broker(str(mqtt["host"]), int(mqtt["port"]), bool(mqtt["tls"])),
            state_dir=state_dir,
            https=(str(https["host"]), int(https["port"])) if https else None,
            since=int(data.get("since") or seed.stat().st_mtime_ns),
            rotations=tuple(statement for statement, _ in chain),
            former=former,
            own=own,
            machine=(str(machine.get("serial", "")), str(machine.get("system", ""))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        raise _damaged(file) from None
    return identity


def _damaged(file: Path) -> IdentityError:
    return IdentityError(f"{file}: damaged; enrol again with a new token: tillwatch-agent enrol --force TOKEN")


def protector() -> Protector:
    """Of this machine. Raises OSError where Windows' own libraries cannot be loaded."""
    if sys.platform == "win32":
        from tillwatch.agent.windows.dpapi import Dpapi  # noqa: PLC0415 - Windows only
        from tillwatch.agent.windows.interfaces import load as libraries  # noqa: PLC0415 - the same

        return Dpapi(libraries())
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        return FileMode()


def read_private(file: Path) -> bytes:
    """What write_private was given. Raises OSError, and IdentityError where it cannot be revealed."""
    content = file.read_bytes()
    try:
        return protector().reveal(content, SECRETS[file.name])
    except ProtectionError as error:
        raise IdentityError(f"{file}: {error}") from None


def _seed(file: Path) -> bytes:
    try:
        seed = read_private(file)
    except OSError as error:
        raise IdentityError(f"{file}: {error.strerror}; run this as its owner, or enrol again with --force") from None
    if len(seed) != 32:
        raise _damaged(file)
    if sys.platform != "win32" and file.stat().st_mode & 0o077:
        raise IdentityError(
            f"{file}: others can read the signing key; chmod 600 {file}, and enrol again if they may have"
        )
    return seed


def _statements(file: Path) -> list[tuple[bytes, Rotation]]:
    """All that are kept, oldest first."""
    try:
        kept = msgpack.unpackb(file.read_bytes())
    except (OSError, ValueError, msgpack.UnpackException):
        return []
    found = []
    for statement in kept if type(kept) is list else []:
        with suppress(WireError, TypeError):
            found.append((statement, open_rotation(statement)))
    return found


def _chain(statements: Sequence[tuple[bytes, Rotation]], public: bytes) -> list[tuple[bytes, Rotation]]:
    """Those that end at this key. The others are of an identity that was enrolled over, or of a rotation that was not taken up."""
    chain: list[tuple[bytes, Rotation]] = []
    for statement, rotation in reversed(statements):
        if rotation.new == public:
            chain.insert(0, (statement, rotation))
            public = rotation.old
    return chain


def keep_rotation(state_dir: Path, statement: bytes) -> None:
    kept = [one for one, _ in _statements(state_dir / ROTATIONS)]
    write_private(state_dir / ROTATIONS, msgpack.packb([*kept, statement][-MAX_ROTATIONS:]))


def save(state_dir: Path, reply: dict[str, Any], files: dict[str, bytes]) -> None:
    """Write what an enrolment gave: the files first, identity.json last, each replaced whole or not at all."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files.items():
        write_private(state_dir / name, content)
    write_private(state_dir / FILE, json.dumps({"version": VERSION, **reply}, indent=2).encode())


def write_private(file: Path, content: bytes) -> None:
    """Replace `file`, readable by the owner of its directory only, also when root enrols for the service's user. Secrets are protected first.

    Raises OSError, and IdentityError where they cannot be.
    """
    if file.name in SECRETS:
        try:
            content = protector().protect(content, SECRETS[file.name])
        except ProtectionError as error:
            raise IdentityError(f"{file}: {error}") from None
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
        _hand_to_owner(out.fileno(), file.parent)
    temporary.replace(file)


def _hand_to_owner(handle: int, folder: Path) -> None:
    """What root makes in the folder of the service's user, for an enrolment, must be the user's."""
    if sys.platform != "win32" and os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


@contextmanager
def hold(state_dir: Path) -> Iterator[None]:
    """Hold the state directory for this process alone; the operating system lets go when the process ends, however it ends."""
    file = state_dir / LOCK
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise IdentityError(
            f"{file}: {error.strerror}; {state_dir} must exist and belong to the user of the agent"
        ) from None
    try:
        _hand_to_owner(handle, state_dir)
        try:
            _lock(handle)
        except OSError:
            raise HeldError(
                f"{state_dir}: another tillwatch-agent runs on this state directory; stop it first"
            ) from None
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # noqa: PLC0415 - POSIX only

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
