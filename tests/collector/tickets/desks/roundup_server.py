"""A real Roundup tracker: a fresh instance of the classic template with a key, a verdict and a part on its issues, served over WSGI by a process of its own."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.collector.tickets.conftest import ask
from tests.collector.tickets.desks.contract import NotSupportedError, Seen
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import roundup
from tillwatch.collector.tickets.message import TicketState

ADMIN = "admin-secret"
SECRET = "hwmon-S3cret-word"
PATH = "/hw"
PROGRAM = Path(__file__).with_name("roundup_wsgi.py")

FIELDS = """                dedup_key=String(indexme="no"),
                verdict=Link("verdict"),
                part=String(),
                assignedto=Link("user"),"""
VERDICT = """verdict = Class(db, "verdict", name=String(), order=Number())
verdict.setkey("name")
for action in "View", "Edit", "Create":
    db.security.addPermissionToRole("User", action, "verdict")
issue = IssueClass("""
SEED = f"""
from roundup.password import Password
stat.create(name="closed", order="9")
db.getclass("keyword").create(name="Hardware")
for at, word in enumerate(("Part replaced", "Nothing found")):
    db.getclass("verdict").create(name=word, order=at)
user.create(username="hwmon", password=Password({SECRET!r}, config=db.config), address="hwmon@test.invalid", roles="User")
user.create(username="li.wei", password=Password({ADMIN!r}, config=db.config), address="li.wei@test.invalid", roles="User")
"""

OPEN_TO_ALL = """for cl in 'issue', 'file', 'msg', 'keyword', 'priority', 'status':
    db.security.addPermissionToRole('Anonymous', 'View', cl)"""
"""What the classic template lets everybody read; a bank's does not, and a wrong secret would go unnoticed by whoever only reads."""

ACTS = {"work": "in-progress", "hold": "deferred", "resolve": "resolved", "close": "closed", "reopen": "chatting"}

STATES = roundup.STATES | {"closed": TicketState.CLOSED}


class RoundupServer:
    """One instance. home: an empty folder for it. calls: what its rate limit allows in `interval_s`, 0 for no limit."""

    secrets = (SECRET, base64.b64encode(f"hwmon:{SECRET}".encode()).decode())

    def __init__(self, home: Path, *, calls: int = 0, interval_s: int = 60) -> None:
        self.home = home / "tracker"
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._admin("install", "classic", "sqlite")
        _edit(
            self.home / "config.ini",
            ("#web = NO DEFAULT", f"web = http://127.0.0.1:0{PATH}/"),
            ("#domain = NO DEFAULT", "domain = test.invalid"),
            ("#host = NO DEFAULT", "host = 127.0.0.1"),
            ("\ndebug = \n", f"\ndebug = {self.home / 'mail.log'}\n"),
            ("\npassword_pbkdf2_default_rounds = 250000", "\npassword_pbkdf2_default_rounds = 1000"),
            ("\napi_calls_per_interval = 0", f"\napi_calls_per_interval = {calls}"),
            ("\napi_interval_in_sec = 3600", f"\napi_interval_in_sec = {interval_s}"),
        )
        _edit(
            self.home / "schema.py",
            ('                assignedto=Link("user"),', FIELDS),
            ("issue = IssueClass(", VERDICT),
            (OPEN_TO_ALL, ""),
        )
        _edit(self.home / "initial_data.py", ("# add any additional database creation steps", f"{SEED}\n# and"))
        self._admin("initialise", ADMIN)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}{PATH}"

    def _admin(self, *words: str) -> None:
        tool = Path(sys.executable).with_name("roundup-admin")
        done = subprocess.run(
            [str(tool), "-i", str(self.home), *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """On the port of the last time, if there was one."""
        with (self.home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(self.home), str(self._port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline() or self._failed())

    def kill(self) -> None:
        """As a power cut ends it. Not if that was done already."""
        if self._process is None:
            return
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(60)
        self._process.stdout.close()
        self._process = None

    def _failed(self) -> str:
        raise AssertionError((self.home / "server.log").read_text())

    # What a test asks for.

    def receiver(self, address: str, **settings: Any) -> Desk:
        os.environ["TILLWATCH_TEST_ROUNDUP"] = SECRET
        given = {
            "secret_env": "" if "secret_file" in settings else "TILLWATCH_TEST_ROUNDUP",
            "user": "hwmon",
            "queue": "Hardware",
            "verdict_field": "verdict",
            "part_field": "part",
            "states": {"closed": "closed"},
            "verdicts": {"Part replaced": "part_changed", "Nothing found": "no_fault_found"},
        }
        chosen = roundup.Settings(url=address, **(given | settings))
        assert chosen.problem() is None
        return Desk(roundup.connect("roundup", chosen), settle_s=chosen.settle)

    def tickets(self, key: str) -> list[Seen]:
        found = self.rest("GET", f"issue?dedup_key:={key}&@sort=id")["collection"]
        return [self._seen(each["id"]) for each in found]

    def _seen(self, ticket: str) -> Seen:
        held = self.rest("GET", f"issue/{ticket}?@verbose=2")["attributes"]
        texts = [self.rest("GET", f"msg/{each['id']}?@verbose=3")["attributes"]["content"] for each in held["messages"]]
        status = held["status"]["name"]
        state = STATES[status]
        if held["superseder"] and state.over:
            state = TicketState.DUPLICATE
        owner = held["assignedto"]["username"] if held["assignedto"] else ""
        return Seen(ticket, held["dedup_key"], held["title"], texts[0], state, owner, texts[1:])

    def every(self) -> dict[str, list[Seen]]:
        """All tickets that have a key, by it and without their owners, out of the tracker's own files: hundreds are read in an instant."""
        found: dict[str, list[Seen]] = {}
        with closing(sqlite3.connect(self.home / "db/db", timeout=60)) as db:
            statuses = dict(db.execute("SELECT id, _name FROM _status"))
            rows = db.execute(
                "SELECT id, _dedup_key, _title, _status FROM _issue WHERE _dedup_key <> '' AND NOT __retired__ ORDER BY id"
            )
            for ticket, key, title, status in rows.fetchall():
                said = db.execute("SELECT linkid FROM issue_messages WHERE nodeid = ? ORDER BY linkid", (ticket,))
                texts = [(self.home / f"db/files/msg/{number // 1000}/msg{number}").read_text() for (number,) in said]
                body = texts[0] if texts else ""
                seen = Seen(str(ticket), key, title, body, STATES[statuses[status]], "", texts[1:])
                found.setdefault(key, []).append(seen)
        return found

    def person(self, ticket: str, act: str, text: str = "") -> None:
        if act in ACTS:
            self.edit(ticket, status=ACTS[act])
        elif act == "own":
            self.edit(ticket, assignedto="li.wei")
        elif act == "note":
            said = self.rest("POST", "msg", {"content": text, "author": self._person()}, user="li.wei")
            self.edit(ticket, messages=[*self._messages(ticket), said["id"]])
        elif act == "merge":
            self.edit(ticket, superseder=[text], status="resolved")
        elif act == "delete":
            retire = {"@op": "action", "@action_name": "retire"}
            self.rest("PATCH", f"issue/{ticket}", retire, etag=self._etag(ticket))
        else:
            raise NotSupportedError(act)

    def edit(self, ticket: str, **changes: Any) -> None:
        """As a technician does it in the web."""
        self.rest("PATCH", f"issue/{ticket}", changes, user="li.wei", etag=self._etag(ticket))

    def _person(self) -> str:
        return self.rest("GET", "user?username:=li.wei")["collection"][0]["id"]

    def _messages(self, ticket: str) -> list[str]:
        return [each["id"] for each in self.rest("GET", f"issue/{ticket}")["attributes"]["messages"]]

    def _etag(self, ticket: str) -> str:
        return self.rest("GET", f"issue/{ticket}")["@etag"]

    def rest(self, method: str, path: str, body: Any = None, *, user: str = "admin", etag: str = "") -> Any:
        parts = urlsplit(self.address)
        headers = {
            "authorization": "Basic " + base64.b64encode(f"{user}:{ADMIN}".encode()).decode(),
            "content-type": "application/json",
            "x-requested-with": "test",
            "origin": f"{parts.scheme}://{parts.netloc}",
            "referer": self.address + "/",
            **({"if-match": etag} if etag else {}),
        }
        content = json.dumps(body).encode() if body is not None else None
        status, answer = ask(self.address, method, f"{PATH}/rest/data/{path}", content, headers)
        assert status in {200, 201}, (status, answer)
        return json.loads(answer)["data"]


@contextmanager
def running(home: Path, **options: int) -> Iterator[RoundupServer]:
    server = RoundupServer(home, **options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text, f"{path.name} of this version has no {old!r}"
        text = text.replace(old, new, 1)
    path.write_text(text)
