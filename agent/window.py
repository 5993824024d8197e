"""Go-back-N as a pure state machine: what was sealed, acknowledged or timed out goes in, what to send or discard comes out. It has no clock
and does no I/O; `now` is any clock that only goes forward, in seconds. Nothing is discarded but on an ack of this epoch, and on each
connection nothing is sent before the collector has said what it has: a spool that went back in time shows there, before it does harm.
"""

from __future__ import annotations

from dataclasses import dataclass

from tillwatch.agent.wire import LEAST_PACE, MOST_PACE, USUAL_PACE, Ack, AckState

WINDOW = 8
"""Batches in flight. One round trip of some 100 ms then carries 80 batches a second: a day's backlog in under a minute."""
MAX_WINDOW = 64
"""What a collector may raise it to: 64 payloads of at most 128 KiB are what the transport may have to hold."""
ACK_TIMEOUT = 30.0
REWIND_QUIET = 2.0
"""Every batch behind a lost one makes the collector ask for it again: asked once, it is sent once in this many seconds."""
HALT_PROBE = 600.0
"""While the collector says `enrol`, one life message in so many seconds asks whether it still does."""
PRESENT_AGAIN = 30.0
"""Seconds: to `enrol` the rotations of the key are presented at once, but whoever can provoke it does not set the pace."""
MAX_PACE = 8
"""How far `slow` stretches the seal interval."""
MAX_MIN_INTERVAL = 3_600.0
"""Seconds that a collector may ask for between seals: a batch spans at most one hour."""


@dataclass(frozen=True, slots=True)
class Send:
    seq: int


@dataclass(frozen=True, slots=True)
class SendLife:
    why: str


@dataclass(frozen=True, slots=True)
class Discard:
    """All up to seq is settled: stored, but for those that the collector refused, with its reasons."""

    seq: int
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """Write down that what is sealed may go out, then call `offered_now`."""


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """stored: all up to it is with the collector as it is here."""

    why: str
    stored: int = 0
    rolled_back: bool = False


Action = Send | SendLife | Discard | Offer | NewEpoch


class Window:
    """The stream of one epoch. base: the oldest seq that is not known to be stored; next: the one to send next; end: the one that will
    be sealed next; offered: from this seq on nothing can be with the collector; greeted: it has answered on this connection.
    """

    def __init__(self, epoch: bytes, base: int, end: int, offered: int, size: int = WINDOW) -> None:
        self.epoch, self.base, self.next, self.end, self.offered = epoch, base, base, end, offered
        self.greeted = False
        self.limit = self.size = size
        self.connected = self.halted = self.overdue = False
        self.pace = 1
        self.min_interval = 0.0
        self.sampling = 1.0
        self.resent = 0
        self.overdue_since: float | None = None
        """When the first ack was missed of those that are, on this connection."""
        self.latency = 0.0
        """Seconds from the last sending of a batch to its ack."""
        self._high = base
        self._sent_at: dict[int, float] = {}
        self._deadline: float | None = None
        self._rewound = (0, float("-inf"))
        self._presented = float("-inf")

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._deadline

    def connect(self, now: float) -> None:
        """A new connection: whatever was in flight on the old one is sent again, once the collector has answered the birth. The birth is the
        caller's, before this.
        """
        self.connected, self.halted, self.overdue_since = True, False, None
        self.next = self.base
        self._deadline = now + ACK_TIMEOUT

    def disconnect(self) -> None:
        self.connected = self.greeted = False
        self._deadline = None
        self._sent_at.clear()

    def sealed(self, end: int, floor: int, now: float) -> list[Action]:
        """The spool holds floor to end-1. A floor above the base is declared loss: the collector must hear of it."""
        self.end = max(end, self.end)
        if self.greeted:
            self.offered = self.end
        actions: list[Action] = []
        if floor > self.base:
            self.base, self.next = floor, max(self.next, floor)
            if self.connected:
                actions.append(SendLife("batches were dropped"))
        return actions + self._fill(now)

    def acked(self, ack: Ack, now: float, own: bytes = b"") -> list[Action]:
        """own: the digest of this terminal's batch `ack.seq`, empty where it cannot tell. A digest decides what a number cannot: whether
        the collector stored this machine's batch, or that of another one under the same identity.
        """
        if ack.epoch != self.epoch:
            return []
        if ack.state is AckState.ENROL:
            return self._unknown(now)
        compared = bool(ack.digest and own)
        same = compared and own[: len(ack.digest)] == ack.digest
        sendable = max(self.offered, self.base)
        if ack.seq >= sendable and not same:
            why = f"the collector has batch {ack.seq} of this epoch, and nothing from {sendable} on ever left here"
            return [NewEpoch(why, sendable - 1, rolled_back=True)]
        if compared and not same:
            return [NewEpoch(f"the collector's batch {ack.seq} of this epoch is not the one that was sealed here")]
        # A fork behind a batch that both sides have is another machine's: chained digests hold for all before it, too.
        if ack.state is AckState.FORK and not compared:
            return [NewEpoch("the collector knows another history of this epoch")]
        if self.halted:
            self.next = self.base
        self.halted = self.overdue = False
        self.overdue_since = None
        if ack.window:
            self.limit = min(ack.window, MAX_WINDOW)
        self.min_interval = min(ack.min_interval / 1000, MAX_MIN_INTERVAL)
        self.sampling = min(max(ack.pace, LEAST_PACE), MOST_PACE) / USUAL_PACE
        self.pace = min(self.pace * 2, MAX_PACE) if ack.state is AckState.SLOW else max(self.pace // 2, 1)
        actions: list[Action] = []
        if ack.seq >= self.base:
            refused = tuple((seq, reason) for seq, reason in ack.refused if self.base <= seq <= ack.seq)
            self._advance(ack.seq, now)
            actions.append(Discard(ack.seq, refused))
        self.size = min(self.size, self.limit)
        actions += self._wanted(ack, now)
        if self.connected and not self.greeted:
            return [*actions, Offer()]
        return actions + self._fill(now)

    def offered_now(self, now: float) -> list[Action]:
        """The offer is written down: the stream begins."""
        if self.greeted:
            return []
        self.greeted, self.offered = True, self.end
        self._deadline = None
        return self._fill(now)

    def _unknown(self, now: float) -> list[Action]:
        self.halted = True
        self._deadline = now + HALT_PROBE
        if now - self._presented < PRESENT_AGAIN:
            return []
        self._presented = now
        return [SendLife("the collector does not know this key")]

    def tick(self, now: float) -> list[Action]:
        if not self.connected or self._deadline is None or now < self._deadline:
            return []
        if self.halted:
            self._deadline = now + HALT_PROBE
            return [SendLife("is this terminal enrolled again?")]
        # The life message goes along: the collector may have missed the one that tells where this epoch begins.
        self.overdue = True
        if self.overdue_since is None:
            self.overdue_since = now
        if not self.greeted:
            self._deadline = now + ACK_TIMEOUT
            return [SendLife("no answer")]
        self.size = max(self.size // 2, 1)
        self.next = self.base
        self._deadline = None
        return [SendLife("no ack"), *self._fill(now)]

    def _advance(self, seq: int, now: float) -> None:
        if (sent := self._sent_at.get(seq)) is not None:
            self.latency = now - sent
        self._sent_at = {later: at for later, at in self._sent_at.items() if later > seq}
        self.base = seq + 1
        self.next = max(self.next, self.base)
        self.size = min(self.size + 1, self.limit)
        self._deadline = now + ACK_TIMEOUT if self.next > self.base else None

    def _wanted(self, ack: Ack, now: float) -> list[Action]:
        want = ack.want or (ack.seq + 1 if ack.state is AckState.RESEND else 0)
        if not want or (want >= self.next and want >= self.base):
            return []
        seq, at = self._rewound
        if want == seq and now - at < REWIND_QUIET:
            return []
        self._rewound = (want, now)
        self.next = max(want, self.base)
        return [SendLife(f"{want} is wanted and gone")] if want < self.base else []

    def _fill(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self.greeted and not self.halted:
            while self.next < self.end and self.next - self.base < self.size:
                self._sent_at[self.next] = now
                self.resent += self.next < self._high
                actions.append(Send(self.next))
                self.next += 1
            self._high = max(self._high, self.next)
            if actions and self._deadline is None:
                self._deadline = now + ACK_TIMEOUT
        return actions
