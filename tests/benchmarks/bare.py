"""The bare loops that the collector is compared with: the same messages, verified, decoded and inserted, and nothing around that. A process
of its own: `python -m tests.benchmarks.bare MESSAGES FOLDER GROUP`; prints one JSON object.

`bare` opens each message with the collector's own `open_batch`, every check in. `raw` is libsodium, zlib and msgpack alone, as nobody could
run it in the open: it believes every length and every type.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from itertools import chain
from pathlib import Path

import msgpack
from nacl.bindings import crypto_sign_open

from tests.benchmarks import fleet
from tillwatch.agent.preset import PRESETS, SCHEMA
from tillwatch.agent.wire import SIGNATURE, Refusal, VerifyKey, batch_topic, open_batch

Row = tuple[str, bytes, bytes]
"""(terminal, payload, digest)."""


class Keys:
    def __init__(self, streams: list[fleet.Stream]) -> None:
        self._keys = {stream.name: VerifyKey(stream.key.public) for stream in streams}

    def knows(self, terminal: str) -> bool:
        return terminal in self._keys

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        key = self._keys[terminal]
        return key if key.key_id == key_id else Refusal.UNKNOWN_KEY

    def public(self, terminal: str) -> bytes:
        return self._keys[terminal].public


def opened(keys: Keys, terminal: str, topic: str, payload: bytes) -> Row:
    return terminal, payload, open_batch(topic, payload, keys).digest


def believed(keys: Keys, terminal: str, topic: str, payload: bytes) -> Row:
    frame = zlib.decompressobj(-15, PRESETS[SCHEMA]).decompress(payload[8:]) if payload[3] else payload[4:]
    signed = b"tillwatch/batch/1\0" + topic.encode() + b"\0" + frame[:-SIGNATURE]
    crypto_sign_open(frame[-SIGNATURE:] + signed, keys.public(terminal))
    body = 2 + int.from_bytes(frame[:2], "big")
    msgpack.unpackb(frame[2:body])
    msgpack.unpackb(frame[body:-SIGNATURE])
    return terminal, payload, sha256(frame).digest()


def loop(
    messages: list[tuple[str, str, bytes]], path: Path, group: int, keys: Keys, take: Callable[..., Row]
) -> tuple[float, float]:
    """Batches a second, and us of processor time a batch."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("CREATE TABLE log (n INTEGER PRIMARY KEY, terminal TEXT, payload BLOB, digest BLOB)")
        wall, cpu = time.monotonic(), time.process_time()
        for at in range(0, len(messages), group):
            rows = [take(keys, *message) for message in messages[at : at + group]]
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO log (terminal, payload, digest) VALUES (?,?,?)", rows)
            db.execute("COMMIT")
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return len(messages) / wall, cpu / len(messages) * 1e6


def main(file: Path, folder: Path, group: int) -> None:
    streams = fleet.load(file)
    # In the order in which a fleet sends: one of each terminal, then the next of each.
    messages = list(
        chain.from_iterable(
            zip(*([(s.name, batch_topic(s.name), batch) for batch in s.batches] for s in streams), strict=True)
        )
    )
    keys = Keys(streams)
    bare = loop(messages, folder / "bare.db", group, keys, opened)
    raw = loop(messages, folder / "raw.db", group, keys, believed)
    print(json.dumps({"bare": bare, "raw": raw}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
