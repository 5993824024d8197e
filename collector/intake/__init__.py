"""How sealed messages reach the collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tillwatch.agent.wire import Opened


class Message(NamedTuple):
    """One MQTT message as it came. received: UTC ns, the clock of this machine; opened: the batch, where a process of ours has opened it already
    and only its key is to be looked at again; tag: of its delivery, where the broker waits for word of it.
    """

    topic: str
    payload: bytes
    received: int
    opened: Opened | None = None
    tag: int = 0


class Intake(Protocol):
    """Messages in, acks out. One consumer; all calls from one event loop.

    Nothing here is durable and nothing needs to be: terminals keep every batch until an ack says that it is stored.
    """

    dropped: int
    """Messages since the start that were not taken in."""

    @property
    def connected(self) -> bool: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def get_batch(self, max_n: int, max_wait_s: float) -> list[Message]:
        """Waits for the first message, then at most max_wait_s for more; 1 to max_n messages, in turn from each terminal and in its order."""
        ...

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        """Never waits and never fails: an ack that is lost is made good by the next one."""
        ...

    def publish_command(self, terminal: str, payload: bytes) -> None:
        """As an ack: never waits and never fails; what is not answered is sent again by who sent it."""
        ...

    def publish_directive(self, terminal: str, payload: bytes) -> None:
        """As a command."""
        ...

    def refused(self, terminal: str) -> None:
        """A message of this terminal could not be opened. Whoever sends many of them is not heard for a while."""
        ...

    def settled(self, count: int, *, stored: bool) -> None:
        """The first `count` messages that get_batch gave and that were not settled yet: they are stored and their acks were published, or the store
        has refused them and they are to come again. Called in order, for every message.
        """
        ...

    def take_dropped(self) -> Mapping[tuple[str, str], int]:
        """(terminal, why) of the messages dropped since the last call, with their number; the terminal is "" for all not enrolled."""
        ...

    def take_slow(self) -> frozenset[str]:
        """Terminals whose messages were dropped since the last call; they are to be answered `slow`."""
        ...
