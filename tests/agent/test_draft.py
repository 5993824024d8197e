from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.agent.draft import MAX_HINTS, draft, hint_of, match_of, sort_out, unit_of
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.agent.sources.snmprec import read_recording
from tillwatch.device_profiles.catalogue import HERE
from tillwatch.device_profiles.loader import problems

RECORDINGS = Path(__file__).parents[1] / "recordings"
OWN = "1.3.6.1.4.1.32473"
SYSTEM: dict[str, Raw] = {"1.3.6.1.2.1.1.1.0": b"Acme R9-1 card", "1.3.6.1.2.1.1.2.0": f"{OWN}.7.1"}
TABLE: dict[str, Raw] = {
    f"{OWN}.5.1.1.1": 1, f"{OWN}.5.1.1.2": 2, f"{OWN}.5.1.2.1": b"rack", f"{OWN}.5.1.2.2": b"air",
    f"{OWN}.5.1.3.1": 23, f"{OWN}.5.1.3.2": 41, f"{OWN}.5.1.4.1": b"C", f"{OWN}.5.1.4.2": b"%RH",
}  # fmt: skip


def linted(tmp_path: Path, text: str) -> list[str]:
    """What `lint` says, beside the few profiles that a draft leans on: all of them take seconds to read."""
    for needed in ("_base.yaml", "network/if-mib.yaml"):
        shutil.copy(HERE / needed, tmp_path)
    path = tmp_path / "x-draft.yaml"
    path.write_text(text, encoding="utf-8")
    return problems([path], tmp_path)


@pytest.mark.parametrize("name", [path.stem for path in sorted(RECORDINGS.glob("*.snmprec"))][::6])
def test_the_draft_of_any_device_is_lint_clean(tmp_path: Path, name: str) -> None:
    raws = read_recording(RECORDINGS / f"{name}.snmprec") | {"1.3.6.1.2.1.1.2.0": f"{OWN}.99"}
    assert linted(tmp_path, draft(raws, name, ["if-mib"], ["IF-MIB"])) == []


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.lists(st.integers(0, 3), min_size=1, max_size=5).map(lambda arcs: f"{OWN}.{'.'.join(map(str, arcs))}"),
        st.one_of(st.binary(max_size=20), st.text(max_size=20).map(str.encode), st.sampled_from([b"26.5 C", b"C", b"%", b"1.2.3"]), st.integers(-10, 2**33)),
        max_size=12,
    ),
    st.text(min_size=0, max_size=20),
)  # fmt: skip
def test_whatever_a_device_says_the_draft_is_lint_clean(raws: dict[str, Raw], title: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert linted(Path(folder), draft(SYSTEM | raws, title, [], [])) == []


def test_what_carries_its_unit_stands_and_the_rest_is_a_guess(tmp_path: Path) -> None:
    raws = SYSTEM | TABLE | {f"{OWN}.1.1.0": b"Acme", f"{OWN}.1.2.0": b"R9-1", f"{OWN}.1.3.0": b"3.2.1", f"{OWN}.2.1.0": b"26.5 C", f"{OWN}.2.2.0": 97, f"{OWN}.2.3.0": 65535}  # fmt: skip
    text = draft(raws, "Acme R9-1 card", [], ["SNMPv2-MIB"])
    assert linted(tmp_path, text) == []
    stands = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert f"match: [{{sysObjectID: {OWN}.7.1}}]" in text
    assert f"  - {{signal: identity.maker, oid: {OWN}.1.1.0}}  # Acme" in stands
    assert f"  - {{signal: identity.model, oid: {OWN}.1.2.0}}  # R9-1" in stands
    assert f"  - {{signal: identity.firmware, oid: {OWN}.1.3.0}}  # 3.2.1" in stands
    assert any("sensor.temperature, part: n2-1" in line for line in stands)
    assert (
        "      - {signal: sensor.humidity, column: value, raw_unit: {column: unit, is: {'%rh': '%', 'c': 'C'}}}"
        in stands
    )
    assert any(line.startswith("sentinels: [65535]") for line in stands)
    assert f"  # - {{signal: , oid: {OWN}.2.2.0}}  # 97: % (charge, load)?" in text


def test_a_device_with_the_net_snmp_agent_is_told_by_more_than_its_object_id() -> None:
    raws: dict[str, Raw] = {
        "1.3.6.1.2.1.1.1.0": b"Linux card 5.10",
        "1.3.6.1.2.1.1.2.0": "1.3.6.1.4.1.8072.3.2.10",
        f"{OWN}.1.0": 1,
    }
    assert (
        match_of(raws)[0]
        == f"match: [{{sysObjectID: 1.3.6.1.4.1.8072.3.2.10, sysDescr: '^Linux', present: {OWN}.1.0}}]"
    )
    assert match_of({"1.3.6.1.2.1.1.1.0": b"Coffee (maker)"})[0] == "match: [{sysDescr: '^Coffee'}]"
    with pytest.raises(ValueError, match="neither sysObjectID nor sysDescr"):
        match_of({})


def test_tables_scalars_and_what_is_neither() -> None:
    found = sort_out(TABLE | {f"{OWN}.1.0": 1, f"{OWN}.6.2.3.4": 7, "1.3.6.1.4.1.2021.1.0": 5, "1.3.6.1.2.1.33.1.0": 2})
    assert list(found.scalars) == [f"{OWN}.1.0"]
    assert list(found.tables) == [f"{OWN}.5.1"]
    assert found.other == 1


def test_hints_and_units() -> None:
    assert hint_of(2312) == "0.1 V (divisor: 10)?"
    assert hint_of(-1) == "nothing measured (a sentinel)?"
    assert hint_of(b"rack") == ""
    assert unit_of("26.5 C") == "c"
    assert unit_of("-3 %RH") == "%rh"
    assert unit_of("12:30") == unit_of("3 pieces") == unit_of("C") == ""


def test_a_large_device_does_not_make_an_endless_draft(tmp_path: Path) -> None:
    text = draft(SYSTEM | {f"{OWN}.8.{n}.0": n for n in range(1, 2 * MAX_HINTS)}, "x", [], [])
    assert text.count("signal: ,") == MAX_HINTS
    assert "and 299 more; see the walk" in text
    assert linted(tmp_path, text) == []
