"""The intake at the fold: what is answered to openers, and when."""

from __future__ import annotations

import asyncio

from tests.collector.sending import T0, Sender, reading
from tillwatch.agent.wire import Refusal, open_batch
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.intake import Message
from tillwatch.collector.intake.amqp import AmqpSettings
from tillwatch.collector.intake.forwarded import MAX_UNSENT, ForwardedIntake
from tillwatch.collector.opening.groups import ANSWER_KIND, Answer, Group, open_answer, open_group, pack_group


def made() -> ForwardedIntake:
    return ForwardedIntake(AmqpSettings((("127.0.0.1", 1),), "v", "u", "p"), 1)


def said(intake: ForwardedIntake) -> list[tuple[str, Answer]]:
    out = [(key, open_answer(body)) for kind, _, key, body in intake._unsent if kind == ANSWER_KIND]
    intake._unsent.clear()
    return out


def group(opener: str, place: int, *terminals: str, run: int = 1, **more) -> Group:
    messages = [Message(f"tw/1/{name}/batch", b"x", 0) for name in terminals]
    return Group(opener, run, place, place + 1, messages, **more)


async def test_a_group_is_answered_when_its_last_message_is_stored_with_the_acks_of_its_terminals():
    intake = made()
    intake._take(group("a", 0, "t1", "t2", "t1"), "to-a")
    intake._take(group("b", 0, "t3"), "to-b")
    assert len(await intake.get_batch(2, 0)) == 2
    intake.publish_ack("t1", b"one")
    intake.publish_ack("t2", b"two")
    intake.refused("t2")
    intake.settled(2, stored=True)
    assert said(intake) == []
    assert len(await intake.get_batch(9, 0)) == 2
    intake.publish_ack("t1", b"more")
    intake.publish_ack("t3", b"three")
    intake.settled(2, stored=True)
    assert said(intake) == [
        ("to-a", Answer(1, stored=True, acks=(("t1", b"one"), ("t2", b"two"), ("t1", b"more")), refused=("t2",))),
        ("to-b", Answer(1, stored=True, acks=(("t3", b"three"),))),
    ]


async def test_what_the_store_refuses_comes_again_and_what_is_stored_is_answered_again():
    intake = made()
    intake._take(group("a", 0, "t1"), "to-a")
    await intake.get_batch(9, 0)
    intake.settled(1, stored=False)
    assert said(intake) == [("to-a", Answer(1, stored=False))]
    intake._take(group("a", 0, "t1", run=2), "to-a")
    assert len(await intake.get_batch(9, 0)) == 1
    intake.publish_ack("t1", b"stored")
    intake.settled(1, stored=True)
    first = said(intake)
    intake._take(group("a", 0, "t1", run=3), "to-a")
    assert said(intake) == first == [("to-a", Answer(1, stored=True, acks=(("t1", b"stored"),)))]
    assert not intake._waiting


async def test_an_ack_that_belongs_to_no_group_goes_to_the_terminal_itself():
    intake = made()
    intake.publish_ack("t9", b"slow")
    intake.settled(0, stored=True)
    assert list(intake._unsent) == [("", "amq.topic", "tw.1.t9.ack", b"slow")]


async def test_what_openers_dropped_is_counted_and_who_was_too_fast_is_told():
    intake = made()
    intake._take(group("a", 0, dropped={("t1", "flood"): 3, ("t2", "muted"): 5, ("", "flood"): 1}), "to-a")
    assert intake.dropped == 9
    assert intake.take_dropped() == {("t1", "flood"): 3, ("t2", "muted"): 5, ("", "flood"): 1}
    assert intake.take_slow() == {"t1"}
    assert said(intake) == [("to-a", Answer(1, stored=True))], "a group without messages has nothing to wait for"


async def test_what_waits_for_a_broker_that_is_away_is_bounded_and_told_once(caplog):
    intake = made()
    for n in range(MAX_UNSENT + 5):
        intake.publish_command("t1", str(n).encode())
    assert len(intake._unsent) == MAX_UNSENT
    assert intake._unsent[0][3] == b"5"
    assert intake._unsaid == 5
    (told,) = caplog.messages
    assert "20000 messages wait for it" in told


async def test_a_key_that_was_revoked_since_it_was_opened_is_looked_at_again(world):
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    good, late = (atm.batch([reading("host", "host.cpu.percent", T0, 1.0)], T0) for _ in range(2))
    opened = [m._replace(opened=open_batch(m.topic, m.payload, world.pipeline.fold.fleet)) for m in (good, late)]
    passed = open_group(pack_group(Group("o", 1, 0, 1, opened)), T0).messages
    intake = made()
    task = asyncio.create_task(Ingest(world.pipeline, intake, max_n=9, max_wait_s=0).run())
    try:
        intake._take(Group("o", 1, 0, 1, passed[:1]), "to")
        async with asyncio.timeout(60):
            while not intake._unsent:
                await asyncio.sleep(0)
        (answer,) = said(intake)
        assert [terminal for terminal, _ in answer[1].acks] == ["atm-1"]
        await world.pipeline.operate({"action": "revoke", "terminal": "atm-1", "reason": "stolen", "actor": "test"})
        intake._take(Group("o", 1, 1, 2, passed[1:]), "to")
        async with asyncio.timeout(60):
            while not intake._unsent:
                await asyncio.sleep(0)
        (answer,) = said(intake)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert answer[1] == Answer(2, stored=True, refused=("atm-1",))
    assert world.pipeline.refusals.by_reason == {Refusal.REVOKED_KEY: 1}
    assert world.pipeline.terminal("atm-1").streams[atm.epoch].mark == 1
