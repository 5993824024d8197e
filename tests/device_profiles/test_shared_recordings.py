"""Real devices that nobody of this project recorded: recognised, read without a fall, and no sentinel is shown as a value.

The recordings are not part of the project: they are read from `../shared/data` beside the repository, or from $TILLWATCH_DATA.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.device_profiles.expected import DATA
from tillwatch.agent.sources.snmprec import read_recording
from tillwatch.agent.trial import try_snmprec
from tillwatch.device_profiles.compiled import Library, compile_folder

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}: set TILLWATCH_DATA")
WALKS = sorted([*DATA.glob("librenms/*/*.snmprec"), *DATA.glob("snmpsim-data/**/*.snmprec")])
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


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(compile_folder())


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
    generic = {each.id for each in library.recognitions if each.generic}
    if not set((trial.profile or "").split("+")) <= {*generic, ""}:
        return
    raws = read_recording(walk)
    wanted = {"rfc1628": "1.3.6.1.2.1.33.1.2.", "rfc3805": "1.3.6.1.2.1.43.", "if-mib": "1.3.6.1.2.1.2.2."}
    found = set((trial.profile or "").split("+"))
    for profile, base in wanted.items():
        assert (profile in found) == any(oid.startswith(base) for oid in raws), profile
