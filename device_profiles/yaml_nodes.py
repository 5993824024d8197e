"""Reads YAML as nodes with their lines, so that every error names file, line and the mend.

Plain words stay words: `on`, `no` and `1.3` are what stands in the file, not a truth or a number of YAML's choosing.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

QUICK: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml, which PyYAML's wheels bring: a tenth of the time, and the profiles are read at the first start on a terminal's slow processor."""


class ProfileError(Exception):
    """A profile or the catalogue is wrong. The text is `file:line: what is wrong; the mend`."""


def nearest(word: str, known: Collection[str]) -> str:
    """`did you mean x?` where something like it is known, else the list where it is short."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"it must be one of {', '.join(sorted(known))}" if len(known) <= 30 else "look it up in catalogue.yaml"


@dataclass(frozen=True, slots=True)
class Spot:
    """A node of a file: what it holds and where."""

    file: str
    node: yaml.Node

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def wrong(self, what: str) -> NoReturn:
        raise ProfileError(f"{self.file}:{self.line}: {what}")

    def _of(self, node: yaml.Node) -> Spot:
        return Spot(self.file, node)

    def part(self, text: str) -> Spot:
        """A word of this text, as if it stood here alone."""
        return self._of(yaml.ScalarNode("", text, self.node.start_mark))

    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    def text(self) -> str:
        if not isinstance(self.node, yaml.ScalarNode):
            self.wrong("here stands a list or a mapping; write one value")
        return str(self.node.value)

    def number(self) -> float:
        text = self.text()
        try:
            value = float(text) if not text.lstrip("-").isdigit() else int(text)
        except ValueError:
            self.wrong(f"{text!r} is not a number; write one such as 10 or 0.1")
        if not math.isfinite(value):
            self.wrong(f"{text!r} is not a finite number; write one such as 10 or 0.1")
        return value

    def whole(self) -> int:
        number = self.number()
        if not isinstance(number, int):
            self.wrong(f"{number} is not a whole number; write one such as 8")
        return number

    def truth(self) -> bool:
        text = self.text()
        if text not in {"true", "false"}:
            self.wrong(f"{text!r} is neither true nor false; write one of them")
        return text == "true"

    def choice(self, known: Collection[str], what: str) -> str:
        text = self.text()
        if text not in known:
            self.wrong(f"{text!r} is no {what}; {nearest(text, known)}")
        return text

    def items(self) -> Iterator[Spot]:
        """Of a list; a single value counts as a list of one."""
        if isinstance(self.node, yaml.SequenceNode):
            return (self._of(node) for node in self.node.value)
        return iter((self,))

    def pairs(self) -> Iterator[tuple[Spot, Spot]]:
        """Of a mapping, keys in the file's order, each once."""
        if not isinstance(self.node, yaml.MappingNode):
            self.wrong("here a mapping is needed; write `key: value` lines")
        seen: set[str] = set()
        for key_node, value_node in self.node.value:
            key = self._of(key_node)
            if key.text() in seen:
                key.wrong(f"{key.text()!r} stands here a second time; keep one")
            seen.add(key.text())
            yield key, self._of(value_node)

    def mapping(self, known: Collection[str], needed: Collection[str] = ()) -> dict[str, Spot]:
        """Of a mapping with a closed list of keys; `needed` must be there."""
        found = {}
        for key, value in self.pairs():
            if key.text() not in known:
                key.wrong(f"unknown key {key.text()!r}; {nearest(key.text(), known)}")
            found[key.text()] = value
        for name in needed:
            if name not in found:
                self.wrong(f"{name!r} is missing; add `{name}: ...`")
        return found


def _composed(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=QUICK)
    except yaml.YAMLError:
        # PyYAML's own parser says on every machine the same of what is wrong.
        return yaml.compose(text, Loader=yaml.SafeLoader)


def read(path: Path, name: str) -> Spot:
    """The whole file. name: what errors call it. Raises ProfileError, also where the file is not YAML."""
    try:
        node = _composed(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ProfileError(
            f"{name}:{mark.line + 1 if mark else 1}: not YAML: {getattr(error, 'problem', error)}; check indentation, colons and quotes"
        ) from error
    if node is None:
        raise ProfileError(f"{name}:1: the file is empty; see model.py for what a profile holds")
    return Spot(name, node)
