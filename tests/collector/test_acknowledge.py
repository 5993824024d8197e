"""An acknowledgement counts until the fault ends or grows worse, and no longer than it is allowed to; what it did a rebuild does again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.collector.__main__ import main
from tillwatch.collector.alarm.alarms import ACK_NS
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.web.rest.schema import Alarm

RULES = """
[fold]
silent_least = "30d"
default_interval = "30d"
[[rule]]
id = "disk.full"
for = "0s"
hold = "0s"
[[rule]]
id = "terminal.silent"
for = "30d"
"""


@pytest.fixture
async def atm(world: World) -> Sender:
    """With a disk that is nearly full: an alarm of level 3."""
    await world.start(RULES)
    sender = Sender("atm-1")
    await sender.enrol(world.pipeline)
    await world.pipeline.take([sender.life(T0)])
    await fill(world, sender, 93)
    return sender


async def fill(world: World, sender: Sender, percent: float) -> None:
    world.now += 10 * S
    full = reading("host/disk:/", "host.disk.percent", world.now, percent)
    await world.pipeline.take([sender.batch([full], world.now)])
    await world.tick(world.now + S)


async def acknowledge(world: World, alarm: int = 1, by: str = "li.wei") -> None:
    await world.pipeline.operate(
        {"action": "acknowledge", "terminal": "atm-1", "alarm": alarm, "actor": by, "note": "on my way"}
    )


def acked(world: World) -> tuple[str, int, int]:
    with closing(SqliteReader(world.path)) as reader:
        (view,) = (alarm for alarm in reader.alarms(open_only=False) if alarm.id == 1)
    return view.acked_by, view.acked_at, view.ack_until


def kinds(world: World) -> list[str]:
    return [kind for (kind,) in world.store.conn.execute("SELECT kind FROM alarm_event WHERE alarm = 1 ORDER BY seq")]


def rebuilt(world: World) -> None:
    copied = world.path.with_name(f"rebuilt-{world.pipeline.journal.n}.db")
    rebuild(world.path, copied)
    with closing(sqlite3.connect(copied)) as again:
        assert tables(again) == tables(world.store.conn)


async def test_it_is_kept_with_who_and_when_and_survives_a_restart(world: World, atm: Sender) -> None:
    await acknowledge(world)
    by, at, until = acked(world)
    assert (by, until - at) == ("li.wei", ACK_NS[3])
    assert at > T0
    rebuilt(world)
    world = world.restart()
    assert acked(world) == (by, at, until)
    await world.start(RULES)
    await world.tick(until - S)
    assert acked(world)[0] == "li.wei"
    await world.tick(until + S)
    assert acked(world) == ("", 0, 0)
    assert kinds(world) == ["raised", "acknowledged", "ack expired"]
    ((told,),) = world.store.conn.execute("SELECT at FROM alarm_event WHERE kind = 'ack expired'")
    assert told == until, "it expires at its time, not when the collector comes to it"
    rebuilt(world)
    world.store.close()


async def test_who_took_on_a_small_fault_has_not_taken_on_a_grave_one(world: World, atm: Sender) -> None:
    await acknowledge(world)
    await fill(world, atm, 99)
    assert acked(world) == ("", 0, 0)
    await acknowledge(world, by="chen")
    until = acked(world)[2]
    await fill(world, atm, 93)
    assert acked(world)[::2] == ("chen", until), "a fault that eases is still his"
    assert kinds(world) == ["raised", "acknowledged", "level", "acknowledged", "level"]
    rebuilt(world)


async def test_it_ends_with_the_fault_and_does_not_come_back_with_it(world: World, atm: Sender) -> None:
    await acknowledge(world)
    await fill(world, atm, 20)
    assert acked(world) == ("", 0, 0)
    await acknowledge(world)
    assert kinds(world)[-1] == "cleared", "what is over cannot be taken on"
    await fill(world, atm, 93)
    assert acked(world) == ("", 0, 0)
    await world.tick(world.now + 2 * ACK_NS[3])
    assert "ack expired" not in kinds(world)
    rebuilt(world)


async def test_an_act_on_an_alarm_that_is_not_there_changes_nothing(world: World, atm: Sender) -> None:
    for number in (0, 2, 10**9):
        await acknowledge(world, alarm=number)
    assert acked(world) == ("", 0, 0)
    assert kinds(world) == ["raised"]
    rebuilt(world)


async def test_its_incident_is_taken_on_and_the_ticket_says_by_whom(world: World, atm: Sender) -> None:
    await acknowledge(world)
    (body,) = world.store.conn.execute("SELECT body FROM outbox ORDER BY seq DESC LIMIT 1").fetchone()
    message = TicketMessage.unpack(body)
    assert (message.op, message.state) == (Op.UPDATE, "acknowledged")
    assert "li.wei has taken it on" in message.note
    await acknowledge(world)
    rebuilt(world)


@pytest.fixture
async def site(tmp_path: Path, world: World, atm: Sender) -> Callable[..., int]:
    """The command line, over this store."""
    (tmp_path / "site").mkdir()
    world.store.close()
    world.path.rename(tmp_path / "site" / "collector.db")
    file = tmp_path / "collector.toml"
    file.write_text(f'[collector]\ndata_dir = "{tmp_path / "site"}"\n')
    return lambda *words: main([*words, "--config", str(file)])


def test_the_commands_list_take_on_and_record(site: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert site("alarms", "--json") == 0
    (alarm,) = json.loads(capsys.readouterr().out)
    assert (alarm["id"], alarm["terminal"], alarm["acked_by"]) == (1, "atm-1", "")
    assert site("acknowledge", "1", "--note", "on my way") == 0
    assert "taken on by" in capsys.readouterr().out
    assert site("alarms") == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert (heading.split()[:2], row.split()[:3]) == (["ALARM", "LEVEL"], ["1", "3", "ACKED"])
    assert site("audit", "--json") == 0
    act = [act for act in json.loads(capsys.readouterr().out) if act["action"] == "acknowledge"]
    assert [(one["terminal"], one["detail"]) for one in act] == [("atm-1", {"alarm": 1, "note": "on my way"})]


async def test_the_api_says_who_has_taken_it_on(world: World, atm: Sender) -> None:
    await acknowledge(world)
    with closing(SqliteReader(world.path)) as reader:
        shown = Alarm.of(reader.alarms()[0]).model_dump(mode="json")
    assert shown["acked_by"] == "li.wei"
    assert shown["ack_until"] > shown["acked_at"]
