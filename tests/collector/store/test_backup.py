"""A backup of a store that is being written, what is in it, what is found out about a bad one, and the life after a restore."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.people.peopled import BY, HASH
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.window import Discard, Offer, Send, SendLife, Window
from tillwatch.agent.wire import Ack, AckState
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import open_console, transaction
from tillwatch.collector.people.roles import Role
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store import backup as backup_module
from tillwatch.collector.store.backup import BackupError, make, restore, verify
from tillwatch.collector.store.lock import RESTORING, InUseError, locked
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.trust.authority import open_authority


class Site:
    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.database, self.authority = self.data / "collector.db", self.data / "authority"
        self.console = self.data / "console.db"
        self.file = folder / "backup.db"

    def make(self, **how) -> backup_module.Backup:
        return make(self.database, self.authority, self.file, **how)

    def restore(self, **how) -> Path | None:
        return restore(self.file, self.database, self.authority, **how)[1]

    def keys(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.authority.iterdir()}

    async def world(self, batches: int = 20) -> tuple[World, Sender]:
        open_authority(self.authority)
        world = World(self.database)
        await world.start()
        atm = Sender("atm-1")
        await atm.enrol(world.pipeline)
        await world.pipeline.take([atm.life(world.now)])
        for _ in range(batches):
            await say(world, atm)
        return world, atm


async def say(world: World, atm: Sender) -> None:
    world.now += S
    charge = [reading("ups", "ups.battery.charge", world.now, 20 + atm.seq % 70)]
    await world.pipeline.take([atm.batch(charge, world.now)])


def query(path: Path, text: str) -> list:
    db = sqlite3.connect(path)
    rows = db.execute(text).fetchall()
    db.close()
    return rows


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_a_store_that_is_written_all_the_while_gives_one_moment(site, monkeypatch):
    monkeypatch.setattr(backup_module, "PAGES", 1)
    world, atm = await site.world(100)
    before = world.pipeline.journal.n
    steps: list[int] = []

    def progress(what: str, done: int, _: int) -> None:
        steps.append(done)
        written.set()
        if what.startswith("copied") and done == 5:  # hold the copy until the collector has gone on meanwhile
            asyncio.run_coroutine_threadsafe(gone_on.wait(), loop).result(30)

    loop, written, gone_on = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    making = asyncio.create_task(asyncio.to_thread(site.make, progress=progress))
    for _ in range(50):
        await say(world, atm)
    gone_on.set()
    while not making.done():
        await say(world, atm)
    made = await making
    assert before <= made.entries < world.pipeline.journal.n
    assert steps == sorted(steps[: steps.index(max(steps))]) + steps[steps.index(max(steps)) :], (
        "no step was begun anew"
    )
    assert site.file.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in site.file.parent.iterdir() if file.is_file()] == ["backup.db"]
    world.store.close()

    other = Site(site.file.parent / "elsewhere")
    other.file = site.file
    other.data.parent.mkdir()
    assert other.restore() is None
    assert other.keys() == site.keys()
    again = World(other.database)
    assert again.pipeline.journal.n == made.entries
    copy = other.data / "rebuilt.db"
    rebuild(other.database, copy)
    db = sqlite3.connect(copy)
    assert tables(db) == tables(again.store.conn)
    db.close()
    again.store.close()
    assert {file.stat().st_mode & 0o777 for file in (*other.authority.iterdir(), other.database)} == {0o600}
    assert b"BEGIN PRIVATE" not in other.database.read_bytes()


async def test_what_was_there_is_set_aside_whole(site):
    world, atm = await site.world()
    site.make()
    kept = site.keys()
    for _ in range(10):
        await say(world, atm)
    # As after a kill: the last commits are in the write-ahead log alone.
    copy = {file.name: file.read_bytes() for file in site.data.iterdir() if file.name.startswith("collector.db")}
    world.store.close()
    for name, content in copy.items():
        (site.data / name).write_bytes(content)
    (site.authority / "ca.pem").write_bytes(b"another")
    aside = site.restore()
    assert aside is not None
    assert len(query(aside / "collector.db", "SELECT n FROM journal WHERE kind = 3")) == 30
    assert (aside / "authority" / "ca.pem").read_bytes() == b"another"
    assert site.keys() == kept
    assert len(query(site.database, "SELECT n FROM journal WHERE kind = 3")) == 20
    assert not (site.data / RESTORING).exists()


async def test_not_while_a_collector_runs(site):
    world, _ = await site.world()
    site.make()
    world.store.close()
    with locked(site.database), pytest.raises(InUseError, match=r"another collector .* writes"):
        site.restore()
    assert sorted(file.name for file in site.data.iterdir()) == ["authority", "collector.db", "collector.db.lock"]


async def test_the_terminals_go_on_where_the_restored_collector_stands(site):
    """Ten batches were acknowledged and discarded after the backup: the terminal is asked for them and declares them gone."""
    world, atm = await site.world()
    site.make()
    for _ in range(10):
        await say(world, atm)
    world.store.close()
    site.restore()
    again = World(site.database)
    again.now = world.now + S
    await again.start()
    window = Window(atm.epoch, atm.seq + 1, atm.seq + 1, atm.seq + 1)
    waiting = {}
    for _ in range(3):
        message = atm.batch([reading("ups", "ups.battery.charge", again.now, 50)], again.now)
        waiting[atm.seq] = message
    window.connect(0.0)
    actions = [SendLife("birth"), *window.sealed(atm.seq + 1, 31, 0.0)]
    discarded = 0
    for turn in range(10):
        group = []
        for action in actions:
            if isinstance(action, Send):
                group.append(waiting[action.seq])
            elif isinstance(action, SendLife):
                group.append(atm.life(again.now, floor=window.base))
            elif isinstance(action, Discard):
                discarded = action.seq
        if discarded == 33:
            break
        again.now += S
        replies = await again.pipeline.take(group)
        reply = replies["atm-1"]
        assert reply.state is not AckState.FORK
        mark = again.pipeline.fold.fleet.terminals["atm-1"].streams[atm.epoch].mark
        ack = Ack(atm.epoch, mark, reply.want, reply.state, 8, 0, again.now)
        actions = window.acked(ack, float(turn * 3)) or window.tick(float(turn * 3 + 31))
        if Offer() in actions:
            actions += window.offered_now(float(turn * 3))
    assert discarded == 33
    terminal = again.pipeline.fold.fleet.terminals["atm-1"]
    assert terminal.holes == 10
    assert terminal.streams[atm.epoch].mark == 33
    again.store.close()


async def test_tokens_and_tickets_of_before_are_not_taken_for_new_ones(site):
    world, _ = await site.world()
    db = world.store.conn
    db.execute("INSERT INTO token VALUES (x'01', 't', 'b', 'r', 'atm', 0, ?, NULL, '', '')", (2**62,))
    for seq, state in enumerate(("done", "pending", "sending", "dead")):
        db.execute(
            "INSERT INTO outbox (connector, incident, op, seq, body, level, created_at, state) VALUES ('webhook', 'i', 'update', ?, x'80', 1, 0, ?)",
            (seq, state),
        )
    site.make()
    world.store.close()
    site.restore()
    assert query(site.database, "SELECT count(*) FROM token WHERE used_at IS NULL") == [(0,)]
    states = query(site.database, "SELECT state FROM outbox WHERE incident = 'i' ORDER BY seq")
    assert [state for (state,) in states] == ["done", "uncertain", "uncertain", "dead"]


async def test_sealed_keys_want_the_passphrase(site):
    world, _ = await site.world(2)
    made = site.make(passphrase=b"nine words")
    world.store.close()
    assert made.keys == "sealed"
    content = site.file.read_bytes()
    assert b"PRIVATE KEY" not in content
    assert (site.authority / "ack.seed").read_bytes() not in content
    before = site.keys()
    for wrong, text in ((b"", "name the passphrase"), (b"ten words", "is not the one")):
        with pytest.raises(BackupError, match=text):
            site.restore(passphrase=wrong)
        assert site.keys() == before
        with locked(site.database):  # nothing was begun: the collector starts
            pass
    assert site.restore(passphrase=b"nine words") is not None
    assert site.keys() == before
    SqliteReader(site.database).close()


async def test_without_keys_those_that_are_there_stay(site):
    world, _ = await site.world(2)
    make(site.database, None, site.file)
    world.store.close()
    assert b"PRIVATE KEY" not in site.file.read_bytes()
    before = site.keys()
    aside = site.restore()
    assert aside is not None
    assert [file.name for file in aside.iterdir()] == ["collector.db"]
    assert site.keys() == before


def add_account(site: Site, name: str) -> None:
    with closing(open_console(site.console)) as db, transaction(db):
        accounts.add(db, Person(name, "", Role.ADMINISTRATOR, password=HASH), BY)


def names(console: Path) -> list[str]:
    return [name for (name,) in query(console, "SELECT name FROM person ORDER BY name")]


@pytest.mark.parametrize("passphrase", [b"", b"nine words"])
async def test_the_accounts_of_the_console_are_in_it_and_its_sessions_are_not(site, passphrase):
    world, _ = await site.world(2)
    add_account(site, "li.wei")
    with closing(open_console(site.console)) as db:  # the console runs on
        db.execute("INSERT INTO session VALUES (x'01', 'li.wei', '', 0, 0, ?, 0, '', 'password', '')", (2**62,))
        made = site.make(passphrase=passphrase)
        world.store.close()
        assert made.accounts == verify(site.file).accounts == 1
        assert (HASH.encode() in site.file.read_bytes()) is not bool(passphrase)
        with pytest.raises(BackupError, match="the console runs; end it"):
            site.restore(passphrase=passphrase)
    with locked(site.database):  # nothing was begun
        pass
    add_account(site, "wang")
    aside = site.restore(passphrase=passphrase)
    assert (names(site.console), names(aside / "console.db")) == (["li.wei"], ["li.wei", "wang"])
    assert query(site.console, "SELECT count(*) FROM session") == [(0,)]
    assert site.console.stat().st_mode & 0o777 == 0o600
    assert query(site.database, "SELECT count(*) FROM sqlite_master WHERE name = 'backup_console'") == [(0,)]
    assert HASH.encode() not in site.database.read_bytes()


async def test_a_backup_without_accounts_leaves_those_that_are_there(site):
    world, _ = await site.world(2)
    made = site.make()
    world.store.close()
    with closing(sqlite3.connect(site.file, isolation_level=None)) as db:  # as it was made before accounts were in it
        db.execute("UPDATE backup_note SET value = 1 WHERE key = 'format'")
        db.execute("DROP TABLE backup_console")
    add_account(site, "li.wei")
    aside = site.restore()
    assert (made.accounts, names(site.console)) == (None, ["li.wei"])
    assert not (aside / "console.db").exists()
    site.file.unlink()
    assert make(site.database, None, site.file).accounts is None
    assert HASH.encode() not in site.file.read_bytes()


async def test_a_console_file_that_is_damaged_is_told(site):
    world, _ = await site.world(2)
    world.store.close()
    site.console.write_bytes(b"no database" * 500)
    with pytest.raises(BackupError, match=r"console\.db: file is not a database; .* --without-keys"):
        site.make()
    assert list(site.file.parent.iterdir()) == [site.data]
    assert make(site.database, None, site.file).accounts is None


async def test_a_restore_that_was_broken_off_is_done_again(site, monkeypatch):
    world, _ = await site.world(3)
    site.make()
    world.store.close()
    rename = Path.rename

    def broken(self: Path, target: Path) -> Path:
        if self == site.data / RESTORING / "collector.db":
            raise OSError(5, "power is gone")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", broken)
        with pytest.raises(BackupError, match=r"power is gone; what was there is there or in .*before-restore-"):
            site.restore()
    assert not site.database.exists()
    with pytest.raises(InUseError, match="a restore was broken off"), locked(site.database):
        pass
    first = next(site.data.glob("before-restore-*"))
    first.rename(site.data / "first")
    site.restore()
    assert len(query(site.database, "SELECT n FROM journal WHERE kind = 3")) == 3
    assert len(query(site.data / "first" / "collector.db", "SELECT n FROM journal WHERE kind = 3")) == 3
    with locked(site.database):
        pass


async def damaged(site: Site, change: str) -> None:
    world, _ = await site.world(5)
    site.make()
    world.store.close()
    db = sqlite3.connect(site.file)
    db.execute(change)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("change", "n"),
    [
        ("UPDATE journal SET payload = CAST(substr(payload, 1, length(payload) - 1) || x'00' AS BLOB) WHERE n = 6", 6),
        ("UPDATE journal SET facts = x'80' WHERE n = 7", 7),
        ("UPDATE journal SET at = at + 1 WHERE n = 2", 2),
        ("DELETE FROM journal WHERE n = 5", 5),
        ("UPDATE journal SET terminal = 'atm-2' WHERE n = 8", 8),
    ],
)
async def test_a_changed_entry_is_found_and_nothing_is_touched(site, change, n):
    await damaged(site, change)
    before = sorted(site.data.iterdir())
    with pytest.raises(
        BackupError, match=f"its journal is not whole: entry {n}: .*; take an older backup, or add --damaged"
    ):
        site.restore()
    assert (
        sorted(site.data.iterdir()) == [*before, site.data / "collector.db.lock"]
        or sorted(site.data.iterdir()) == before
    )
    assert verify(site.file).faults[0].startswith(f"entry {n}: ")
    assert site.restore(damaged=True) is not None


async def test_a_damaged_store_is_backed_up_all_the_same_and_told(site):
    world, _ = await site.world(5)
    world.store.conn.execute("UPDATE journal SET facts = x'80' WHERE n BETWEEN 5 AND 8")
    made = site.make()
    world.store.close()
    assert made.entries == world.pipeline.journal.n
    assert [fault[:8] for fault in made.faults] == ["entry 5:", "entry 6:", "entry 7:", "entry 8:"]
    assert site.file.exists()


async def test_what_is_no_backup_is_told(site):
    world, _ = await site.world(5)
    with pytest.raises(BackupError, match="no such file"):
        verify(site.file)
    with pytest.raises(BackupError, match="is no backup of a collector"):
        verify(site.database)
    site.make()
    with pytest.raises(BackupError, match="is there already"):
        site.make()
    whole = site.file.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2], whole[:4096] + bytes(4096) + whole[8192:]):
        site.file.write_bytes(content)
        with pytest.raises(BackupError, match=r"backup\.db"):
            verify(site.file)
    world.store.close()
    missing = Site(site.data / "no")
    with pytest.raises(BackupError, match="has the collector been started once"):
        missing.make()


async def test_a_folder_that_cannot_be_written_keeps_no_half_of_a_backup(site, monkeypatch):
    world, _ = await site.world(5)
    site.file = site.data / "missing" / "backup.db"
    with pytest.raises(BackupError, match="name a file in a folder"):
        site.make()
    site.file = site.data.parent / "backup.db"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_module, "_add_secrets", full)
    with pytest.raises(BackupError, match="No space left on device; nothing was kept"):
        site.make()
    assert [file for file in site.file.parent.iterdir() if file.is_file()] == []
    world.store.close()


async def test_a_backup_of_a_newer_program_is_left_alone(site):
    await damaged(site, "UPDATE backup_note SET value = 3 WHERE key = 'format'")
    with pytest.raises(BackupError, match="made by a newer tillwatch"):
        site.restore()
    db = open_db(site.database)
    assert db.execute("SELECT max(at) > ? FROM journal", (T0,)).fetchone() == (1,)
    db.close()
