"""A counter of the bank: a console over a desk's store, at which `who` asks and acts."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tillwatch.collector.people.directory import Asker
from tillwatch.collector.people.roles import Role, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.app import Console

LI = Visitor("li.na", Role.SUPERVISOR)
AUDITOR = Visitor("zhou", Role.AUDITOR)


class Counter:
    def __init__(self, folder: Path, policy: str = "", who: Visitor = LI) -> None:
        self.desk = Desk(folder, policy=policy)
        self.who = who
        path = self.desk.path
        self.console = Console(lambda: SqliteReader(path), with_pages=False, acts=ActsDoor(path), database=path)
        self.console.house.who = lambda _: Asker(self.who)  # type: ignore[method-assign]

    def client(self) -> TestClient:
        return TestClient(self.console.app, base_url="http://127.0.0.1")
