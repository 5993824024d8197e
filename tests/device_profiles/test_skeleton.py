from __future__ import annotations

from pathlib import Path

import pytest

from tests.device_profiles.skeleton import skeleton
from tillwatch.agent.trial import try_snmprec
from tillwatch.device_profiles.compiled import Library, compile_folder
from tillwatch.device_profiles.loader import load_yaml
from tillwatch.device_profiles.model import DeviceProfile, Kind

PROFILES = load_yaml()


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(compile_folder())


@pytest.mark.parametrize("profile", PROFILES, ids=[profile.id for profile in PROFILES])
async def test_a_skeleton_shows_every_scalar_and_a_row_of_every_table(
    tmp_path: Path, profile: DeviceProfile, library: Library
) -> None:
    path = tmp_path / "device.snmprec"
    path.write_text(skeleton(profile), "utf-8")
    trial = await try_snmprec(path, library, profile.id)
    seen = {sample.signal for sample in trial.samples if sample.value is not None}
    # What a pattern takes out of a text, only a person who has the device can write.
    taken = {i.signal.name for i in profile.scalars if i.signal.kind is Kind.TEXT and i.fields[0].pattern}
    assert {item.signal.name for item in profile.scalars} - taken <= seen
    for table in profile.tables:
        assert seen & {item.signal.name for item in (*table.items, *table.collect)}, table.group
