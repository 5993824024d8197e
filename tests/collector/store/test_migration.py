"""A kept file of each released version opens with this one, says the same and goes on."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.packed import keep_house, measured
from tests.collector.sending import T0, S, Sender, reading
from tests.collector.stories.foreseen import found
from tillwatch.agent.wire import AckState
from tillwatch.collector.predict.finding import Grade
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.store import sqlite as stored
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore, StoreError, open_db
from tillwatch.collector.tickets import outbox

INCIDENTS = ("alarm", "alarm_event", "incident", "incident_alarm", "incident_event", "state_change")
"""What this version makes otherwise of the same log: alarms with one cause are one incident."""
DATABASES = Path(__file__).parents[1] / "databases"
END = T0 + 30 * 10 * S


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return Path(shutil.copy(DATABASES / "collector_v1.db", tmp_path / "collector.db"))


async def test_a_file_of_version_1_goes_on_and_is_packed(kept: Path) -> None:
    before = SqliteStore(kept)
    state, entries = tables(before.conn), verify_log(before.conn, None)
    before.close()
    assert entries.ok
    assert (entries.entries, entries.frames) == (67, 62)
    world = World(kept)
    world.now = END
    assert tables(world.store.conn) == state
    await world.start()
    atm = Sender("atm-1")
    stream = world.pipeline.fold.fleet.terminals["atm-1"].streams[atm.epoch]
    atm.seq, atm.prev = stream.mark, stream.tail
    chance = random.Random(1)
    for _ in range(320):
        world.now += S
        replies = await world.pipeline.take([atm.batch(measured(chance, world.now), world.now)])
        assert replies["atm-1"].state is AckState.OK
    await keep_house(world)
    assert world.store.conn.execute("SELECT terminal, first_n < 67, entries FROM segment").fetchall() == [
        ("atm-1", 1, 256)
    ]
    assert verify_log(world.store.conn, None).ok
    copy = kept.with_name("again.db")
    rebuild(kept, copy)
    again = SqliteStore(copy)
    kept_state, made = tables(world.store.conn), tables(again.conn)
    # The status of a terminal has members that version 1 did not know, and that a rebuild fills; of alarms it made one incident each.
    for state in (kept_state, made):
        for name in ("terminal", *INCIDENTS):
            del state[name]
    assert made == kept_state
    again.close()
    world.store.close()


async def test_a_file_of_version_2_goes_on_and_its_alarms_can_be_taken_on(tmp_path: Path) -> None:
    world = World(Path(shutil.copy(DATABASES / "collector_v2.db", tmp_path / "collector.db")))
    assert verify_log(world.store.conn, None).ok
    await world.start()
    (alarm,) = [alarm for alarm in world.pipeline.fold.book.alarms.values() if alarm.rule == "ups.on-battery"]
    assert (alarm.condition, alarm.acked_by) == ("active", "")
    await world.pipeline.operate({"action": "acknowledge", "terminal": "atm-1", "alarm": alarm.id, "actor": "li.wei"})
    kept = world.store.conn.execute("SELECT acked_by FROM alarm WHERE id = ?", (alarm.id,)).fetchone()
    assert kept == ("li.wei",)
    copy = tmp_path / "again.db"
    rebuild(world.path, copy)
    again = SqliteStore(copy)
    made, kept = tables(again.conn), tables(world.store.conn)
    assert {name: made[name] for name in made if name not in INCIDENTS} == {
        name: kept[name] for name in kept if name not in INCIDENTS
    }
    again.close()
    world.store.close()


async def test_a_file_of_version_3_keeps_its_alarms_and_their_incidents_go_on_to_their_end(tmp_path: Path) -> None:
    world = World(Path(shutil.copy(DATABASES / "collector_v3.db", tmp_path / "collector.db")))
    assert verify_log(world.store.conn, None).ok
    with closing(SqliteReader(world.path)) as reader:
        shown = {view.rule: view for view in reader.alarms()}
        assert {rule: view.isa_state for rule, view in shown.items()} == {
            "camera.opened": "UNACK", "ups.on-battery": "UNACK", "disk.full": "ACKED",
        }  # fmt: skip
        assert shown["disk.full"].acked_by == "li.wei"
        views, total = reader.incidents(world.pipeline.fold.advanced_to)
        assert total == 3
        assert {view.fault for view in views} == set(shown)
        assert {view.terminal for view in views} == {"atm-1", "atm-2", "atm-3"}
        assert {(view.announced_at == view.opened_at, view.alarms) for view in views} == {(True, 1)}
        assert {view.fault: (view.state, view.owner) for view in views} == {
            "camera.opened": ("open", ""), "ups.on-battery": ("open", ""), "disk.full": ("acknowledged", "li.wei"),
        }  # fmt: skip
        why = {rule: reader.why(view.id, world.pipeline.fold.advanced_to)[1] for rule, view in shown.items()}
        assert {answer.told for answer in why.values()} == {"told"}
    world.now = world.pipeline.fold.advanced_to + S
    await world.start()
    # The mains are back, the disk is empty, somebody has looked at the camera.
    atms = {name: Sender(name) for name in ("atm-1", "atm-2", "atm-3")}
    for name, atm in atms.items():
        stream = world.pipeline.fold.fleet.terminals[name].streams[atm.epoch]
        atm.seq, atm.prev = stream.mark, stream.tail
    well = {
        "atm-1": ("ups", "ups.output.source", "normal"), "atm-2": ("host/disk:/", "host.disk.percent", 20), "atm-3": ("camera", "camera.casing", "closed"),
    }  # fmt: skip
    for _ in range(30):
        world.now += 30 * S
        for name, (component, signal, value) in well.items():
            told = atms[name].batch([reading(component, signal, world.now, value)], world.now)
            assert (await world.pipeline.take([told]))[name].state is AckState.OK
    await world.pipeline.operate(
        {"action": "acknowledge", "terminal": "atm-3", "alarm": shown["camera.opened"].id, "actor": "chen"}
    )
    with closing(SqliteReader(world.path)) as reader:
        after = {view.fault: view for view in reader.incidents(world.now, living=False)[0]}
        assert {rule: view.state for rule, view in after.items()} == {
            "ups.on-battery": "restored", "disk.full": "restored", "camera.opened": "acknowledged",
        }  # fmt: skip
    told = dict(world.store.conn.execute("SELECT incident, op FROM outbox ORDER BY seq").fetchall())
    assert [told[after[rule].id] for rule in ("ups.on-battery", "disk.full")] == ["resolve", "resolve"], (
        "what was told is told that it is over"
    )
    copy = tmp_path / "again.db"
    rebuild(world.path, copy)
    again = SqliteStore(copy)
    made, kept = tables(again.conn), tables(world.store.conn)
    assert {name: made[name] for name in made if name not in INCIDENTS} == {
        name: kept[name] for name in kept if name not in INCIDENTS
    }
    again.close()
    world.store.close()


async def test_a_file_of_version_4_keeps_its_tickets_and_what_waits_for_them(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATABASES / "collector_v4.db", tmp_path / "collector.db"))
    with closing(sqlite3.connect(path)) as old:
        before = old.execute(
            "SELECT id, incident, op, seq, body, level, state, drill FROM outbox ORDER BY id"
        ).fetchall()
        link = old.execute("SELECT * FROM ticket_link").fetchone()
    assert {row[6] for row in before} == {"pending", "sending", "done"}
    assert any(row[7] for row in before)
    world = World(path)
    db = world.store.conn
    after = db.execute("SELECT id, incident, op, seq, body, level, state, connector FROM outbox ORDER BY id").fetchall()
    assert after == [(*row[:7], "drills" if row[7] else "webhook") for row in before]
    assert db.execute("SELECT incident, connector, external_id, url, state FROM ticket_link").fetchone() == link
    world.now = world.pipeline.fold.advanced_to + S
    await world.start()
    assert world.pipeline.fold.book.incidents
    assert outbox.recover(db, "webhook", world.now, 0) == 1
    taken = outbox.take_due(db, "webhook", world.now, 9, owner="me", lease_until=world.now + S)
    assert {each.row.incident for each in taken} == {row[1] for row in before if not row[7]}
    world.store.close()


async def test_a_file_of_version_5_learns_to_foresee(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATABASES / "collector_v5.db", tmp_path / "collector.db"))
    with closing(sqlite3.connect(path)) as old:
        kept = {
            name: sorted(old.execute(f"SELECT * FROM {name}").fetchall()) for name in (*INCIDENTS, "journal", "outbox")
        }
    world = World(path)
    assert {name: sorted(world.store.conn.execute(f"SELECT * FROM {name}").fetchall()) for name in kept} == kept
    assert verify_log(world.store.conn, None).ok
    world.now = world.pipeline.fold.advanced_to + S
    await world.start()
    said = found("atm-1", "ups", world.now)
    grade = Grade("atm-1", "high", 0.6, world.now, world.now, pace=0.5)
    facts = {
        "position": world.pipeline.journal.n,
        "findings": [said.facts()],
        "grades": [grade.facts()],
        "actor": "predictions",
    }
    await world.pipeline.foretold(facts)
    assert world.pipeline.fold.book.alarms["predicted.wear", "atm-1", "ups"].open
    again = world.restart()
    assert again.pipeline.fold.foretelling.open == {said.id: said}
    assert again.pipeline.fold.foretelling.paces == {"atm-1": 0.5}
    with closing(SqliteReader(path)) as reader:
        (risk,) = reader.at_risk()
    assert (risk.terminal, risk.grade, [each.id for each in risk.findings]) == ("atm-1", grade, [said.id])
    copy = tmp_path / "again.db"
    rebuild(path, copy)
    made = SqliteStore(copy)
    assert tables(made.conn) == tables(again.store.conn)
    made.close()
    again.store.close()


async def test_a_file_of_version_6_keeps_what_was_foreseen(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATABASES / "collector_v6.db", tmp_path / "collector.db"))
    tables_kept = (*INCIDENTS, "journal", "outbox", "finding", "risk")
    with closing(sqlite3.connect(path)) as old:
        kept = {name: sorted(old.execute(f"SELECT * FROM {name}").fetchall()) for name in tables_kept}
    assert kept["finding"]
    world = World(path)
    assert {name: sorted(world.store.conn.execute(f"SELECT * FROM {name}").fetchall()) for name in kept} == kept
    world.now = world.pipeline.fold.advanced_to + S
    await world.start()
    copy = tmp_path / "again.db"
    rebuild(path, copy)
    made = SqliteStore(copy)
    assert tables(made.conn) == tables(world.store.conn)
    made.close()
    world.store.close()


async def test_a_file_of_version_7_keeps_what_people_wrote_down_and_asked_for(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATABASES / "collector_v7.db", tmp_path / "collector.db"))
    tables_kept = (*INCIDENTS, "journal", "outbox", "finding", "risk", "asset", "terminal_note", "command")
    with closing(sqlite3.connect(path)) as old:
        kept = {name: sorted(old.execute(f"SELECT * FROM {name}").fetchall()) for name in tables_kept}
    assert all(kept[name] for name in ("asset", "terminal_note", "command"))
    world = World(path)
    assert {name: sorted(world.store.conn.execute(f"SELECT * FROM {name}").fetchall()) for name in kept} == kept
    world.now = world.pipeline.fold.advanced_to + S
    await world.start()
    copy = tmp_path / "again.db"
    rebuild(path, copy)
    made = SqliteStore(copy)
    assert tables(made.conn) == tables(world.store.conn)
    made.close()
    world.store.close()


def test_what_was_over_in_an_old_file_is_closed_and_waits_for_nobody(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATABASES / "collector_v3.db", tmp_path / "collector.db"))
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("UPDATE alarm SET condition = 'normal', cleared_at = ? WHERE rule = 'ups.on-battery'", (T0,))
        old.execute(
            "UPDATE incident SET state = 'restored', restored_at = ? WHERE corr_id = (SELECT incident FROM alarm WHERE rule = 'ups.on-battery')",
            (T0,),
        )
    world = World(path)
    with closing(SqliteReader(path)) as reader:
        assert {view.fault for view in reader.incidents(T0)[0]} == {"disk.full", "camera.opened"}
        over = next(view for view in reader.incidents(T0, living=False)[0] if view.fault == "ups.on-battery")
        assert (over.state, over.closed_at, over.alarms, over.tamper) == ("closed", T0, 0, False)
        assert next(view for view in reader.incidents(T0)[0] if view.fault == "camera.opened").tamper
    world.store.close()


def test_every_version_has_its_step_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    found = sorted(Path(stored.__file__).parent.glob("schema_v*.sql"))
    assert [path.name for path in found] == [f"schema_v{n}.sql" for n in range(1, stored.SCHEMA_VERSION + 1)]
    path = tmp_path / "collector.db"
    db = open_db(path)
    db.execute(f"PRAGMA user_version = {stored.SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StoreError, match="newer tillwatch"):
        open_db(path)


def test_an_old_file_and_a_new_one_have_the_same_tables(kept: Path, tmp_path: Path) -> None:
    query = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
    old, new = open_db(kept), open_db(tmp_path / "new.db")
    assert old.execute(query).fetchall() == new.execute(query).fetchall()
    old.close()
    new.close()
