from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.device_profiles.compiled import CompiledError, Library, compile_folder, digest, open_library
from tillwatch.device_profiles.loader import load_yaml
from tillwatch.device_profiles.model import DeviceProfile, Item
from tillwatch.device_profiles.overrides import apply
from tillwatch.device_profiles.yaml_nodes import ProfileError


def changed(folder: Path, text: str) -> tuple[DeviceProfile, ...]:
    path = folder / "overrides.yaml"
    path.write_text(text, encoding="utf-8")
    return apply(path, load_yaml())


def item(profiles: tuple[DeviceProfile, ...], profile: str, signal: str) -> Item:
    (found,) = (each for each in profiles if each.id == profile)
    items = [*found.scalars, *(i for table in found.tables for i in table.items)]
    return next(each for each in items if each.signal.name == signal)


def test_limits_change_edge_by_edge(tmp_path: Path) -> None:
    found = item(
        changed(tmp_path, "- {signal: ups.battery.temperature, limits: {warn_above: 30}}"),
        "rfc1628",
        "ups.battery.temperature",
    )
    assert found.limits is not None
    assert found.limits.warn_above is not None
    assert found.limits.crit_above is not None
    assert (found.limits.warn_above.number, found.limits.crit_above.number) == (30, 45)


def test_limits_can_be_taken_away(tmp_path: Path) -> None:
    one = changed(tmp_path, "- {profile: rfc1628, signal: ups.output.load, part: output, limits: {warn_above: none}}")
    found = item(one, "rfc1628", "ups.output.load")
    assert found.limits is not None
    assert found.limits.warn_above is None
    assert found.limits.crit_above is not None
    all_of_them = changed(tmp_path, "- {signal: ups.output.load, limits: none}")
    assert item(all_of_them, "rfc1628", "ups.output.load").limits is None


def test_names_and_life_figures(tmp_path: Path) -> None:
    text = "- {profile: rfc1628, signal: ups.battery.temperature, name: battery room, life: {rated: 3, evidence: our own records}}"
    found = item(changed(tmp_path, text), "rfc1628", "ups.battery.temperature")
    assert found.name == "battery room"
    assert found.life is not None
    assert (found.life.rated, found.life.unit, found.life.evidence) == (3, "years", "our own records")
    assert found.life.stress is not None


def acme(folder: Path, signal: str, life: str) -> tuple[DeviceProfile, ...]:
    """The shipped profiles and one that reads the signal without a life, with this life for all of them."""
    own = folder / "acme.yaml"
    own.write_text(
        f"title: A device\nmatch: {{sysObjectID: 1.3.6.1.4.1.99999}}\nscalars: {{signal: {signal}, oid: 1.3.1.0}}\n"
    )
    path = folder / "overrides.yaml"
    path.write_text(f"- {{signal: {signal}, life: {{{life}}}}}", encoding="utf-8")
    return apply(path, load_yaml(own=[own]))


def test_a_life_for_all_profiles_reaches_one_that_gives_none(tmp_path: Path) -> None:
    """What the override leaves out is as another profile says of the same signal."""
    changed = acme(tmp_path, "ups.battery.temperature", "rated: 3, evidence: our own records")
    found = item(changed, "acme", "ups.battery.temperature").life
    assert found == item(changed, "rfc1628", "ups.battery.temperature").life
    assert found is not None
    assert (found.source, found.rated, found.unit) == ("calendar", 3, "years")


def test_a_life_that_no_profile_gives_is_the_override_s_own(tmp_path: Path) -> None:
    found = item(acme(tmp_path, "ups.fan.speed", "source: hours, rated: 50000, unit: h"), "acme", "ups.fan.speed").life
    assert found is not None
    assert (found.source, found.rated, found.confidence) == ("hours", 50000, "assumed")
    with pytest.raises(ProfileError, match=r":1: 'source' is missing"):
        acme(tmp_path, "ups.fan.speed", "rated: 50000, unit: h")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {signal: ups.battery.temperatur, limits: none}", ":1: no profile reads 'ups.battery.temperatur'; did you"),
        ("- {signal: ups.output.load, part: input, limits: none}", ":1: no such signal in that profile and part"),
        (
            "- {profile: rfc1682, signal: ups.output.load, limits: none}",
            "'rfc1682' is no profile; did you mean rfc1628?",
        ),
        ("\n- {signal: ups.output.load}", ":2: nothing is changed; write limits, name or life"),
        ("- {signal: ups.output.load, limits: off}", "write `limits: none`"),
        ("- {signal: ups.output.source, limits: {warn_above: 3}}", "ups.output.source is a state"),
        ("- {signal: ups.output.load, limits: {warn_over: 3}}", "did you mean warn_above?"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_mend(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        changed(tmp_path, text)
    assert said in str(caught.value)


def test_a_bank_s_own_profile_and_its_overrides_reach_the_library(tmp_path: Path) -> None:
    own = tmp_path / "profiles.d"
    own.mkdir()
    (own / "acme.yaml").write_text(
        "title: A device\nextends: _base\nmatch: [{sysObjectID: 1.3.6.1.4.1.99999}]\nscalars: [{signal: ups.output.load, oid: 1.3.1.0}]\n"
    )
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text("- {profile: acme, signal: ups.output.load, name: till 7}")
    library = open_library(tmp_path, own, overrides)
    assert library.profile("acme").scalars[-1].name == "till 7"
    assert library.untested(["acme", "rfc1628"]) == ("acme",)
    assert library.digest == digest(own=[own / "acme.yaml"], overrides=overrides) != digest()
    assert open_library(tmp_path, own, overrides).digest == library.digest
    (own / "acme.snmprec").write_text("1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999\n")
    assert open_library(tmp_path, own, overrides).untested(["acme"]) == ()


@pytest.mark.parametrize(("own", "overrides"), [("profiles.d", None), (None, "overrides.yaml")])
def test_what_the_configuration_names_and_is_not_there_is_said(
    tmp_path: Path, own: str | None, overrides: str | None
) -> None:
    with pytest.raises(CompiledError, match=r"profiles\.d|overrides\.yaml.*mend \[profiles\]"):
        open_library(tmp_path, tmp_path / own if own else None, tmp_path / overrides if overrides else None)


def test_a_profile_is_found_after_the_file_was_compiled_anew(tmp_path: Path) -> None:
    path = tmp_path / "profiles.msgpack"
    path.write_bytes(compile_folder())
    library = Library(path)
    before = library.profile("rfc1628")
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text("- {profile: rfc1628, signal: ups.output.load, name: till 7}")
    path.write_bytes(compile_folder(overrides=overrides))
    assert library.profile("rfc1628").tables != before.tables
