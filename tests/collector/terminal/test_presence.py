"""Who speaks: a terminal is missed by the interval that it told last, whether the collector has run on or begun again meanwhile."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.sqlite import open_db

RULES = '[fold]\nsilent_after = 3.0\nsilent_least = "4s"\ndefault_interval = "2s"\n[[rule]]\nid = "terminal.silent"\nfor = "0s"\n'


def raised(world: World) -> list[int]:
    """Seconds after T0 at which the terminal was found silent."""
    rows = world.store.conn.execute("SELECT at FROM alarm_event WHERE kind = 'raised' ORDER BY seq").fetchall()
    return [(at - T0) // S for (at,) in rows]


@pytest.mark.parametrize("again", [False, True], ids=["ran on", "began again"])
@pytest.mark.parametrize(
    ("told", "missed"),
    [([(0, 1.0)], 4), ([(0, 20.0), (30, 1.0)], 34), ([(0, 1.0), (1, 20.0)], 61)],
    ids=["first", "sooner", "later"],
)
async def test_a_terminal_is_missed_by_what_it_told_last(
    world: World, told: list[tuple[int, float]], missed: int, *, again: bool
) -> None:
    await world.start(RULES)
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    for second, interval in told:
        world.now = T0 + second * S
        await world.pipeline.take([atm.batch([reading("agent", "monitor.interval", world.now, interval)], world.now)])
    if again:
        # As where the disk was full: what was folded is dropped, and what is stored is taken up again.
        world.pipeline._load()
    await world.tick(T0 + missed * S - 1)
    assert raised(world) == []
    await world.tick(T0 + (missed + 1) * S)
    assert raised(world) == [missed]
    world.store.close()
    made = world.path.with_name("rebuilt.db")
    rebuild(world.path, made)
    with closing(open_db(world.path)) as kept, closing(open_db(made)) as anew:
        assert tables(kept) == tables(anew)
