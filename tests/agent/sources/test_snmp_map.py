from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.columns import MAX_NAME
from tillwatch.agent.model import Quality, Sample, State
from tillwatch.agent.sources.snmp_map import MAX_ROWS, bind, evaluate
from tillwatch.agent.sources.snmp_values import MAX_NUMBER, MAX_TEXT_BYTES, MIN_NUMBER, Raw, number_of, text_of
from tillwatch.device_profiles.loader import load_yaml
from tillwatch.device_profiles.model import (
    Absent,
    Condition,
    DeviceProfile,
    Edge,
    Field,
    Item,
    Kind,
    Limits,
    Piece,
    Recognition,
    Signal,
    Table,
    Test,
    Words,
)

PROFILES = load_yaml()
VOLTS = Signal("x.volts", Kind.GAUGE, "V", "volts")
COUNT = Signal("x.count", Kind.COUNTER, "", "count")
TEXT = Signal("x.text", Kind.TEXT, "", "text")
STATE = Signal(
    "x.state", Kind.STATE, "", "state", (("good", "ok"), ("poor", "warn"), ("bad", "crit"), ("unknown", "unknown"))
)
OID = "1.3.6.1"


def read(item: Item, raws: dict[str, Raw]) -> list[Sample]:
    profile = DeviceProfile("p", "p", Recognition("p", True, ()), (item,))
    return evaluate(bind("d", [profile], raws).bounds, raws)


def value(field: Field, raw: Raw, **others: Raw) -> object:
    raws = {OID: raw, **{oid.replace("_", "."): other for oid, other in others.items()}}
    samples = read(Item(VOLTS, (field,), optional=True), raws)
    return samples[0].value if samples else None


@pytest.mark.parametrize(
    ("field", "raw", "expected"),
    [
        (Field(OID), 7, 7),
        (Field(OID), b"229", 229),
        (Field(OID), b" -63 ", -63),
        (Field(OID), b"49.9", 49.9),
        (Field(OID, divisor=10), 499, 49.9),
        (Field(OID, divisor=10), 500, 50.0),
        (Field(OID, multiplier=1024), 3, 3072),
        (Field(OID, multiplier=0.1, offset=-17.8), 788, 61.0),
        (Field(OID, pattern=r"(\d+) INCHES"), b"1920 INCHES, 4876 CENTIMETERS", 1920),
        (Field(OID, pattern=r"(\d+) INCHES"), b"4876 CENTIMETERS", None),
        (Field(OID, sentinels=("-1", "N/A")), -1, None),
        (Field(OID, sentinels=("-1", "N/A")), b"-1", None),
        (Field(OID, sentinels=("-1", "N/A")), b"n/a", None),
        (Field(OID, rescale_above=1000), 2300, 230.0),
        (Field(OID, rescale_above=1000), 230, 230.0),
        (Field(OID, unsigned32=True), -1294967296, 3000000000),
        (Field(OID), b"", None),
        (Field(OID), b"NOT SUPPORTED", None),
        (Field(OID), float("nan"), None),
        (Field(OID), 2**70, None),
        (Field(OID), "1.3.6.1.4.1", None),
    ],
)
def test_a_raw_value_becomes_a_number(field: Field, raw: Raw, expected: object) -> None:
    found = value(field, raw)
    assert found == expected
    assert type(found) is type(expected)


def test_a_percentage_of_another_value() -> None:
    field = Field(OID, percent_of=("1.2",))
    assert value(field, 17208, **{"1_2": 25000}) == 68.83
    assert value(field, 5, **{"1_2": 0}) is None
    assert value(field, 5, **{"1_2": -2}) is None
    assert value(field, 5) is None
    assert value(Field(OID, percent_of=("1.2",), unsigned32=True), 1500000000, **{"1_2": -1294967296}) == 50.0


def test_a_product_with_another_value() -> None:
    assert value(Field(OID, multiply_by="1.2", unsigned32=True), -1294967296, **{"1_2": 4096}) == 12288000000000
    assert value(Field(OID, multiply_by="1.2"), 5) is None


def test_the_first_valid_field_wins_and_says_where_it_came_from() -> None:
    item = Item(VOLTS, (Field("1.1", divisor=10, sentinels=("-1",)), Field("1.2")), optional=True)
    for raws, expected in (
        ({"1.1": 2301, "1.2": 230}, (230.1, "1.1")),
        ({"1.1": -1, "1.2": 230}, (230.0, "1.2")),
        ({"1.2": 230}, (230.0, "1.2")),
    ):
        (sample,) = read(item, raws)
        assert (sample.value, sample.oid) == expected
        assert isinstance(sample.value, float)  # one type, whichever field gave it


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        (4, State.CRIT),
        (5, State.WARN),
        (19, State.WARN),
        (20, State.OK),
        (80, State.OK),
        (81, State.WARN),
        (96, State.CRIT),
    ],
)
def test_limits_judge(raw: int, state: State) -> None:
    limits = Limits(Edge(20), Edge(5), Edge(80), Edge(95))
    assert read(Item(VOLTS, (Field(OID),), limits=limits), {OID: raw})[0].state is state


def test_limits_judge_only_while_their_conditions_hold() -> None:
    item = Item(
        VOLTS, (Field(OID),), limits=Limits(crit_below=Edge(5), conditions=(Condition("1.9", Test.ABOVE, ("0",)),))
    )
    assert [read(item, {OID: 0, "1.9": on})[0].state for on in (0, 30)] == [State.OK, State.CRIT]
    assert read(item, {OID: 0})[0].state is State.OK


def test_a_number_without_limits_is_not_judged() -> None:
    assert read(Item(VOLTS, (Field(OID),)), {OID: 5})[0].state is State.NONE


@pytest.mark.parametrize(
    ("raw", "word", "state"),
    [
        (1, "good", State.OK),
        (b"1", "good", State.OK),
        (b"Failed", "bad", State.CRIT),
        (25, "poor", State.WARN),
        (7, "unknown", State.UNKNOWN),
        (b"\xff", "unknown", State.UNKNOWN),
    ],
)
def test_a_code_becomes_a_word(raw: Raw, word: str, state: State) -> None:
    words = Words({"1": "good", "failed": "bad"}, ranges=((20, math.inf, "poor"),))
    (sample,) = read(Item(STATE, (Field(OID),), words=words), {OID: raw})
    assert (sample.value, sample.state) == (word, state)


@pytest.mark.parametrize(
    ("raw", "word", "every"),
    [
        (b"\x00", "good", "good"),
        (b"\x80", "poor", "poor"),
        (b"\x01\x00", "unknown", "unknown"),
        (b"\x80\x40", "bad", "poor,bad"),
        (b"\x40\x3f", "good", "good"),
    ],
)
def test_bits_count_from_the_highest_of_the_first_octet(raw: Raw, word: str, every: str) -> None:
    words = Words({}, bits=((0, "poor"), (7, "unknown"), (9, "bad")), none="good")
    worst, said = read(Item(STATE, (Field(OID),), words=words, all=TEXT), {OID: raw})
    assert (worst.value, said.value, said.oid) == (word, every, OID)


@pytest.mark.parametrize("raw", [b"", 128, -1, "1.3.6"])
def test_what_is_no_bits_is_no_reading(raw: Raw) -> None:
    assert (
        read(Item(STATE, (Field(OID),), words=Words({}, bits=((0, "poor"),), none="good"), optional=True), {OID: raw})
        == []
    )


@pytest.mark.parametrize(("raw", "word"), [(0, "good"), (3, "bad"), (8, "poor"), (19, "bad"), (5, "good")])
def test_masks(raw: int, word: str) -> None:
    words = Words({}, masks=((7, 3, "bad"), (8, 8, "poor")), none="good")
    assert read(Item(STATE, (Field(OID),), words=words), {OID: raw})[0].value == word


def test_an_override_replaces_the_word() -> None:
    words = Words({"2": "bad"}, overrides=(("good", (Condition("1.7", Test.IN, ("2",)),)),))
    item = Item(STATE, (Field(OID),), words=words)
    assert [read(item, {OID: 2, "1.7": admin})[0].value for admin in (1, 2)] == ["bad", "good"]


@pytest.mark.parametrize(
    ("test", "values", "raw", "holds"),
    [
        (Test.IN, ("1", "x"), 1, True),
        (Test.IN, ("1", "x"), b"X", True),
        (Test.IN, ("1",), None, False),
        (Test.NOT_IN, ("1",), 1, False),
        (Test.NOT_IN, ("1",), None, True),
        (Test.ABOVE, ("0",), b"1", True),
        (Test.ABOVE, ("0",), b"one", False),
        (Test.BELOW, ("0",), -1, True),
        (Test.MATCHES, ("^/var",), b"/var/log", True),
        (Test.MATCHES, ("^/var",), None, False),
        (Test.LACKS, ("^/var",), b"/home", True),
        (Test.LACKS, ("^/var",), None, False),
        (Test.EXISTS, ("true",), 0, True),
        (Test.EXISTS, ("true",), None, False),
        (Test.EXISTS, ("false",), None, True),
    ],
)
def test_conditions(test: Test, values: tuple[str, ...], raw: Raw | None, holds: bool) -> None:
    item = Item(VOLTS, (Field(OID, when=(Condition("1.5", test, values),)),), optional=True)
    assert bool(read(item, {OID: 1} if raw is None else {OID: 1, "1.5": raw})) is holds


def test_what_must_be_there_and_is_not_is_unknown() -> None:
    (sample,) = read(Item(VOLTS, (Field(OID),)), {})
    assert (sample.value, sample.state, sample.quality) == (None, State.UNKNOWN, Quality.ERROR)


@pytest.mark.parametrize(
    ("absent", "states"), [(Absent.IGNORE, []), (Absent.UNKNOWN, [State.UNKNOWN]), (Absent.FAULT, [State.CRIT])]
)
def test_a_sentinel_means_what_the_profile_says(absent: Absent, states: list[State]) -> None:
    found = read(Item(VOLTS, (Field(OID, sentinels=("-1",)),), absent=absent), {OID: -1})
    assert [sample.state for sample in found] == states
    assert all(sample.value is None for sample in found)


def test_a_counter_is_never_negative() -> None:
    assert read(Item(COUNT, (Field(OID),), optional=True), {OID: -5}) == []


def table(*items: Item, **fields: object) -> DeviceProfile:
    return DeviceProfile("p", "p", Recognition("p", True, ()), tables=(Table("disk", items, **fields),))  # type: ignore[arg-type]


def components(profile: DeviceProfile, raws: dict[str, Raw]) -> list[tuple[str, object]]:
    return [(sample.component, sample.value) for sample in evaluate(bind("d", [profile], raws).bounds, raws)]


def test_rows_are_named_by_label_and_only_twins_by_index() -> None:
    profile = table(Item(VOLTS, (Field("1.2"),), optional=True), label=((Piece(oid="1.1"),), (Piece(oid="1.9"),)))
    raws: dict[str, Raw] = {
        "1.1.3": b"a",
        "1.1.10": b"b",
        "1.1.4": b"b",
        "1.1.7": b"",
        "1.9.7": b"spare",
        "1.2.3": 3,
        "1.2.10": 10,
        "1.2.4": 4,
        "1.2.7": 7,
        "1.2.8": 8,
    }
    assert components(profile, raws) == [
        ("d/disk:a", 3),
        ("d/disk:b 4", 4),
        ("d/disk:spare", 7),
        ("d/disk:8", 8),
        ("d/disk:b 10", 10),
    ]


def test_a_name_is_bounded_and_twins_that_the_bound_makes_have_their_index() -> None:
    profile = table(Item(VOLTS, (Field("1.2"),), optional=True), label=((Piece(oid="1.1"),),))
    long = b"x" * 200
    raws: dict[str, Raw] = {
        "1.1.7": long + b"a",
        "1.1.1234567": long + b"b",
        "1.1.8": long[:10],
        "1.2.7": 1,
        "1.2.1234567": 2,
        "1.2.8": 3,
    }
    device = "d" * 48
    names = [sample.component for sample in evaluate(bind(device, [profile], raws).bounds, raws)]
    assert [name.removeprefix(f"{device}/disk:").replace("x", "") for name in names] == [" 7", "", " 1234567"]
    assert [len(name) for name in names] == [MAX_NAME, 64, MAX_NAME]


def test_a_series_keeps_its_name_when_its_index_moves() -> None:
    profile = table(Item(VOLTS, (Field("1.2"),), optional=True), label=((Piece(oid="1.1"),),))
    assert components(profile, {"1.1.3": b"a", "1.2.3": 5}) == components(profile, {"1.1.17": b"a", "1.2.17": 5})


def test_a_column_number_is_not_the_beginning_of_another() -> None:
    profile = table(Item(VOLTS, (Field("1.2"),), optional=True))
    assert components(profile, {"1.2.1": 5, "1.21.1": 6, "1.2": 7}) == [("d/disk:1", 5)]


def test_rows_that_fail_the_filter_are_left_out() -> None:
    profile = table(Item(VOLTS, (Field("1.2"),), optional=True), where=(Condition("1.3", Test.IN, ("4",)),))
    assert components(profile, {"1.2.1": 5, "1.3.1": 4, "1.2.2": 6, "1.3.2": 5}) == [("d/disk:1", 5)]


def test_rows_beyond_the_bound_are_counted() -> None:
    profile = table(Item(VOLTS, (Field("1.2"),), optional=True))
    binding = bind("d", [profile], {f"1.2.{n}": n for n in range(MAX_ROWS + 3)})
    assert (len(binding.bounds), binding.omitted) == (MAX_ROWS, 3)


def test_all_rows_together() -> None:
    worst = Item(STATE, (Field("1.2"),), words=Words({"1": "good", "2": "bad"}, none="good"), all=TEXT)
    count = Item(VOLTS, (Field("1.2"),))
    profile = table(collect=(worst, count), present="1.9")
    assert components(profile, {"1.2.5": 1, "1.2.7": 2, "1.2.9": 2}) == [("d", "bad"), ("d", "good,bad"), ("d", 3)]
    assert components(profile, {"1.9": 0}) == [("d", "good"), ("d", "good"), ("d", 0)]
    assert components(profile, {}) == []


def test_of_two_profiles_with_one_signal_the_first_stands() -> None:
    one, two = (
        DeviceProfile(n, n, Recognition(n, True, ()), (Item(VOLTS, (Field(oid),)),))
        for n, oid in (("a", "1.1"), ("b", "1.2"))
    )
    raws: dict[str, Raw] = {"1.1": 1, "1.2": 2}
    assert [sample.value for sample in evaluate(bind("d", [one, two], raws).bounds, raws)] == [1]


@given(st.one_of(st.binary(max_size=3000), st.text(max_size=3000), st.integers(), st.floats()))
def test_text_is_short_and_has_no_control_characters(raw: Raw) -> None:
    text = text_of(raw)
    assert len(text.encode()) <= MAX_TEXT_BYTES
    assert text.isprintable()
    assert text == text.strip()


def test_text_that_is_no_utf8_is_latin1() -> None:
    assert text_of("Tür".encode("latin-1")) == "Tür"
    assert text_of("Tür 纸".encode()) == "Tür 纸"
    assert text_of(b"Smart\x00\x1b[2J UPS\r\n") == "Smart  [2J UPS"


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100), st.integers(), st.floats()))
def test_a_number_is_finite_and_of_64_bits(raw: Raw) -> None:
    number = number_of(raw)
    assert number is None or MIN_NUMBER <= number <= MAX_NUMBER


def _oids() -> list[str]:
    """Every OID that the shipped profiles look at; of columns two rows."""
    found: set[str] = set()
    for profile in PROFILES:
        for item in profile.scalars:
            found |= {field.oid for field in item.fields}
        for each in profile.tables:
            columns = {
                *(piece.oid for label in each.label for piece in label if piece.oid),
                *(c.oid for c in each.where if c.oid),
                *(oid for item in (*each.items, *each.collect) for f in item.fields for oid in (f.oid, *f.beside())),
            }
            found |= {f"{column}.{index}" for column in columns for index in ("1", "1.2")}
    return sorted(found)


HOSTILE = st.one_of(
    st.integers(min_value=-10, max_value=300),
    st.integers(),
    st.sampled_from([2**31, -(2**31), 2**32 - 1, 2**63, 2**64, -(2**64), 10**400]),
    st.floats(),
    st.binary(max_size=40),
    st.text(max_size=40),
    st.sampled_from(
        [b"1e999", b"9" * 400, b"\xff\xfe", b"\x00", "1.3.6.1.2.1.25.2.1.4", "1.3.6.1.2.1.25.3.1.5", b"-.", b"nan", "٣"]
    ),
)


@given(st.dictionaries(st.sampled_from(_oids()), HOSTILE, max_size=60))
def test_no_raw_value_raises_or_breaks_a_bound(raws: dict[str, Raw]) -> None:
    binding = bind("device", PROFILES, raws)
    samples = evaluate(binding.bounds, raws)
    keys = [(sample.component, sample.signal) for sample in samples]
    assert len(keys) == len(set(keys))
    for sample in samples:
        assert 0 < len(sample.component) <= MAX_NAME
        assert sample.component.isprintable()
        if isinstance(sample.value, str):
            assert sample.value.isprintable()
            assert len(sample.value.encode()) <= MAX_TEXT_BYTES
        elif sample.value is None:
            assert sample.quality is Quality.ERROR
        else:
            assert math.isfinite(sample.value)
            assert MIN_NUMBER <= sample.value <= MAX_NUMBER
