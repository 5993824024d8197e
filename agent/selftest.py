"""`tillwatch-agent selftest`: judges every profile and shim that is installed, and a bank's own, each against the recording beside it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tillwatch.agent.record import polled, quick
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp import recognise_device
from tillwatch.agent.sources.snmprec import Replay, read_recording
from tillwatch.agent.trial import Trial, try_client
from tillwatch.agent.walk import Progress, progress_on
from tillwatch.device_profiles.compiled import HERE, Library, compile_folder
from tillwatch.device_profiles.loader import RECORDING, problems
from tillwatch.device_profiles.model import DeviceProfile, Form
from tillwatch.device_profiles.yaml_nodes import ProfileError, read
from tillwatch.firmware_shims import dialogue
from tillwatch.firmware_shims.base import Mode, Shim, ShimError, load, load_all
from tillwatch.firmware_shims.transcript import Replay as SerialReplay
from tillwatch.firmware_shims.transcript import differences, parse

CHECKOUT = HERE.parent / "tests"
"""Where the recordings of the shipped profiles are; an installed agent has none of them."""
MAX_DIFFERENCES = 3
"""Shown of one profile: the first ones say what is wrong."""


class Result(StrEnum):
    """untested: it loads, and no recording shows that it reads a device."""

    OK = "ok"
    UNTESTED = "untested"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Judged:
    """One profile, shim or dialogue. text: why it failed or is untested, and what to do; empty where all is well."""

    name: str
    kind: str
    result: Result
    text: str = ""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where recordings and golden output of the shipped profiles and shims are looked for."""

    recordings: Path
    golden: Path
    transcripts: Path

    @classmethod
    def beneath(cls, tests: Path) -> Folders:
        return cls(tests / "recordings", tests / "golden", tests / "transcripts")


def _ages(profile: DeviceProfile) -> set[str]:
    """Signals that are counted to today: a golden file grows old in them."""
    items = [*profile.scalars, *(item for table in profile.tables for item in (*table.items, *table.collect))]
    return {item.signal.name for item in items if any(each.form is Form.AGE for each in item.fields)}


def _readings(readings: Iterable[dict[str, object]], ages: set[str]) -> list[str]:
    return [json.dumps(each, sort_keys=True, ensure_ascii=False) for each in readings if each["signal"] not in ages]


def compare(trial: Trial, golden: Path, ages: set[str]) -> str:
    """How the readings differ from the golden ones; empty where they do not. golden: what `try --json` printed."""
    try:
        wanted = json.loads(golden.read_text(encoding="utf-8"))
        theirs = _readings(wanted["readings"], ages)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return f"{golden}: {type(error).__name__}: {error}; make it anew with `tillwatch-agent try --json`"
    ours = _readings(trial.plain()["readings"], ages)
    if wanted.get("profile") != trial.profile:
        return f"{golden}: the profile was {wanted.get('profile')}, it is {trial.profile}"
    wrong = [f"no longer {line}" for line in theirs if line not in ours] + [f"now {line}" for line in ours if line not in theirs]  # fmt: skip
    if not wrong and ours != theirs:
        wrong = ["the readings come in another order"]
    return f"{golden}: {'; '.join(wrong[:MAX_DIFFERENCES])}" if wrong else ""


async def judge_profile(name: str, library: Library, recording: Path, golden: Path) -> Judged:
    """One profile against its recording: recognised by it and no other, and read as the golden output says."""
    if not recording.exists():
        return Judged(name, "profile", Result.UNTESTED, f"no recording; put what a device answered at {recording}")
    try:
        client = Replay(read_recording(recording))
        found = await recognise_device(client, library)
        profile = library.profile(name)
        strangers = set(found[1:]) - set(profile.recognition.adds)
        if found[:1] != (name,) or strangers:
            seen = ", ".join(found) or "no profile"
            return Judged(name, "profile", Result.FAILED, f"{recording}: recognised by {seen}; mend `match`")
        trial = await try_client(recording.stem, client, library)
        if not any(sample.value is not None for sample in trial.samples):
            return Judged(name, "profile", Result.FAILED, f"{recording}: nothing in it is read; look at the profile's OIDs")  # fmt: skip
        wrong = compare(trial, golden, {age for each in found for age in _ages(library.profile(each))}) if golden.exists() else ""  # fmt: skip
    except SourceError as error:
        return Judged(name, "profile", Result.FAILED, str(error))
    if wrong:
        return Judged(name, "profile", Result.FAILED, wrong)
    return Judged(name, "profile", Result.OK, "" if golden.exists() else f"no golden output; `try --json` makes it: {golden}")  # fmt: skip


async def judge_shim(shim: Shim, transcript: Path, kind: str = "shim") -> Judged:
    """One shim against its transcript. Where it only listens, that it loads is all that can be said here."""
    if Mode.EXCLUSIVE not in shim.modes:
        return Judged(shim.name, kind, Result.OK, "listens only; `decode` judges its recordings")
    if not transcript.exists():
        return Judged(shim.name, kind, Result.UNTESTED, f"no transcript; `record --serial` writes one: {transcript}")
    try:
        dialogues = list(parse(transcript.read_text(encoding="ascii"), transcript.name))
        for number, spoken in enumerate(dialogues, 1):
            if wrong := differences(spoken, await polled(quick(shim), SerialReplay(spoken.exchanges))):
                return Judged(shim.name, kind, Result.FAILED, f"{transcript}, dialogue {number}: {'; '.join(wrong[:MAX_DIFFERENCES])}")  # fmt: skip
    except (OSError, ValueError, ShimError) as error:
        return Judged(shim.name, kind, Result.FAILED, f"{transcript}: {error}")
    if not dialogues:
        return Judged(shim.name, kind, Result.UNTESTED, f"{transcript}: no dialogue in it")
    return Judged(shim.name, kind, Result.OK)


@dataclass(frozen=True, slots=True)
class Own:
    """A bank's own files, sorted by what they are. wrong: those that cannot be read, as failures."""

    profiles: tuple[Path, ...]
    dialogues: tuple[Path, ...]
    wrong: tuple[Judged, ...]


def sort_out(folder: Path | None) -> Own:
    """Every YAML file beneath the folder; overrides, which are lists, are `lint`'s. Raises SourceError where there is no such folder."""
    if folder and not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; give the one with your profiles")
    profiles: list[Path] = []
    dialogues: list[Path] = []
    wrong: list[Judged] = []
    for path in sorted(folder.rglob("*.yaml")) if folder else ():
        try:
            file = read(path, str(path))
            if file.is_list():
                continue
            (dialogues if dialogue.is_dialogue(file) else profiles).append(path)
        except (ProfileError, OSError) as error:
            wrong.append(Judged(path.stem, "profile", Result.FAILED, str(error)))
    found = problems(profiles)
    if found:
        bad = {path for path in profiles if any(each.startswith(f"{path}:") for each in found)}
        wrong += [Judged(path.stem, "profile", Result.FAILED, next(each for each in found if each.startswith(f"{path}:"))) for path in sorted(bad)]  # fmt: skip
        wrong += [] if bad else [Judged("profiles", "profile", Result.FAILED, found[0])]
        profiles = [path for path in profiles if path not in bad] if bad else []
    return Own(tuple(profiles), tuple(dialogues), tuple(wrong))


def _shims(own: Own) -> Iterator[tuple[Shim | Judged, Path | None]]:
    for shim in load_all():
        yield shim, None
    for path in own.dialogues:
        try:
            yield load(str(path)), path
        except ShimError as error:
            yield Judged(path.stem, "dialogue", Result.FAILED, str(error)), path


async def selftest(own: Own, folders: Folders, progress: Progress) -> list[Judged]:
    """Everything installed and everything of the bank's own. Raises ProfileError where the shipped profiles themselves do not load."""
    results = list(own.wrong)
    try:
        library = Library(compile_folder(own=own.profiles))
    except ProfileError as error:
        if not own.profiles:
            raise
        results.append(Judged("profiles", "profile", Result.FAILED, str(error)))
        library, own = Library(compile_folder()), Own((), own.dialogues, own.wrong)
    mine = {path.stem: path for path in own.profiles}
    for name in library.ids:
        progress(f"{name}, {len(results)} of {len(library.ids)} profiles")
        recording, golden = folders.recordings / f"{name}{RECORDING}", folders.golden / f"{name}.json"
        if name in mine:
            recording, golden = mine[name].with_suffix(RECORDING), mine[name].with_suffix(".json")
        results.append(await judge_profile(name, library, recording, golden))
    for shim, path in _shims(own):
        if isinstance(shim, Judged):
            results.append(shim)
        elif path:
            results.append(await judge_shim(shim, path.with_suffix(".txt"), "dialogue"))
        else:
            progress(f"shim {shim.name}")
            results.append(await judge_shim(shim, folders.transcripts / f"{shim.name}.txt"))
    return results


_EPILOG = """\
A profile or shim is
  ok        it loads, its recording is recognised by it and by no other, and read as its golden output says, where there is one
  untested  it loads; no recording shows that it reads a device
  failed    the text says what is wrong

A bank's own profile DIR/NAME.yaml has its recording at DIR/NAME.snmprec and its golden output at DIR/NAME.json, made by
`tillwatch-agent try DIR/NAME.snmprec --profiles DIR --json`; a dialogue has its transcript at DIR/NAME.txt. Ages, which grow, are not compared.
Recordings of the shipped ones are found in a checkout, or where --recordings says; an installed agent has none, and shows them as untested.

exit codes:
  0  nothing failed
  1  something failed, or with --strict one of the bank's own is untested
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `selftest`."""
    parser.description = "Checks every profile and shim that is installed, and a bank's own, against their recordings."
    parser.epilog = _EPILOG
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a bank's own profiles and dialogues")
    parser.add_argument("--recordings", type=Path, default=CHECKOUT, metavar="DIR", help="holds recordings/, golden/ and transcripts/ of the shipped ones")  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true", help="an own profile or dialogue that is untested fails as well"
    )
    parser.add_argument(
        "--json", action="store_true", help="{results: [{name, kind, result, text}], ok, untested, failed}"
    )


def run(args: argparse.Namespace) -> int:
    """Prints one line for whatever is not ok, and the counts."""
    try:
        own = sort_out(args.folder)
        with progress_on(sys.stderr) as progress:
            results = asyncio.run(selftest(own, Folders.beneath(args.recordings), progress))
    except (SourceError, ProfileError, ShimError, OSError) as error:
        print(f"selftest: {error}", file=sys.stderr)
        return 1
    mine = {path.stem for path in (*own.profiles, *own.dialogues)}
    counts = {result.value: sum(each.result is result for each in results) for result in Result}
    if args.json:
        print(json.dumps({"results": [asdict(each) for each in results], **counts}, ensure_ascii=False))
    else:
        print(shown(results, mine, counts))
    strict = args.strict and any(each.result is Result.UNTESTED and each.name in mine for each in results)
    return 1 if counts[Result.FAILED] or strict else 0


def shown(results: Iterable[Judged], mine: Iterable[str], counts: dict[str, int]) -> str:
    """For people: what failed, what is untested, and the bank's own in any case."""
    own = set(mine)
    told = [each for each in results if each.result is Result.FAILED or each.name in own]
    lines = [f"{each.result.value:9} {each.kind} {each.name}{': ' + each.text if each.text else ''}" for each in told]
    untested = sorted(each.name for each in results if each.result is Result.UNTESTED and each.name not in own)
    if untested:
        lines.append(f"untested  {', '.join(untested)}")
    return "\n".join([*lines, ", ".join(f"{count} {word}" for word, count in counts.items())])
