"""What was last done beside the journal, such as a backup or a verification: one small file beside the store, for whoever asks how the monitoring is. It proves
nothing and nothing rests on it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

BACKUP, VERIFIED = "backup", "verified"
MAX_BYTES = 64 * 1024


def beside(database: Path) -> Path:
    return database.with_name("done.json")


def read(database: Path) -> dict[str, dict[str, Any]]:
    """What -> `at` (UTC ns), `ok`, `text`, `entries`. Empty where nothing was kept or it cannot be read."""
    try:
        text = beside(database).read_bytes()[:MAX_BYTES]
        found = json.loads(text)
    except (OSError, ValueError):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def keep(database: Path, what: str, at: int, *, ok: bool, text: str, entries: int) -> None:
    """Called by the command that has done it, as the collector's user. A disk that is full does not undo what was done: OSError is for the caller."""
    known = read(database) | {what: {"at": at, "ok": ok, "text": text[:500], "entries": entries}}
    path = beside(database)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")
    os.replace(part, path)  # noqa: PTH105 - replaces on Windows, too
