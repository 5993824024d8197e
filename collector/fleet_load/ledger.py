"""What a run has sent, terminal by terminal, and the comparison with what a collector keeps of it. Each batch names the digest of the one before: where the
chain of a stream is whole and ends in the digest that was sent last, every byte before it is what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgpack

from tillwatch.agent.wire import FIRST_PREV, split_frame
from tillwatch.collector.fleet_load.terminals import PREFIX
from tillwatch.collector.journal import Entry, Kind
from tillwatch.collector.store.log import Fault, Log

SHOWN = 20
"""Of what does not fit: the rest is a number."""


class Sent(NamedTuple):
    """Of one terminal in one run: the batches 1 to `last` were sealed and sent, 1 to `acknowledged` were acknowledged; digest: of that one."""

    terminal: str
    epoch: bytes
    acknowledged: int
    last: int
    digest: bytes


class LedgerError(Exception):
    """The file is not to be read, or is none. The text says why."""


@dataclass(frozen=True, slots=True)
class Compared:
    """batches: what the collector keeps of the run; acknowledged: what it has to keep; faults: the first SHOWN of all that does not fit."""

    batches: int
    acknowledged: int
    sent: int
    faults: tuple[str, ...]
    more: int

    @property
    def fits(self) -> bool:
        return not self.faults


def write(path: Path, rows: Iterable[Sent]) -> None:
    path.write_bytes(msgpack.packb({"tillwatch": "fleet load", "rows": [tuple(row) for row in rows]}))


def read(path: Path) -> list[Sent]:
    """Raises LedgerError."""
    try:
        said = msgpack.unpackb(path.read_bytes())
        if said["tillwatch"] != "fleet load":
            raise LedgerError(f"{path}: not written by simulate-fleet --ledger")
        return [Sent(*row) for row in said["rows"]]
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, msgpack.UnpackException):
        raise LedgerError(f"{path}: not written by simulate-fleet --ledger") from None


class _Kept:
    """What is kept of one stream, as far as the log was read."""

    __slots__ = ("acknowledged_digest", "count", "tail")

    def __init__(self) -> None:
        self.count, self.tail, self.acknowledged_digest = 0, FIRST_PREV, b""


def compare(log: Log, rows: Iterable[Sent], progress: Callable[[int], None] = lambda _: None) -> Compared:
    """Walk the whole log: each stream of the run is there once, in order, without a hole, link by link up to the batch that was acknowledged last; and
    nothing is there that was not sent.
    """
    sent = {(row.terminal, row.epoch): row for row in rows}
    kept = {key: _Kept() for key in sent}
    faults: list[str] = []

    def damaged(fault: Fault) -> None:
        faults.append(f"entry {fault.n}: {fault.text}")

    def wanted(entry: Entry) -> bool:
        return entry.kind is Kind.BATCH and entry.terminal.startswith(PREFIX)

    batches = 0
    for logged in log.walk(damaged, frames=wanted):
        entry = logged.entry
        progress(entry.n)
        if not wanted(entry):
            continue
        facts = entry.facts_map()
        key = (entry.terminal, facts["epoch"])
        if key not in sent:
            continue  # of another run
        batches += 1
        _follow(kept[key], sent[key], facts["seq"], logged.frame, faults)
    for key, row in sent.items():
        found = kept[key]
        if found.count < row.acknowledged:
            faults.append(f"{row.terminal}: {row.acknowledged} batches are acknowledged, and {found.count} are kept")
        elif row.acknowledged and found.acknowledged_digest != row.digest:
            faults.append(f"{row.terminal}: batch {row.acknowledged} is not the one that was sent")
    acknowledged = sum(row.acknowledged for row in sent.values())
    whole = sum(row.last for row in sent.values())
    return Compared(batches, acknowledged, whole, tuple(faults[:SHOWN]), max(len(faults) - SHOWN, 0))


def _follow(kept: _Kept, sent: Sent, seq: int, frame: bytes | None, faults: list[str]) -> None:
    if seq != kept.count + 1:
        faults.append(f"{sent.terminal}: batch {seq} stands behind batch {kept.count}")
    if seq > sent.last:
        faults.append(f"{sent.terminal}: batch {seq} was never sent")
    if frame is None:
        faults.append(f"{sent.terminal}: batch {seq} is kept without its bytes")
        kept.count = seq
        return
    prev = msgpack.unpackb(split_frame(frame)[0])["prev"]
    if prev != kept.tail:
        faults.append(f"{sent.terminal}: batch {seq} does not follow the one that is kept before it")
    kept.count, kept.tail = seq, sha256(frame).digest()
    if seq == sent.acknowledged:
        kept.acknowledged_digest = kept.tail
