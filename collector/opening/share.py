"""Which partitions an opener takes first: those for which it is the first choice among the openers that are there, by rendezvous hashing, and the others
some seconds later, as standby. The broker gives a queue to the first who asks and goes on to the next when that one is gone; an opener asks in an order
that spreads them. Pure: who is there and what time it is comes from outside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256

HELLO_S = 2.0
"""Between two words of an opener that it is there."""
GONE_S = 7.0
"""Without a word it is gone: three were missed. What it held was the broker's to give away long before."""
STANDBY_S = 4.0
"""Before the others' queues are asked for: long enough for their first choice, which hears of its chance within a word."""


def first_choice(queue: str, members: Iterable[str]) -> str:
    """Of any set of members the same one everywhere; where one comes or goes only its own queues move."""
    return max(members, key=lambda name: (sha256(f"{queue}\0{name}".encode()).digest(), name))


class Members:
    """Who is there, this one always. now: monotonic s."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._heard: dict[str, float] = {}

    def heard(self, name: str, now: float, *, bye: bool = False) -> bool:
        """Whether that changes who is there."""
        if name == self._me:
            return False
        if bye:
            return self._heard.pop(name, None) is not None
        new = name not in self._heard
        self._heard[name] = now
        return new

    def present(self, now: float) -> frozenset[str]:
        self._heard = {name: at for name, at in self._heard.items() if now - at < GONE_S}
        return frozenset((self._me, *self._heard))


class Share:
    """When to ask for which queue, and which to let go."""

    def __init__(self, me: str, queues: Collection[str]) -> None:
        self._me = me
        self._choice = dict.fromkeys(queues, "")
        self._due: dict[str, float] = dict.fromkeys(queues, 0.0)
        self._held: set[str] = set()

    @property
    def own(self) -> int:
        """Queues whose first choice this one is."""
        return sum(name == self._me for name in self._choice.values())

    def settle(self, members: frozenset[str], now: float) -> None:
        """These are there from now on. What has another first choice than before is let go, and asked for again as standby."""
        for queue, before in self._choice.items():
            choice = self._choice[queue] = first_choice(queue, members)
            if choice != before:
                self._due[queue] = now if choice == self._me else now + STANDBY_S

    def ask(self, now: float) -> list[str]:
        """Queues to consume from now on."""
        due = [queue for queue, at in self._due.items() if queue not in self._held and at <= now]
        self._held.update(due)
        return due

    def let_go(self, now: float) -> list[str]:
        """Queues to consume no longer, before ask()."""
        gone = [queue for queue in self._held if self._due[queue] > now]
        self._held.difference_update(gone)
        return gone
