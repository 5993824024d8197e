"""A server that speaks TLS and wants a password: the way to it is as the guide says, and a wrong server gets neither password nor readings."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scale.servers.postgres import ROLE, USER, Server
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import open_authority

PASSWORD = "from the file"
HBA = f"""
hostssl all bank 127.0.0.1/32 scram-sha-256
host all {ROLE} 127.0.0.1/32 trust
"""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Of a server whose certificate is for localhost."""
    files = tmp_path_factory.mktemp("tls")
    authority = open_authority(files / "authority")
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
    try:
        pem = authority.server_file(["localhost"], path=folder / "server.pem")
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(pem, user.pw_uid, user.pw_gid)
        server = Server(folder, conf=("ssl = on", f"ssl_cert_file = '{pem}'", f"ssl_key_file = '{pem}'"))
        (server.data / "pg_hba.conf").write_text(HBA)
        server.start()
        try:
            server.sql(f"CREATE ROLE bank LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE state OWNER bank TEMPLATE template0 ENCODING 'UTF8'")  # fmt: skip
            (files / "password").write_text(PASSWORD + "\n")
            url = f"postgresql://bank@localhost:{server.port}/state"
            yield Postgres(url, password_file=files / "password", ca_file=authority.ca_file)
        finally:
            server.stop(signal.SIGINT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_certificate_is_checked_and_the_password_is_the_files(secured: Postgres) -> None:
    with closing(open_db(secured)) as db:
        asked = "SELECT ssl, usename FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE pid = pg_backend_pid()"
        assert db.execute(asked).fetchone() == (True, "bank")


def test_another_authoritys_server_is_refused(secured: Postgres, tmp_path: Path) -> None:
    other = open_authority(tmp_path / "other")
    with pytest.raises(StoreError, match=r"(?s)certificate verify failed") as raised:
        open_db(replace(secured, ca_file=other.ca_file))
    assert PASSWORD not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_another_name_is_refused(secured: Postgres) -> None:
    with pytest.raises(StoreError, match=r'does not match host name "127\.0\.0\.1"'):
        open_db(replace(secured, url=secured.url.replace("localhost", "127.0.0.1")))


def test_a_wrong_password_is_told_without_it(secured: Postgres, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a wrong one\n")
    with pytest.raises(StoreError, match="password authentication failed for user") as raised:
        open_db(replace(secured, password_file=tmp_path / "password"))
    assert "a wrong one" not in str(raised.value)
