from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.mib_groups import NEVER_ASKED, NEVER_STORED, REPLACED
from tillwatch.agent.redaction import ADDRESS, named_by, redact, texts
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.device_profiles.loader import load_yaml

OWN = "1.3.6.1.4.1.32473.1"
SYSTEM: dict[str, Raw] = {
    "1.3.6.1.2.1.1.1.0": b"Linux ups-branch-17 5.10",
    "1.3.6.1.2.1.1.4.0": b"Li Wei",
    "1.3.6.1.2.1.1.5.0": b"ups-branch-17",
    "1.3.6.1.2.1.1.6.0": b"Renmin Road 4",
}


@pytest.mark.parametrize("place", [each.oid for each in (*NEVER_ASKED, *NEVER_STORED)])
def test_what_is_never_stored_is_not_there(place: str) -> None:
    assert redact({f"{place}.1.0": 1, place: b"x"}).raws == {}


@pytest.mark.parametrize("place", REPLACED)
def test_what_a_profile_reads_stands_there_with_another_value(place: str) -> None:
    stored = redact({f"{place}.1": b"SN-4711-bank"})
    assert stored.raws == {f"{place}.1": REPLACED[place]}
    assert sum(stored.removed.values()) == 1
    assert redact({f"{place}.1": b""}).raws == {f"{place}.1": b""}


def test_a_device_s_own_names_are_found_in_other_texts() -> None:
    stored = redact(SYSTEM | {f"{OWN}.1.0": b"installed at Renmin Road 4", f"{OWN}.2.0": b"Li Wei"}).raws
    assert stored["1.3.6.1.2.1.1.1.0"] == b"Linux removed 5.10"
    assert stored[f"{OWN}.1.0"] == b"installed at removed"
    assert stored[f"{OWN}.2.0"] == b"removed"
    assert "1.3.6.1.2.1.1.4.0" not in stored


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        (b"trap to 10.3.4.5:162", b"trap to 192.0.2.1:162"),
        (b"li.wei@mail.bank.example", b"person@device.example"),
        (b"http://10.1.1.1/status", b"http://device.example/status"),
        (b"fe80::1", b"2001:db8::1"),
        (b"2001:db8:7:0:0:0:0:1", b"2001:db8::1"),
        (b"AB:CD:EF:01:02:03", b"02:00:00:00:00:01"),
        (b"abcd.ef01.0203", b"02:00:00:00:00:01"),
        (b"atm12.branch.bank.cn", b"device.example"),
        (b"\x00\x11\x22\x33\x44\xff", b"\x02\0\0\0\0\1"),
        ("10.9.9.9", ADDRESS),
    ],
)
def test_addresses_and_names_by_their_form(said: Raw, stays: Raw) -> None:
    assert redact({f"{OWN}.1.0": said}).raws == {f"{OWN}.1.0": stays}


@pytest.mark.parametrize(
    "said",
    [b"firmware 2.1.0.4", b"12:34:56", b"1 days 01:02:03", b"26.5 C", b"01/02/2024", b"S1-3000", b"", b"\x00", b"\x07\xe8\x05\x11\x0a\x1e\x00\x00", 42, -1, "1.3.6.1.4.1.5", "0.0.0.0", "127.0.0.1", "255.255.255.0"],
)  # fmt: skip
def test_what_says_nothing_of_people_or_networks_stays(said: Raw) -> None:
    stored = redact({f"{OWN}.1.0": said})
    assert stored.raws == {f"{OWN}.1.0": said}
    assert stored.removed == {}


def test_secrets_that_it_was_asked_with_are_left_out() -> None:
    raws: dict[str, Raw] = {
        f"{OWN}.1.0": b"s3cret-ro",
        f"{OWN}.2.0": b"community=s3cret-ro;",
        f"{OWN}.3.0": b"\xff\x00s3cret-ro",
        f"{OWN}.4.0": b"ab",
        f"{OWN}.5.0": b"abacus",
    }
    assert redact(raws, ["s3cret-ro", "ab", ""]).raws == {f"{OWN}.5.0": b"abacus"}


def test_a_row_whose_index_is_an_address_or_a_name_is_left_out() -> None:
    name = ".".join(str(byte) for byte in b"ups-branch-17")
    raws: dict[str, Raw] = {
        **SYSTEM,
        f"{OWN}.1.10.9.9.9": 4,
        f"{OWN}.2.0": "10.9.9.9",
        f"{OWN}.3.10.77.1.2.1": 4,
        f"{OWN}.4.13.{name}": 4,
        f"{OWN}.5.10.9.9.99": 4,
    }
    stored = redact(raws, host="10.77.1.2").raws
    assert {oid for oid in stored if oid.startswith(OWN)} == {f"{OWN}.2.0", f"{OWN}.5.10.9.9.99"}


def test_a_person_names_what_else_must_not_stay() -> None:
    assert redact({f"{OWN}.1.0": b"SN VT2209"}, forget=["VT2209"]).raws == {f"{OWN}.1.0": b"SN removed"}


def test_what_a_profile_knows_to_name_the_device_is_replaced_wherever_it_stands() -> None:
    named = named_by(profile for profile in load_yaml() if profile.id == "teltonika-rutx")
    serial, latitude = "1.3.6.1.4.1.48690.1.1.0", "1.3.6.1.4.1.48690.3.1.0"
    assert {serial, latitude} <= named
    raws: dict[str, Raw] = {serial: b"1105812345", latitude: b"54.68", f"{OWN}.1.0": b"unit 1105812345"}
    assert redact(raws, named=named).raws == {serial: b"removed", latitude: b"removed", f"{OWN}.1.0": b"unit removed"}
    assert redact({serial: b""}, named=named).raws == {serial: b""}
    assert redact({latitude: 5468}, named=named).raws == {latitude: 0}


def test_what_is_left_of_makers_texts_is_listed_once() -> None:
    raws: dict[str, Raw] = {
        f"{OWN}.1.0": b"rack",
        f"{OWN}.2.0": b"rack",
        f"{OWN}.3.0": b"12.5",
        f"{OWN}.4.0": b"\xff\x00",
    }
    assert list(texts(raws)) == [(f"{OWN}.1.0", "rack")]


@given(
    st.dictionaries(
        st.lists(st.integers(0, 300), min_size=1, max_size=6).map(lambda arcs: f"{OWN}.{'.'.join(map(str, arcs))}"),
        st.one_of(st.binary(max_size=40), st.integers(), st.just("10.1.2.3"), st.just("1.3.6.1.4.1.9")),
        max_size=8,
    )
)
def test_no_value_raises_and_the_name_never_stays(raws: dict[str, Raw]) -> None:
    once = redact(raws | SYSTEM, ["s3cret-community"]).raws
    assert set(once) <= set(raws | SYSTEM)
    assert b"ups-branch-17" not in b"".join(value for value in once.values() if isinstance(value, bytes))
