"""Tokens: one-time under concurrency, in one transaction with the record, dead after a day."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time

import msgpack
import pytest

from tillwatch.agent.wire import SigningKey
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore, open_db
from tillwatch.collector.trust.registry import (
    TOKEN_LIFE_NS,
    EnrolError,
    Enrolment,
    EnrolRequest,
    JournalRegistrar,
    Refused,
    create_token,
    proof_message,
    proves,
    secret_digest,
)

NOW = 1_700_000_000_000_000_000
PLACE = Enrolment("till-1", "Harbour", "North", "atm")


@pytest.fixture
def db(tmp_path):
    connection = open_db(tmp_path / "collector.db")
    connection.execute("CREATE TABLE entry (facts TEXT)")
    yield connection
    connection.close()


def token(connection, place=PLACE, now=NOW) -> dict:
    text = create_token(connection, place, host="tills.example", port=8843, ca=bytes(32), now=now)
    assert text.startswith("tw1.")
    return msgpack.unpackb(base64.urlsafe_b64decode(text[4:] + "=="))


def digest(fields: dict) -> bytes:
    return secret_digest(fields["s"])


def request(terminal="till-1") -> EnrolRequest:
    return EnrolRequest(terminal, bytes(32), 2**150, "10.0.0.9")


def registrar(connection, now=NOW, *, fails: Exception | None = None) -> JournalRegistrar:
    """Over a journal that is one table, in the transaction that `operate` promises."""

    async def operate(facts, also):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("INSERT INTO entry VALUES (?)", (json.dumps(facts, default=bytes.hex),))
            also(connection)
            if fails:
                raise fails
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    return JournalRegistrar(connection, operate, lambda: now)


async def test_a_token_makes_one_terminal(db):
    fields = token(db)
    assert (fields["h"], fields["p"], fields["f"], fields["t"]) == ("tills.example", 8843, bytes(32), "till-1")
    assert len(fields["s"]) == 20
    assert await registrar(db).enrol(digest(fields), request()) == PLACE
    facts = json.loads(db.execute("SELECT facts FROM entry").fetchone()[0])
    assert facts == {
        "action": "enrol",
        "terminal": "till-1",
        "branch": "Harbour",
        "region": "North",
        "class": "atm",
        "public": "00" * 32,
        "serial": f"{2**150:x}",
        "address": "10.0.0.9",
    }
    with pytest.raises(EnrolError) as caught:
        await registrar(db).enrol(digest(fields), request())
    assert caught.value.reason is Refused.USED
    assert db.execute("SELECT count(*) FROM entry").fetchone() == (1,)


async def test_the_secret_itself_is_nowhere_in_the_database(db, tmp_path):
    secret = token(db)["s"]
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert secret not in (tmp_path / "collector.db").read_bytes()
    assert secret_digest(secret) in (tmp_path / "collector.db").read_bytes()


async def test_it_dies_after_a_day(db):
    fields = token(db)
    with pytest.raises(EnrolError) as caught:
        await registrar(db, NOW + TOKEN_LIFE_NS).enrol(digest(fields), request())
    assert caught.value.reason is Refused.EXPIRED
    assert await registrar(db, NOW + TOKEN_LIFE_NS - 1).enrol(digest(fields), request()) == PLACE


async def test_it_is_for_its_terminal_only_and_a_wrong_try_does_not_use_it_up(db):
    fields = token(db)
    with pytest.raises(EnrolError) as caught:
        await registrar(db).enrol(digest(fields), request("till-2"))
    assert caught.value.reason is Refused.TERMINAL
    with pytest.raises(EnrolError) as caught:
        await registrar(db).enrol(bytes(32), request())
    assert caught.value.reason is Refused.UNKNOWN
    assert await registrar(db).enrol(digest(fields), request()) == PLACE


async def test_no_record_no_use(db):
    fields = token(db)
    with pytest.raises(OSError, match="disk full"):
        await registrar(db, fails=OSError("disk full")).enrol(digest(fields), request())
    assert await registrar(db).enrol(digest(fields), request()) == PLACE


async def test_of_many_in_one_process_one_wins(db):
    fields = token(db)
    one = registrar(db)
    outcomes = await asyncio.gather(*(one.enrol(digest(fields), request()) for _ in range(20)), return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome == PLACE] == [PLACE]
    assert {o.reason for o in outcomes if isinstance(o, EnrolError)} == {Refused.USED}


async def test_the_collectors_pipeline_makes_the_terminal(tmp_path):
    store = SqliteStore(tmp_path / "collector.db")
    pipeline = Pipeline(store, SigningKey(bytes(32)), {})
    await pipeline.start(shipped_text(), "")
    fields = token(store.conn, now=time.time_ns())
    tokens = open_db(tmp_path / "collector.db")
    one = JournalRegistrar(tokens, pipeline.operate)
    key = SigningKey(b"k" * 32)
    asked = EnrolRequest("till-1", key.public, 1, "10.0.0.9")
    assert await one.enrol(digest(fields), asked) == PLACE
    with pytest.raises(EnrolError):
        await one.enrol(digest(fields), asked)
    assert pipeline.fold.fleet.knows("till-1")
    found = pipeline.fold.fleet.key("till-1", key.key_id)
    assert getattr(found, "public", None) == key.public
    reader = SqliteReader(tmp_path / "collector.db")
    assert [(view.id, view.branch, view.terminal_class) for view in reader.terminals()] == [
        ("till-1", "Harbour", "atm")
    ]
    reader.close()
    await pipeline.stop()
    tokens.close()
    store.close()


def test_of_many_at_once_one_wins(db, tmp_path):
    fields = token(db)
    outcomes: list[object] = []
    barrier = threading.Barrier(8)

    def enrol() -> None:
        connection = open_db(tmp_path / "collector.db")
        try:
            barrier.wait(60)
            outcomes.append(asyncio.run(registrar(connection).enrol(digest(fields), request())))
        except EnrolError as error:
            outcomes.append(error.reason)
        finally:
            connection.close()

    threads = [threading.Thread(target=enrol) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count(PLACE) == 1
    assert outcomes.count(Refused.USED) == 7
    assert db.execute("SELECT count(*) FROM entry").fetchone() == (1,)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (Enrolment("till 1", "B", "R", "atm"), "no terminal id"),
        (Enrolment("x" * 65, "B", "R", "atm"), "no terminal id"),
        (Enrolment("+", "B", "R", "atm"), "no terminal id"),
        (Enrolment("till-1", "", "R", "atm"), "branch needs a name"),
        (Enrolment("till-1", "B", "a\nb", "atm"), "region needs a name"),
        (Enrolment("till-1", "B", "R", "kiosk"), "no class of terminals; known: atm, pos, server"),
    ],
)
def test_bad_names_make_no_token(db, place, reason):
    with pytest.raises(ValueError, match=reason):
        token(db, place)
    assert db.execute("SELECT count(*) FROM token").fetchone() == (0,)


def test_the_proof_binds_key_token_and_request():
    key = SigningKey(bytes(range(32)))
    proof = key.sign(proof_message(b"s" * 20, b"csr"))
    assert proves(key.public, proof, b"s" * 20, b"csr")
    assert not proves(key.public, proof, b"t" * 20, b"csr")
    assert not proves(key.public, proof, b"s" * 20, b"other")
    assert not proves(SigningKey(bytes(32)).public, proof, b"s" * 20, b"csr")
    assert not proves(key.public[:31], proof, b"s" * 20, b"csr")
    assert not proves(key.public, proof[:63], b"s" * 20, b"csr")
