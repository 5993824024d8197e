"""What the command line knows of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """What argparse's add_argument takes."""

    names: tuple[str, ...]
    how: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """call: `module:function` of this package; json: it also answers with one JSON value. more: said below the text of its own help."""

    name: str
    call: str
    text: str
    example: str
    options: tuple[Option, ...] = ()
    json: bool = False
    more: str = ""


def option(*names: str, **how: Any) -> Option:
    return Option(names, how)
