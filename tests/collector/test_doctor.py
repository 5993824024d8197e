"""Faults as they are met, each seeded into a collector that has not started yet: what the doctor says of it, with what to do. The exit code is 1 as soon as
one of them is a `fail`: tests/collector/test_main.py.
"""

from __future__ import annotations

import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.test_main import Site
from tests.scale.servers.postgres import free_port
from tillwatch.agent.wire import Refusal
from tillwatch.collector.config import load_config
from tillwatch.collector.doctor import Finding, examine
from tillwatch.collector.refusals import Refusals
from tillwatch.collector.store.sqlite import SqliteStore

Seed = Callable[["Seeded"], None]


class Seeded(Site):
    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.patch = patch
        self.data = self.config.collector.data_dir
        self.data.mkdir(mode=0o700)
        with closing(SqliteStore(self.config.database)) as store:
            store.conn.execute("PRAGMA wal_checkpoint")
        self.held: list[socket.socket] = []

    def more(self, text: str) -> None:
        self.file.write_text(self.file.read_text("utf-8") + text, "utf-8")

    def looked(self) -> list[Finding]:
        return list(examine(load_config(self.file)))


@pytest.fixture
def seeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seeded]:
    one = Seeded(tmp_path, monkeypatch)
    yield one
    for each in one.held:
        each.close()


def ahead(s: Seeded) -> None:
    with closing(sqlite3.connect(s.config.database)) as db, db:
        late = time.time_ns() + 3600 * 10**9
        db.execute("INSERT INTO journal VALUES (1, ?, 1, '', x'80', NULL, x'', x'', NULL, NULL)", (late,))


def sends_cards(s: Seeded) -> None:
    refusals = Refusals()
    refusals.add(Refusal.CARD_DATA, "till-1", time.time_ns(), n=12)
    with closing(sqlite3.connect(s.config.database)) as db, db:
        refusals.keep(0)(db)


def full(s: Seeded) -> None:
    usage = shutil.disk_usage(s.data)
    s.patch.setattr(shutil, "disk_usage", lambda _: type(usage)(usage.total, usage.total, 10 << 20))


FAULTS: list[tuple[str, Seed, str, str, str]] = [
    ("data directory open to all", lambda s: s.data.chmod(0o755), "data directory", "warn", "chmod 0700"),
    ("store damaged", lambda s: void(s.config.database.write_bytes(b"SQLite format 3\0" + bytes(5000))), "database", "fail", "restore it from a backup"),
    ("store on a full disk", full, "disk", "fail", "make room, or the collector will stop taking readings"),
    ("retention that has no room", lambda s: s.more('[retention]\nsize = "900000 GiB"\n'), "retention", "warn", "set a smaller size in [retention]"),
    ("port held by another program", lambda s: s.held.append(socket.create_server(("127.0.0.1", s.broker))), "broker port", "fail", "held by another program"),
    ("clock set back", ahead, "clock", "fail", "set the clock before the next start"),
    ("outside broker not there", lambda s: void(s.file.write_text(s.file.read_text().replace("[broker]", "[broker]\nembedded = false\ntls = false"))), "broker", "fail", "does not let the collector in"),
    ("ticket system not there", lambda s: (void((s.folder / "s").write_text("1-14-" + "ab" * 16)), s.more('[tickets.desk]\nkind = "request-tracker"\nurl = "http://127.0.0.1:1"\nqueue = "Hardware"\nsecret_file = "s"\n'))[1], "tickets.desk", "warn", "127.0.0.1"),
    ("secret of a ticket system not there", lambda s: s.more('[tickets.desk]\nkind = "webhook"\nurl = "http://127.0.0.1:1/hook"\nsecret_file = "gone"\n'), "tickets.desk", "fail", "gone"),
    ("nobody may sign in", lambda s: None, "console accounts", "warn", "people add NAME --role administrator"),
    ("old agent that seals card numbers", sends_cards, "terminal till-1", "warn", "12 messages not taken (12 card_data)"),
]  # fmt: skip


def void(_: object) -> None:
    """For a lambda that does one thing."""


@pytest.mark.parametrize(
    ("seed", "subject", "state", "text"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_each_is_found_and_explained(seeded: Seeded, seed: Seed, subject: str, state: str, text: str) -> None:
    seed(seeded)
    found = seeded.looked()
    told = [each for each in found if each.subject == subject]
    assert [each for each in told if each.state == state and text in each.text], told or found


def test_what_is_well_is_not_told(seeded: Seeded) -> None:
    assert {each.subject for each in seeded.looked() if each.state != "ok"} <= {
        "console accounts",
        "clock",
        "roster",
        "routes",
    }


def test_a_collector_of_a_large_installation_that_does_not_fold_stands_by(seeded: Seeded) -> None:
    """Its openers answer the broker's questions; nobody but who folds answers terminals that enrol."""
    openers = socket.create_server(("127.0.0.1", 0))
    seeded.held.append(openers)
    text = seeded.file.read_text("utf-8").replace("[broker]\n", "[broker]\nembedded = false\n")
    seeded.file.write_text(text, "utf-8")
    seeded.more(
        f'[store]\npostgres = "postgresql://tillwatch@127.0.0.1:{free_port()}/none"\n[amqp]\nhosts = ["127.0.0.1:{free_port()}"]\npassword_file = "{seeded.file}"\n'
        f"access_port = {openers.getsockname()[1]}\n"
    )
    found = {each.subject: (each.state, each.text) for each in seeded.looked()}
    assert found["collector"] == ("ok", "running, it stands by")
    openers.close()
    assert {each.subject: each.text for each in seeded.looked()}["collector"] == "not running"
