"""A rotation: the statement by which a terminal's signing key hands over to the next one, signed by both. It names the last batch and the last
life message that the old key sealed, so that the old one proves them for ever and nothing after them. It proves itself; whether the old key
could be believed is for the reader to know.

    statement = u16 length | msgpack [terminal, old, new, epoch, seq, n, at] | signature of old | signature of new
"""

from __future__ import annotations

from dataclasses import dataclass

import msgpack

from tillwatch.agent.keys import SIGNATURE, SigningKey, VerifyKey
from tillwatch.agent.messages import EPOCH, Refusal, WireError, valid_terminal

DOMAIN = b"tillwatch/rotate/1\0"
MAX_STATEMENT = 512
"""Bytes; a terminal of 64 characters and numbers of 64 bits take 320."""
MAX_ROTATIONS = 16
"""Statements that a terminal keeps and presents: at one in 180 days a collector restored from a backup of eight years ago still follows."""
_U63 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Rotation:
    """old, new: public keys. epoch, seq: of the last batch that the old key sealed, seq 0 for none; n: of its last life message in that
    epoch; at: UTC ns, by the terminal's clock.
    """

    terminal: str
    old: bytes
    new: bytes
    epoch: bytes
    seq: int
    n: int
    at: int


def seal_rotation(old: SigningKey, new: SigningKey, *, terminal: str, epoch: bytes, seq: int, n: int, at: int) -> bytes:
    packed: bytes = msgpack.packb([terminal, old.public, new.public, epoch, seq, n, at])
    return len(packed).to_bytes(2, "big") + packed + old.sign(DOMAIN + packed) + new.sign(DOMAIN + packed)


def open_rotation(statement: bytes) -> Rotation:
    """The statement, once both signatures have held. Raises WireError(ROTATION)."""
    length = int.from_bytes(statement[:2], "big")
    if len(statement) > MAX_STATEMENT or len(statement) != 2 + length + 2 * SIGNATURE:
        raise WireError(Refusal.ROTATION, f"a statement of {len(statement)} bytes")
    packed = statement[2 : 2 + length]
    try:
        row = msgpack.unpackb(packed, max_array_len=16, max_bin_len=64, max_str_len=64, max_map_len=0, max_ext_len=0)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(Refusal.ROTATION, f"not msgpack: {error}") from None
    kinds = [str, bytes, bytes, bytes, int, int, int]
    if type(row) is not list or list(map(type, row)) != kinds or not all(0 <= number <= _U63 for number in row[4:]):
        raise WireError(Refusal.ROTATION, "not what a statement holds")
    found = Rotation(*row)
    lengths = (len(found.old), len(found.new), len(found.epoch))
    if lengths != (32, 32, EPOCH) or found.old == found.new or not valid_terminal(found.terminal):
        raise WireError(Refusal.ROTATION, "not what a statement holds")
    signatures = statement[-2 * SIGNATURE : -SIGNATURE], statement[-SIGNATURE:]
    for public, signature in zip((found.old, found.new), signatures, strict=True):
        if not VerifyKey(public).verify(signature, DOMAIN + packed):
            raise WireError(Refusal.ROTATION, "a signature does not hold")
    return found
