"""What a page of the report is made of, and how that becomes one HTML file: no script, nothing from anywhere else, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import BaseLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

NARROW = 3
"""Columns up to which a table is not as wide as the page."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a bar. tone: its class in the style sheet; share: of the whole bar, from 0 to 1; name, value: what the legend says."""

    tone: str
    share: float
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A stacked bar. said: what it shows, for who cannot see it."""

    pieces: Sequence[Piece]
    said: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A cell with a tone of its own: `good` or `bad`; mark stands beside it, since colour alone says nothing in print."""

    text: str
    tone: str


Cell = str | Bar | Marked


@dataclass(frozen=True, slots=True)
class Column:
    """keep: its cells are not broken into lines, as numeric ones are not."""

    label: str
    numeric: bool = False
    keep: bool = False

    @property
    def style(self) -> str:
        return "n" if self.numeric else "k" if self.keep else ""


@dataclass(frozen=True, slots=True)
class Table:
    """wide: it scrolls on a narrow screen, where others of more than NARROW columns become cards."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    wide: bool = False
    kind: str = "table"

    @property
    def style(self) -> str:
        """A few columns far apart are hard to read along."""
        return "scroll" if self.wide else "narrow" if len(self.columns) <= NARROW else "cards"


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    kind: str = "note"


@dataclass(frozen=True, slots=True)
class Split:
    """One bar with its legend."""

    title: str
    bar: Bar
    note: str = ""
    kind: str = "split"


@dataclass(frozen=True, slots=True)
class Day:
    """label: empty where the axis has no room; pieces: shares of the full height."""

    label: str
    pieces: Sequence[Piece]
    said: str


@dataclass(frozen=True, slots=True)
class Days:
    title: str
    days: Sequence[Day]
    legend: Sequence[Piece]
    note: str
    kind: str = "days"


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms with what they mean."""

    pairs: Sequence[tuple[str, str]]
    kind: str = "facts"


Block = Table | Note | Split | Days | Facts


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Tile:
    """tone: `good`, `bad` or empty."""

    label: str
    value: str
    note: str
    tone: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    language: str
    title: str
    name: str
    facts: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    tiles: Sequence[Tile]
    contents: str
    sections: Sequence[Section]


@cache
def _template() -> Template:
    folder = files("tillwatch.collector.figures")
    environment = Environment(
        loader=BaseLoader(), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["style"] = Markup((folder / "report.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    return environment.from_string((folder / "report.html").read_text(encoding="utf-8"))


def render(page: Page) -> str:
    """The whole file."""
    return _template().render(page=page)
