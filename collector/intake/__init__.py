"""How sealed messages reach the collector."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One MQTT message as it came. received: UTC ns, the clock of this machine."""

    topic: str
    payload: bytes
    received: int


class Intake(Protocol):
    """Messages in, acks out. One consumer; all calls from one event loop.

    Nothing here is durable and nothing needs to be: terminals keep every batch until an ack says that it is stored.
    """

    dropped: int
    """Messages that found the queue full since the start."""

    @property
    def connected(self) -> bool: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def get_batch(self, max_n: int, max_wait_s: float) -> list[Message]:
        """Waits for the first message, then at most max_wait_s for more; 1 to max_n messages in order of arrival."""
        ...

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        """Never waits and never fails: an ack that is lost is made good by the next one."""
        ...

    def take_slow(self) -> frozenset[str]:
        """Terminals whose messages were dropped since the last call; they are to be answered `slow`."""
        ...
