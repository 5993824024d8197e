"""Every profile there is, without a line of test code of its own: one recording, one golden file."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from tillwatch.agent.model import PollClass, State
from tillwatch.agent.sources.snmp import read_all, recognise_device
from tillwatch.agent.sources.snmp_map import Binding, bind
from tillwatch.agent.sources.snmprec import Replay, read_recording
from tillwatch.agent.trial import try_snmprec
from tillwatch.device_profiles.catalogue import EXPERIMENTAL, HERE, load_catalogue
from tillwatch.device_profiles.compiled import Library, compile_folder
from tillwatch.device_profiles.loader import load_yaml
from tillwatch.device_profiles.model import DeviceProfile, Item, Kind, Poll

TESTS = Path(__file__).parents[1]
PROFILES = load_yaml()
CATALOGUE = load_catalogue()
IDS = [profile.id for profile in PROFILES]


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ages are counted to it: golden output does not grow old."""
    monkeypatch.setattr("tillwatch.agent.trial.today", lambda: date(2026, 11, 21))


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(compile_folder())


def items_of(profile: DeviceProfile) -> list[Item]:
    return [*profile.scalars, *(item for table in profile.tables for item in (*table.items, *table.collect))]


def recording(profile: DeviceProfile) -> Path:
    path = TESTS / "recordings" / f"{profile.id}.snmprec"
    assert path.exists(), f"{profile.id} has no recording: add {path.relative_to(TESTS.parent)}"
    return path


async def bound(profile: DeviceProfile) -> Binding:
    client = Replay(read_recording(recording(profile)))
    return bind(profile.id, [profile], await read_all(client, [profile]))


def test_the_polling_classes_of_profiles_and_agent_are_the_same() -> None:
    assert {each.value for each in Poll} == {each.value for each in PollClass}


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
def test_every_signal_is_as_in_the_catalogue(profile: DeviceProfile) -> None:
    for item in items_of(profile):
        for signal in filter(None, (item.signal, item.all)):
            if not signal.name.startswith(EXPERIMENTAL):
                assert signal == CATALOGUE.signals[signal.name]


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
async def test_its_recording_is_recognised_by_it_and_no_other(profile: DeviceProfile, library: Library) -> None:
    found = await recognise_device(Replay(read_recording(recording(profile))), library)
    assert found[:1] == (profile.id,)
    assert set(found[1:]) <= set(profile.recognition.adds)


INVENTORY = ("identity.maker", "identity.model", "identity.serial", "identity.firmware")
FOLDERS = ("camera", "environment", "generator", "network", "pdu", "printer", "router", "server", "ups")
OF_ONE_FAMILY = sorted(
    path.stem
    for folder in FOLDERS
    for path in (HERE / folder).glob("*.yaml")
    if path.stem in IDS and not PROFILES[IDS.index(path.stem)].recognition.generic
)
MANY_BRANDS = frozenset({"xppc"})
SAYS_LITTLE = frozenset(
    {
        "cradlepoint", "e3meter-ips", "geist-imd", "hikvision-recorder", "himoinsa", "huawei-vrp", "janitza-umg96", "moxa-eds", "oneaccess", "opengear",
        "panduit-g5", "papouch-quido", "powerwalker", "qnap", "servertech-sentry3", "vutlan-ems",
    }
)  # fmt: skip
"""Of these no recording shows where they keep their model, or that they have one to read."""


@pytest.mark.parametrize("name", OF_ONE_FAMILY)
async def test_a_family_s_profile_says_what_the_device_is(name: str, library: Library) -> None:
    """For the inventory: the maker at least, and the model wherever a device tells it."""
    trial = await try_snmprec(recording(PROFILES[IDS.index(name)]), library)
    said = {sample.signal for sample in trial.samples if sample.signal in INVENTORY and sample.value}
    assert ("identity.maker" in said) == (name not in MANY_BRANDS)
    assert ("identity.model" in said) == (name not in SAYS_LITTLE)


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
async def test_its_recording_exercises_every_item(profile: DeviceProfile, library: Library) -> None:
    """Stronger than every OID that is not optional: an item that no recording ever showed is untested."""
    trial = await try_snmprec(recording(profile), library, profile.id)
    seen = {sample.signal for sample in trial.samples if sample.value is not None}
    assert {item.signal.name for item in items_of(profile)} - seen == set()
    assert trial.omitted == 0


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
async def test_its_samples_keep_the_catalogue(profile: DeviceProfile, library: Library) -> None:
    trial = await try_snmprec(recording(profile), library, profile.id)
    keys = [(sample.component, sample.signal) for sample in trial.samples]
    assert len(keys) == len(set(keys))
    for sample in trial.samples:
        own = {each.name: each for item in items_of(profile) for each in (item.signal, item.all) if each}
        signal = own.get(sample.signal) or CATALOGUE.signals[sample.signal]
        assert sample.unit == signal.unit
        if signal.kind is Kind.STATE:
            assert sample.value in dict(signal.states)
            assert sample.state is not State.NONE
        elif signal.kind is not Kind.TEXT:
            assert isinstance(sample.value, int | float)


@pytest.mark.parametrize("profile", PROFILES, ids=IDS)
async def test_its_output_is_the_golden_one(profile: DeviceProfile, library: Library, update_golden: bool) -> None:
    trial = await try_snmprec(recording(profile), library)
    text = json.dumps(trial.plain(), indent=1, ensure_ascii=False) + "\n"
    golden = TESTS / "golden" / f"{profile.id}.json"
    if update_golden:
        golden.write_text(text, encoding="utf-8")
    assert golden.exists(), f"no golden output: run `pytest --update-golden -k {profile.id}`, read the file, commit it"
    assert text == golden.read_text(encoding="utf-8")


def test_no_recording_and_no_golden_output_is_an_orphan() -> None:
    assert {path.stem for path in (TESTS / "recordings").glob("*.snmprec")} <= set(IDS)
