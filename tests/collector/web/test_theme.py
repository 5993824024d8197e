"""The colours: text on its ground has the contrast that WCAG AA asks for, in both themes."""

from __future__ import annotations

import re

import pytest

from tillwatch.collector.web.pages.theme import STATIC

CSS = (STATIC / "console.css").read_text()
COLOURS = {name: pair for name, *pair in re.findall(r"--tw-([a-z0-9-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)}

TEXT_ON = [
    *(
        (ink, ground)
        for ink in ("ink", "ink2", "accent", "crit", "warn", "ok", "unknown")
        for ground in ("bg", "panel", "raised")
    ),
    *((name, f"{name}-bg") for name in ("crit", "warn", "ok", "unknown", "accent")),
    ("unknown", "hatch"),
    ("panel", "crit"),
]


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON)
def test_text_is_legible(ink, ground, theme):
    assert contrast(COLOURS[ink][theme], COLOURS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["bg", "panel"])
def test_controls_can_be_seen(ground, theme):
    assert contrast(COLOURS["control"][theme], COLOURS[ground][theme]) >= 3
