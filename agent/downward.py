"""What the collector tells a terminal, as bytes: acks, commands from a closed list, and the bundle that it is to run. All are signed by the collector's
key, which the terminal has pinned. The specification stands in wire.py, which is the only door to this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from tillwatch.agent.columns import MAX_NAME
from tillwatch.agent.diagnosis import MAX_ARGUMENTS, MAX_KIND, Argument, Command
from tillwatch.agent.directive import MAX_PACKED, Directive, valid_name
from tillwatch.agent.framing import plain, prove, seal_frame, split, unwrap
from tillwatch.agent.keys import SigningKey, VerifyKey, sha256
from tillwatch.agent.members import U63, exactly, integer, text, time_ns, unpack
from tillwatch.agent.messages import (
    ACK_DIGEST,
    DIGEST,
    EPOCH,
    MAX_REASON,
    MAX_REFUSED,
    MAX_TERMINAL,
    USUAL_PACE,
    Ack,
    AckState,
    Refusal,
    WireError,
    ack_topic,
    bundle_topic,
    command_topic,
)
from tillwatch.agent.model import MS


def seal_ack(key: SigningKey, terminal: str, ack: Ack) -> bytes:
    """The payload of an ack. Reasons are cut at MAX_REASON, refused batches at MAX_REFUSED. Raises WireError(HEADER) as seal does."""
    header = {
        "terminal": terminal,
        "key": key.key_id,
        "epoch": ack.epoch,
        "seq": ack.seq,
        "want": ack.want,
        "state": ack.state.value,
        "window": ack.window,
        "min_interval": ack.min_interval,
        "time": ack.time // MS,
    }
    if ack.digest:
        header["digest"] = ack.digest[:ACK_DIGEST]
    if ack.pace != USUAL_PACE:
        header["pace"] = ack.pace
    # The refused batches stand in the body: their reasons may outgrow a header.
    refused = [
        [seq, reason[:MAX_REASON].encode(errors="replace").decode()] for seq, reason in ack.refused[:MAX_REFUSED]
    ]
    _ack(header, refused)
    body = msgpack.packb({"refused": refused}) if refused else b""
    return plain(seal_frame(key, "ack", ack_topic(terminal), header, body))


def open_ack(terminal: str, payload: bytes, keys: Callable[[bytes], VerifyKey | None]) -> Ack:
    """Open an ack on the terminal. keys: the collector's pinned keys by key id."""
    members, body = _opened("ack", terminal, ack_topic(terminal), payload, keys)
    try:
        more = unpack(body, MAX_REFUSED + 8) if body else {}
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(Refusal.BODY, f"ack: {error}") from None
    return _ack(members, more.get("refused", []) if type(more) is dict else None)


def seal_command(key: SigningKey, command: Command) -> bytes:
    """The payload of a command. Its `key` is that of the signing key. Raises WireError(HEADER) as seal does."""
    header = {
        "terminal": command.terminal,
        "key": key.key_id,
        "number": command.number,
        "kind": command.kind,
        "issued": command.issued // MS,
        "expires": command.expires // MS,
        "epoch": command.epoch,
        "arguments": dict(command.arguments),
    }
    _command(header)
    return plain(seal_frame(key, "command", command_topic(command.terminal), header, b""))


def open_command(terminal: str, payload: bytes, keys: Callable[[bytes], VerifyKey | None]) -> Command:
    """Open a command on the terminal that it is for. keys: as of acks, since it is the same key of the collector."""
    members, _ = _opened("command", terminal, command_topic(terminal), payload, keys)
    return _command(members)


def seal_directive(key: SigningKey, directive: Directive) -> bytes:
    """The payload of a directive. Its `key` is that of the signing key. Raises WireError as seal does, BODY for a content that is none of a terminal's."""
    header = {
        "terminal": directive.terminal,
        "key": key.key_id,
        "number": directive.number,
        "epoch": directive.epoch,
        "issued": directive.issued // MS,
        "name": directive.name,
        "digest": directive.digest,
    }
    _directive(header, directive.content)
    return plain(seal_frame(key, "bundle", bundle_topic(directive.terminal), header, directive.content))


def open_directive(terminal: str, payload: bytes, keys: Callable[[bytes], VerifyKey | None]) -> Directive:
    """Open a directive on the terminal that it is for; its content has the digest that was signed. keys: as of acks."""
    return _directive(*_opened("bundle", terminal, bundle_topic(terminal), payload, keys))


def _directive(members: dict[str, Any], content: bytes) -> Directive:
    try:
        directive = Directive(
            terminal=text(members, "terminal", MAX_TERMINAL),
            number=integer(members, "number"),
            epoch=exactly(members, "epoch", EPOCH),
            issued=time_ns(members, "issued"),
            name=text(members, "name", MAX_KIND) if members["name"] != "" else "",
            digest=exactly(members, "digest", DIGEST) if members["digest"] != b"" else b"",
            content=content,
            key=exactly(members, "key", 8),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"bundle: {error}") from None
    if directive.number < 1 or bool(directive.digest) != valid_name(directive.name):
        raise WireError(Refusal.HEADER, f"bundle: number {directive.number}, or a name that is none")
    if len(content) > MAX_PACKED or directive.digest != (sha256(content) if content else b""):
        raise WireError(Refusal.BODY, f"bundle: {len(content)} bytes that are not what was signed for, or too many")
    return directive


def _opened(
    kind: str, terminal: str, topic: str, payload: bytes, keys: Callable[[bytes], VerifyKey | None]
) -> tuple[dict[str, Any], bytes]:
    """Header and body of what a pinned key has signed for this terminal and topic."""
    _, frame = unwrap(kind, topic, payload, lambda _: True)
    members, body = split(frame)
    try:
        named, key_id = text(members, "terminal", MAX_TERMINAL), exactly(members, "key", 8)
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"{kind}: {error}") from None

    def pinned(_: str, wanted: bytes) -> VerifyKey | Refusal:
        return keys(wanted) or Refusal.UNKNOWN_KEY

    prove(kind, topic, of_topic=terminal, of_header=named, key_id=key_id, frame=frame, find=pinned)
    return members, body


def _command(members: dict[str, Any]) -> Command:
    try:
        command = Command(
            terminal=text(members, "terminal", MAX_TERMINAL),
            number=integer(members, "number"),
            kind=text(members, "kind", MAX_KIND),
            issued=time_ns(members, "issued"),
            expires=time_ns(members, "expires"),
            epoch=exactly(members, "epoch", EPOCH),
            arguments=_arguments(members["arguments"]),
            key=exactly(members, "key", 8),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"command: {error}") from None
    if command.number < 1 or command.expires < command.issued:
        raise WireError(Refusal.HEADER, f"command: number {command.number}, or it expires before it is issued")
    return command


def _arguments(found: object) -> dict[str, Argument]:
    """Text and whole numbers by name. Which ones a kind takes is for the terminal to say, whose version may differ."""
    if type(found) is not dict or len(found) > MAX_ARGUMENTS:
        msg = f"arguments are not a map of at most {MAX_ARGUMENTS}"
        raise ValueError(msg)
    for name, value in found.items():
        fits = (type(value) is str and len(value) <= MAX_NAME) or (type(value) is int and 0 <= value <= U63)
        if type(name) is not str or not 0 < len(name) <= MAX_KIND or not fits:
            msg = "an argument is not a short text or a number from 0, under a name"
            raise ValueError(msg)
    return dict(found)


def _ack(members: dict[str, Any], refused: object) -> Ack:
    try:
        return Ack(
            epoch=exactly(members, "epoch", EPOCH),
            seq=integer(members, "seq"),
            want=integer(members, "want"),
            state=AckState(text(members, "state", 16)),
            window=integer(members, "window"),
            min_interval=integer(members, "min_interval"),
            time=time_ns(members, "time"),
            refused=_refused(refused),
            digest=exactly(members, "digest", ACK_DIGEST) if "digest" in members else b"",
            pace=integer(members, "pace") if "pace" in members else USUAL_PACE,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WireError(Refusal.HEADER, f"ack: {error}") from None


def _refused(rows: object) -> tuple[tuple[int, str], ...]:
    if type(rows) is not list or len(rows) > MAX_REFUSED:
        msg = f"refused is not a list of at most {MAX_REFUSED}"
        raise ValueError(msg)
    for row in rows:
        if (
            type(row) is not list
            or list(map(type, row)) != [int, str]
            or not 0 < row[0] <= U63
            or len(row[1]) > MAX_REASON
        ):
            msg = "a refused batch is not a seq with a reason"
            raise ValueError(msg)
    return tuple((seq, reason) for seq, reason in rows)
