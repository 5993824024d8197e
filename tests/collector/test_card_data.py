"""A batch with a card number in it is refused, its bytes are nowhere in the store, and the log has no hole where it was."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.packed import keep_house
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import MS, Quality, Reading, State
from tillwatch.agent.wire import AckState, Column, Header, Opened, Refusal, WireError
from tillwatch.collector.card_data import DETAIL, unread_card, without_cards
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.store.log import Log

PAN = "4111111111111111"


def rows(world: World, sql: str) -> list[tuple[object, ...]]:
    return world.store.conn.execute(sql).fetchall()


async def opened(world: World) -> Sender:
    await world.start("")
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    await world.pipeline.take([atm.life(world.now)])
    return atm


def said(text: str, *, component: str = "printer", signal: str = "printer.console") -> list[Reading]:
    return [reading("host/disk:/", "host.disk.percent", T0, 40.0), reading(component, signal, T0, text)]


@pytest.mark.parametrize(
    "batch",
    [
        said(f"card {PAN} is stuck"),
        said("4111 1111-1111 1111"),
        said("ready", component=f"printer/{PAN}"),
        said("ready", signal=f"unmapped.{PAN}"),
    ],
)
async def test_it_is_refused_and_nothing_of_it_is_kept(world: World, batch: list[Reading]) -> None:
    atm = await opened(world)
    bad, after = atm.batch(batch, T0), atm.batch(said("ready"), T0 + S)
    reply = (await world.pipeline.take([bad, after]))["atm-1"]
    assert reply.refused == ((1, DETAIL),)
    assert reply.state is AckState.OK, "the stream goes on behind it"
    assert world.pipeline.refusals.by_reason == {"card_data": 1}
    (entry,) = rows(world, "SELECT kind, payload, facts FROM journal WHERE kind IN (3, 8) ORDER BY n LIMIT 1")
    assert entry[:2] == (8, None)
    facts = msgpack.unpackb(entry[2])
    assert (facts["seq"], facts["withheld"], facts["detail"]) == (1, "card_data", DETAIL)
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 3") == [(1,)]
    told = set(world.pipeline.fold.fleet.terminals["atm-1"].components)
    assert not any(PAN in name for name in told)
    # Once more, as a terminal does that lost the ack.
    await world.pipeline.take([bad])
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 8") == [(1,)]


async def test_the_log_is_whole_without_it(world: World) -> None:
    atm = await opened(world)
    await world.pipeline.take([atm.batch(said("ready"), T0), atm.batch(said(f"card {PAN}"), T0 + S)])
    await world.pipeline.take([atm.batch(said("ready"), T0 + 2 * S)])
    before = verify_log(world.store.conn, None)
    await keep_house(world)
    after = verify_log(world.store.conn, None)
    assert before.ok
    assert after.ok
    walked = [each.state for each in Log(world.store.conn).walk(pytest.fail) if each.entry.kind == 8]
    assert walked == ["withheld"]
    assert after.head == world.pipeline.journal.digest


async def test_a_second_history_with_one_is_kept_without_its_bytes(world: World) -> None:
    atm = await opened(world)
    await world.pipeline.take([atm.batch(said("ready"), T0)])
    clone = Sender("atm-1")
    reply = (await world.pipeline.take([clone.batch(said(f"card {PAN}"), T0)]))["atm-1"]
    assert reply.state is AckState.FORK
    assert rows(world, "SELECT payload FROM journal WHERE kind = 9") == [(None,)]
    assert verify_log(world.store.conn, None).ok


async def test_hardware_is_not_refused(world: World) -> None:
    atm = await opened(world)
    batch = [reading("modem", "cell.imei", T0, "353490069873368"), reading("ups", "identity.serial", T0, PAN)]
    assert not (await world.pipeline.take([atm.batch(batch, T0)]))["atm-1"].refused
    assert not world.pipeline.refusals.by_reason


HEADER = Header("atm-1", bytes(8), bytes(12), 1, bytes(32), 1, T0, bytes(8), 1, None, 0, 1)  # type: ignore[arg-type]  # no clock is looked at


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1), min_size=1))
def test_numbers_are_never_taken_for_one(values: list[float]) -> None:
    """A counter of bytes has as many digits, and one in ten passes the check."""
    column = Column("net", "net.in", [T0 // MS] * len(values), list(values), Quality.GOOD, State.NONE, numeric=True)
    one = Opened(HEADER, b"", [column])
    assert without_cards(one) is one


def test_a_body_that_cannot_be_read_is_looked_at_as_bytes() -> None:
    broken = WireError(Refusal.BODY, "a text value is too long", HEADER, b"digest")
    magic = b"TW\x01\x00" + bytes(2)
    for text, reason in ((f"xx{PAN}yy", Refusal.CARD_DATA), ("nothing", Refusal.BODY)):
        found = unread_card(broken, magic + text.encode().ljust(100, b"."))
        assert found.reason is reason
        assert found.header is HEADER
