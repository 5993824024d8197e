"""A private PostgreSQL for tests: its own data directory, a unix socket and a free port on loopback, ended by its process id. As an unprivileged user where the tests
run as root: the server refuses that. One server a test process; each test has a database of its own, copied from one that has all tables.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.postgres.schema import open_postgres

USER = "nobody"
ROLE = "tillwatch"
START_S = 60.0
"""A new data directory takes 2 s on an idle machine."""
STOP_S = 20.0
_CONF = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = {fsync}
full_page_writes = {fsync}
max_connections = 60
shared_buffers = 64MB
wal_level = minimal
max_wal_senders = 0
autovacuum = off
log_min_messages = warning
"""


def binaries() -> Path | None:
    """Where Debian and others have the server's programs; None where it is not installed."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return Path(on_path).resolve().parent if on_path else found[-1].parent if found else None


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Server:
    """folder: a new one, short enough for the path of a socket. fsync: whether it survives the loss of power, which costs a test its time. conf: more lines of
    postgresql.conf. primary: another server that runs, whose copy and standby this one becomes (`pg_basebackup`).
    """

    def __init__(
        self, folder: Path, *, fsync: bool = False, conf: Sequence[str] = (), primary: Server | None = None
    ) -> None:
        bin_dir = binaries()
        assert bin_dir is not None
        self._bin, self.folder, self.port = bin_dir, folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        # It ends with the tests, also where they are killed.
        self._as = ["setpriv", "--pdeathsig=INT"]
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if primary is None:
            self._run("initdb", "-D", str(self.data), "-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        else:
            self._run(
                "pg_basebackup", "-D", str(self.data), "-d", primary.where("postgres").url, "-R", "-N", "-c", "fast"
            )
        usual = _CONF.format(port=self.port, folder=folder, fsync="on" if fsync else "off")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("\n".join([usual, *conf, ""]))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._bin / program), *arguments],
            cwd=self.folder,
            capture_output=True,
            timeout=START_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-1000:]

    def where(self, database: str) -> Postgres:
        return Postgres(f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as, str(self._bin / "postgres"), "-D", str(self.data)], cwd=self.folder, stdout=log, stderr=log
            )
        until = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.where("postgres").url, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()[-1000:]
                assert time.monotonic() < until, "PostgreSQL does not start"
                time.sleep(0.05)
            else:
                return

    def send(self, number: signal.Signals) -> None:
        """To the server and all that it began."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for pid in (self.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once and in order; SIGQUIT or SIGKILL: as if it crashed."""
        if self._process is None:
            return
        if self._process.poll() is None:
            # What a test has stopped, and failed before it let it go on, would outlive the server.
            self.send(signal.SIGCONT)
            self._process.send_signal(how)
        try:
            self._process.wait(STOP_S)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows of the last one."""
        with psycopg.connect(self.where(database).url, autocommit=True) as conn:
            for statement in statements:
                cursor = conn.execute(statement)  # type: ignore[call-overload]  # statements of tests
            return cursor.fetchall() if cursor.description else []

    def database(self, template: str = "template0") -> Postgres:
        """A new one. template: what it is a copy of; nobody may be connected to that."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' STRATEGY file_copy")
        return self.where(name)

    def drop(self, where: Postgres) -> None:
        self.sql(f"DROP DATABASE IF EXISTS {where.url.rpartition('/')[2]} WITH (FORCE)")


@contextmanager
def running(*, fsync: bool = False) -> Iterator[Server]:
    """A server with the database `tables`, which has all tables: `server.database("tables")` is a copy of it."""
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
    try:
        server = Server(folder, fsync=fsync)
        try:
            server.start()
            server.sql("CREATE DATABASE tables TEMPLATE template0 ENCODING 'UTF8'")
            open_postgres(server.where("tables")).close()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
