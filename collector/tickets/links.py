"""Which ticket is an incident's, and what was last heard of it: written from the journal's entries, so that a rebuild makes the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

LINKED = "linked"
"""The origin of a link that a person made."""

_COLUMNS = ("connector", "external_id", "url", "state", "status", "owner", "updated_at", "said")
_WRITE = f"""
    INSERT INTO ticket_link (incident, {", ".join(_COLUMNS)}) VALUES (:incident, {", ".join(f":{each}" for each in _COLUMNS)})
    ON CONFLICT (incident) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _COLUMNS)}"""  # noqa: S608 - constants of this file


def keep_link(conn: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
    """Facts of a TICKET_CHANGE about an incident. What they do not say stays as it was; of a ticket in another system nothing does."""
    if "incident" not in facts:
        return
    found = conn.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM ticket_link WHERE incident = ? AND connector = ?",  # noqa: S608 - constants of this file
        (facts["incident"], facts["connector"]),
    ).fetchone()
    known = dict(zip(_COLUMNS, found or ("", "", "", "", "", "", 0, ""), strict=True))
    told = {name: facts[name] for name in _COLUMNS if name in facts and name != "said"}
    if facts.get("said"):
        told["said"] = facts["said"][-1][0]
    if facts.get("gone"):
        told |= {"external_id": "", "url": ""}
    elif facts.get("merged_into"):
        told["external_id"] = facts["merged_into"]
    conn.execute(_WRITE, {**known, **told, "incident": facts["incident"]})
