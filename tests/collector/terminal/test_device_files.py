"""Whatever order people's acts on device files come in, the store and a rebuild of its log say the same."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.sending import S, Sender
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.terminal import asset

NAMES = ("atm-1", "atm-2", "nobody")
fields = st.fixed_dictionaries({}, optional={
    "maker": st.sampled_from(["Acme", "Bolt", None]), "service_interval_days": st.sampled_from([30, 180, None]),
    "serials": st.sampled_from([{"ups": "1"}, {"ups": "2", "sda": "3"}, None]), "later": st.just("x"),
})  # fmt: skip
acts = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NAMES), st.just("asset"), fields, st.sampled_from(["", "stale", "right"])),
        st.tuples(st.sampled_from(NAMES), st.just("terminal-note"), st.sampled_from(["", "looked at it", "锁坏了"]), st.just("")),
        st.tuples(st.just("atm-1"), st.just("life-cycle"), st.sampled_from(["repair", "in_service"]), st.just("")),
    ),
    max_size=12,
)  # fmt: skip


@given(acts)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_acts_in_any_order_are_what_a_rebuild_makes_of_them(steps):
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder) / "c.db")
            await world.start()
            for name in NAMES[:2]:
                await Sender(name).enrol(world.pipeline)
            kept: dict[str, dict[str, object]] = {name: {} for name in NAMES[:2]}
            notes = []
            for name, action, what, was in steps:
                world.now += S
                facts = {"action": action, "terminal": name, "actor": "li.wei"}
                if action == "asset":
                    facts["fields"] = what
                    if was:
                        now = asset.version(world.pipeline.fold.device_files.of.get(name, b""))
                        facts["was"] = now if was == "right" else "0" * 16
                    if name in kept and was != "stale":
                        merged = {**kept[name], **what}
                        kept[name] = {
                            key: value for key, value in merged.items() if value is not None and key != "later"
                        }
                elif action == "terminal-note":
                    facts["text"] = what
                    if what and name in kept:
                        notes.append((name, what))
                else:
                    facts |= {"state": what, "reason": "why"}
                await world.pipeline.operate(facts)
            rebuild(world.path, Path(folder) / "again.db")
            again = World(Path(folder) / "again.db")
            assert tables(again.store.conn) == tables(world.store.conn)
            assert again.pipeline.fold.device_files.of == world.pipeline.fold.device_files.of
            again.store.close()
            world.store.close()
            reader = SqliteReader(world.path)
            assert reader.assets() == {name: record for name, record in kept.items() if record}
            shown = [(name, note.text) for name in kept for note in reversed(reader.dossier(name, world.now).notes)]
            assert sorted(shown) == sorted(notes)
            reader.close()

    asyncio.run(run())
