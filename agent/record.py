"""`tillwatch-agent record`: stores what a profile or a shim reads of a living device, several times, as the recording that tests, `try` and `decode` take."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tillwatch.agent.redaction import NAMES_ONE, named_by, redact
from tillwatch.agent.snmp_arguments import add_snmp_arguments, target_of
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.serial import open_line, port_of
from tillwatch.agent.sources.snmp import read_all, recognise_device
from tillwatch.agent.sources.snmp_client import SnmpClient, open_client
from tillwatch.agent.sources.snmp_values import Raw, text_of
from tillwatch.agent.sources.snmprec import to_lines
from tillwatch.agent.trial import compiled
from tillwatch.agent.walk import FORM, Progress, no_progress, progress_on, secrets_of, write_new
from tillwatch.device_profiles.compiled import CompiledError, Library, own_files
from tillwatch.device_profiles.recognise import SYS_DESCR, SYS_OBJECT_ID, questions
from tillwatch.firmware_shims.base import Decoded, Mode, Query, Shim, ShimError, UnsupportedError, load
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.engine import Dialogue, Port, decode
from tillwatch.firmware_shims.transcript import Exchange, Replay, to_text

MAX_POLLS = 100
MIN_SECONDS = 5.0
"""Between two polls: nobody records faster than the agent would ask."""
EVERY = ("fast", "normal", "slow")


class Listened:
    """A port that remembers what was sent and what came for it."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self.exchanges: list[Exchange] = []

    async def send(self, data: bytes) -> None:
        self.exchanges.append(Exchange(data))
        await self._port.send(data)

    async def receive(self, timeout: float) -> bytes:  # noqa: ASYNC109 - a shim's Port
        data = await self._port.receive(timeout)
        if self.exchanges:
            self.exchanges[-1].answer += data
        return data

    async def discard(self) -> None:
        await self._port.discard()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record` says. changes: what is not the same in all polls: where, and its values in turn."""

    files: tuple[str, ...]
    polls: int
    values: int
    removed: Mapping[str, int]
    changes: Mapping[str, tuple[Any, ...]]
    left_out: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def without_names(shim: Shim, exchange: Exchange) -> Exchange | None:
    """The exchange with nothing in it that names one device; its checksum is made anew. None where that cannot be done."""
    for query in shim.queries:
        takes = [row.take for row in shim.rows if row.query == query and row.signal in NAMES_ONE]
        if query.request != exchange.request or not takes or not exchange.answer:
            continue
        said = exchange.answer.removeprefix(query.request)
        frame = shim.framing.cut(said)[0] or said
        try:
            decode(shim, query, frame, {})
            clean = _masked(shim, query, frame, takes)
            decode(shim, query, clean, {})
        except UnsupportedError:
            continue
        except ShimError:
            return None
        at = exchange.answer.rindex(frame)
        whole = exchange.answer[:at] + clean + exchange.answer[at + len(frame) :]
        exchange = Exchange(exchange.request, whole)
    return exchange


def _masked(shim: Shim, query: Query, frame: bytes, takes: Iterable[str | tuple[int, int]]) -> bytes:
    """A good answer with zeros for the letters and digits of these fields."""
    start = frame.find(query.lead)
    body = bytearray(frame[start:])
    matched = query.form.fullmatch(frame[start:])
    assert matched is not None
    for take in takes:
        begin, end = matched.span(take) if isinstance(take, str) else slice(*take).indices(len(body))[:2]
        for place in range(max(begin, 0), end):
            body[place] = ord("0") if chr(body[place]).isalnum() else body[place]
    if shim.check:
        width, function = CHECKSUMS[shim.check.name]
        covered = function(bytes(body[slice(*shim.check.covers)]))
        body[-width:] = covered.to_bytes(width, shim.check.order)
    return frame[:start] + bytes(body)


async def polled(shim: Shim, port: Port) -> list[Decoded]:
    """Everything that a shim reads, each class once, as at first contact. Raises ShimError."""
    dialogue = Dialogue(shim, port)
    there = {query.every for query in shim.queries}
    return [each for every in EVERY if every in there for each in await dialogue.poll(every)]


async def record_serial(shim: Shim, port: Port, polls: int, seconds: float, progress: Progress) -> tuple[list[list[Exchange]], list[str]]:  # fmt: skip
    """(the exchanges of each poll without what names one device, requests whose answers had to be left out). Raises ShimError, OSError."""
    rounds: list[list[Exchange]] = []
    left_out: list[str] = []
    for number in range(1, polls + 1):
        progress(f"poll {number} of {polls}")
        listened = Listened(port)
        await polled(shim, listened)
        clean = [(each, without_names(shim, each)) for each in listened.exchanges]
        rounds.append([new for _, new in clean if new])
        left_out += [repr(old.request) for old, new in clean if not new]
        if number < polls:
            await asyncio.sleep(seconds)
    return rounds, list(dict.fromkeys(left_out))


async def _serial(args: argparse.Namespace, progress: Progress) -> Recorded:
    shim = load(args.shim)
    if Mode.EXCLUSIVE not in shim.modes:
        raise ValueError(f"shim {shim.name} may not own its port: its device belongs to the host, which is listened to with `try`")  # fmt: skip
    baud = args.baud or shim.line.baud
    line = open_line(args.serial, shim, baud, dtr=shim.line.dtr, rts=shim.line.rts)
    try:
        rounds, left_out = await record_serial(shim, port_of(line), args.polls, args.every, progress)
    finally:
        line.close()
    said = []
    for exchanges in rounds:
        try:
            said.append(await polled(quick(shim), Replay(exchanges)))
        except ShimError as error:
            raise SourceError(f"{error}; without what names one device, nothing is left that could be replayed") from error  # fmt: skip
    path: Path = args.output or Path(f"{shim.name}.txt")
    if path.suffix == ".jsonl":
        rows = (
            {"protocol": shim.name, "query_hex": each.request.hex(), "reply_hex": each.answer.hex(), "device": f"{path.stem}-{number}"}
            for number, exchanges in enumerate(rounds, 1)
            for each in exchanges
        )  # fmt: skip
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
    else:
        text = "\n".join(to_text(f"{shim.title}, poll {number}", *both) for number, both in enumerate(zip(rounds, said, strict=True), 1))  # fmt: skip
    write_new(path, text, force=args.force)
    values = [{f"{each.part} {each.signal}".strip(): each.value for each in one} for one in said]
    return Recorded((str(path),), args.polls, sum(map(len, rounds)), {}, changes(values), tuple(left_out))


def quick(shim: Shim) -> Shim:
    """The shim over a recording: a line that is always silent between two requests."""
    return replace(shim, pause=0.0)


def changes(polls: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """What differs between polls."""
    names = dict.fromkeys(name for poll in polls for name in poll)
    said = {name: tuple(poll.get(name) for poll in polls) for name in names}
    return {name: values for name, values in said.items() if len(set(values)) > 1}


async def read_once(client: SnmpClient, library: Library, ids: Sequence[str]) -> dict[str, Raw]:
    """What the profiles read, and what they are recognised by. Raises SourceError."""
    raws = await client.get([SYS_OBJECT_ID, SYS_DESCR])
    known = [each for each in library.recognitions if each.id in ids]
    asked = questions(known, text_of(raws.get(SYS_OBJECT_ID, "")), text_of(raws.get(SYS_DESCR, "")))
    for oid in asked:
        raws |= await client.get([oid]) if oid.endswith(".0") else await client.walk(oid, 1)
    return raws | await read_all(client, [library.profile(each) for each in ids])


async def record_snmp(client: SnmpClient, library: Library, ids: Sequence[str], polls: int, seconds: float, progress: Progress = no_progress) -> list[dict[str, Raw]]:  # fmt: skip
    """What was read, poll after poll. Raises SourceError."""
    found = []
    for number in range(1, polls + 1):
        progress(f"poll {number} of {polls}")
        found.append(await read_once(client, library, ids))
        if number < polls:
            await asyncio.sleep(seconds)
    return found


async def _snmp(args: argparse.Namespace, progress: Progress) -> Recorded:
    own = own_files(args.profiles)
    profile = Path(args.profile)
    if profile.suffix == ".yaml":
        own = own if profile.resolve() in {each.resolve() for each in own} else (*own, profile)
    library = compiled(own)
    target = target_of(args, args.snmp)
    client = open_client(target)
    try:
        ids = (profile.stem if profile.suffix == ".yaml" else args.profile,) if args.profile else await recognise_device(client, library)  # fmt: skip
        if not ids:
            raise SourceError(f"{target}: no profile fits; `tillwatch-agent walk` stores what it has and drafts one")
        if unknown := set(ids) - set(library.ids):
            raise SourceError(f"no profile {unknown.pop()!r}; write one of {', '.join(library.ids)}")
        polls = await record_snmp(client, library, ids, args.polls, args.every, progress)
    finally:
        await client.close()
    named = named_by(library.profile(each) for each in ids)
    stored = [redact(raws, secrets_of(args), target.host, args.forget, named) for raws in polls]
    path: Path = args.output or Path(f"{ids[0]}{FORM}")
    paths = [path, *(path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, args.polls + 1))]
    for each, one in zip(paths, stored, strict=True):
        write_new(each, to_lines(one.raws), force=args.force)
    shown = [{oid: text_of(raw) for oid, raw in one.raws.items()} for one in stored]
    return Recorded(tuple(map(str, paths)), args.polls, len(stored[0].raws), stored[0].removed, changes(shown))


_EPILOG = """\
SNMP: only what the profile reads is asked and stored, without what names people and networks, as `walk` does it (`tillwatch-agent walk --help`).
The first poll is FILE.snmprec, further ones FILE-2.snmprec and so on.

Serial: only the shim's whitelist is sent. FILE.txt is a transcript as in tests/transcripts, a dialogue a poll; FILE.jsonl is what `decode` takes.
Serial numbers become zeros.

exit codes:
  0  recorded
  1  not; the text says why
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `record`."""
    parser.description = "Records what a profile or a shim reads of a living device, several times."
    parser.epilog = _EPILOG
    device = parser.add_mutually_exclusive_group(required=True)
    device.add_argument("--snmp", metavar="HOST[:PORT]", help="a living SNMP device")
    device.add_argument("--serial", metavar="PORT", help="a device on a serial line, such as /dev/ttyUSB0 or COM3")
    parser.add_argument(
        "--shim", default="", help="with --serial: how the device speaks, by name or a dialogue's .yaml file"
    )
    parser.add_argument("--baud", type=int, help="with --serial: where the device was set to another speed than usual")
    parser.add_argument(
        "--profile", default="", help="with --snmp: this profile, by name or as a .yaml file, instead of finding it"
    )
    parser.add_argument(
        "--profiles", type=Path, metavar="DIR", help="with --snmp: a bank's own profiles beside the shipped ones"
    )
    parser.add_argument("--polls", type=int, default=1, metavar="N", help=f"how often, at most {MAX_POLLS}; default 1")
    parser.add_argument(
        "--every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help=f"between two polls, at least {MIN_SECONDS:g}; default 60",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: the profile's or shim's name")
    parser.add_argument("--forget", action="append", default=[], metavar="TEXT", help="with --snmp: replace this text wherever it stands; may be given again")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    add_snmp_arguments(parser)


def shown(recorded: Recorded) -> str:
    """For people."""
    lines = [f"{name}: recorded" for name in recorded.files]
    lines.append(
        f"{recorded.polls} polls, {recorded.values} {'values' if recorded.removed or recorded.files[0].endswith(FORM) else 'exchanges'}"
    )
    lines += [f"  {count:6}  {why}" for why, count in recorded.removed.items()]
    lines += [f"left out, its answer names one device: {request}" for request in recorded.left_out]
    lines += [f"changed: {name}: {', '.join(map(str, values))}" for name, values in recorded.changes.items()]
    return "\n".join(lines)


async def _record(args: argparse.Namespace) -> Recorded:
    if not 1 <= args.polls <= MAX_POLLS or not args.every >= MIN_SECONDS:
        raise ValueError(f"--polls is 1 to {MAX_POLLS}, --every at least {MIN_SECONDS:g} s")
    if args.serial and not args.shim:
        raise ValueError("--serial needs --shim NAME: how the device speaks")
    with progress_on(sys.stderr) as progress:
        return await (_serial(args, progress) if args.serial else _snmp(args, progress))


def run(args: argparse.Namespace) -> int:
    """Records, and says what changed between the polls."""
    try:
        recorded = asyncio.run(_record(args))
    except (SourceError, CompiledError, ShimError, ValueError, OSError, ImportError) as error:
        print(f"record: {error}", file=sys.stderr)
        return 1
    print(json.dumps(recorded.plain(), ensure_ascii=False) if args.json else shown(recorded))
    return 0
