"""The commands of a guide: fenced blocks that say on which machine they are run, as in ```sh collector."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "packaging" / "docs"
FOLLOWED = ("install", "operate", "backup", "upgrade", "product-incidents")
GUIDES = (*FOLLOWED, "security")
BLOCK = re.compile(r"^( *)```sh (\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def text_of(guide: str) -> str:
    return (DOCS / f"{guide}.md").read_text("utf-8")


def commands(guide: str) -> Iterator[tuple[str, str]]:
    """(machine, command line), in their order."""
    for block in BLOCK.finditer(text_of(guide)):
        for line in textwrap.dedent(block[3]).splitlines():
            if line:
                yield block[2], line
