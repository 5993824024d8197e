"""The tables of the predictions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tables:
    """Shipped and site settings."""


def parse_tables(site: str = "") -> Tables:
    return Tables()
