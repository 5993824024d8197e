"""What many terminals have alike is kept once."""

from __future__ import annotations

import pytest

from tests.collector.conftest import World
from tests.collector.sending import Sender, reading


@pytest.mark.parametrize("again", [False, True], ids=["heard", "loaded"])
async def test_all_terminals_share_the_names_of_components_and_signals(world: World, *, again: bool) -> None:
    await world.start()
    for sender in (Sender("atm-1"), Sender("atm-2")):
        await sender.enrol(world.pipeline)
        made = [reading("ups/output:1", "ups.output.load", world.now, 25.0)]
        await world.pipeline.take([sender.batch(made, world.now)])
    if again:
        world = world.restart()
    names = [
        (*terminal.components, *(kept.name for kept in terminal.components.values()), *(signal for kept in terminal.components.values() for signal in kept.series))
        for terminal in world.pipeline.fold.fleet.terminals.values()
    ]  # fmt: skip
    assert names == [("ups/output:1", "ups/output:1", "ups.output.load")] * 2
    assert len({id(name) for each in names for name in each}) == 2
    world.store.close()
