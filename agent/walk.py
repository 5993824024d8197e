"""`tillwatch-agent walk`: reads what a device has, stores it without what names people and networks, says which profiles fit and drafts one where none does."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tillwatch.agent.draft import draft
from tillwatch.agent.mib_groups import ENTERPRISES, NEVER_ASKED, NEVER_STORED, REPLACED, WALKED, Group, holding
from tillwatch.agent.redaction import named_by, redact, texts
from tillwatch.agent.snmp_arguments import SECRET_VARIABLES, add_snmp_arguments, target_of
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp import recognise_device
from tillwatch.agent.sources.snmp_client import SnmpClient, open_client
from tillwatch.agent.sources.snmp_values import Raw, text_of
from tillwatch.agent.sources.snmprec import Replay, read_recording, to_lines
from tillwatch.agent.trial import compiled
from tillwatch.device_profiles.compiled import CompiledError, Library, own_files
from tillwatch.device_profiles.loader import problems
from tillwatch.device_profiles.recognise import SYS_DESCR, SYS_OBJECT_ID, beneath

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_VALUES = 10_000
"""Of one group: some MB of answers. A large switch has more and is cut, which is said."""
MAX_SECONDS = 900.0
"""For the whole walk. A BMC that answers ten values a second is then read to nine thousand."""
MAX_REST = 2.0
"""After each group the device rests as long as the group took, at most this many seconds: it is busy with us at most half of the time."""
MAX_SILENT = 2
"""Groups that are not answered before the walk ends: a device that is overwhelmed must not be asked on."""
MAX_TEXTS = 60
"""Texts shown for a person to read; the file has them all."""
FORM = ".snmprec"

Progress = Callable[[str], None]


@dataclass(slots=True)
class Walk:
    """What a device gave. cut: groups with more than MAX_VALUES. silent: groups that it did not answer."""

    raws: dict[str, Raw] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)


def no_progress(_text: str) -> None:
    """For whoever is no terminal."""


@contextmanager
def progress_on(stream: Any) -> Iterator[Progress]:
    """One line that is written over and over, and wiped at the end; nothing where the stream is no terminal."""
    if not stream.isatty():
        yield no_progress
        return

    def show(text: str) -> None:
        stream.write(f"\r\x1b[K{text}")
        stream.flush()

    try:
        yield show
    finally:
        show("")


async def walk_device(client: SnmpClient, progress: Progress = no_progress) -> Walk:
    """Everything in WALKED, one request at a time. Raises SourceError where the device does not answer at all."""
    walk = Walk()
    ends = time.monotonic() + MAX_SECONDS
    for number, group in enumerate(WALKED, 1):
        if len(walk.silent) >= MAX_SILENT or time.monotonic() > ends:
            walk.silent.append(group.name)
            continue
        progress(f"{number} of {len(WALKED)}: {group.name}, {len(walk.raws)} values so far")
        began = time.monotonic()
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + ends - began):
                found = await _group(client, group, walk)
        except (SourceError, TimeoutError) as error:
            if number == 1:
                raise SourceError(str(error) or f"the device took longer than {MAX_SECONDS:g} s") from error
            walk.silent.append(group.name)
            continue
        walk.raws |= found
        await asyncio.sleep(min(time.monotonic() - began, MAX_REST))
    return walk


async def _group(client: SnmpClient, group: Group, walk: Walk) -> dict[str, Raw]:
    found = await client.walk(group.oid, MAX_VALUES)
    if len(found) < MAX_VALUES:
        return found
    walk.cut.append(group.name)
    own = ".".join(text_of(walk.raws.get(SYS_OBJECT_ID, "")).split(".")[:7])
    # What the device is for must not be missing because another maker's number stands before it.
    if group.oid == ENTERPRISES and beneath(own, ENTERPRISES) and _numbers(list(found)[-1]) < _numbers(own):
        found |= await client.walk(own, MAX_VALUES)
    return found


def _numbers(oid: str) -> tuple[int, ...]:
    return tuple(map(int, oid.split(".")))


@dataclass(frozen=True, slots=True)
class Report:
    """What `walk` says. profiles: ids that fit. draft: path of the proposed profile, empty where one fits; kept: it was there before. texts: what a person must still read."""

    file: str
    values: int
    removed: Mapping[str, int]
    groups: Mapping[str, int]
    profiles: tuple[str, ...]
    untested: tuple[str, ...]
    generic: bool
    draft: str
    draft_kept: bool
    draft_problems: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    cut: tuple[str, ...]
    silent: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def counted(raws: Mapping[str, Raw]) -> dict[str, int]:
    """How many values of each known group there are, makers' by their number (IANA's list of enterprises)."""
    found: dict[str, int] = {}
    for oid in raws:
        if beneath(oid, ENTERPRISES):
            name = f"enterprise {oid.split('.')[6]}"
        else:
            group = holding(oid, WALKED)
            name = group.name if group else "other"
        found[name] = found.get(name, 0) + 1
    return found


def slug(text: str) -> str:
    """A file's name out of what a device says of itself."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())[:3]) or "device"


async def fitting(raws: Mapping[str, Raw], library: Library) -> tuple[tuple[str, ...], bool]:
    """(ids of the profiles for the recorded device, whether they are generic ones only). Raises SourceError."""
    ids = await recognise_device(Replay(dict(raws)), library)
    generic = {each.id for each in library.recognitions if each.generic}
    return ids, all(each in generic for each in ids)


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Raises SourceError where there is such a file already and nobody said to replace it, or it cannot be written."""
    try:
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise SourceError(f"{path}: is there already; give another name with -o, or --force") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; give a file that can be written with -o") from error


def secrets_of(args: argparse.Namespace) -> list[str]:
    """Whatever the device was asked with."""
    return [args.community, args.v3_user, *(os.environ.get(variable, "") for variable in SECRET_VARIABLES.values())]


async def _walk(args: argparse.Namespace, library: Library) -> Report:
    recorded = args.host.endswith(FORM)
    target = None if recorded else target_of(args, args.host)
    client: SnmpClient = Replay(read_recording(Path(args.host))) if target is None else open_client(target)
    with progress_on(sys.stderr) as progress:
        try:
            walk = await walk_device(client, progress)
        finally:
            await client.close()
    named: frozenset[str] = frozenset()
    # Two profiles that fit alike are said below, when the walk is stored.
    with suppress(SourceError):
        named = named_by(library.profile(each) for each in (await fitting(walk.raws, library))[0])
    stored = redact(walk.raws, secrets_of(args), target.host if target else "", args.forget, named)
    if not stored.raws:
        raise SourceError(f"{args.host}: the device answers and shows nothing; look at its SNMP view")
    dropped = {oid: raw for oid, raw in stored.raws.items() if not any(beneath(oid, each) for each in args.drop)}
    description = text_of(dropped.get(SYS_DESCR, ""))
    path = args.output or Path(slug(description) + FORM)
    if recorded and path.resolve() == Path(args.host).resolve():
        raise ValueError(f"{path}: would be written over what is read; give another name with -o")
    write_new(path, to_lines(dropped), force=args.force)
    ids, generic = await fitting(dropped, library)
    wanted = generic or args.draft is not None
    proposal = args.draft or path.with_suffix(".yaml")
    wrong: tuple[str, ...] = ()
    # Somebody may have edited it since: only --draft together with --force replaces it.
    kept = wanted and args.draft is None and proposal.exists()
    if wanted and not kept:
        groups = [name for name in counted(dropped) if not name.startswith("enterprise")]
        adds = [each for each in ids if each in {known.id for known in library.recognitions if known.generic}]
        write_new(proposal, draft(dropped, description or path.stem, adds, groups), force=args.force)
    if wanted:
        wrong = tuple(problems([proposal]))
    return Report(
        str(path), len(dropped), {**stored.removed} | ({"left out by --drop": len(stored.raws) - len(dropped)} if args.drop else {}), counted(dropped), ids,
        library.untested(ids), generic, str(proposal) if wanted else "", kept, wrong, tuple(texts(dropped)), tuple(walk.cut), tuple(walk.silent),
    )  # fmt: skip


def shown(report: Report) -> str:
    """For people."""
    lines = [f"{report.file}: {report.values} values"]
    lines += [f"  {count:6}  {name}" for name, count in report.groups.items()]
    if report.removed:
        lines += ["left out or replaced:", *(f"  {count:6}  {why}" for why, count in report.removed.items())]
    lines += [f"cut at {MAX_VALUES} values: {name}" for name in report.cut]
    lines += [f"not answered: {name}" for name in report.silent]
    if report.texts:
        lines.append(
            "read these texts before the file leaves the bank; walk again with --forget TEXT or --drop OID where one should not:"
        )
        lines += [f"  {oid}  {text}" for oid, text in report.texts[:MAX_TEXTS]]
        lines += [f"  and {len(report.texts) - MAX_TEXTS} more"] if len(report.texts) > MAX_TEXTS else []
    if report.profiles:
        kind = "only generic profiles fit" if report.generic else "the profile for it"
        lines.append(f"{kind}: {', '.join(report.profiles)}")
        lines += [f"untested, no recording beside it: {', '.join(report.untested)}"] if report.untested else []
    else:
        lines.append("no profile fits")
    if report.draft:
        lines.append(
            f"draft of a profile: {report.draft}{', which was there and is kept' if report.draft_kept else ''}"
        )
        lines += [*report.draft_problems] or ["  lint finds nothing wrong in it"]
        lines.append(f"next: edit it, then: tillwatch-agent try {report.file} --profile {report.draft}")
    else:
        lines.append(f"next: tillwatch-agent try {report.file}")
    return "\n".join(lines)


def _listed(groups: Sequence[Group]) -> str:
    return "\n".join(f"  {group.oid:33} {group.name}: {group.about}" for group in groups)


_EPILOG = f"""\
Only GET, GETNEXT and GETBULK are sent, one at a time. At most {MAX_VALUES} values of a group and {MAX_SECONDS / 60:g} minutes; after each group the device
rests as long as it took.

asked:
{_listed(WALKED)}

never asked:
{_listed(NEVER_ASKED)}

never stored, though a maker's tree is read as a whole:
{_listed(NEVER_STORED)}

stored with another value, because a profile reads it:
  {chr(10).join(f"  {oid}" for oid in REPLACED).strip()}
  and, wherever they stand: the device's own name, contact, location and serial numbers, IP and MAC addresses, e-mail addresses, URLs, host names,
  and what a profile that fits reads as serial number, name, location, IMEI or position.
  Values with the community, the user or a pass phrase in them, and rows with an address or a name in their index, are left out.

A client learns of a number its value and not its type: counters and gauges are stored as integers.

exit codes:
  0  the walk is stored
  1  it is not; the text says why
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `walk`."""
    parser.description = (
        "Reads what a device has, stores it without secrets, says which profiles fit, and drafts one where none does."
    )
    parser.epilog = _EPILOG
    parser.add_argument("host", metavar="HOST[:PORT]", help="a living device, or a recorded walk, DEVICE.snmprec")
    parser.add_argument(
        "-o", "--output", type=Path, metavar=f"FILE{FORM}", help="where to; default: what it says that it is"
    )
    parser.add_argument("--draft", type=Path, metavar="FILE.yaml", help="write a draft here, also where a profile fits; default: beside the walk, where none does")  # fmt: skip
    parser.add_argument("--drop", action="append", default=[], metavar="OID", help="leave out this OID and what is beneath it; may be given again")  # fmt: skip
    parser.add_argument("--forget", action="append", default=[], metavar="TEXT", help="replace this text wherever it stands, such as a serial number; may be given again")  # fmt: skip
    parser.add_argument("--profiles", type=Path, metavar="DIR", help="a bank's own profiles, which stand beside the shipped ones")  # fmt: skip
    parser.add_argument(
        "--force", action="store_true", help="replace a walk that is there; a draft only together with --draft"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    add_snmp_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Stores the walk and says what is in it."""
    try:
        report = asyncio.run(_walk(args, compiled(own_files(args.profiles))))
    except (SourceError, CompiledError, ValueError, OSError, ImportError) as error:
        print(f"walk: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report.plain(), ensure_ascii=False) if args.json else shown(report))
    return 0
