"""Acks as the simulated terminals hear them. A terminal proves the collector's signature under each; here one in a few is proven, so that the load takes
the processor from what it loads as little as can be.
"""

from __future__ import annotations

import msgpack

from tillwatch.agent.wire import Ack, AckState, VerifyKey, WireError, frame_of, open_ack, split_frame

PROVEN = 16
"""One in so many is proven, and every one that names refused batches."""


class AckError(Exception):
    """An ack that the collector has not signed, or that is none. The text says what is wrong with it."""


class Acks:
    """key: the collector's public key; without one nothing can be proven."""

    def __init__(self, key: bytes) -> None:
        self.proven = 0
        self._key = VerifyKey(key) if key else None
        self._count = 0

    def read(self, terminal: str, payload: bytes) -> Ack:
        self._count += 1
        try:
            head, body, _ = split_frame(frame_of(payload))
            if self._key is not None and (body or self._count % PROVEN == 1):
                self.proven += 1
                return open_ack(terminal, payload, self._pinned)
            said = msgpack.unpackb(head)
            return Ack(
                said["epoch"],
                said["seq"],
                said["want"],
                AckState(said["state"]),
                said["window"],
                said["min_interval"],
                said["time"],
                digest=said.get("digest", b""),
                pace=said.get("pace", 100),
            )
        except (WireError, ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            raise AckError(f"an ack is not the collector's: {error}") from None

    def _pinned(self, key_id: bytes) -> VerifyKey | None:
        return self._key if self._key is not None and self._key.key_id == key_id else None
