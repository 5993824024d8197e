"""A released preset never changes: with other bytes on one side, no batch of that schema can be opened."""

from __future__ import annotations

from hashlib import sha256

from tillwatch.agent.preset import PRESETS, SCHEMA

RELEASED = {1: "49b8de2a1e9e313b65e4886b02214c6248d7f194b3ae7900cbb963082288d349"}
MAX_PRESET = 4_096
"""Bytes: it is in the memory of every agent, and what lies further back costs more than it saves."""


def test_released_presets_are_as_they_were() -> None:
    assert {schema: sha256(content).hexdigest() for schema, content in PRESETS.items()} == RELEASED


def test_presets_are_small_and_their_schema_fits_the_flags() -> None:
    assert max(PRESETS) == SCHEMA
    assert all(0 < schema < 16 for schema in PRESETS)
    assert all(0 < len(content) <= MAX_PRESET for content in PRESETS.values())
