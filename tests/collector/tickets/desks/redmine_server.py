"""A real Redmine out of the Debian package, run unpacked and not installed, from a copy of it: nobody needs to be root."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.collector.tickets.conftest import ask
from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import redmine

PACKAGE = Path(__file__).parents[4] / "build/debian/redmine/usr/share/redmine"
SEED = Path(__file__).with_name("redmine_seed.rb")
READY_S = 120.0
"""Rails comes up in 3 s on a machine with nothing else to do."""

STATUS = {"work": "In Progress", "hold": "Feedback", "resolve": "Resolved", "close": "Closed", "reopen": "In Progress"}
"""What people do -> the status that they set."""


def connected(address: str, known_field: int, secret: str, **settings: Any) -> Desk:
    """A receiver with the settings that both the real one and the fake need."""
    os.environ["TILLWATCH_TEST_REDMINE"] = secret
    given = {
        "secret_env": "" if "secret_file" in settings else "TILLWATCH_TEST_REDMINE",
        "queue": "hardware",
        "key_field": str(known_field),
        "verdict_field": "verdict",
        "part_field": "part",
        "verdicts": {"Part replaced": "part_changed"},
    }
    chosen = redmine.Settings(url=address, **(given | settings))
    assert chosen.problem() is None
    return Desk(redmine.connect("redmine", chosen), settle_s=chosen.settle)


class RedmineServer:
    """One instance. home: an empty folder for it."""

    def __init__(self, home: Path) -> None:
        assert PACKAGE.is_dir(), "Redmine is not here: make packages-long"
        self.home = home
        self._app = home / "redmine"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._environment = os.environ | {
            "RAILS_ENV": "production",
            "REDMINE_LANG": "en",
            "HOME": str(home),
            "SCHEMA": str(home / "schema.rb"),  # without a file that can be written db:migrate reports failure
            "SECRET_KEY_BASE": secrets.token_hex(64),
        }
        self._copy()
        # Not `install`: it takes Debian's gems for deleted, and would fetch them from rubygems.org. What is missing is said by `exec`.
        self._run("bundle", "lock", "--local")
        self._run("bundle", "exec", "rake", "db:migrate")
        self._run("bundle", "exec", "rake", "redmine:load_default_data")
        self._run("bundle", "exec", "rails", "runner", str(SEED))
        self._seed = json.loads((home / "seed.json").read_text())
        self._words = {number: word for word, number in self._seed["statuses"].items()}

    def _copy(self) -> None:
        links = shutil.ignore_patterns("Gemfile.lock", "instances", "database.yml")  # into /var and /etc
        shutil.copytree(PACKAGE, self._app, ignore=links, ignore_dangling_symlinks=True)  # scripts for browsers
        instance = self._app / "instances/default"  # what Debian's copy looks for beside its code
        for folder in ("config", "tmp/cache", "tmp/pids", "log", "files"):
            (instance / folder).mkdir(parents=True)
        for folder in ("tmp/cache", "tmp/pids", "log", "files", "plugins"):
            (self._app / folder).mkdir(parents=True, exist_ok=True)
        database = {
            "production": {"adapter": "sqlite3", "database": str(self.home / "redmine.sqlite3"), "timeout": 10_000}
        }
        for folder in (self._app, instance):
            (folder / "config/database.yml").write_text(json.dumps(database))  # JSON is YAML
        (self._app / "Gemfile.local").write_text('gem "webrick"\n')
        gemfile = self._app / "Gemfile"
        there = "Dir['/usr/share/redmine/{config,instances/*/config}/database.yml']"
        assert there in gemfile.read_text(), "the Gemfile of this version looks for its database elsewhere"
        gemfile.write_text(gemfile.read_text().replace(there, 'Dir[File.join(__dir__, "config/database.yml")]'))

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, cwd=self._app, env=self._environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-500:]}{done.stderr[:1500]}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._seed["service"],)

    def start(self) -> None:
        command = ["bundle", "exec", "rails", "server", "-u", "webrick", "-b", "127.0.0.1", "-p", str(self._port)]
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-P", str(self.home / "server.pid")],
                cwd=self._app,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + READY_S
        while not self._ready():
            said = (self.home / "server.log").read_text()
            assert self._process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            return ask(self.address, "GET", "/users/current.json", None, self._as("service"))[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)
        (self.home / "server.pid").unlink(missing_ok=True)
        self._process = None

    def receiver(self, address: str, **settings: Any) -> Desk:
        return connected(address, self._seed["key_field"], self._seed["service"], **settings)

    def tickets(self, key: str) -> list[Seen]:
        field = self._seed["key_field"]
        rows = self.rest("GET", f"/issues.json?cf_{field}={key}&status_id=*&sort=id&limit=100")["issues"]
        return [self._seen(row["id"], field) for row in rows]

    def _seen(self, ticket: int, field: int) -> Seen:
        issue = self.rest("GET", f"/issues/{ticket}.json?include=journals,relations")["issue"]
        return seen(issue, field)

    def person(self, ticket: str, act: str, text: str = "") -> None:
        if act in STATUS:
            self.edit(ticket, status_id=self._seed["statuses"][STATUS[act]])
        elif act == "own":
            self.edit(ticket, assigned_to_id=self._seed["technician_id"])
        elif act == "note":
            self.edit(ticket, notes=text)
        elif act == "delete":
            self.rest("DELETE", f"/issues/{ticket}.json", user="technician")
        elif act == "merge":
            relation = {"relation": {"issue_to_id": int(text), "relation_type": "duplicates"}}
            self.rest("POST", f"/issues/{ticket}/relations.json", relation, user="technician")
            self.person(ticket, "close")
        else:
            raise NotSupportedError(act)

    def edit(self, ticket: str, **changes: Any) -> None:
        """As a technician does it."""
        before = self.rest("GET", f"/issues/{ticket}.json?include=journals")["issue"]
        self.rest("PUT", f"/issues/{ticket}.json", {"issue": changes}, user="technician")
        after = self.rest("GET", f"/issues/{ticket}.json?include=journals")["issue"]
        assert len(after["journals"]) > len(before["journals"]), "it was taken silently, and not done"

    def _as(self, user: str) -> Mapping[str, str]:
        return {"x-redmine-api-key": self._seed[user], "content-type": "application/json"}

    def rest(self, method: str, path: str, body: Any = None, *, user: str = "admin") -> Any:
        content = json.dumps(body).encode() if body is not None else None
        status, answer = ask(self.address, method, path, content, dict(self._as(user)))
        assert 200 <= status < 300, (method, path, status, answer)
        return json.loads(answer) if answer else None


def seen(issue: Mapping[str, Any], field: int) -> Seen:
    return Seen(
        id=str(issue["id"]),
        key=next(each["value"] for each in issue["custom_fields"] if each["id"] == field),
        title=issue["subject"],
        body=issue["description"],
        state=redmine.STATES[issue["status"]["name"]],
        owner=issue.get("assigned_to", {}).get("name", ""),
        notes=[each["notes"] for each in issue["journals"] if each["notes"]],
    )


@contextmanager
def running(home: Path) -> Iterator[RedmineServer]:
    server = RedmineServer(home)
    server.start()
    try:
        yield server
    finally:
        server.stop()
