"""What the terminals of one group of messages are told once it is stored: one answer for each epoch that they spoke of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tillwatch.agent.wire import ACK_DIGEST, FIRST_PREV, USUAL_PACE, Ack, AckState
from tillwatch.collector.sequence import WINDOW, Stream

SLOW_MS = 120_000
"""Between seals of a terminal whose messages found the queue full: twice the default interval."""


@dataclass(slots=True)
class Reply:
    """What one terminal will be told when its group is stored. earlier: of another epoch, in the same group: who spoke there is answered too."""

    state: AckState = AckState.OK
    epoch: bytes = b""
    want: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    earlier: Reply | None = None

    def each(self) -> Iterator[Reply]:
        """The newest first."""
        reply: Reply | None = self
        while reply is not None:
            yield reply
            reply = reply.earlier

    def ack(self, epoch: bytes, stream: Stream, *, slow: bool, time: int, pace: float = 1.0) -> Ack:
        """slow: its messages found the queue full; time: UTC ns; pace: of its own interval, at which its ordinary readings are wanted."""
        said = AckState.SLOW if slow and self.state is AckState.OK else self.state
        return Ack(
            epoch=epoch,
            seq=stream.mark,
            want=self.want,
            state=AckState.REFUSED if self.refused and said is AckState.OK else said,
            window=WINDOW,
            min_interval=SLOW_MS if slow else 0,
            time=time,
            refused=self.refused,
            digest=stream.tail[:ACK_DIGEST] if stream.tail != FIRST_PREV else b"",
            pace=round(USUAL_PACE * pace),
        )


def reply_to(replies: dict[str, Reply], terminal: str, epoch: bytes) -> Reply:
    """The reply to one epoch of a terminal: two machines under one name, or one at the end of an epoch, speak of two in one group."""
    newest = replies.get(terminal)
    reply = newest
    while reply is not None and reply.epoch not in (b"", epoch):
        reply = reply.earlier
    if reply is None:
        reply = replies[terminal] = Reply(earlier=newest)
    reply.epoch = epoch
    return reply
