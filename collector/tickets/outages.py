"""The evidence of an outage in another language: the journal has it in English, as terminal/causes.py concluded it, and here its parts are found again in a
catalogue (outages.toml). A part of another version, or of another origin, stays as it is. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path

CATALOGUE = Path(__file__).with_name("outages.toml")
PART = "part"
ENGLISH = "en"
BETWEEN = "; "
_BETWEEN = {"zh": "；"}
_PLACE = re.compile(r"\{([a-z]+)\}")
_APART = re.compile(r"(?<=[\u3400-\u9fff]) +(?=[\u3400-\u9fff，；：（）]|$)")
"""The space around digits and Latin words, where a place was filled with Chinese instead."""
_NUMBERS = frozenset({"n", "of", "branches"})


@cache
def catalogue() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Section -> key -> language -> text."""
    return tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))


def evidence(text: str, language: str) -> str:
    """What was concluded of an outage, in a language."""
    if language == ENGLISH or not text:
        return text
    said = [_said(PART, part, language) or part for part in text.split(BETWEEN)]
    return _APART.sub("", _BETWEEN.get(language, BETWEEN).join(said))


def _said(section: str, text: str, language: str) -> str | None:
    """One phrase of a section; None where it is none of its phrases."""
    for pattern, texts in _patterns(section):
        found = pattern.fullmatch(text)
        if found is None or language not in texts:
            continue
        values = {
            name: _said(name, value, language) if name in catalogue() else value
            for name, value in found.groupdict().items()
        }
        if None not in values.values():
            return _PLACE.sub(partial(_filled, values), texts[language])
    return None


def _filled(values: Mapping[str, object], place: re.Match[str]) -> str:
    return str(values[place[1]])


@cache
def _patterns(section: str) -> tuple[tuple[re.Pattern[str], Mapping[str, str]], ...]:
    return tuple((re.compile(_pattern(texts[ENGLISH])), texts) for texts in catalogue()[section].values())


def _pattern(english: str, *, named: bool = True) -> str:
    def pieces() -> Iterator[str]:
        at = 0
        for place in _PLACE.finditer(english):
            name = place[1]
            yield re.escape(english[at : place.start()])
            yield f"(?P<{name}>{_value(name)})" if named else f"(?:{_value(name)})"
            at = place.end()
        yield re.escape(english[at:])

    return "".join(pieces())


def _value(name: str) -> str:
    """What may stand in a place."""
    if name in catalogue():
        return "|".join(_pattern(texts[ENGLISH], named=False) for texts in catalogue()[name].values())
    return "[0-9]+" if name in _NUMBERS else ".+"
