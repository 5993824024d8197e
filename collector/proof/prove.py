"""Makes the bundle that proves one reading: finds the sealed batch that holds it, and takes from the log what ties it to its neighbours, to
its key and to the authority.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgpack
from cryptography.hazmat.primitives.serialization import Encoding

from tillwatch.agent.model import MS, Reading
from tillwatch.agent.wire import frame_of, split_frame, stored_column
from tillwatch.collector.journal import GENESIS, Entry, Kind
from tillwatch.collector.proof.bundle import entry_fields, write
from tillwatch.collector.store import bodies, segments
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Log
from tillwatch.collector.trust.authority import Authority
from tillwatch.collector.trust.binding import COLLECTOR, ENROL, KEY_ACTS, VOUCH

HOUR_MS = 3_600_000
LOOK_BACK_MS = (HOUR_MS, 25 * HOUR_MS, 32 * 24 * HOUR_MS)
"""How long before the time the reading may have been made, tried in turn: most signals are read each minute, the slowest each day."""


class ProofError(Exception):
    """There is nothing to prove, or no longer. The text says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A bundle, and what it proves. n: the entry of the batch; reading: at is corrected."""

    bundle: bytes
    n: int
    reading: Reading


def prove(db: Db, authority: Authority, terminal: str, component: str, signal: str, time: int, now: int) -> Proof:
    """The proof of the reading that was the latest at `time` (UTC ns) by the readings' own corrected times. db: a connection in one
    consistent state. Raises ProofError.
    """
    log = Log(db)
    n, reading, correction = _find(db, terminal, component, signal, time)
    near = log.entries(n - 1, n + 1)
    entry = next(one for one in near if one.n == n)
    frame = log.frame(entry)
    if frame is None:
        msg = f"the frame of entry {n} is not in the log any more"
        raise ProofError(msg)
    before, after = _beside(log, entry)
    content = {
        "asked": {"terminal": terminal, "component": component, "signal": signal, "time": time},
        "reading": {
            "at": reading.at,
            "value": reading.value,
            "quality": int(reading.quality),
            "state": int(reading.state),
            "correction_ms": correction,
        },
        "batch": {"entry": entry_fields(entry), "frame": frame},
        "before": before,
        "after": after,
        "chain": [_before(near, n - 1), [entry_fields(one) for one in near if one.n >= n - 1]],
        "keys": list(_acts(db, log, authority, terminal, now)),
        "head": list(log.head()),
        "exported_at": now,
        "authority": authority.certificate.public_bytes(Encoding.DER),
        "collector": {
            "public": authority.ack_key.public,
            "at": now,
            "binding": authority.bind(COLLECTOR, "", authority.ack_key.public, now),
        },
    }
    return Proof(write(content, authority.ack_key), n, reading)


def _find(db: Db, terminal: str, component: str, signal: str, time: int) -> tuple[int, Reading, int]:
    """Entry, reading with its corrected time, and correction in ms."""
    last = time // MS
    for back in LOOK_BACK_MS:
        span = (terminal, last - back, last)
        if db.execute(f"{_SEGMENT} AND retired_n IS NOT NULL LIMIT 1", span).fetchone():
            msg = (
                f"readings of {terminal} around this time are retired: their digests are kept, they themselves are not"
            )
            raise ProofError(msg)
        found: tuple[int, int, Reading, int] | None = None
        for n, body, correction in _bodies(db, span):
            column = stored_column(body, component, signal)
            for one in column.readings() if column is not None else ():
                at = one.at + correction * MS
                # Among equals the first that came: what came later was a repair.
                if at <= time and (found is None or at > found[0]):
                    read = Reading(component, signal, at, one.value, one.quality, one.state)
                    found = (at, n, read, correction)
        if found is not None:
            return found[1:]
    days = LOOK_BACK_MS[-1] // HOUR_MS // 24
    msg = f"{terminal} sent no reading of {component} {signal} in the {days} days before this time"
    raise ProofError(msg)


_SEGMENT = "SELECT bodies, heads, signatures FROM segment WHERE terminal = ? AND kind = 3 AND t1 >= ? AND t0 <= ?"


def _bodies(db: Db, span: tuple[str, int, int]) -> Iterator[tuple[int, bytes, int]]:
    """Entry, body and correction of each batch that may hold a reading of the span."""
    for blobs in db.execute(f"{_SEGMENT} AND retired_n IS NULL ORDER BY first_n", span):
        packed = segments.Packed(*blobs)
        corrections = (correction for _, correction in bodies.unpack(packed.bodies))
        for (n, frame), correction in zip(segments.unpack(packed), corrections, strict=True):
            yield n, split_frame(frame)[1], correction
    for n, facts, payload in db.execute(
        "SELECT n, facts, payload FROM journal "
        "WHERE terminal = ? AND kind = 3 AND payload IS NOT NULL AND t1 >= ? AND t0 <= ? ORDER BY n",
        span,
    ):
        yield n, split_frame(frame_of(payload))[1], int(msgpack.unpackb(facts).get("correction_ms", 0))


def _beside(log: Log, entry: Entry) -> list[dict[str, Any] | None]:
    """The terminal's batches before and after this one in its own chain, with their entries."""
    stamp, found = entry.facts_map(), []
    for seq in (stamp["seq"] - 1, stamp["seq"] + 1):
        other = log.batch(entry.terminal, stamp["epoch"], seq)
        found.append({"entry": entry_fields(log.entries(other[0], other[0])[-1]), "frame": other[1]} if other else None)
    return found


def _before(entries: list[Entry], n: int) -> bytes:
    """The digest of the log before entry n."""
    return next((one.digest for one in entries if one.n == n - 1), GENESIS)


def _acts(db: Db, log: Log, authority: Authority, terminal: str, now: int) -> Iterator[dict[str, Any]]:
    for (n,) in db.execute(
        "SELECT n FROM journal WHERE kind = ? AND payload IS NULL AND terminal = ? ORDER BY n",
        (Kind.OPERATOR, terminal),
    ).fetchall():
        near = log.entries(n, n)
        facts = near[-1].facts_map()
        if facts["action"] not in KEY_ACTS:
            continue
        act = {"prev": _before(near, n), "entry": entry_fields(near[-1]), "digest": near[-1].digest}
        if facts["action"] == ENROL and not facts.get("binding"):
            act["vouched"] = [now, authority.bind(VOUCH, terminal, facts["public"], now)]
        yield act
