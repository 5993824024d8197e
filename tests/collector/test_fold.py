"""Whatever a terminal may seal, the fold takes it: no value, no order and no time of a well-formed batch can stop it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.sending import S, Sender
from tillwatch.agent.model import MS, Quality, Reading, State
from tillwatch.collector.proof.rebuild import rebuild, tables

values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["battery", "failed", "ok", "forced"]),
)
names = st.sampled_from(["ups", "ups/battery", "host/disk:/", "agent", "x"])
signals = st.sampled_from(
    [
        "host.disk.percent",
        "ups.output.source",
        "ups.battery.charge",
        "monitor.source",
        "monitor.interval",
        "monitor.reason",
        "unmapped.y",
        "printer.error",
        "drive.smart",
        "drive.wear",
        "env.sensor",
        "env.water",
        "env.door",
    ]
)
offsets = st.integers(-3_600_000, 3_600_000)
readings = st.builds(
    lambda c, s, at, v, q, j: (c, s, at, v, q, j),
    names,
    signals,
    offsets,
    values,
    st.sampled_from(Quality),
    st.sampled_from(State),
)
batches = st.lists(
    st.tuples(st.lists(readings, min_size=1, max_size=12), st.integers(0, 4000), st.integers(-(10**6), 10**6)),
    min_size=1,
    max_size=8,
)


@given(batches)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_batch_folds_and_a_rebuild_agrees(steps):
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder) / "c.db")
            await world.start()
            atm = Sender("atm-1")
            await atm.enrol(world.pipeline)
            await world.pipeline.take([atm.life(world.now)])
            for rows, gap_s, clock_off_s in steps:
                world.now += gap_s * S
                await world.tick(world.now)
                made = [
                    Reading(
                        c, s, (world.now + clock_off_s * S) // MS * MS + at % 3_600_000 * MS - 1_800_000 * MS, v, q, j
                    )
                    for c, s, at, v, q, j in rows
                ]
                await world.pipeline.take([atm.batch(made, world.now, clock_off=clock_off_s * S)])
            assert world.pipeline.fold.fleet.terminals["atm-1"].streams[atm.epoch].mark == len(steps)
            rebuild(world.path, Path(folder) / "again.db")
            again = World(Path(folder) / "again.db")
            assert tables(again.store.conn) == tables(world.store.conn)
            again.store.close()
            world.store.close()

    asyncio.run(run())
