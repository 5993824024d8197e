"""`tillwatch-agent decode`: shows what the agent would make of recorded exchanges with serial devices, row by row."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tillwatch.agent.sources.serial import sample
from tillwatch.agent.trial import Trial, table
from tillwatch.firmware_shims.base import (
    Decoded,
    Mode,
    NoAnswerError,
    Query,
    Shim,
    ShimError,
    UnsupportedError,
    load_all,
    speaking,
)
from tillwatch.firmware_shims.engine import Dialogue, decode
from tillwatch.firmware_shims.tap import UnknownRequestError, exchange, is_request

MAX_ROW = 64 << 10
"""Characters of one row; an answer has at most 1 KiB, 2,048 digits."""

MAX_ROWS = 100_000
"""More rows are no recording of a device; they would keep a person waiting for minutes."""

KINDS = """\
error.kind:
  bad-row           no JSON object with protocol, query_hex and reply_hex
  unknown-protocol  no shim speaks it
  unknown-request   the shim reads nothing from what answers this request
  no-answer         the reply is empty: every reading of this request is unknown
  unsupported       the device says that it does not know this request
  undecodable       no whole answer, a wrong checksum, or nothing that this protocol gives
"""
_EPILOG = f"""\
A row is a JSON object on a line of its own: protocol (the name of a shim, or one of the protocol's names), query_hex (empty where
nobody asked), reply_hex, and optionally device: rows of one device may lean on each other, as ratings and volts of a cell do.

--json prints one object a row, in the order of the file: row (line number), protocol, profile (the shim, or null), request (known,
unknown or none), readings as `try --json` prints them, and error (null, or kind and text).

{KINDS}
exit codes:
  0  every row was decoded
  1  a row has an error, or the file cannot be read; the text says which
"""


class RowError(Exception):
    """kind: of KINDS."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What was recorded of one exchange."""

    protocol: str
    request: bytes
    reply: bytes
    device: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of one row. request: known, unknown or none (nobody asked)."""

    number: int
    protocol: str
    shim: Shim | None
    request: str
    found: tuple[Decoded, ...]
    error: RowError | None

    def trial(self) -> Trial:
        name = self.shim.name if self.shim else None
        return Trial(name, tuple(sample(name or "", each) for each in self.found))

    def plain(self) -> dict[str, Any]:
        shown = self.trial().plain()
        error = {"kind": self.error.kind, "text": str(self.error)} if self.error else None
        head = {"row": self.number, "protocol": self.protocol, "profile": shown["profile"], "request": self.request}
        return {**head, "readings": shown["readings"], "error": error}


class Recorded:
    """A port on which a device says what was recorded of it, at once and in one piece."""

    def __init__(self, replies: dict[bytes, bytes]) -> None:
        self._replies = replies
        self._waiting = b""

    async def send(self, data: bytes) -> None:
        self._waiting = self._replies.get(data, b"")

    async def receive(self, timeout: float) -> bytes:  # noqa: ARG002, ASYNC109 - a shim's Port
        data, self._waiting = self._waiting, b""
        return data

    async def discard(self) -> None:
        self._waiting = b""


def parse(text: str) -> Row:
    """Raises RowError."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        raise RowError("bad-row", "not JSON; a row is an object on one line") from None
    if not isinstance(row, dict):
        raise RowError("bad-row", "not a JSON object; write protocol, query_hex and reply_hex")
    for key in ("protocol", "query_hex", "reply_hex"):
        if not isinstance(row.get(key), str):
            raise RowError("bad-row", f"needs `{key}`, a string")
    try:
        request, reply = bytes.fromhex(row["query_hex"]), bytes.fromhex(row["reply_hex"])
    except ValueError:
        raise RowError("bad-row", "query_hex and reply_hex are pairs of hex digits") from None
    device = row.get("device")
    return Row(row["protocol"], request, reply, device if isinstance(device, str) else "")


class Decoder:
    """Decodes row after row; what a device said in earlier rows is known in later ones."""

    def __init__(self) -> None:
        self._shims = load_all()
        self._replies: dict[tuple[str, str], dict[bytes, bytes]] = {}

    async def judge(self, number: int, text: str) -> Judged:
        """Every row gets an answer; nothing is raised."""
        try:
            row = parse(text)
        except RowError as error:
            return Judged(number, "", None, "none", (), error)
        candidates = speaking(row.protocol, self._shims) or [
            shim for shim in self._shims if row.request and row.request in shim.whitelist
        ]
        if not candidates:
            known = ", ".join(sorted({name for shim in self._shims for name in (shim.name, *shim.protocols)}))
            none = RowError("unknown-protocol", f"no shim speaks {row.protocol!r}; there are {known}")
            return Judged(number, row.protocol, None, _asked(None, row), (), none)
        first: Judged | None = None
        for shim in candidates:
            judged = await self._judge(number, row, shim)
            if judged.error is None or judged.error.kind != "unknown-request":
                return judged
            first = first or judged
        assert first is not None
        return first

    async def _judge(self, number: int, row: Row, shim: Shim) -> Judged:
        error: RowError
        try:
            found = await self._decode(row, shim)
            return Judged(number, row.protocol, shim, _asked(shim, row), tuple(found), None)
        except UnknownRequestError as problem:
            error = RowError("unknown-request", str(problem))
        except NoAnswerError as problem:
            error = RowError("no-answer", str(problem))
        except UnsupportedError as problem:
            error = RowError("unsupported", str(problem))
        except ShimError as problem:
            error = RowError("undecodable", str(problem))
        silent = tuple(_unknown(shim, row)) if error.kind == "no-answer" else ()
        return Judged(number, row.protocol, shim, _asked(shim, row), silent, error)

    async def _decode(self, row: Row, shim: Shim) -> list[Decoded]:
        """What a dialogue makes of it where the shim asks this itself, otherwise what a tap does."""
        asking = [query for query in shim.queries if row.request and query.request == row.request]
        if Mode.EXCLUSIVE not in shim.modes or not asking:
            query, frame = exchange(shim, row.request, row.reply)
            return decode(shim, query, frame, {})
        if not row.reply:
            raise NoAnswerError(f"{shim.name}: the request was not answered")
        replies = self._replies.setdefault((shim.name, row.device), {}) if row.device else {}
        replies[row.request] = row.reply
        found: list[Decoded] = []
        for query in asking:
            leant = [each for each in shim.queries if each.first and each.request in replies and each != query]
            # It was asked, whoever the device said that it is.
            asked = dataclasses.replace(query, given=None)
            rows = tuple(
                dataclasses.replace(each, query=asked) if each.query == query else each
                for each in shim.rows
                if each.query == query or each.query in leant
            )
            alone = dataclasses.replace(shim, rows=rows, claim=asked, tries=1, pause=0.0)
            said = await Dialogue(alone, Recorded(replies)).poll(query.every)
            own = {(each.part, each.signal) for each in shim.rows if each.query == query}
            found += [each for each in said if (each.part, each.signal) in own]
        return found


def _asked(shim: Shim | None, row: Row) -> str:
    if not row.request:
        return "none"
    known = shim and (row.request in shim.whitelist or any(is_request(query, row.request) for query in shim.queries))
    return "known" if known else "unknown"


def _unknown(shim: Shim, row: Row) -> Iterator[Decoded]:
    """No answer means unknown, of everything that the answer would have told."""
    asked: set[Query] = {query for query in shim.queries if is_request(query, row.request)}
    for each in shim.rows:
        if each.query in asked:
            yield Decoded(each.signal, None, each.unit, "unknown", each.part)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Decodes recorded exchanges with serial devices."
    parser.epilog = _EPILOG
    parser.add_argument("recording", type=Path, metavar="FILE.jsonl", help="rows of {protocol, query_hex, reply_hex}")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of tables")


async def _run(args: argparse.Namespace) -> int:
    decoder, bad, rows = Decoder(), 0, 0
    with args.recording.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            rows += 1
            if rows > MAX_ROWS or len(line) > MAX_ROW:
                raise ValueError(f"line {number}: over {MAX_ROWS} rows, or {MAX_ROW} characters in a row")
            judged = await decoder.judge(number, line)
            bad += judged.error is not None
            if args.json:
                print(json.dumps(judged.plain(), ensure_ascii=False))
            else:
                print(_shown(judged))
    if not rows:
        raise ValueError("no row; a row is {protocol, query_hex, reply_hex} on a line of its own")
    if bad:
        print(f"decode: {bad} of {rows} rows have an error", file=sys.stderr)
    return 1 if bad else 0


def _shown(judged: Judged) -> str:
    head = f"row {judged.number}, {judged.protocol or '-'}: "
    if judged.error:
        return f"{head}{judged.error.kind}: {judged.error}\n"
    return f"{head}{table(judged.trial())}\n"


def run(args: argparse.Namespace) -> int:
    """Prints what becomes of each row. Exit codes as in --help."""
    try:
        return asyncio.run(_run(args))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        print(f"decode: {args.recording}: {why}", file=sys.stderr)
        return 1
