"""Which ticket is an incident's, and what was last heard of it: written from the journal's entries, so that a rebuild makes the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tillwatch.collector.store.db import Db

LINKED = "linked"
"""The origin of a link that a person made."""

_UNKNOWN: Mapping[str, Any] = {"status": "", "owner": "", "updated_at": 0, "said": "", "verdict": "", "part": ""}
"""Of a ticket that only our own delivery has told of."""
_COLUMNS = ("connector", "external_id", "url", "state", "adopted", *_UNKNOWN)
_WRITE = f"""
    INSERT INTO ticket_link (incident, {", ".join(_COLUMNS)}) VALUES (:incident, {", ".join(f":{each}" for each in _COLUMNS)})
    ON CONFLICT (incident) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _COLUMNS)}"""  # noqa: S608 - constants of this file


def keep_link(conn: Db, facts: Mapping[str, Any]) -> None:
    """Facts of a TICKET_CHANGE about an incident. What they do not say stays as it was; of a ticket in another system nothing does, of another one
    in the same system what was delivered. The status is not known after a delivery: a note of ours may turn "new" into "open".
    """
    if "incident" not in facts:
        return
    found = conn.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM ticket_link WHERE incident = ? AND connector = ?",  # noqa: S608 - constants of this file
        (facts["incident"], facts["connector"]),
    ).fetchone()
    known = (
        dict(zip(_COLUMNS, found, strict=True))
        if found
        else {name: _UNKNOWN.get(name, "") for name in _COLUMNS} | {"adopted": 0}
    )
    if facts.get("origin") in ("delivered", LINKED):
        if facts.get("external_id", known["external_id"]) != known["external_id"]:
            known |= {**_UNKNOWN, "adopted": 0}
        known["status"] = ""
    told = {name: facts[name] for name in _COLUMNS if name in facts and name != "said"}
    if facts.get("said"):
        told["said"] = facts["said"][-1][0]
    if facts.get("gone"):
        told |= {"external_id": "", "url": ""}
    elif facts.get("merged_into"):
        told |= {"external_id": facts["merged_into"], "adopted": 1}
    elif facts.get("origin") == LINKED:
        told["adopted"] = 1
    now = {**known, **told, "incident": facts["incident"]}
    conn.execute(_WRITE, now)
    if found and now["external_id"] != found[_COLUMNS.index("external_id")]:
        conn.execute("UPDATE ticket_link SET verified_at = 0 WHERE incident = ?", (facts["incident"],))
