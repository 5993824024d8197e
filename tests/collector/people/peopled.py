"""A console with accounts over the fake fleet, in process: somebody of every role, with cheap hashes and a clock that the test turns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from tests.collector.fake_fleet import NANO, FakeFleet
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Actor, Person
from tillwatch.collector.people.console_db import open_console, transaction, unsaid
from tillwatch.collector.people.directory import Directory
from tillwatch.collector.people.passwords import Passwords
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.people.settings import ConsoleSection
from tillwatch.collector.people.signing_in import SigningIn
from tillwatch.collector.web.app import Console

BASE = 1_790_000_000 * NANO
CHEAP = Passwords(time_cost=1, memory_kib=8, lanes=1)
WORD = "violet tundra kayak 93"
HASH = CHEAP.hash(WORD)
BY = Actor("root", via="command line")
URL = "http://127.0.0.1"
SOUTH = Scope(regions=frozenset({"South"}))


class Clock:
    def __init__(self, at: int = BASE) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += int(seconds * NANO)


@dataclass
class Peopled:
    directory: Directory
    people: SigningIn
    console: Console
    clock: Clock
    client: TestClient
    provider: Any = None

    def add(self, name: str, role: Role = Role.VIEWER, **more: Any) -> Person:
        person = Person(name, **{"full_name": "", "role": role, "password": HASH, "created_at": BASE, **more})
        with closing(self.beside()) as db, transaction(db):
            accounts.add(db, person, BY)
        return person

    def change(self, name: str, **more: Any) -> None:
        """As another process does it."""
        with closing(self.beside()) as db, transaction(db):
            held = accounts.find(db, name)
            accounts.change(db, replace(held, **more), BY, "test")

    def beside(self) -> sqlite3.Connection:
        """A connection of its own: that of the directory may be in the middle of a change."""
        return open_console(Path(self.directory.db.execute("PRAGMA database_list").fetchone()[2]))

    def browser(self, name: str = "", password: str = WORD) -> TestClient:
        """Another browser, signed in under that name."""
        client = TestClient(self.console.app, base_url=URL, follow_redirects=False)
        client.portal = self.client.portal  # all on the one loop that the console lives on
        if name:
            answer = client.post("/sign-in", data={"name": name, "password": password}, headers=FORM)
            assert answer.status_code == 303, answer.text
        return client

    def csrf(self, client: TestClient) -> dict[str, str]:
        held = self.directory.by_cookie(client.cookies["tw_session"])
        return {"X-TW-CSRF": held.session.csrf} if held.session else {}

    def told(self, action: str = "") -> list[dict[str, Any]]:
        """What waits to become record."""
        return [facts for _, facts in unsaid(self.directory.db, 1000) if not action or facts["action"] == action]


FORM = {"Origin": URL, "Sec-Fetch-Site": "same-origin"}


@contextmanager
def peopled(folder: Path, settings: ConsoleSection | None = None, **more: Any) -> Iterator[Peopled]:
    clock = Clock()
    settings = settings or ConsoleSection()
    directory = Directory(folder / "console.db", anonymous=settings.anonymous, far=settings.far, now=clock)
    people = SigningIn(directory, settings, CHEAP)
    console = Console(lambda: FakeFleet(60, BASE), now=clock, people=people, **{"with_pages": False, **more})
    with TestClient(console.app, base_url=URL, follow_redirects=False) as client:
        yield Peopled(directory, people, console, clock, client)
    directory.close()
