"""Why a terminal is offline, asked through the whole fold."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender
from tillwatch.collector.store.folded import state_of
from tillwatch.collector.terminal.losses import FLEET_EVERY_NS

RULES = '[fold]\nsilent_least = "30d"\n'
"""Nobody is missed by the clock: who is lost is told by the broker, or says so."""


async def test_who_says_goodbye_while_everybody_is_lost_was_stopped(world: World):
    """The only one of many of whom it is known: it is no part of what befell the others."""
    senders = [Sender(f"t-{i}") for i in range(12)]
    await world.start(RULES)
    for i, sender in enumerate(senders):
        await sender.enrol(world.pipeline, f"branch-{i % 4}")
        await world.pipeline.take([sender.life(world.now)])
    world.now = T0 + 100 * S
    await world.pipeline.take([sender.life(world.now, state="offline", n=sender.n) for sender in senders[:-1]])
    world.now += 2 * FLEET_EVERY_NS
    await world.pipeline.take([senders[-1].life(world.now, state="offline")])
    await world.tick(world.now + 300 * S)
    causes = {name: loss.cause.cause for name, loss in world.pipeline.fold.losses.of.items()}
    assert causes == {sender.name: "monitoring" for sender in senders[:-1]} | {senders[-1].name: "agent"}


async def test_a_cause_that_its_return_shows_at_once_stands_in_the_log(world: World):
    """It comes back with another boot: from then on nobody would ask again."""
    sender = Sender("t-0")
    await world.start(RULES)
    await sender.enrol(world.pipeline)
    await world.pipeline.take([sender.life(T0)])
    world.now = T0 + 600 * S
    await world.pipeline.take([sender.life(world.now, state="offline", n=sender.n)])
    world.now = T0 + 4000 * S
    sender.boot, sender.boot_at = b"boot0002", world.now - 60 * S
    await world.pipeline.take([sender.life(world.now)])
    await world.tick(world.now + 3600 * S)
    with closing(sqlite3.connect(world.path)) as db:
        rows = db.execute("SELECT kind, since, body FROM state_change WHERE kind = 'cause' ORDER BY seq").fetchall()
    assert [state_of("t-0", since, at=0, kind=kind, body=body).cause for kind, since, body in rows] == ["terminal"]


async def test_why_it_is_silent_stands_in_its_ticket_from_the_beginning(world: World):
    """What is known at the loss is not put off until neighbours have had their time."""
    senders = [Sender(f"t-{i}") for i in range(4)]
    await world.start(RULES)
    for sender in senders:
        await sender.enrol(world.pipeline)
        await world.pipeline.take([sender.life(world.now)])
    await world.pipeline.take([senders[0].life(world.now, state="offline", n=senders[0].n)])
    (incident,) = world.pipeline.fold.book.incidents.values()
    assert incident.cause.startswith("the broker lost its connection, while 3 other terminals of the branch spoke on")
