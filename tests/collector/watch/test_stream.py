"""The watchdog's stream against a collector's real pipeline: whatever gets lost, doubled or forgotten between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.sending import T0, S, reading
from tillwatch.agent.model import MS
from tillwatch.agent.wire import Ack, AckState, SigningKey, VerifyKey, batch_topic, life_topic, new_epoch, open_ack
from tillwatch.collector.alarm import drills
from tillwatch.collector.intake import Message
from tillwatch.collector.watch import stream
from tillwatch.collector.watch.stream import Heard, Moment, Stream

KEY = SigningKey(b"watchdog".ljust(32, b"\0"))
NAME = "watchdog"


class Dog:
    """The stream of a watchdog and the collector that it speaks to. What is sent arrives only if the test says so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stream = stream.begin(T0, b"12345678")

    async def enrol(self) -> None:
        await self.world.start()
        await self.world.pipeline.operate(
            {
                "action": "enrol",
                "terminal": NAME,
                "branch": "m",
                "region": "m",
                "class": "watchdog",
                "public": KEY.public,
            }
        )

    def now(self) -> Moment:
        self.world.now += S
        return Moment(self.world.now, b"boot0001", (self.world.now - T0) // MS + 1000)

    def seal(self, word: str = drills.FAULT) -> Message:
        now = self.now()
        self.stream = stream.sealed(self.stream, KEY, NAME, [reading("drill/01", drills.SIGNAL, now.utc, word)], now)
        return self.batch()

    def batch(self) -> Message:
        return Message(batch_topic(NAME), self.stream.payload, self.world.now)

    def life(self) -> Message:
        return Message(life_topic(NAME), stream.life(self.stream, KEY, NAME, "online", self.now()), self.world.now)

    async def say(self, *messages: Message) -> Ack:
        replies = await self.world.pipeline.take(messages)
        payload = self.world.pipeline.ack(NAME, replies[NAME], slow=False)
        return open_ack(NAME, payload, lambda _: VerifyKey(COLLECTOR_KEY.public))

    def hear(self, ack: Ack) -> Heard:
        self.stream, said = stream.heard(self.stream, ack)
        return said


@pytest.fixture
async def dog(world: World) -> Dog:
    one = Dog(world)
    await one.enrol()
    return one


async def test_what_waits_is_stored_once_however_often_it_is_sent(dog: Dog) -> None:
    await dog.say(dog.life())
    dog.seal()
    assert dog.stream.floor == 1
    await dog.say(dog.batch())  # its ack gets lost
    again = Stream.unpack(dog.stream.pack())
    assert again == dog.stream
    assert dog.hear(await dog.say(dog.batch())) is Heard.STORED
    assert (dog.stream.payload, dog.stream.floor) == (b"", 2)
    assert dog.hear(await dog.say(Message(batch_topic(NAME), again.payload, dog.world.now))) is Heard.NOTHING
    dog.seal(drills.NONE)
    assert dog.hear(await dog.say(dog.batch())) is Heard.STORED


async def test_a_collector_from_an_old_backup_is_told_what_is_gone(dog: Dog, worlds) -> None:
    await dog.say(dog.life())
    for _ in range(3):
        dog.seal()
        assert dog.hear(await dog.say(dog.batch())) is Heard.STORED
    old = Dog(worlds("old"))
    old.world.now, old.stream = dog.world.now, dog.stream
    await old.enrol()
    old.seal()
    assert old.hear(await old.say(old.batch())) is Heard.AGAIN
    assert old.hear(await old.say(old.life(), old.batch())) is Heard.STORED
    assert old.world.pipeline.fold.fleet.terminals[NAME].holes == 3


async def test_a_collector_that_asks_after_its_start_is_answered(dog: Dog) -> None:
    await dog.say(dog.life())
    dog.seal()
    dog.hear(await dog.say(dog.batch()))
    again = Dog(dog.world.restart())
    again.stream = dog.stream
    await again.world.start()
    again.seal()
    ack = await again.say(again.batch())
    assert ack.want == 1
    assert again.hear(ack) is Heard.STORED
    assert again.hear(await again.say(again.life())) is Heard.NOTHING


async def test_an_old_copy_of_the_state_is_found_out_and_a_new_epoch_goes_on(dog: Dog) -> None:
    await dog.say(dog.life())
    old = dog.stream
    dog.seal()
    dog.hear(await dog.say(dog.batch()))
    dog.stream = old
    dog.seal(drills.NONE)
    assert dog.hear(await dog.say(dog.batch())) is Heard.FORKED
    dog.stream = stream.begin(dog.world.now, b"87654321")
    await dog.say(dog.life())
    dog.seal(drills.NONE)
    assert dog.hear(await dog.say(dog.batch())) is Heard.STORED


def test_a_stranger_a_refusal_and_another_epoch() -> None:
    now = Moment(T0, b"boot0001", 1)
    one = stream.sealed(stream.begin(T0, b"12345678"), KEY, NAME, [reading("drill/01", drills.SIGNAL, T0, "none")], now)
    ack = Ack(one.epoch, 1, 0, AckState.OK, 8, 0, T0, digest=one.prev[:16])

    def with_(**changes: object) -> Ack:
        return Ack(**{name: changes.get(name, getattr(ack, name)) for name in Ack.__dataclass_fields__})

    assert stream.heard(one, with_(state=AckState.ENROL)) == (one, Heard.STRANGER)
    assert stream.heard(one, with_(epoch=new_epoch(T0, b"other"))) == (one, Heard.NOTHING)
    assert stream.heard(one, with_(digest=bytes(16))) == (one, Heard.FORKED)
    assert stream.heard(one, with_(seq=2)) == (one, Heard.FORKED)
    after, said = stream.heard(one, with_(refused=((1, "why"),), state=AckState.REFUSED))
    assert (after.payload, said) == (b"", Heard.REFUSED)
    assert stream.heard(one, with_(seq=0, digest=b"")) == (one, Heard.NOTHING)


@given(
    st.builds(
        Stream,
        st.binary(min_size=12, max_size=12),
        st.integers(0, 2**40),
        st.binary(min_size=32, max_size=32),
        st.integers(0, 2**40),
        st.binary(max_size=50),
    )
)
def test_a_stream_comes_back_as_it_went(one: Stream) -> None:
    assert Stream.unpack(one.pack()) == one
