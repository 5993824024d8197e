"""From the journal alone, every signature checked: the same alarms, incidents and rows of the log, whatever people did in between."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tests.collector.stories.stage import DAY, HOUR, MINUTE
from tillwatch.agent.model import State
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.duty.policy import shipped_policy
from tillwatch.collector.operators import ACTS
from tillwatch.collector.proof.rebuild import rebuild, tables

PATIENT = '[fold]\nsilent_least = "900d"\n[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'
POLICY = """
[person.li]
name = "Li Wei"
phone = "1"
[[shift]]
role = "duty engineer"
people = ["li"]
hours = "00:00-24:00"
[[window]]
id = "weekly"
scope = "branch:lake"
weekly = "tue"
at = "01:30"
length = "2h"
reason = "updates"
approved_by = "chen"
"""


class Site:
    def __init__(self, world: World) -> None:
        self.world = world
        self.done: set[str] = set()

    async def act(self, action: str, **facts: object) -> None:
        self.done.add(action)
        await self.world.pipeline.operate({"action": action, "actor": "li.wei", **facts})

    async def say(self, sender: Sender, *rows: tuple[str, str, object, State]) -> None:
        sent = [reading(part, signal, self.world.now, value, state) for part, signal, value, state in rows]
        await self.world.pipeline.take([sender.batch(sent, self.world.now)])

    async def wait(self, ns: int) -> None:
        await self.world.tick(self.world.now + ns)

    def incident(self, fault: str) -> str:
        found = [each for each in self.world.pipeline.fold.book.incidents.values() if each.fault == fault]
        return max(found, key=lambda each: each.opened_at).corr_id

    def alarm(self, rule: str, terminal: str = "") -> int:
        alarms = self.world.pipeline.fold.book.alarms.values()
        return next(each.id for each in alarms if each.rule == rule and terminal in ("", each.terminal))


async def test_a_day_with_acts_of_every_kind(world: World, tmp_path: Path) -> None:
    site = Site(world)
    await world.pipeline.start(shipped_text(), PATIENT, policy=(shipped_policy(), POLICY))
    atms = [Sender(f"atm-{i}", boot_at=T0 - DAY) for i in range(6)]
    for i, atm in enumerate(atms):
        await atm.enrol(world.pipeline, branch="lake" if i == 5 else "hill")
        await world.pipeline.take([atm.life(world.now)])
    one, two, three = atms[:3]
    full, well = ("host/disk:/", "host.disk.percent", 99, State.NONE), ("host/disk:/", "host.disk.percent", 10, State.NONE)  # fmt: skip

    # A fault, its whole way through people's hands.
    await site.say(one, full)
    disk = site.incident("disk.full")
    await site.wait(5 * MINUTE)
    await site.act("acknowledge", terminal="atm-0", alarm=site.alarm("disk.full"), note="on my way")
    await site.act("assign", incident=disk, to="chen")
    await site.act("in-repair", incident=disk)
    await site.act("hold", incident=disk, reason="parts")
    await site.wait(HOUR)
    await site.act("note", incident=disk, text="the part is there")
    await site.act("resume", incident=disk)
    await site.act("resolve", incident=disk, verdict="part_changed", part="disk")  # too early: it still lasts
    await site.say(one, well)
    await site.act("resolve", incident=disk, verdict="part_changed", part="disk")
    await site.act("close", incident=disk)
    # Masks.
    await site.say(two, full)
    await site.act("shelve", terminal="atm-1", alarm=2, until=world.now + 8 * HOUR, reason="known", second="chen")
    await site.wait(HOUR)
    await site.act("unshelve", terminal="atm-1", alarm=2)
    planned = {"scope": "branch:hill", "from": world.now, "to": world.now + 5 * HOUR, "reason": "cabling"}
    await site.act("window", id="w-1", approved_by="chen", change_ref="C-1", **planned)
    await site.say(three, full)
    world.now += HOUR
    site.world = world = world.restart()
    await world.pipeline.start(shipped_text(), PATIENT, policy=(shipped_policy(), POLICY))
    await site.act("window-cancel", id="w-1")
    # A branch that is lost, a terminal in the workshop, a skimmer, a flapping disk, a drill, a correction.
    await world.pipeline.take([atm.life(world.now, state="offline", n=atm.n) for atm in atms[:5]])
    await site.wait(20 * MINUTE)
    world.now += S
    await world.pipeline.take([atm.life(world.now) for atm in atms[:4]])
    await site.wait(30 * MINUTE)
    await site.act("life-cycle", terminal="atm-4", state="repair", reason="in the workshop")
    await site.say(one, ("atm/IDC1", "atm.antifraud", "deviceDetected", State.CRIT))
    await site.say(one, ("atm/IDC1", "atm.antifraud", "ok", State.OK))
    for i in range(12):
        await site.say(two, full if i % 2 else well)
        await site.wait(30 * S)
    # Two of which people say that they are one, and then that they are not.
    for atm in (three, atms[3]):
        await site.say(atm, well)
        await site.wait(HOUR)
        await site.say(atm, full)
        await site.wait(10 * MINUTE)
    pair = {name: site.alarm("disk.full", name) for name in ("atm-2", "atm-3")}
    alarms = {each.id: each for each in world.pipeline.fold.book.alarms.values()}
    first, other = (alarms[number].incident for number in pair.values())
    await site.act("merge", incident=other, into=first)
    assert world.pipeline.fold.book.incidents[first].took == (other,)
    await site.act("split", incident=first, alarms=[pair["atm-3"]])
    alone = {each.id: each.incident for each in world.pipeline.fold.book.alarms.values()}[pair["atm-3"]]
    assert alone not in (first, other)
    await site.act("drill", terminal="atm-5", rule="atm.jam", component="CDM1", minutes=10, level=2)
    await site.wait(HOUR)
    await site.act(
        "correct",
        terminal="atm-4",
        **{"from": T0, "to": T0 + HOUR},
        counts_as="planned",
        reason="cabling",
        party="planned",
    )
    await world.pipeline.start(shipped_text(), PATIENT + '[[rule]]\nid = "atm.jam"\noff = "leased"\n')
    await site.wait(3 * DAY)
    assert site.done >= ACTS, "every kind of act has its part in this story"

    copy = tmp_path / "again.db"
    rebuild(world.path, copy)
    with closing(sqlite3.connect(copy)) as again:
        kept, made = tables(world.store.conn), tables(again)
    for name in kept:
        assert made[name] == kept[name], name
    for name in ("alarm", "alarm_event", "incident", "incident_event", "incident_alarm", "state_change", "correction"):
        assert made[name], f"nothing of {name} is in this story"
    world.store.close()
