"""The wire: what is sealed comes back whole, is opened for ever, and is small."""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.agent.frames import (
    ACK,
    ATM,
    BASE,
    BODY,
    EPOCH,
    HEADER,
    INT_MAX,
    INT_MIN,
    KEY,
    LIFE,
    READINGS,
    U63,
    ack,
    deflated,
    frame,
    life,
    mixed,
    open_ack,
    open_batch,
    open_life,
    plain,
    seal,
    volts,
)
from tillwatch.agent import wire
from tillwatch.agent.columns import LATEST_MS
from tillwatch.agent.model import MS, Clock, Quality, Reading, State, Value
from tillwatch.agent.preset import SCHEMA
from tillwatch.agent.wire import MAX_NAME, MAX_REASON, MAX_REFUSED, MAX_TEXT, Ack, AckState, Life

decimals = st.builds(lambda n, e: n / 10**e, st.integers(-(10**12), 10**12), st.integers(0, 12))
floats = st.one_of(
    decimals,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 1e22, 2.0**53, 9007199254740.993, 230.0]),
)
ints = st.one_of(st.integers(-100, 100_000), st.integers(INT_MIN, INT_MAX), st.sampled_from([INT_MIN, INT_MAX, 2**53]))
texts = st.one_of(st.sampled_from(["idle", "none", ""]), st.text(max_size=MAX_TEXT // 4))
kinds: list[st.SearchStrategy[Value]] = [
    ints,
    floats,
    decimals,
    texts,
    st.one_of(ints, floats),
    st.one_of(st.none(), ints, floats, texts),
]
names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=MAX_NAME).filter(
    str.isprintable
)
steps = st.one_of(st.just([10_000] * 6), st.lists(st.integers(-5_000, 20_000), min_size=1, max_size=12))


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    patterns = draw(st.lists(steps, min_size=1, max_size=3))
    start = BASE + draw(st.integers(-(2**33), 2**33))
    columns = []
    for component, signal in draw(st.lists(st.tuples(names, names), min_size=1, max_size=8, unique=True)):
        at, values, column = start, draw(st.sampled_from(kinds)), []
        usual = draw(st.tuples(st.sampled_from(Quality), st.sampled_from(State)))
        for step in draw(st.sampled_from(patterns)):
            at += step
            other = draw(st.integers(0, 5)) == 0
            quality, state = draw(st.tuples(st.sampled_from(Quality), st.sampled_from(State))) if other else usual
            column.append(Reading(component, signal, at * MS, draw(values), quality, state))
        columns.append(column)
    if draw(st.booleans()):
        return [reading for column in columns for reading in column]
    longest = max(map(len, columns))
    return [column[i] for i in range(longest) for column in columns if i < len(column)]


def by_column(items: list[Reading]) -> dict[tuple[str, str], list[Reading]]:
    columns = defaultdict(list)
    for reading in items:
        columns[reading.component, reading.signal].append(reading)
    return dict(columns)


def assert_same(sent: list[Reading], got: list[Reading]) -> None:
    """Equal as a multiset, in order within a column, value and type. Beside floats an int may become one; -0.0 may be 0.0."""
    assert len(sent) == len(got)
    there, here = by_column(sent), by_column(got)
    assert there.keys() == here.keys()
    for name, column in there.items():
        assert column == here[name]
        floats_there = any(type(r.value) is float for r in column)
        for a, b in zip(column, here[name], strict=True):
            assert type(a.value) is type(b.value) or (floats_there and (type(a.value), type(b.value)) == (int, float))


@settings(max_examples=300, deadline=None)
@given(readings())
@example([Reading("a", "b", BASE * MS, 230.0)])
@example([Reading("a", "b", BASE * MS, v) for v in (INT_MIN, INT_MAX, 0)])
def test_readings_come_back_as_they_were(items: list[Reading]) -> None:
    sealed = seal(items)
    opened = open_batch(sealed.payload)
    assert_same(items, opened.readings())
    assert opened.header.n == sealed.n == len(items)
    assert opened.digest == sealed.digest == sha256(wire.frame_of(sealed.payload)).digest()


u63 = st.integers(0, U63)
times = st.integers(0, LATEST_MS).map(lambda ms: ms * MS)
eights = st.binary(min_size=8, max_size=8)
epochs = st.binary(min_size=12, max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "epoch": epochs,
            "seq": st.integers(1, U63),
            "prev": st.binary(min_size=32, max_size=32),
            "floor": u63,
            "sent": times,
            "boot": eights,
            "up": u63,
            "clock": st.builds(Clock, st.sampled_from(["ntp", "rtc", "unsync"]), u63),
        }
    ),
    u63,
)
def test_a_header_comes_back_as_it_was(members: dict[str, Any], lost: int) -> None:
    header = open_batch(seal(volts(1), lost=lost, **members).payload).header
    assert {name: getattr(header, name) for name in members} == members
    assert (header.terminal, header.key, header.lost, header.n) == (ATM, KEY.key_id, lost, 3)
    assert (header.codec, header.schema) == (1, SCHEMA)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        life,
        epoch=epochs,
        floor=u63,
        next=u63,
        lost=u63,
        boot=eights,
        up=u63,
        now=times,
        n=u63,
        state=st.sampled_from(["online", "offline"]),
    )
)
def test_a_life_message_comes_back_as_it_was(message: Life) -> None:
    assert open_life(wire.seal_life(KEY, message)) == message


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        ack,
        epoch=epochs,
        seq=u63,
        want=u63,
        state=st.sampled_from(AckState),
        window=u63,
        min_interval=u63,
        time=times,
        refused=st.lists(st.tuples(st.integers(1, U63), st.text(max_size=MAX_REASON)), max_size=MAX_REFUSED).map(tuple),
        pace=u63,
    )
)
def test_an_ack_comes_back_as_it_was(message: Ack) -> None:
    assert open_ack(wire.seal_ack(KEY, ATM, message)) == message


def test_a_batch_sealed_again_has_the_same_bytes() -> None:
    assert seal(volts()) == seal(volts())


def test_a_frame_made_from_the_specification_is_opened_plain_and_deflated() -> None:
    for payload in (plain(frame(HEADER, BODY)), deflated(frame(HEADER, BODY))):
        opened = open_batch(payload)
        assert opened.readings() == READINGS
        assert opened.digest == sha256(frame(HEADER, BODY)).digest()


def test_members_that_are_not_known_are_ignored() -> None:
    more = {"later": {"a": [1, None, 2.5, b"x"]}, "z": True}
    assert open_batch(deflated(frame(HEADER | more, BODY | more))).readings() == READINGS
    known = msgpack.unpackb(LIFE[6 : 6 + struct.unpack(">H", LIFE[4:6])[0]])
    assert open_life(plain(frame(known | more, b"\x01body of a later life", kind="life"))) == life()
    known = msgpack.unpackb(ACK[6 : 6 + struct.unpack(">H", ACK[4:6])[0]])
    later = {"refused": [[8, "body: why"]]} | more
    assert open_ack(plain(frame(known | more, later, kind="ack"))) == ack()


def test_stored_columns_are_those_that_were_opened() -> None:
    payload = seal(mixed()).payload
    opened = open_batch(payload).columns
    assert wire.stored_columns(payload) == opened
    assert [c.numeric for c in opened] == [all(type(v) in (int, float) for v in c.values) for c in opened]


# What was sealed once can be opened for ever. The files were written when version 1 was fixed; they are never written again.

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / name).read_text("ascii"))


def of_every_form() -> list[Reading]:
    at = [(BASE + 10_000 * i) * MS for i in range(3)]
    items = [
        Reading("ups", "ups.input.voltage", t, v, state=State.OK)
        for t, v in zip(at, (230.1, 229.9, 230.0), strict=True)
    ]
    items += [Reading("host", "host.uptime", t, v) for t, v in zip(at, (864_000, 864_010, 864_020), strict=True)]
    items += [Reading("host", "net.rx.bytes", t, v) for t, v in zip(at, (INT_MAX, 0, 5), strict=True)]
    items += [
        Reading("ups", "ups.output.source", t, v) for t, v in zip(at, ("normal", "battery", "normal"), strict=True)
    ]
    items += [Reading("ups", "ups.battery.charge", at[0], 100, Quality.STALE, State.OK)]
    items += [Reading("ups", "ups.battery.charge", at[0], 99, Quality.GOOD, State.WARN)]
    items += [
        Reading("ups", "ups.temperature", t, v, Quality.ERROR, State.UNKNOWN)
        for t, v in zip(at, (None, 5e-324, "é"), strict=True)
    ]
    return items


def test_a_golden_batch_is_opened() -> None:
    opened = open_batch(golden("wire_v1_batch.hex"))
    assert opened.readings() == of_every_form()
    header = opened.header
    assert (header.terminal, header.key, header.epoch, header.seq) == (ATM, KEY.key_id, EPOCH, 7)
    assert (header.prev, header.floor, header.sent) == (bytes(range(32)), 3, (BASE + 70_000) * MS)
    assert (header.boot, header.up, header.clock) == (b"\x11" * 8, 864_123_456, Clock("ntp", 12))
    assert (header.lost, header.n, header.codec, header.schema) == (5, 17, 1, 1)
    assert opened.digest.hex() == "2c157af335abc488f2afe39ff7385ee9079af73a62b490e275973900ab7437ce"


def test_a_golden_life_message_and_ack_are_opened() -> None:
    assert open_life(golden("wire_v1_life.hex")) == life()
    assert open_ack(golden("wire_v1_ack.hex")) == ack()


def test_what_is_sealed_today_is_what_was_sealed_then() -> None:
    # Frame by frame: another build of zlib may deflate the same frame to other bytes.
    then = wire.frame_of(golden("wire_v1_batch.hex"))
    assert wire.frame_of(seal(of_every_form(), lost=5).payload) == then
    assert (golden("wire_v1_life.hex"), golden("wire_v1_ack.hex")) == (LIFE, ACK)


def test_sixty_readings_take_at_most_eight_bytes_each() -> None:
    chance = random.Random(5)
    names = ["input.voltage", "input.frequency", "input.current", "output.voltage", "output.current", "output.load"]
    names += ["battery.voltage", "battery.charge", "battery.temperature", "battery.current"]
    items = []
    for name in names:
        value = chance.uniform(10, 300)
        for tick in range(6):
            value += chance.uniform(-1.5, 1.5)
            items.append(Reading("ups", f"ups.{name}", (BASE + 10_000 * tick) * MS, round(value, 1)))
    payload = seal(items, epoch=chance.randbytes(12), prev=chance.randbytes(32), boot=chance.randbytes(8)).payload
    assert len(items) == 60
    assert len(payload) <= 8 * 60
