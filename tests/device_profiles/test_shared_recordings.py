"""Real devices that nobody of this project recorded: recognised, read without a fall, no sentinel shown as a value, and what is read is right.

The recordings are not part of the project: they are read from `../shared/data` beside the repository, or from $TILLWATCH_DATA.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tillwatch.agent.sources.snmprec import read_recording
from tillwatch.agent.trial import Trial, try_snmprec
from tillwatch.device_profiles.compiled import Library, compile_folder

DATA = Path(os.environ.get("TILLWATCH_DATA") or Path(__file__).parents[3] / "shared/data") / "snmprec"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}: set TILLWATCH_DATA")
WALKS = sorted([*DATA.glob("librenms/*/*.snmprec"), *DATA.glob("snmpsim-data/**/*.snmprec")])
STANDARD = tuple(f"1.3.6.1.2.1.{group}." for group in ("2", "25", "31", "33", "43"))
SENTINELS = {
    -1,
    -2,
    -3,
    -0.1,
    -0.2,
    -0.3,
    -127,
    -128,
    -273,
    -9999,
    255,
    6553.5,
    65535,
    2147483647,
    214748364.7,
    4294967295,
    429496729.5,
    32767,
    3276.7,
}
SIGNED = {"ups.battery.current"}
EXPECTED_IS_WRONG = {
    ("brother_hl5370dw", "1.3.6.1.2.1.43.8.2.1.10.1.1"): "an empty bypass tray (level 0 of 50) is expected to be full",
}
NOT_READ = {
    ("eaton-mgeups_5px", "1.3.6.1.2.1.33.1.2.7.0"): "0 C: no probe",
    ("eaton-mgeups_9pxle", "1.3.6.1.2.1.33.1.2.7.0"): "0 C: no probe",
    ("netmanplus_204", "1.3.6.1.2.1.33.1.2.6.0"): "-1: not measured",
    ("netmanplus_204", "1.3.6.1.2.1.33.1.3.3.1.4.1"): "-1: not measured",
    ("netmanplus_204", "1.3.6.1.2.1.33.1.3.3.1.4.2"): "-1: not measured",
    ("netmanplus_204", "1.3.6.1.2.1.33.1.3.3.1.4.3"): "-1: not measured",
}
MIN_EXPECTED = 300
"""Fewer rows than this means that the comparison has lost its data, not that all is well."""


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(compile_folder())


def table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def looks_like_sentinel(signal: str, value: object) -> bool:
    counts = signal.startswith(("net.", "host.", "printer.pages", "device.", "ups.input.bads"))
    return isinstance(value, int | float) and value in SENTINELS and not counts and signal not in SIGNED


@pytest.mark.parametrize("walk", WALKS, ids=[f"{walk.parent.name}-{walk.stem}" for walk in WALKS])
async def test_a_real_device_is_read_without_sentinels(walk: Path, library: Library) -> None:
    trial = await try_snmprec(walk, library)
    assert trial.plain()["profile"] == trial.profile
    keys = Counter((sample.component, sample.signal) for sample in trial.samples)
    assert [key for key, count in keys.items() if count > 1] == []
    assert [(s.component, s.signal, s.value) for s in trial.samples if looks_like_sentinel(s.signal, s.value)] == []
    raws = read_recording(walk)
    wanted = {"rfc1628": "1.3.6.1.2.1.33.1.2.", "rfc3805": "1.3.6.1.2.1.43.", "if-mib": "1.3.6.1.2.1.2.2."}
    found = set((trial.profile or "").split("+"))
    for profile, base in wanted.items():
        assert (profile in found) == any(oid.startswith(base) for oid in raws), profile


def verdict(row: dict[str, str], better: str | None, trial: Trial) -> str:
    """right, wrong or missing. Levels are compared in whole percent, times in the expected unit."""
    readings = [sample for sample in trial.samples if sample.oid == row["oid"]]
    if not readings:
        return "missing"
    numbers = [s.value / 60 if s.unit == "s" else s.value for s in readings if isinstance(s.value, int | float)]
    severity = row["state_severity(0ok,1warn,2crit,3unknown)"]
    wanted = better if better is not None else row["expected"]
    if row["kind"] == "state":
        words = [s for s in readings if isinstance(s.value, str)]
        right = any(
            (better is not None and s.value == better) or (better is None and int(s.state) - 1 == int(severity))
            for s in words
        )
    elif wanted == "":
        right = not numbers
    else:
        near = 0.51 if row["kind"].startswith("supply") else 1e-6
        right = any(abs(number - float(wanted)) <= near for number in numbers)
    return "right" if right else "wrong"


async def test_what_is_read_is_what_others_read(library: Library) -> None:
    better = {(row["device"], row["oid"]): row["better_value"] for row in table("expected_flags.tsv")}
    by_device = defaultdict(list)
    for row in table("expected_readings.tsv"):
        if row["oid"].startswith(STANDARD):
            by_device[row["family"], row["device"]].append(row)
    verdicts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (family, device), rows in by_device.items():
        trial = await try_snmprec(DATA / "librenms" / family / f"{device}.snmprec", library)
        for row in rows:
            key = (device, row["oid"])
            verdicts[verdict(row, better.get(key), trial)].append(key)
    total = sum(map(len, verdicts.values()))
    print(f"{len(verdicts['right'])} of {total} expected readings right")
    assert total >= MIN_EXPECTED
    assert set(verdicts["wrong"]) == set(EXPECTED_IS_WRONG)
    assert set(verdicts["missing"]) == set(NOT_READ)
