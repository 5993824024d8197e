"""The console over PostgreSQL, as the service starts it: every page and every GET of the REST API answers, its processes of their own find the database, acts become record, and
it says nothing of trouble.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx2 as httpx
import pytest

from tests.collector.people.peopled import BY, HASH, WORD
from tests.collector.web.quality.places import LOOKERS
from tests.collector.web.running import Serving
from tests.collector.web.test_permissions import OPEN, ROUTES, Route
from tests.scale.copied import copied
from tests.scale.lived import lived
from tests.scale.servers.postgres import Server, free_port
from tillwatch.collector.commands.acting import journal, reading
from tillwatch.collector.commands.recovery import backup, restore, run_restore
from tillwatch.collector.commands.service_commands import console_arguments
from tillwatch.collector.config import CollectorSection, Config, load_config
from tillwatch.collector.doctor import examine
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import open_console, place, transaction
from tillwatch.collector.people.roles import GRANTS, Permission, Role
from tillwatch.collector.store.backup import BackupError
from tillwatch.collector.trust.authority import open_authority

NOT_THERE = ("/proofs/{proof}", "/backtests/{trial}", "/commands/{command}/bundle", "/findings/{finding}.svg")
"""Of the first two there is none in a console that has just begun; the command was another one, and the finding is too old for a drawing."""
ASKED = {
    "/windows/preview": "scope=branch:hill",
    "/windows/tonight": "scope=branch:hill",
    "/roster/told": "branch=hill",
}
"""What else must be said."""
COMPUTED_S = 60.0
"""For what is computed in a process of its own."""


class Console(Serving):
    def __init__(self, config: Config) -> None:
        with closing(open_console(place(config.database))) as db, transaction(db):
            for role in LOOKERS:
                accounts.add(db, Person(role, "", role, password=HASH), BY)
        super().__init__("-m", "tillwatch.collector.web", *console_arguments(config))
        self.clients = {role: httpx.Client(base_url=self.url, timeout=COMPUTED_S) for role in LOOKERS}
        for role, client in self.clients.items():
            origin = self.url.rstrip("/")
            entered = client.post("sign-in", data={"name": str(role), "password": WORD}, headers={"Origin": origin})
            assert entered.status_code in (200, 303), entered.text

    def stop(self) -> tuple[int, str]:
        for client in self.clients.values():
            client.close()
        return super().stop()

    def get(self, permission: Permission, address: str) -> httpx.Response:
        role = next((role for role in LOOKERS if permission in GRANTS[role]), Role.SUPERVISOR)
        client = self.clients[role]
        answer = client.get(address, follow_redirects=True)
        until = time.monotonic() + COMPUTED_S
        while answer.status_code in (202, 503) and "retry-after" in answer.headers:
            assert time.monotonic() < until, answer.text
            time.sleep(0.2)
            answer = client.get(address, follow_redirects=True)
        return answer


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A store's file, and what is in it, by what addresses call it."""
    path = lived(tmp_path_factory.mktemp("lived"))
    with closing(sqlite3.connect(path)) as db:

        def one(query: str) -> str:
            return str(db.execute(query).fetchone()[0])

        terminal = "t-2"
        found = {
            "terminal": terminal, "component": "ups", "signal": "ups.battery.charge",
            "incident": one("SELECT corr_id FROM incident WHERE announced_at > 0 ORDER BY opened_at DESC LIMIT 1"),
            "alarm": one("SELECT max(id) FROM alarm"), "finding": one("SELECT id FROM finding"),
            "branch": one(f"SELECT branch FROM terminal WHERE id = '{terminal}'"),
            "region": one(f"SELECT region FROM terminal WHERE id = '{terminal}'"),
            "rule": "disk.full", "window": one("SELECT id FROM maintenance"), "n": one("SELECT max(n) FROM journal WHERE kind = 5"),
            "command": one("SELECT max(n) FROM command"), "bundle": one("SELECT n FROM config_bundle"),
            "rollout": one("SELECT n FROM rollout"), "key": "grid", "proof": "none", "trial": "none",
        }  # fmt: skip
    return path, found


@pytest.fixture(scope="module")
def config(
    names: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory, postgres_server: Server
) -> Iterator[Config]:
    folder = tmp_path_factory.mktemp("served")
    where = copied(names[0], replace(postgres_server.database("tables"), data_dir=folder))
    file = folder / "collector.toml"
    file.write_text(
        f'[collector]\ndata_dir = "{folder}"\n[console]\nhost = "127.0.0.1"\nport = {free_port()}\nrate = 1000\n[store]\npostgres = "{where}"\n'
    )
    yield load_config(file)
    postgres_server.drop(where)


@pytest.fixture(scope="module")
def console(config: Config) -> Iterator[Console]:
    running = Console(config)
    yield running
    code, errors = running.stop()
    assert (code, errors) == (0, "")


def wanted() -> list[tuple[str, Permission, str]]:
    """Path, permission and query of everything that is got: the table of permissions is held against the console's routes by a test of its own."""
    found = []
    for name, held in ROUTES.items():
        method, _, path = name.partition(" ")
        route = held if isinstance(held, Route) else Route(held)
        if method == "GET" and not route.streams and route.permission != OPEN:
            found.append((path, route.permission, route.query))
    return found


def test_every_page_and_every_question_is_answered(console: Console, names: tuple[Path, dict[str, str]]) -> None:
    known = names[1]
    wrong = {}
    for path, permission, query in wanted():
        own = known | {"name": "kiosk" if "/grants/" in path else str(Role.AUDITOR)}
        address = re.sub(r"{(\w+)(?::path)?}", lambda hole, own=own: quote(own[hole[1]], safe=""), path)
        here = re.sub(r"component=[^&]*&signal=\S*", "component=ups&signal=ups.battery.charge", query)
        more = (asked for end, asked in ASKED.items() if path.endswith(end))
        here = next(more, here.replace("University", known["branch"]))
        answer = console.get(permission, f"{address.removeprefix('/')}{'?' if here else ''}{here}")
        if answer.status_code != (404 if path.endswith(NOT_THERE) else 200):
            wrong[path] = answer.status_code, answer.text[:300]
    assert wrong == {}


@pytest.mark.long
def test_an_act_waits_in_the_database_for_whoever_writes_it(console: Console, config: Config) -> None:
    """Nobody runs: it is kept. Then the command line does what waits, as a collector that runs for an instant."""
    origin, supervisor = console.url.rstrip("/"), console.clients[Role.SUPERVISOR]
    csrf = supervisor.get("api/v1/me").json()["csrf"]
    done = supervisor.post(
        "api/v1/terminals/t-1/notes",
        json={"text": "left at the counter"},
        headers={"Origin": origin, "X-TW-CSRF": csrf},
    )
    assert done.status_code == 503, done.text
    assert "kept" in done.text
    with reading(config) as reader:
        assert "left at the counter" not in str(reader.dossier("t-1", time.time_ns()).notes)
    journal(config, {"action": "terminal-note", "terminal": "t-1", "text": "by a command"})
    with reading(config) as reader:
        said = str(reader.dossier("t-1", time.time_ns()).notes)
    assert "left at the counter" in said
    assert "by a command" in said
    assert console.get(Permission.SEE, "api/v1/health").status_code == 200


def test_a_backup_of_the_database_is_one_file_that_stands_alone(
    console: Console, config: Config, tmp_path: Path
) -> None:
    open_authority(config.authority)
    made = backup(config, tmp_path / "all.backup", keys=True, passphrase_file=None)
    assert made.faults == ()
    assert made.accounts == len(LOOKERS)
    with reading(config) as reader:
        assert (made.entries, made.terminals) == (reader.health().journal_entries, len(reader.terminals()))
    alone = Config(collector=CollectorSection(data_dir=tmp_path / "alone"))
    restore(alone, tmp_path / "all.backup", passphrase_file=None, damaged=False)
    with reading(alone) as again, reading(config) as reader:
        assert again.terminals() == reader.terminals()
    with pytest.raises(BackupError, match="move"):
        run_restore(config, argparse.Namespace(file=tmp_path / "all.backup", passphrase_file=None, damaged=False))


def test_the_doctor_looks_at_the_database(config: Config) -> None:
    """config: after acts and backups, no collector runs."""
    found = {each.subject: each for each in examine(config)}
    assert found["database"].state == "ok", found["database"].text
    assert "nobody writes it now" in found["database"].text
    assert {"clock", "deliveries", "rollout"} <= found.keys()
    lost = replace(config, kept_in=replace(config.kept_in, postgres="postgresql://tillwatch@127.0.0.1:1/none"))
    away = {each.subject: each for each in examine(lost)}
    assert away["database"].state == "fail"
    assert "see that the server runs" in away["database"].text
