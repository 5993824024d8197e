"""How much of what others read out of recorded devices the profiles read as well, and what is missing.

    PYTHONSAFEPATH= python -m tests.device_profiles.expected                        the table
    PYTHONSAFEPATH= python -m tests.device_profiles.expected --device NAME          every row of a device: ours beside theirs
    PYTHONSAFEPATH= python -m tests.device_profiles.expected --device NAME --missing    only what is not right
    PYTHONSAFEPATH= python -m tests.device_profiles.expected --family ups --update  write down what is right now, so that it can only rise

The recordings are not part of the project: they are read from `../shared/data` beside the repository, or from $TILLWATCH_DATA. What they expect
is not always right: `expected_flags.tsv` beside them has better values, `expectations/<family>.toml` here has the rows that we dispute, with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.snmp import read_all, recognise_device
from tillwatch.agent.sources.snmp_map import Bound, bind, evaluate, today
from tillwatch.agent.sources.snmp_values import Raw, at, text_of
from tillwatch.agent.sources.snmprec import Replay, read_recording
from tillwatch.device_profiles import dates
from tillwatch.device_profiles.compiled import Library, compile_folder

DATA = Path(os.environ.get("TILLWATCH_DATA") or Path(__file__).parents[3] / "shared/data") / "snmprec"
EXPECTATIONS = Path(__file__).parent / "expectations"
SEVERITY = "state_severity(0ok,1warn,2crit,3unknown)"
_STATES = {"0": State.OK, "1": State.WARN, "2": State.CRIT, "3": State.UNKNOWN}

OURS_IN_THEIRS: dict[tuple[str, str], float] = {
    ("runtime", "s"): 1 / 60,
    ("delay", "min"): 60,
    ("pressure", "hPa"): 0.1,
    ("power_consumed", "W"): 0.001,
    ("count", "m"): 1 / 0.0254,
    ("count", "d"): 1 / 365.25,
    ("count", "h"): 1,
    ("runtime", "h"): 60,
    ("runtime", "d"): 1440,
    ("power", "kWh"): 1,
    ("current", "Ah"): 1,
    ("count", "min"): 1,
}
"""(kind, our unit) -> factor to theirs. Without an entry the units are the same: C, V, A, W, Hz, %, rpm, dBm, kWh, minutes of runtime. Their pressure
is kPa; a printed length is in inches and a battery's age in years.
"""
SHARES = re.compile(r"\.(percent|used|buffers|cached|shared)$")
"""Signals that a row about memory or storage, which names no OID, can mean."""
MEMORY = {
    "Physical memory": "host.memory.percent",
    "System Memory": "host.memory.percent",
    "Memory": "host.memory.percent",
    "Virtual memory": "host.swap.percent",
    "Swap space": "host.swap.percent",
    "Memory buffers": "host.memory.buffers",
    "Cached memory": "host.memory.cached",
    "Shared memory": "host.memory.shared",
}
"""What such a row means where we read it out of scalars, which have no label."""
NO_NUMBER = ("some remaining", "sentinel")
DATE = "date string"


@dataclass(frozen=True, slots=True)
class Row:
    """One expected reading. better: what stands instead of `expected`, None where it stands; why: the reason for that."""

    family: str
    device: str
    kind: str
    name: str
    oid: str
    raw: str
    divisor: str
    multiplier: str
    expected: str
    text: str
    severity: str
    clean: bool
    better: str | None
    why: str


@dataclass(slots=True)
class Device:
    """A recorded device as we read it. by_oid: what came of each OID, also of one that a better OID replaced; looked_at: OIDs of everything bound."""

    profiles: tuple[str, ...]
    raws: dict[str, Raw]
    samples: list[Sample]
    by_oid: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    looked_at: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Verdict:
    """result: right, missing, wrong or disputed. ours: what we show for it."""

    row: Row
    result: str
    reason: str = ""
    ours: str = ""


def _table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_MINIMAL))


def rows() -> Iterator[Row]:
    """All expected readings with what stands in place of the expected value."""
    flags = {(each["device"], each["oid"]): each for each in _table("expected_flags.tsv")}
    for each in _table("expected_readings.tsv"):
        flag = flags.get((each["device"], each["oid"]))
        yield Row(
            each["family"],
            each["device"],
            each["kind"],
            each["descr"],
            each["oid"],
            each["raw"],
            each["divisor"],
            each["multiplier"],
            each["expected"],
            each["state_text"],
            each[SEVERITY],
            each["clean"] == "1",
            flag["better_value"] if flag else None,
            flag["why"] if flag else "",
        )


def disputed(family: str) -> dict[tuple[str, str], str]:
    """(device, OID) -> why we do not believe what is expected there."""
    path = EXPECTATIONS / f"{family}.toml"
    known = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return {(each["device"], each["oid"]): each["why"] for each in known.get("disputed", ())}


async def read_device(path: Path, library: Library) -> Device:
    """As `tillwatch-agent try` reads it."""
    raws = read_recording(path)
    client = Replay(raws)
    ids = await recognise_device(client, library)
    profiles = [library.profile(each) for each in ids]
    read = await read_all(client, profiles) if profiles else {}
    bounds = bind(path.stem, profiles, read).bounds
    device = Device(ids, raws, evaluate(bounds, read, today()))
    given: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in device.samples:
        given[sample.component, sample.signal].append(sample)
    for bound in bounds:
        places = _places(bound)
        device.looked_at.update(places)
        for oid in places:
            device.by_oid[oid] += given[bound.key]
    return device


def _places(bound: Bound) -> list[str]:
    return [at(each.oid, bound.suffix) for each in bound.item.fields]


def _numbers(samples: Iterable[Sample], kind: str) -> list[float]:
    return [
        sample.value * OURS_IN_THEIRS.get((kind, sample.unit), 1)
        for sample in samples
        if isinstance(sample.value, int | float)
    ]


def _near(number: float, wanted: float, row: Row, *, replaced: bool) -> bool:
    """Levels are compared in whole percent; what a better OID gave, within the worse one's last digit."""
    if row.kind.startswith("supply"):
        return abs(number - wanted) <= 0.51
    resolution = float(row.multiplier or 1) / float(row.divisor or 1) if replaced else 0.0
    return abs(number - wanted) <= max(0.0051 if "." in row.expected else 0.0, 1e-5 * abs(wanted), resolution, 1e-6)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _day(row: Row) -> str:
    for form in ("mm/dd/yyyy", "mm/dd/yy"):
        if day := dates.parse(None, row.raw, form):
            return day.isoformat()
    return ""


def _judge(row: Row, samples: list[Sample]) -> tuple[str, str]:
    """The result and its reason, where at least one reading stands for the row."""
    words = [sample for sample in samples if isinstance(sample.value, str)]
    wanted = row.expected if row.better in {None, ""} else row.better
    if row.better == "" and DATE in row.why:
        return ("right", "") if any(s.value == _day(row) for s in words) else ("wrong", "not the date")
    if row.better == "" and any(word in row.why for word in NO_NUMBER):
        return ("wrong", "a number for a sentinel") if _numbers(samples, row.kind) else ("right", "")
    if row.kind == "state" or (row.better and not _is_number(row.better)):
        if row.better:
            return ("right", "") if any(s.value == row.better for s in words) else ("wrong", "another word")
        if not words:
            return "missing", "read as a number"
        severity = _STATES.get(row.severity)
        if severity is None or any(s.state is severity for s in words):
            return "right", ""
        said = {row.text.casefold(), row.raw.casefold()}
        if severity is State.OK and any(s.state is State.NONE and str(s.value).casefold() in said for s in words):
            return "right", ""
        if all(s.state is State.NONE for s in words):
            return "missing", "read as a text"
        return "wrong", f"severity, they say {severity.name.lower()}"
    numbers = _numbers(samples, row.kind)
    if not numbers:
        return "missing", "read as a word" if words else "no value: sentinel or not readable"
    assert wanted is not None
    replaced = all(sample.oid != row.oid for sample in samples)
    if any(_near(number, float(wanted), row, replaced=replaced) for number in numbers):
        return "right", ""
    return "wrong", "another number"


def _shares(row: Row, device: Device) -> list[Sample]:
    """A row about memory or storage names no OID: readings that have its name and its value."""
    return [
        sample
        for sample in device.samples
        if isinstance(sample.value, int | float)
        and SHARES.search(sample.signal)
        and abs(sample.value - float(row.expected)) <= 1.01
        and (
            sample.label.casefold() == row.name.casefold()
            if sample.label
            else sample.signal == MEMORY.get(row.name, "")
        )
    ]


def judge(row: Row, device: Device, disputes: dict[tuple[str, str], str]) -> Verdict:
    """What became of one expected reading."""
    if not device.profiles:
        return Verdict(row, "missing", "no profile")
    if not row.oid:
        found = _shares(row, device)
        ours = ", ".join(f"{sample.value}" for sample in found)
        return Verdict(row, "right", "", ours) if found else Verdict(row, "missing", "names no OID")
    samples = [sample for sample in device.by_oid[row.oid] if sample.value is not None]
    why = disputes.get((row.device, row.oid))
    ours = ", ".join(f"{sample.signal} {sample.value} {sample.unit} {sample.state.name.lower()}" for sample in samples)
    if row.oid not in device.looked_at:
        reason = "OID not in the profile" if row.oid in device.raws else "not recorded"
        return Verdict(row, "disputed", why) if why else Verdict(row, "missing", reason)
    if not samples and not (row.better == "" and any(word in row.why for word in NO_NUMBER)):
        return Verdict(row, "disputed", why) if why else Verdict(row, "missing", "no value: sentinel or not readable")
    result, reason = _judge(row, samples)
    if result != "right" and why:
        return Verdict(row, "disputed", why, ours)
    return Verdict(row, result, reason, ours)


async def judge_all(library: Library, family: str = "", device: str = "") -> list[Verdict]:
    """In the order of the expected readings. family, device: only these."""
    wanted = [row for row in rows() if family in {"", row.family} and device in {"", row.device}]
    devices: dict[tuple[str, str], Device] = {}
    disputes = {name: disputed(name) for name in {row.family for row in wanted}}
    verdicts = []
    for row in wanted:
        key = (row.family, row.device)
        if key not in devices:
            devices[key] = await read_device(DATA / "librenms" / row.family / f"{row.device}.snmprec", library)
        verdicts.append(judge(row, devices[key], disputes[row.family]))
    return verdicts


@dataclass(slots=True)
class Count:
    """Of some rows: how many there are and what became of them. clean: those whose expected value is plainly raw / divisor * multiplier."""

    rows: int = 0
    right: int = 0
    missing: int = 0
    wrong: int = 0
    disputed: int = 0
    clean: int = 0
    clean_right: int = 0
    clean_disputed: int = 0

    def add(self, verdict: Verdict) -> None:
        self.rows += 1
        self.clean += verdict.row.clean
        self.clean_right += verdict.row.clean and verdict.result == "right"
        self.clean_disputed += verdict.row.clean and verdict.result == "disputed"
        setattr(self, verdict.result, getattr(self, verdict.result) + 1)

    @property
    def share(self) -> float:
        return self.right / self.rows

    @property
    def clean_share(self) -> float:
        return self.clean_right / self.clean if self.clean else 1.0

    @property
    def undisputed_share(self) -> float:
        """Of the clean rows that we believe."""
        return self.clean_right / (self.clean - self.clean_disputed) if self.clean > self.clean_disputed else 1.0


def counts(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], Count]:
    """By (family, device); (family, "") and ("", "") are sums."""
    found: dict[tuple[str, str], Count] = defaultdict(Count)
    for verdict in verdicts:
        for key in ((verdict.row.family, verdict.row.device), (verdict.row.family, ""), ("", "")):
            found[key].add(verdict)
    return found


def recorded(family: str) -> tuple[int, int]:
    """How many rows of the family were right when this was last written down: all, clean."""
    path = EXPECTATIONS / f"{family}.toml"
    known = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    return known.get("right", 0), known.get("clean_right", 0)


def record(family: str, count: Count) -> None:
    """Writes down what is right now; what is disputed stays as it is written."""
    path = EXPECTATIONS / f"{family}.toml"
    rest = path.read_text("utf-8") if path.exists() else ""
    rest = re.sub(r"^(clean_)?right = \d+\n", "", rest, flags=re.MULTILINE)
    path.write_text(f"right = {count.right}\nclean_right = {count.clean_right}\n{rest}", "utf-8")


def show(verdicts: list[Verdict]) -> str:
    """The table by family and device, and the reasons for what is missing."""
    line = "{:34} {:>5} {:>6} {:>6} {:>7} {:>5} {:>8} {:>6} {:>6} {:>10}".format
    lines = [line("", "rows", "right", "share", "missing", "wrong", "disputed", "clean", "share", "undisputed")]
    found = counts(verdicts)
    for (family, device), count in sorted(found.items(), key=lambda each: (each[0][0] or "~", each[0][1])):
        name = f"  {device}" if device else family or "all"
        lines.append(
            line(
                name,
                count.rows,
                count.right,
                f"{count.share:.1%}",
                count.missing,
                count.wrong,
                count.disputed,
                count.clean,
                f"{count.clean_share:.1%}",
                f"{count.undisputed_share:.1%}",
            )
        )
    reasons: dict[tuple[str, str], int] = defaultdict(int)
    for verdict in verdicts:
        if verdict.result in {"missing", "wrong"}:
            reasons[verdict.result, verdict.reason] += 1
    lines += [
        f"{number:5} {result}: {reason}" for (result, reason), number in sorted(reasons.items(), key=lambda e: -e[1])
    ]
    return "\n".join(lines)


def _symbols() -> dict[str, str]:
    return {each["oid"].lstrip("."): each["symbol"] for each in _table("oids_reference.tsv")}


def _symbol(oid: str, symbols: dict[str, str]) -> str:
    base = oid
    while base:
        if base in symbols:
            return symbols[base] + oid[len(base) :]
        base = base.rpartition(".")[0]
    return ""


def listing(verdicts: Iterable[Verdict]) -> str:
    """One line a row: what is there, what is expected, what we show."""
    symbols = _symbols()
    lines = []
    for verdict in verdicts:
        row = verdict.row
        scale = "".join(
            [
                f" / {row.divisor}" if row.divisor not in {"", "1"} else "",
                f" * {row.multiplier}" if row.multiplier not in {"", "1"} else "",
            ]
        )
        wanted = row.expected if row.better is None else f"{row.better or 'no number'} (not {row.expected})"
        state = f" [{row.text}: {_STATES[row.severity].name.lower()}]" if row.severity in _STATES else ""
        lines.append(
            f"{verdict.result:8} {row.device} {row.kind} {row.name!r}\n"
            f"         {row.oid or '(no OID)'} {_symbol(row.oid, symbols)}\n"
            f"         raw {row.raw!r}{scale} -> {wanted}{state}"
            + (f"; ours: {verdict.ours}" if verdict.ours else "")
            + (f"; {verdict.reason}" if verdict.reason else "")
        )
    return "\n".join(lines)


def columns(path: Path, read: Device) -> str:
    """What a recording holds and no profile looks at: one line a column, with how many rows it has and its first values."""
    symbols = _symbols()
    left: dict[str, list[str]] = defaultdict(list)
    for oid, raw in read.raws.items():
        if oid not in read.looked_at:
            left[oid.rpartition(".")[0]].append(text_of(raw)[:30])
    return "\n".join(
        f"{oid} {_symbol(oid, symbols)} x{len(values)}: {' | '.join(values[:6])}" for oid, values in left.items()
    )


async def _run(args: argparse.Namespace) -> int:
    library = Library(compile_folder())
    verdicts = await judge_all(library, args.family, args.device)
    if args.update:
        for (family, device), count in counts(verdicts).items():
            if family and not device:
                record(family, count)
    if args.unread:
        row = verdicts[0].row
        path = DATA / "librenms" / row.family / f"{row.device}.snmprec"
        read = await read_device(path, library)
        print(f"profiles: {'+'.join(read.profiles) or '(none)'}\n{columns(path, read)}")
    elif args.device or args.missing or args.wrong:
        wanted = {"wrong"} if args.wrong else {"missing", "wrong"} if args.missing else None
        print(listing(verdict for verdict in verdicts if wanted is None or verdict.result in wanted))
    if not args.unread:
        print(show(verdicts))
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.device_profiles.expected", description="What others read out of recorded devices, and what we do.")  # fmt: skip
    parser.add_argument("--family", default="", help="ups, printer, router, server, sensor, camera or pdu_switch")
    parser.add_argument("--device", default="", help="one device: every row of it")
    parser.add_argument("--missing", action="store_true", help="list only what is missing or wrong")
    parser.add_argument("--wrong", action="store_true", help="list only what is wrong")
    parser.add_argument("--unread", action="store_true", help="with --device: columns that no profile looks at")
    parser.add_argument("--update", action="store_true", help="write down what is right now in expectations/")
    args = parser.parse_args(argv)
    if not DATA.is_dir():
        print(f"no recordings in {DATA}: set TILLWATCH_DATA", file=sys.stderr)
        return 1
    return asyncio.run(_run(args))


if __name__ == "__main__":
    sys.exit(main())
