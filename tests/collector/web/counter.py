"""A counter of the bank: a console over a desk's store, at which `who` asks and acts."""

from __future__ import annotations

import signal
import socket
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tillwatch.collector.people.directory import Asker
from tillwatch.collector.people.roles import Role, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.entry.door import Shown

LI = Visitor("li.na", Role.SUPERVISOR)
AUDITOR = Visitor("zhou", Role.AUDITOR)


class Counter:
    def __init__(self, folder: Path, policy: str = "", who: Visitor = LI, *, with_pages: bool = False) -> None:
        self.desk = Desk(folder, policy=policy)
        self.who = who
        path = self.desk.path
        self.console = Console(lambda: SqliteReader(path), with_pages=with_pages, acts=ActsDoor(path), database=path)
        self.console.house.who = lambda _: Asker(self.who)  # type: ignore[method-assign]

    def client(self) -> TestClient:
        return TestClient(self.console.app, base_url="http://127.0.0.1")


POLICY = """
[[window]]
id = "weekly-restart"
scope = "branch:Harbour"
weekly = "mon-sun"
at = "02:00"
length = "30m"
reason = "Restart <b>x</b>"
approved_by = "board"
[person.chen]
name = "Chen Jun"
phone = "+86 139 0000 0103"
[[shift]]
role = "duty engineer"
people = "chen"
hours = "24x7"
"""


def main() -> None:
    """Serves the pages over a small bank whose collector runs, until standard input ends. Who asks says as whom, in the header X-Role."""
    from tests.collector.web.taking import Taking

    with TemporaryDirectory(prefix="tillwatch-counter-") as folder:
        counter = Counter(Path(folder), POLICY, with_pages=True)
        counter.desk.enrol("atm-1", "atm-2", "atm-3")
        counter.desk.enrol("pos-4", "pos-5", "pos-6", "pos-7", branch="Market", region="South")
        counter.desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
        house = counter.console.house
        house.shown = lambda headers: Shown(headers.get("x-role", ""))  # type: ignore[method-assign]
        house.who = lambda shown: Asker(replace(LI, role=Role(shown.cookie or LI.role)))  # type: ignore[method-assign]
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(counter.console.app, log_level="warning"))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # uvicorn raises it again when it is done
        with Taking(counter.desk.path, counter.desk.rules, counter.desk.now):
            print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
            server.run([listener])


if __name__ == "__main__":
    main()
