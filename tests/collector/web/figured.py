"""A console over a store whose time stands: `python -m tests.collector.web.figured --db FILE --now NS`. Whoever asks is a supervisor."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import uvicorn

from tests.collector.web.as_visitor import let_in
from tillwatch.collector.people.roles import Role, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.app import Console
from tillwatch.collector.web.pages import theme


class _Standing:
    """The clock that pages tell the browser of."""

    def __init__(self, at: int) -> None:
        self._at = at

    def time_ns(self) -> int:
        return self._at


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--db", required=True, type=Path)
    parser.add_argument("--now", required=True, type=int)
    options = parser.parse_args()
    theme.time = _Standing(options.now)  # type: ignore[assignment]
    console = Console(lambda: SqliteReader(options.db), now=lambda: options.now, database=options.db)
    let_in(console, {"chen": Visitor("chen", Role.SUPERVISOR)}, "chen")
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"the console is at http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
    server = uvicorn.Server(uvicorn.Config(console.app, log_level="warning", timeout_graceful_shutdown=2))
    server.run([listener])


if __name__ == "__main__":
    main()
