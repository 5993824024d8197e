"""What people read, in English and Simplified Chinese, out of one catalogue (messages/*.toml, a file a room of the console): pages, chart and scripts
take it from here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh")

CATALOGUE = Path(__file__).with_name("messages")


def _flatten(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    for key, value in table.items():
        name = f"{prefix}.{key}" if prefix else key
        if "en" in value:
            yield name, value
        else:
            yield from _flatten(name, value)


def catalogue(place: Path = CATALOGUE) -> dict[str, Mapping[str, str]]:
    """Every message of a folder, or of one file: key -> {language: text}. Raises ValueError for one that stands in two files."""
    found: dict[str, Mapping[str, str]] = {}
    for path in sorted(place.glob("*.toml")) if place.is_dir() else (place,):
        for key, texts in _flatten("", tomllib.loads(path.read_text(encoding="utf-8"))):
            if key in found:
                raise ValueError(f"{path}: {key} stands in another file of the catalogue, too")
            found[key] = texts
    return found


class Text:
    """The texts of one language: `text("fleet.rows", n=3)`. A key that is not there raises KeyError: a test finds it, not a user."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self.texts = texts

    def __call__(self, key: str, **values: object) -> str:
        text = self.texts[key]
        for name, value in values.items():
            place, filled = "{" + name + "}", str(value)
            if self.language == "zh":
                text = _closed(text, place, filled)
            text = text.replace(place, filled)
        return text


HAN = r"[\u3400-\u9fff]"


def _closed(text: str, place: str, value: str) -> str:
    """Without the space that stands around a place for digits and Latin words, where the value begins or ends in a Chinese sign."""
    if re.match(HAN, value):
        text = re.sub(f"({HAN}) {re.escape(place)}", lambda found: found[1] + place, text)
    if re.search(f"{HAN}$", value):
        text = re.sub(f"{re.escape(place)} (?={HAN})", lambda _: place, text)
    return text


_ALL = catalogue()
TEXTS = {language: Text(language, {key: texts[language] for key, texts in _ALL.items()}) for language in LANGUAGES}


def choose(asked: str | None, remembered: str | None, accept: str) -> Text:
    """The first of: asked for in the address, remembered by the browser, the browser's own order; English without any."""
    for wanted in (asked, remembered):
        if wanted and (known := wanted.lower()[:2]) in LANGUAGES:
            return TEXTS[known]
    weighed = []
    for place, part in enumerate(accept.split(",")[:20]):
        name, _, quality = part.partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if (known := name.strip().lower()[:2]) in LANGUAGES and weight > 0:
            weighed.append((-weight, place, known))
    return TEXTS[min(weighed)[2]] if weighed else TEXTS["en"]
