"""The changelog and the copyright file of a package."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

COMMON = {
    "Apache-2.0": r"Apache License\s+Version 2\.0, January 2004.*?(END OF TERMS AND CONDITIONS|\Z)",
    "GPL-3": r"GNU GENERAL PUBLIC LICENSE\s+Version 3, 29 June 2007.*?(END OF TERMS AND CONDITIONS|\Z)",
}
"""Whole texts that every Debian system has once, in /usr/share/common-licenses, and asks packages to refer to."""
KINDS = ("added", "changed", "fixed", "removed", "security")
TEXTS = Path(__file__).parents[1] / "supply" / "texts"
"""Of distributions whose wheels leave theirs out; `make licences` sees that none is missing."""
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)


def changelog(fragments: Path, package: str, version: str, release: str) -> str:
    """One entry in Debian's form, from the fragments that no release has collected yet. Without its last line, which says who and when."""
    found = [
        (int(path.name.partition(".")[0]), KINDS.index(kind), kind, path)
        for path in fragments.glob("*.md")
        if (kind := path.name.split(".")[1]) in KINDS
    ]
    lines = [f"{package} ({version}) {release}; urgency=medium", ""]
    for *_, kind, path in sorted(found, reverse=True):
        for paragraph in re.split(r"\n\s*\n", path.read_text("utf-8").strip()):
            text = f"{kind.capitalize()}: {' '.join(paragraph.split())}"
            lines += textwrap.wrap(text, 78, initial_indent="  * ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def copyright_of(licence: Path, distributions: Iterable[Path]) -> str:
    """The project's own licence in one sentence, then each bundled distribution with the texts that came with it."""
    parts = [
        (
            "This package holds tillwatch and the libraries that it is built on. tillwatch itself:\n\n"
            "  Apache License, Version 2.0; on Debian systems its text is in /usr/share/common-licenses/Apache-2.0.\n"
        )
    ]
    assert "Apache License" in licence.read_text("utf-8")
    for folder in distributions:
        about = HeaderParser().parsestr((folder / "METADATA").read_text("utf-8"))
        if about["Name"] == "tillwatch":
            continue
        who = about["Author"] or about["Author-email"] or about["Maintainer-email"] or "its authors"
        parts.append(f"{about['Name']} {about['Version']}, by {' '.join(who.split())}\nLicence: {_licence(about)}\n")
        texts = sorted(path for path in folder.rglob("*") if path.is_file() and LICENCE_FILE.search(path.name))
        for text in texts or filter(Path.exists, (TEXTS / f"{about['Name'].lower()}.txt",)):
            words = text.read_text("utf-8", errors="replace").strip()
            for name, whole in COMMON.items():
                words = re.sub(whole, f"[The text of /usr/share/common-licenses/{name}]", words, flags=re.DOTALL)
            parts.append(textwrap.indent(words, "  ", lambda _: True) + "\n")
    rule = "\n" + "-" * 78 + "\n\n"
    return rule.join(parts)


def _licence(about: object) -> str:
    """As the distribution says it: in the order of the fields from the newest to the oldest."""
    headers = about
    expression = headers["License-Expression"]  # type: ignore[index]
    if expression:
        return str(expression)
    classifiers = [one.rpartition(" :: ")[2] for one in headers.get_all("Classifier", []) if one.startswith("License")]  # type: ignore[attr-defined]
    said = str(headers["License"] or "").strip()  # type: ignore[index]
    return ", ".join(classifiers) or said.partition("\n")[0] or "see its text"
