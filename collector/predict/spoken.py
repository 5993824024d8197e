"""The last word of each state and text that wear and run-outs ask for, and only what is new of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

MAX_WORDS = 200_000
"""Words of a fleet: a hundred of each of 2,000 terminals, some 200 B each."""
MAX_TEXT = 96
"""Characters: serial numbers and models are shorter; what is longer is a sentence."""

Key = tuple[str, str, str]
"""Terminal, component, signal."""


class Spoken:
    """refused: words that found no place."""

    def __init__(self) -> None:
        self._words: dict[Key, tuple[int, str]] = {}
        self.refused = 0

    def hear(self, key: Key, at: int, word: str) -> bool:
        """Whether it is new. at: UTC ns; what is older than the last one is not."""
        before = self._words.get(key)
        word = word[:MAX_TEXT]
        if before is None and len(self._words) >= MAX_WORDS:
            self.refused += 1
            return False
        if before is not None and at <= before[0]:
            return False
        self._words[key] = at, word
        return before is None or before[1] != word

    def last(self, terminal: str, component: str, signal: str) -> str:
        """Empty where there is none."""
        return self._words.get((terminal, component, signal), (0, ""))[1]

    def state(self) -> list[list[Any]]:
        return [[*key, at, word] for key, (at, word) in self._words.items()]

    def restore(self, state: Iterable[Sequence[Any]]) -> None:
        self._words = {(t, c, s): (int(at), str(word)) for t, c, s, at, word in state}
