"""A real collector behind a real mosquitto while several machines flood it: its memory stays bounded, the others are served, the culprits are
named, and it ends as it should.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgpack

from tests.benchmarks.live import Terminal, key_of
from tests.benchmarks.processes import Process
from tests.benchmarks.rig import Rig
from tests.collector.sending import Sender, reading
from tillwatch.agent.wire import MAX_PAYLOAD, VerifyKey
from tillwatch.collector.store.reader import SqliteReader

QUEUE_MIB = 8
GROWTH_MIB = 8 * QUEUE_MIB
"""What the process may grow by: its queue, what full groups make of it, and what an allocator does not give back at once. 43 MiB as a rule, up to 50
where it is stopped again and again, so that every group is full, and no more after a minute of that.
"""
BATCHES = 50
PATIENCE_S = 40.0
"""For a batch of a terminal beside the flood: one that a broker dropped is sent again after 30 s."""


def bomb() -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(bytes(64 * 1024**2)) + deflate.flush()
    return b"TW\x01\x11" + zlib.crc32(packed, zlib.crc32(b"\x11")).to_bytes(4, "big") + packed


def floods(folder: Path, loud: Sender) -> Iterator[tuple[Path, int, int]]:
    """What each machine sends, at which quality of service, and how many a second: 300 times what a terminal may seal, or 30 Mbit/s."""
    rng = random.Random(7)
    now = time.time_ns()
    own = [loud.batch([reading("ups", "ups.battery.charge", now, 100)], now) for _ in range(3000)]
    lives = [loud.life(now) for _ in range(20)]
    kinds = {
        "garbage": ([("tw/1/garbage/batch", rng.randbytes(size)) for size in (0, 30, 300, 3000)], 1, 3000),
        "bombs": ([("tw/1/bombs/batch", bomb()), ("tw/1/bombs/batch", rng.randbytes(MAX_PAYLOAD))], 0, 40),
        # Genuine, and far more of it than anybody may send.
        "loud": ([(message.topic, message.payload) for message in (*own, *lives)], 1, 3000),
        "strangers": ([(f"tw/1/x{n}/life", rng.randbytes(100)) for n in range(2000)], 0, 3000),
    }
    for name, (messages, qos, per_s) in kinds.items():
        file = folder / f"{name}.flood"
        file.write_bytes(msgpack.packb(messages))
        yield file, qos, per_s


def flooding(port: int, file: Path, qos: int, per_s: int) -> Process:
    program = Path(__file__).with_name("flooding.py")
    return Process(
        f"flooding-{file.stem}", sys.executable, program, str(port), file, str(qos), str(per_s), folder=file.parent
    )


async def serve(terminals: list[Terminal], port: int) -> list[float]:
    """Seal a batch now and then, and wait until all are acknowledged. From reading to ack, ms."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.5)
            for terminal in terminals:
                terminal.tick()

    ticking = asyncio.create_task(tick())
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            await asyncio.gather(*(terminal.connect(port) for terminal in terminals))
            for terminal in terminals:
                terminal.go()
            for _ in range(BATCHES):
                for terminal in terminals:
                    terminal.drained.clear()
                    terminal.seal()
                await asyncio.sleep(0.1)
            for terminal in terminals:
                await terminal.drained.wait()
    finally:
        ticking.cancel()
        for terminal in terminals:
            await terminal.close()
        await asyncio.sleep(0)  # a connection that is cut is gone one turn later
    return sorted(ms for terminal in terminals for ms in terminal.ack_ms)


def test_floods_are_bounded_and_named_and_the_others_are_served(tmp_path: Path) -> None:
    rig = Rig(tmp_path, tls=False)
    rig.file.write_text(rig.file.read_text() + f'[intake]\nqueue_bytes = "{QUEUE_MIB}MiB"\n')
    loud = Sender("loud", boot_at=time.time_ns() - 3600 * 10**9)
    good = [f"good-{n}" for n in range(5)]
    rig.enrol({name: key_of(name).public for name in (*good, "garbage", "bombs")} | {"loud": loud.key.public})
    collector_key = VerifyKey(rig.ack_key)
    with rig.broker(), rig.collector() as collector, contextlib.ExitStack() as stack:
        quiet = asyncio.run(serve([Terminal(name, collector_key) for name in good[:1]], rig.port))
        before = collector.rss_mib()
        for file, qos, per_s in floods(tmp_path, loud):
            machine = stack.enter_context(flooding(rig.port, file, qos, per_s))
            assert machine.hear() == "floods"
        watching: list[float] = []
        terminals = [Terminal(name, collector_key) for name in good[1:]]

        async def beside() -> list[float]:
            serving = asyncio.create_task(serve(terminals, rig.port))
            while not serving.done():
                watching.append(collector.rss_mib())
                await asyncio.sleep(0.1)
            return await serving

        acks = asyncio.run(beside())
        most = max(watching)
        culprits = ("garbage", "bombs", "loud", "")
        collector.wait_for(lambda: all(refused(rig.database, name) > 100 for name in culprits), "naming the culprits")
        stack.close()
        for name in good[1:]:
            stored = rig.ask("SELECT count(*) FROM journal WHERE kind = 3 AND terminal = ?", name)
            assert stored == BATCHES
    print(
        f"RSS {before:.0f} to {most:.0f} MiB; acks alone within {quiet[-1]:.0f} ms, beside the flood {acks[-1]:.0f} ms"
    )
    assert most - before < GROWTH_MIB
    assert len(acks) == BATCHES * len(terminals)
    assert acks[-1] < PATIENCE_S * 1000
    for name in good:
        assert not refused(rig.database, name)


def refused(database: Path, terminal: str) -> int:
    with contextlib.closing(SqliteReader(database)) as reader:
        return sum(one.refused for one in reader.health().culprits if one.terminal == terminal)


def test_a_flooding_machine_ends_when_it_is_told(tmp_path: Path) -> None:
    """The test's own tool: nothing of it may be left behind."""
    rig = Rig(tmp_path, tls=False)
    (tmp_path / "f").write_bytes(msgpack.packb([("tw/1/a/batch", b"x")]))
    with rig.broker():
        with flooding(rig.port, tmp_path / "f", 1, 1000) as machine:
            assert machine.hear() == "floods"
        assert not Path(f"/proc/{machine.pid}").exists()
