"""That the account finds what it is there for: each thing that must not be, done to a store by hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tests.scale.chaos import oracle
from tests.scale.chaos.desk import Told, tickets
from tests.scale.chaos.fleet import Account
from tillwatch.agent.model import State
from tillwatch.collector.fleet_load.ledger import Sent
from tillwatch.collector.store.db import connect

BATCHES = 6


async def _lived(path: Path) -> Account:
    """Two terminals, each with some batches; a device of the first one is ill."""
    world = World(path)
    await world.start()
    senders = [Sender("load-000001"), Sender("load-000002")]
    for sender in senders:
        await sender.enrol(world.pipeline)
    for step in range(1, BATCHES + 1):
        world.now = T0 + step * 60 * S
        messages = [
            sender.batch([reading("host/disk:/", "host.disk.percent", world.now, 99.0, State.CRIT)], world.now)
            for sender in senders
        ]
        await world.pipeline.take(messages)
    await world.pipeline.stop()
    world.store.close()
    sent = [Sent(each.name, each.epoch, each.seq, each.seq, each.prev) for each in senders]
    return Account({"readings": 2 * BATCHES, "failed": {}, "unacknowledged": 0}, sent)


def _true(path: Path, account: Account) -> list[str]:
    with closing(connect(path, read_only=True, timeout_s=5)) as db:
        return oracle.truth(db, account).found


def _done(path: Path, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(sql, values).rowcount


async def test_what_is_whole_has_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / "collector.db"
    account = await _lived(path)
    assert not _true(path, account)
    assert not list(oracle.rebuilt(path))


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("DELETE FROM journal WHERE n = (SELECT max(n) - 3 FROM journal)", "not in the log"),
        ("DELETE FROM journal WHERE n >= (SELECT max(n) FROM journal WHERE kind = 3)", "are kept"),
        ("UPDATE journal SET payload = x'00' WHERE n = (SELECT max(n) FROM journal WHERE kind = 3)", "entry"),
        ("UPDATE stream SET mark = mark + 1 WHERE terminal = 'load-000001'", "the mark is 7"),
    ],
)
async def test_what_is_lost_or_changed_is_found(tmp_path: Path, sql: str, text: str) -> None:
    path = tmp_path / "collector.db"
    account = await _lived(path)
    _done(path, sql)
    assert text in "\n".join(_true(path, account))


async def test_what_was_acknowledged_and_is_not_kept_is_found(tmp_path: Path) -> None:
    path = tmp_path / "collector.db"
    account = await _lived(path)
    more = account.sent[0]._replace(acknowledged=BATCHES + 1, last=BATCHES + 1)
    assert "7 batches were acknowledged" in "\n".join(_true(path, Account(account.figures, [more, account.sent[1]])))
    other = account.sent[0]._replace(digest=b"another")
    assert "is not the one that was sent" in "\n".join(_true(path, Account(account.figures, [other, account.sent[1]])))
    fewer = Account({**account.figures, "readings": 5}, account.sent)
    assert "5 readings were sent, 12 are kept" in _true(path, fewer)


async def test_a_table_that_the_journal_does_not_give_is_found(tmp_path: Path) -> None:
    path = tmp_path / "collector.db"
    await _lived(path)
    _done(path, "UPDATE alarm SET level = 1")
    assert "table alarm is not what the journal gives" in "\n".join(oracle.rebuilt(path))


async def test_tickets_that_are_doubled_or_missing_are_found(tmp_path: Path) -> None:
    path = tmp_path / "collector.db"
    await _lived(path)
    with closing(sqlite3.connect(path)) as db:
        incidents = [row[0] for row in db.execute("SELECT corr_id FROM incident ORDER BY corr_id")]
    assert incidents, "an ill disk is an incident"
    _done(path, "UPDATE outbox SET connector = 'webhook', state = 'done'")
    for incident in incidents:
        _done(
            path,
            "INSERT INTO ticket_link (incident, connector, external_id, url, state) VALUES (?, 'webhook', '1', '', 'open')",
            incident,
        )
    told = [Told(f"{incident}_1", "incident.opened", incident) for incident in incidents]
    assert not list(oracle.told(path, _desk(told)))
    assert not list(oracle.told(path, _desk([told[0], *told]))), "telling again under the same id is no second ticket"
    again = told[0]._replace(id=f"{incidents[0]}_9")
    assert f"incident {incidents[0]} has 2 tickets" in list(oracle.told(path, _desk([*told, again])))
    ended = told[0]._replace(id=f"{incidents[0]}_2", kind="incident.resolved")
    assert not list(oracle.told(path, _desk([*told, ended, again]))), "what comes back opens its ticket again"
    assert f"the desk never heard of incident {incidents[0]}" in list(oracle.told(path, _desk(told[1:])))
    late = [*told, again._replace(kind="incident.updated"), told[0]]
    assert "came behind" in "\n".join(oracle.told(path, _desk(late)))


def _desk(told: list[Told]) -> Any:
    return SimpleNamespace(told=told, opened=lambda: tickets(told))
