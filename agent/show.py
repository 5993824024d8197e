"""`tillwatch-agent show`: who this terminal is and what waits in its spool. Reads only; can run beside the agent."""

from __future__ import annotations

import argparse
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tillwatch.agent import config, identity, spool_file
from tillwatch.agent.uplink import where_to
from tillwatch.agent.wire import VerifyKey, open_rotation

SHOWN = 20
"""Refused batches that are listed, the newest."""


def run(args: argparse.Namespace) -> int:
    settings = config.load(args.config, args.state_dir)
    who = identity.load(settings.state_dir)
    broker = where_to(settings.collector, who.broker)
    shown: dict[str, Any] = {
        "terminal": who.terminal,
        "branch": who.branch,
        "region": who.region,
        "key": who.key.key_id.hex(),
        "key_since": _iso(who.since),
        "former_keys": [
            f"{VerifyKey(one.old).key_id.hex()} up to batch {one.seq}" for one in map(open_rotation, who.rotations)
        ],
        "collector_keys": [key.hex() for key in who.ack_keys],
        "broker": f"{broker.host}:{broker.port}{' with TLS' if broker.tls else ''}",
        "configuration": str(settings.path or ""),
        "state_dir": str(settings.state_dir),
    }
    file = settings.state_dir / identity.SPOOL
    if file.exists():
        try:
            shown["spool"] = spool_figures(file)
        except sqlite3.Error as error:
            shown["spool"] = {"error": f"{file}: {error}"}
    if args.json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(shown)
    return 0


def spool_figures(file: Path) -> dict[str, Any]:
    with closing(spool_file.connect(file, read_only=True)) as db:
        why = "why" if db.execute("PRAGMA user_version").fetchone()[0] >= spool_file.WHY_SINCE else "''"
        row = db.execute(f"SELECT epoch, next_seq, acked, lost, {why} FROM epochs ORDER BY gen DESC LIMIT 1").fetchone()  # noqa: S608 - one of two constants
        batches, size, oldest = db.execute(
            "SELECT count(*), coalesce(sum(length(bytes)), 0), min(at) FROM sealed"
        ).fetchone()
        refused = db.execute("SELECT seq, at, reason FROM parked ORDER BY id DESC LIMIT ?", (SHOWN,)).fetchall()
    return {
        "epoch": row[0].hex() if row else "",
        "epoch_began_because": row[4] if row else "",
        "sealed": row[1] - 1 if row else 0,
        "stored": row[2] if row else 0,
        "lost_readings": row[3] if row else 0,
        "waiting": batches,
        "bytes": size,
        "oldest": _iso(oldest) if oldest else "",
        "refused": [{"seq": seq, "at": _iso(at), "reason": reason} for seq, at, reason in refused],
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="milliseconds")


def _print(shown: dict[str, Any], indent: str = "") -> None:
    for name, value in shown.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _print(value, indent + "  ")
        elif isinstance(value, list):
            print(f"{indent}{name + ':':16}{'' if value else '-'}")
            for item in value:
                print(f"{indent}  {item if isinstance(item, str) else '  '.join(str(part) for part in item.values())}")
        else:
            print(f"{indent}{name + ':':16}{value if value != '' else '-'}")
