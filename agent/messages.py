"""What goes over the wire, as values: headers, life messages, acks, and the reasons for not opening something. wire.py makes bytes of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tillwatch.agent.columns import Column
from tillwatch.agent.model import Clock, Reading
from tillwatch.agent.preset import SCHEMA

TOPIC_ROOT = "tw/1"
MAX_TERMINAL = 64
MAX_REFUSED = 64
"""Refused batches named in one ack; the rest follow in the next one."""
MAX_REASON = 200
"""Characters of a reason in an ack."""
DIGEST = 32
ACK_DIGEST = 16
EPOCH = 12
FIRST_PREV = bytes(DIGEST)


class Refusal(StrEnum):
    """Why a message was not opened. Counted by this word on the health page."""

    OVERSIZE = "oversize"
    TOPIC = "topic"
    UNKNOWN_TERMINAL = "unknown_terminal"
    MAGIC = "magic"
    VERSION = "version"
    CORRUPT = "corrupt"
    INFLATE = "inflate"
    HEADER = "header"
    TERMINAL = "terminal_mismatch"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    RETIRED_KEY = "retired_key"
    ROTATION = "rotation"
    SIGNATURE = "signature"
    BODY = "body"
    CARD_DATA = "card_data"
    """Said by the collector alone, of a batch that an agent from before its own check has sealed."""


class WireError(Exception):
    """A message that is not opened, or a batch that cannot be sealed. header and digest are set once the signature has held."""

    def __init__(self, reason: Refusal, detail: str, header: Header | None = None, digest: bytes = b"") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.header = header
        self.digest = digest


@dataclass(frozen=True, slots=True)
class Header:
    """Of a sealed batch. sent: UTC ns on a whole ms; up: ms since boot; prev: digest of the frame before; lost: since the epoch began."""

    terminal: str
    key: bytes
    epoch: bytes
    seq: int
    prev: bytes
    floor: int
    sent: int
    boot: bytes
    up: int
    clock: Clock
    lost: int
    n: int
    codec: int = 1
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Sealed:
    """payload: what is published and what the spool keeps; digest: SHA-256 of the uncompressed frame, the next batch's prev."""

    payload: bytes
    digest: bytes
    n: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A batch whose signature has held and whose body is well-formed."""

    header: Header
    digest: bytes
    columns: list[Column]

    def readings(self) -> list[Reading]:
        return [reading for column in self.columns for reading in column.readings()]


@dataclass(frozen=True, slots=True)
class Life:
    """The signed state of a terminal's stream. floor: oldest seq it still has; next: the seq it will seal next; n: counts the life
    messages of the epoch, and the will carries the n of its birth. now: UTC ns; up: ms since boot; state: `online` or `offline`.
    rotations: statements that lead from a key that the collector may still know to this one, oldest first (rotation.py).
    """

    terminal: str
    key: bytes
    epoch: bytes
    floor: int
    next: int
    lost: int
    boot: bytes
    up: int
    now: int
    n: int
    state: str = "online"
    rotations: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message says of itself and nobody has proven: its key and epoch, of a batch its prev, of a life message its rotations."""

    key: bytes
    epoch: bytes
    prev: bytes = b""
    rotations: tuple[bytes, ...] = ()


class AckState(StrEnum):
    OK = "ok"
    RESEND = "resend"
    REFUSED = "refused"
    ENROL = "enrol"
    SLOW = "slow"
    FORK = "fork"


USUAL_PACE, LEAST_PACE, MOST_PACE = 100, 50, 200
"""Percent of its own interval, within which the collector may ask for a terminal's ordinary readings: twice as often is what every device here bears, and
half as often still shows a level that sinks within its hour.
"""


@dataclass(frozen=True, slots=True)
class Ack:
    """What the collector has stored. seq: cumulative; want: seq to go back to, 0 for none; min_interval: ms between seals, 0 for free;
    time: the collector's UTC ns; digest: the first ACK_DIGEST bytes of that of the frame stored as seq, empty where there is none to compare:
    two machines under one identity count alike, and only the digest tells whose batch it was. pace: percent of its own interval at which the
    terminal's ordinary readings are wanted, by its risk; USUAL_PACE is not sent.
    """

    epoch: bytes
    seq: int
    want: int
    state: AckState
    window: int
    min_interval: int
    time: int
    refused: tuple[tuple[int, str], ...] = ()
    digest: bytes = b""
    pace: int = USUAL_PACE


def valid_terminal(terminal: str) -> bool:
    """Letters, digits, `-` and `_`, at most MAX_TERMINAL: safe in a topic, a certificate, a file name and an address."""
    return (
        0 < len(terminal) <= MAX_TERMINAL
        and terminal.isascii()
        and terminal.replace("-", "a").replace("_", "a").isalnum()
    )


def batch_topic(terminal: str) -> str:
    return f"{TOPIC_ROOT}/{terminal}/batch"


def life_topic(terminal: str) -> str:
    return f"{TOPIC_ROOT}/{terminal}/life"


def ack_topic(terminal: str) -> str:
    return f"{TOPIC_ROOT}/{terminal}/ack"


def command_topic(terminal: str) -> str:
    return f"{TOPIC_ROOT}/{terminal}/command"


def bundle_topic(terminal: str) -> str:
    return f"{TOPIC_ROOT}/{terminal}/bundle"


def new_epoch(now_ns: int, random: bytes) -> bytes:
    """An epoch id: creation time in seconds (4 bytes, for people; it decides nothing) and 8 random bytes."""
    return (now_ns // 1_000_000_000 & 0xFFFFFFFF).to_bytes(4, "big") + random[: EPOCH - 4].ljust(EPOCH - 4, b"\0")
