"""`python -m tests.collector.people.serving FOLDER`: a console with accounts over the fake fleet, as a process of its own for a browser. A line on standard
input, `NAME FIELD VALUE`, changes an account as another process does: `li.wei active no`.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import uvicorn

from tests.collector.fake_fleet import FakeFleet
from tests.collector.people.peopled import BASE, BY, CHEAP, HASH
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import open_console, transaction
from tillwatch.collector.people.directory import Directory
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.people.settings import ConsoleSection
from tillwatch.collector.people.signing_in import SigningIn
from tillwatch.collector.web.__main__ import listen
from tillwatch.collector.web.app import Console

EVERYBODY = (
    Person("zhao.lei", "赵磊", Role.ADMINISTRATOR, password=HASH),
    Person("li.wei", "Li Wei", Role.SUPERVISOR, password=HASH),
    Person("wang.fang", "王芳", Role.TECHNICIAN, Scope(frozenset({"South"}), frozenset({"University"})), password=HASH),
    Person("audit", "", Role.AUDITOR, password=HASH, active=False),
    Person("wall.lobby", "Lobby wall", Role.VIEWER, password=HASH, board=True),
    Person("new.one", "<b onclick=alert(1)>New</b>", Role.VIEWER),
)


def main(folder: Path) -> None:
    path = folder / "console.db"
    db = open_console(path)
    with transaction(db):
        for person in EVERYBODY:
            accounts.put(db, replace(person, created_at=time.time_ns()))
    settings = ConsoleSection(totp=(Role.ADMINISTRATOR,) if "--totp" in sys.argv else (), rate=1000)
    people = SigningIn(Directory(path), settings, CHEAP)
    console = Console(lambda: FakeFleet(60, BASE), people=people)

    def change() -> None:
        for line in sys.stdin:
            name, field, value = line.split()
            with transaction(db):
                held = accounts.find(db, name)
                accounts.change(db, replace(held, **{field: value == "yes"}), BY, "test")

    threading.Thread(target=change, daemon=True).start()
    listener = listen("127.0.0.1", 0)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(console.app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    )
    server.run([listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
