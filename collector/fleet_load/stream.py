"""One simulated terminal's stream: go-back-N as a terminal does it (delivery.md 6.4 to 6.6), small enough for a hundred thousand of them in one process.
Pure: sealed batches, acks and time go in, what to send comes out. A batch is known here by its place in the spool alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from tillwatch.agent.wire import Ack, AckState

WINDOW = 8
"""Batches in flight, until the collector says otherwise."""
MAX_WINDOW = 64
ACK_TIMEOUT_S = 30.0
REWIND_QUIET_S = 2.0
"""Every batch behind a lost one makes the collector ask for it again: asked once, it is sent once in this many seconds."""
PATIENCE = 3
"""Time-outs in a row on one connection before another is made: a broker may drop what comes over one and keep it open. Twice as many each time without an ack."""
MAX_PATIENCE = 120
MAX_PACE = 8
"""How far `slow` stretches the time between two batches."""
MAX_SPACING_S = 3_600.0
"""Seconds between two batches that a collector may ask for."""


class StreamError(Exception):
    """The collector says what it cannot say of a terminal that speaks truly. The text says what."""


@dataclass(slots=True)
class Turn:
    """What one event brings: places in the spool to send, in order; whether a life message is due; those that are settled, oldest first; seconds from
    the first sending to the ack of each of them that this connection has sent; leave: the connection is to be given up for another.
    """

    send: list[int]
    life: bool
    settled: list[int]
    latencies: list[float]
    resent: int = 0
    leave: bool = False


class Stream:
    """Batches base to end - 1 are sealed and not known to be stored; next is to be sent next. epoch: of this run; `places` and `sent` stand for
    base to end - 1, in the spool and as first sent (0: not yet). spacing: seconds between two seals that the collector asks for, 0 for none; pace: by
    what `slow` stretches the terminal's own; sampling: by what its risk does, in percent.
    """

    __slots__ = (
        "base", "deadline", "end", "epoch", "greeted", "high", "left", "limit", "missed", "n", "next", "pace", "places", "rewound", "rewound_at", "sampling", "sent", "size",
        "spacing",
    )  # fmt: skip

    def __init__(self, n: int, epoch: bytes) -> None:
        self.n, self.epoch = n, epoch
        self.base = self.next = self.end = self.high = 1
        self.places: list[int] = []
        self.sent: list[float] = []
        self.size = self.limit = WINDOW
        self.greeted = False
        self.deadline = 0.0
        self.missed = self.left = 0
        self.rewound, self.rewound_at = 0, float("-inf")
        self.pace, self.sampling, self.spacing = 1, 100, 0.0

    @property
    def waiting(self) -> int:
        return self.end - self.base

    def connect(self) -> None:
        """A new connection: nothing is sent before the collector has answered its birth, then all again that is not settled."""
        self.greeted, self.next, self.deadline, self.missed = False, self.base, 0.0, 0

    def greet(self, now: float) -> None:
        """The birth is sent."""
        self.deadline = now + ACK_TIMEOUT_S

    def sealed(self, place: int, now: float) -> Turn:
        self.places.append(place)
        self.sent.append(0.0)
        self.end += 1
        return self._filled(now, life=False)

    def acked(self, ack: Ack, now: float) -> Turn:
        """Raises StreamError. An ack of another epoch is of an earlier run, and says nothing."""
        if ack.epoch != self.epoch:
            return Turn([], False, [], [])
        if ack.state in (AckState.ENROL, AckState.FORK) or ack.refused:
            reason = f": {ack.refused[0][1]}" if ack.refused else ""
            raise StreamError(f"the collector answers {ack.state.value}{reason}")
        if ack.seq >= self.end:
            raise StreamError(f"the collector has batch {ack.seq}, and {self.end - 1} is the last that was sealed")
        self.missed = self.left = 0
        if ack.window:
            self.limit = min(ack.window, MAX_WINDOW)
        self.spacing = min(ack.min_interval / 1000, MAX_SPACING_S)
        self.sampling = ack.pace
        self.pace = min(self.pace * 2, MAX_PACE) if ack.state is AckState.SLOW else max(self.pace // 2, 1)
        settled: list[int] = []
        latencies: list[float] = []
        if (count := ack.seq + 1 - self.base) > 0:
            settled, latencies = self.places[:count], [now - sent for sent in self.sent[:count] if sent]
            del self.places[:count], self.sent[:count]
            self.base, self.next = ack.seq + 1, max(self.next, ack.seq + 1)
            self.size += 1
            self.deadline = now + ACK_TIMEOUT_S if self.next > self.base else 0.0
        self.size = min(self.size, self.limit)
        life = self._wanted(ack, now)
        if not self.greeted:
            self.greeted, self.deadline = True, 0.0
        turn = self._filled(now, life=life)
        turn.settled, turn.latencies = settled, latencies
        return turn

    def tick(self, now: float) -> Turn:
        """Nothing was heard for ACK_TIMEOUT_S: half the window from its beginning, and the life message with it."""
        if not self.deadline or now < self.deadline:
            return Turn([], False, [], [])
        self.missed += 1
        if self.missed >= min(PATIENCE * 2 ** min(self.left, 16), MAX_PATIENCE):
            self.left, self.deadline = self.left + 1, 0.0
            return Turn([], False, [], [], leave=True)
        if self.greeted:
            self.size, self.next, self.deadline = max(self.size // 2, 1), self.base, 0.0
            return self._filled(now, life=True)
        self.deadline = now + ACK_TIMEOUT_S
        return Turn([], True, [], [])

    def _wanted(self, ack: Ack, now: float) -> bool:
        """Go back to what is asked for. Whether it is below what there is, which a life message answers."""
        want = ack.want or (ack.seq + 1 if ack.state is AckState.RESEND else 0)
        if (
            not want
            or want >= self.next >= self.base
            or (want == self.rewound and now - self.rewound_at < REWIND_QUIET_S)
        ):
            return False
        self.rewound, self.rewound_at = want, now
        self.next = max(want, self.base)
        return want < self.base

    def _filled(self, now: float, *, life: bool) -> Turn:
        send: list[int] = []
        resent = 0
        if self.greeted:
            upto = min(self.end, self.base + self.size)
            for seq in range(self.next, upto):
                at = seq - self.base
                send.append(self.places[at])
                if not self.sent[at]:
                    self.sent[at] = now
                resent += seq < self.high
            self.next = max(self.next, upto)
            self.high = max(self.high, self.next)
            if send and not self.deadline:
                self.deadline = now + ACK_TIMEOUT_S
        return Turn(send, life, [], [], resent)
