"""PostgreSQL on a machine of its own, as one server process group that can be killed, stopped, restarted and cut off."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.scale.chaos.machine import UP_S, Machine, until
from tests.scale.chaos.network import Network
from tests.scale.servers.postgres import ROLE, USER, binaries
from tillwatch.collector.store.db import Postgres

PORT, NAME = 5432, "tillwatch"
_CONF = f"""
listen_addresses = '*'
port = {PORT}
unix_socket_directories = ''
max_connections = 80
shared_buffers = 64MB
log_min_messages = warning
"""


class Database(Machine):
    """folder: readable by everyone below: the server refuses to run as root."""

    def __init__(self, net: Network, name: str, folder: Path) -> None:
        bin_dir = binaries()
        assert bin_dir is not None, "PostgreSQL is missing: make packages"
        # A folder of its own: the test's are closed to the server's user.
        self.data = Path(tempfile.mkdtemp(prefix="tw-chaos-pg-"))
        prefix: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(self.data, user.pw_uid, user.pw_gid)
            prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        made = [
            *prefix,
            str(bin_dir / "initdb"),
            "-D",
            str(self.data),
            "-U",
            ROLE,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        done = subprocess.run(made, cwd="/", capture_output=True, timeout=UP_S, check=False)
        assert done.returncode == 0, done.stderr.decode()[-1000:]
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_CONF)
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {net.own}/24 trust\n")
        super().__init__(net, name, folder, [*prefix, str(bin_dir / "postgres"), "-D", str(self.data)])

    def where(self, host: str = "", name: str = NAME) -> Postgres:
        """As who calls it by that name reaches it; from the test itself by its address."""
        return Postgres(f"postgresql://{ROLE}@{host or self.address}:{PORT}/{name}")

    def begin(self) -> None:
        """Its first start."""
        self.start()
        self.wait("postgres")
        with psycopg.connect(self.where(name="postgres").url, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {NAME} TEMPLATE template0 ENCODING 'UTF8'")

    def wait(self, name: str = NAME) -> None:
        until(lambda: self._answers(name), UP_S, "PostgreSQL to answer", self.tail)

    def _answers(self, name: str) -> bool:
        if not self.running:
            # What the one before left in shared memory goes with its last process.
            self.start()
        try:
            psycopg.connect(self.where(name=name).url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True

    def restart(self) -> None:
        """In order, as for an update: connections are ended, what is committed is written."""
        self.stop(signal.SIGINT)
        self.start()
        self.wait()

    def end(self) -> None:
        super().end()
        shutil.rmtree(self.data, ignore_errors=True)

    @contextmanager
    def asked(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(
            self.where().url, autocommit=True, connect_timeout=2, options="-c statement_timeout=5000"
        ) as conn:
            yield conn
