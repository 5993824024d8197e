"""A server that is stopped, or that nothing comes through from any more: its connections stay open and say nothing. Who waits for it is told within a bound, and
ends when told to.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S
from tests.collector.test_main import Site
from tests.collector.test_pipeline import disk, opened, rows
from tests.scale.servers.postgres import Server
from tillwatch.agent.wire import AckState
from tillwatch.collector import ending
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.postgres import answers, connection, lease
from tillwatch.collector.store.postgres.connection import GONE_S, PostgresDb, PostgresError
from tillwatch.collector.store.postgres.lease import GOOD_S, Lease
from tillwatch.collector.store.postgres.store import PostgresStore
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.web import __main__ as web

SILENT = "no answer within"
WAIT_S = 60.0


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bounds, and a test does not sit them out."""
    monkeypatch.setattr(answers, "LATE_S", 0.3)
    monkeypatch.setattr(connection, "LATE_S", 0.3)
    monkeypatch.setattr(connection, "CONNECT_S", 2)  # libpq knows no shorter one
    monkeypatch.setattr(connection, "LOOK_S", 1)


class Wire:
    """A way to the server that passes on what comes until it is cut: then it takes what it is sent, and nothing arrives."""

    def __init__(self, port: int) -> None:
        self._to, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pairs: dict[socket.socket, socket.socket] = {}
        while not self._over.is_set():
            ready, _, _ = select.select([self._listener, *pairs], [], [], 0.05)
            for each in ready:
                if each is self._listener:
                    one, _ = each.accept()
                    other = socket.create_connection(("127.0.0.1", self._to))
                    pairs |= {one: other, other: one}
                    continue
                with suppress(OSError):
                    data = each.recv(65536)
                    if not data:
                        for end in (each, pairs.pop(each)):
                            pairs.pop(end, None)
                            end.close()
                        break
                    if not self.cut.is_set():
                        pairs[each].sendall(data)
        for each in (self._listener, *pairs):
            each.close()

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def wire(postgres_server: Server) -> Iterator[Wire]:
    one = Wire(postgres_server.port)
    yield one
    one.end()


def through(wire: Wire, where: Postgres) -> Postgres:
    return Postgres(f"postgresql://tillwatch@127.0.0.1:{wire.port}/{where.url.rpartition('/')[2]}")


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    server.send(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send(signal.SIGCONT)


def asks(db: PostgresDb) -> dict[str, Callable[[], object]]:
    return {
        "a question": lambda: db.execute("SELECT count(*) FROM meta").fetchone(),
        "rows": lambda: db.executemany("INSERT INTO meta VALUES (?,?)", [("a", b""), ("b", b"")]),
        "a transaction": lambda: db.begin(immediate=True),
    }


@contextmanager
def cut_off(wire: Wire) -> Iterator[None]:
    wire.cut.set()
    try:
        yield
    finally:
        wire.cut.clear()


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("what", ["a question", "rows", "a transaction"])
@pytest.mark.parametrize("how", ["stopped", "cut off"])
def test_who_asks_is_told_and_goes_on_when_it_answers_again(
    how: str, what: str, database: Postgres, postgres_server: Server, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(PostgresDb(through(wire, database), read_only=False, timeout_s=1, statement_s=0.5)) as db:
        ask = asks(db)[what]
        with stopped(postgres_server) if how == "stopped" else cut_off(wire):
            with pytest.raises(PostgresError, match=SILENT):
                ask()
            if (
                what == "a question"
            ):  # a new connection is made before anything is asked: two seconds, the same for each
                with pytest.raises(PostgresError, match="timeout expired"):
                    ask()
        monkeypatch.setattr(connection, "LATE_S", WAIT_S)
        assert not db.in_transaction
        assert db.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.usefixtures("soon")
def test_who_only_reads_is_told(database: Postgres, wire: Wire) -> None:
    with (
        closing(PostgresDb(through(wire, database), read_only=True, timeout_s=1)) as reader,
        cut_off(wire),
        pytest.raises(PostgresError, match=SILENT),
    ):
        reader.execute("SELECT 1")


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("step", ["begin", "write", "end"])
async def test_a_group_that_meets_it_at_any_step_is_not_kept_and_comes_again(
    step: str, database: Postgres, postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresDb.__init__, "__kwdefaults__", {"statement_s": 1.0})
    world = World(tmp_path / "nowhere.db", database)
    assert isinstance(world.store, PostgresStore)
    (atm,) = await opened(world, "atm-1")
    sent = atm.batch(disk(T0, 99.0), T0 + S)
    real = getattr(world.store, step)
    silence = stopped(postgres_server)

    def silenced(*given: object, **how: object) -> None:
        silence.__enter__()
        real(*given, **how)

    monkeypatch.setattr(world.store, step, silenced)
    try:
        with pytest.raises(StoreError, match="nothing of this group was stored"):
            await world.pipeline.take([sent])
        monkeypatch.setattr(world.store, step, real)
    finally:
        silence.__exit__(None, None, None)
    assert (await world.pipeline.take([sent]))["atm-1"].state is AckState.OK
    assert rows(world, "SELECT count(*) FROM journal WHERE kind = 3") == [(1,)]
    world.store.close()


@pytest.mark.usefixtures("soon")
def test_the_lease_is_not_waited_for_any_longer_than_it_is_good(
    database: Postgres, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lease.STATEMENT_S < 2 * GOOD_S
    monkeypatch.setattr(lease, "STATEMENT_S", 1.0)
    with closing(Lease(database)) as one:
        assert one.acquire()
        with lease.kept(one), stopped(postgres_server):
            with pytest.raises(StoreError, match=SILENT):
                one.renew()
            assert one.until, "it may still be good, and whoever writes is told"


def test_a_machine_that_is_gone_is_told_by_the_kernel(database: Postgres) -> None:
    with (
        closing(PostgresDb(database, read_only=False, timeout_s=1)) as db,
        socket.socket(fileno=os.dup(db.connection().pgconn.socket)) as one,
    ):
        kept = [one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        kept += [one.getsockopt(socket.IPPROTO_TCP, name) for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)]  # fmt: skip
    assert kept == [1, GONE_S, 5, 2, GONE_S * 1000]


def _says(process: subprocess.Popen[bytes], log: Path, words: str) -> None:
    until = time.monotonic() + WAIT_S
    while words not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


@pytest.mark.long
def test_a_collector_that_is_told_to_end_while_the_server_is_stopped_ends(
    database: Postgres, postgres_server: Server, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.file.write_text(f'{site.file.read_text()}[store]\npostgres = "{database.url}"\n')
    log = tmp_path / "log"
    with log.open("wb") as out:
        collector = subprocess.Popen(site.command("run", "--no-console"), stdout=out, stderr=out)
    try:
        _says(collector, log, " runs: ")
        with stopped(postgres_server):
            began = time.monotonic()
            collector.terminate()
            # Not the wall clock's test: without the bound it is there for as long as the server is stopped.
            code = collector.wait(ending.STOP_MOST_S + WAIT_S)
            print(f"ended with {code} {time.monotonic() - began:.1f} s after SIGTERM")
        assert code == ending.HUNG_EXIT
        assert "the stop is not over" in log.read_text()
    finally:
        collector.kill()
        collector.wait()


@pytest.mark.long
def test_a_console_that_is_told_to_end_while_the_server_is_stopped_ends(
    database: Postgres, postgres_server: Server, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.file.write_text(f'{site.file.read_text()}[store]\npostgres = "{database.url}"\n')
    site.config.collector.data_dir.mkdir(mode=0o700)
    question = b"GET /api/v1/terminals HTTP/1.1\r\nHost: localhost\r\n\r\n"
    log = tmp_path / "log"
    with log.open("wb") as out:
        console = subprocess.Popen(site.command("console"), stdout=out, stderr=out)
    try:
        _says(console, log, "the console is at")
        with socket.create_connection(("127.0.0.1", site.console)) as asked:
            asked.sendall(question)
            assert b" 200 " in asked.recv(65536), "whoever reads is connected"
            with stopped(postgres_server):
                asked.sendall(question)
                began = time.monotonic()
                console.terminate()
                # As with the collector; a question of a reader is waited for ten minutes.
                code = console.wait(web.STOP_MOST_S + WAIT_S)
                print(f"ended with {code} {time.monotonic() - began:.1f} s after SIGTERM")
        assert code == ending.HUNG_EXIT
        assert "the stop is not over" in log.read_text()
    finally:
        console.kill()
        console.wait()
