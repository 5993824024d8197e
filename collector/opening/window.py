"""What an opener has sent to the fold and has no answer to yet, and which of its groups the fold takes: two pure state machines that together keep the
order of an opener's groups whatever is lost, doubled or late between them, and whoever holds the fold.

An opener sends in runs. A run begins with its oldest group without an answer (place 0) and goes on one by one; when anything may have been lost, the
next run begins. The fold takes place 0 of a newer run, and of a run only the next place: so a group is never taken before the one in front of it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

WINDOW = 4
"""Groups of an opener without an answer: one is written, one is waiting for it, two are on their way there and back."""
MAX_OPENERS = 1000
"""Openers that a fold remembers: each new connection of one is another. What is forgotten costs duplicates, which the watermark drops."""

G = TypeVar("G")


@dataclass(frozen=True, slots=True)
class Sending(Generic[G]):
    run: int
    place: int
    number: int
    group: G


class Window(Generic[G]):
    """Of one opener, for as long as its connection holds."""

    def __init__(self, most: int = WINDOW) -> None:
        self._most = most
        self._waiting: deque[tuple[int, G]] = deque()
        self._done: set[int] = set()
        self._last = 0
        self._run = 1
        self._first = 1
        """Number of the group at place 0 of this run."""
        self._next = 1
        """Number of the group to be sent next."""

    @property
    def room(self) -> bool:
        return len(self._waiting) < self._most

    @property
    def unanswered(self) -> bool:
        """Whether something was sent in this run that has no answer."""
        return bool(self._waiting) and self._waiting[0][0] < self._next

    def add(self, group: G) -> None:
        self._last += 1
        self._waiting.append((self._last, group))

    def next(self) -> Sending[G] | None:
        """What is to be sent now; None where nothing is."""
        if self._next > self._last:
            return None
        number = self._next
        self._next += 1
        return Sending(self._run, number - self._first, number, self._waiting[number - self._waiting[0][0]][1])

    def again(self) -> None:
        """Anything that was sent may be lost: what has no answer is sent again, in order."""
        self._run += 1
        self._first = self._next = self._waiting[0][0] if self._waiting else self._last + 1

    def answered(self, number: int) -> list[G]:
        """It is stored: the groups that are, and all before them, in order. None of them where the answer comes again, or one in front is open."""
        if self._waiting and self._waiting[0][0] <= number <= self._last:
            self._done.add(number)
        released = []
        while self._waiting and self._waiting[0][0] in self._done:
            head, group = self._waiting.popleft()
            self._done.discard(head)
            released.append(group)
        if self._next < (self._waiting[0][0] if self._waiting else self._last + 1):
            # Answered by the fold before, while the new run was on its way.
            self.again()
        return released


class Turn(Enum):
    TAKE = "take"
    ANSWER = "answer"
    """It is stored already: the answer is given again."""
    PASS = "pass"  # noqa: S105 - no password
    """Out of its turn, or in work: nothing is done, and nothing said."""


class _Opener:
    __slots__ = ("answers", "next", "run", "taken")

    def __init__(self) -> None:
        self.run = 0
        self.next = 0
        self.taken = 0
        self.answers: OrderedDict[int, bytes] = OrderedDict()


class Turns:
    """Of one fold, for as long as it holds."""

    def __init__(self) -> None:
        self._openers: OrderedDict[str, _Opener] = OrderedDict()

    def turn(self, opener: str, run: int, place: int, number: int) -> Turn:
        known = self._openers.get(opener)
        if known is None:
            known = self._openers[opener] = _Opener()
            if len(self._openers) > MAX_OPENERS:
                self._openers.popitem(last=False)
        self._openers.move_to_end(opener)
        if place == 0 and run > known.run:
            known.run, known.next = run, 0
        if run != known.run or place != known.next:
            return Turn.PASS
        known.next += 1
        if number in known.answers:
            return Turn.ANSWER
        if number <= known.taken:
            return Turn.PASS
        known.taken = number
        return Turn.TAKE

    def answer(self, opener: str, number: int) -> bytes:
        """What was said to a group that is stored."""
        return self._openers[opener].answers[number]

    def stored(self, opener: str, number: int, answer: bytes) -> None:
        known = self._openers.get(opener)
        if known is not None:
            known.answers[number] = answer
            if len(known.answers) > WINDOW:
                known.answers.popitem(last=False)

    def refused(self, opener: str, number: int) -> None:
        """The store did not take it: it comes again, and nothing of its run before it."""
        known = self._openers.get(opener)
        if known is not None:
            known.taken = min(known.taken, number - 1)
            known.next = -1
