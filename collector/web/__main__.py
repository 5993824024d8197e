"""The console as a process of its own, so that ingest and alarms do not notice whether it runs: `python -m tillwatch.collector.web`."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from tillwatch.collector.ending import end_within
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.logs import to_stderr

if TYPE_CHECKING:
    from tillwatch.collector.config import Config
    from tillwatch.collector.people.recording import Recorder
    from tillwatch.collector.people.settings import ConsoleSection
    from tillwatch.collector.people.signing_in import SigningIn
    from tillwatch.collector.store.db import Where
    from tillwatch.collector.web.predicting import Predicting

GOODBYE_S = 3
"""How long open connections may take to end after SIGTERM; then they are cut."""

STOP_MOST_S = 8.0
"""For a stop in all; then it ends without waiting for the answers of the store. The service manager kills after ten, and says nothing of why."""

MAX_CONNECTIONS = 1_000
"""Connections at once; more are told 503. Fifty viewers hold about 150."""


BEHIND_INTAKE = 5
"""Niceness: where processors are short, what people look at waits for what terminals send. A third of the collector's share."""


class Refused(Exception):  # noqa: N818  # it is the user's input that is wrong
    """The console cannot start. The text says why and what to do."""


class Server(uvicorn.Server):
    """uvicorn that ends open event streams by itself when it is told to stop."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        end_within(STOP_MOST_S, "who asked for a page gets none")
        self._on_exit()


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, or Refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere the option would let a second process take the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise Refused(f"--port {port}: cannot listen on {host}:{port}: {why}; choose another with --port") from None
    return listener


def checked(settings: ConsoleSection) -> ConsoleSection:
    """Raises Refused for what must not be: passwords in the clear, calls for any name."""
    if problem := settings.problem():
        raise Refused(f"--host {settings.host}: {problem[1]}")
    return settings


def _where(text: str) -> Where:
    from tillwatch.collector.store.whereabouts import of_text  # noqa: PLC0415  # --help must not need the store

    try:
        return of_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _people(database: Where, settings: ConsoleSection) -> tuple[SigningIn, Recorder]:
    """Raises Refused."""
    from tillwatch.collector.people import accounts  # noqa: PLC0415  # --help must not wait for it
    from tillwatch.collector.people.console_db import ConsoleDbError, place  # noqa: PLC0415
    from tillwatch.collector.people.directory import Directory  # noqa: PLC0415
    from tillwatch.collector.people.recording import Recorder  # noqa: PLC0415
    from tillwatch.collector.people.signing_in import SigningIn  # noqa: PLC0415
    from tillwatch.collector.store.whereabouts import anchor  # noqa: PLC0415

    try:
        directory = Directory(place(anchor(database)), anonymous=settings.anonymous, far=settings.far)
        if settings.far and not accounts.count(directory.db):
            raise Refused(
                f"--host {settings.host}: nobody has an account yet, and other machines reach this console: make the first one with "
                "tillwatch-collector people add NAME --role administrator"
            )
        return SigningIn(directory, settings), Recorder(place(anchor(database)), database)
    except ConsoleDbError as error:
        raise Refused(str(error)) from None


def serve(
    open_reader: Callable[[], ConsoleReader],
    host: str,
    port: int,
    cards: Path | None = None,
    predicting: Predicting | None = None,
    database: Where | None = None,
    configured: Config | None = None,
) -> None:
    """Runs the console until SIGTERM or SIGINT. cards: the bank's own; database: the store, beside which the accounts stand and where acts are left for
    the collector, None where nothing can be done; configured: the collector's configuration. Raises Refused before anything is served.
    """
    from tillwatch.collector.people.settings import ConsoleSection  # noqa: PLC0415  # as the next

    settings = replace(configured.console if configured is not None else ConsoleSection(), host=host, port=port)
    listener = listen(checked(settings).host, port)
    from tillwatch.collector.alarm.diagnosis import CardsError, load_cards  # noqa: PLC0415  # as the next
    from tillwatch.collector.people.oidc import Provider  # noqa: PLC0415  # as the next
    from tillwatch.collector.web.acting import ActsDoor  # noqa: PLC0415  # as the next
    from tillwatch.collector.web.app import Console, nothing_taken  # noqa: PLC0415  # half a second of imports: wrong input is told before

    try:
        acts = ActsDoor(database) if database is not None else nothing_taken
        people, recorder = _people(database, settings) if database is not None else (None, None)
        oidc = configured.oidc if configured is not None else None
        provider = Provider(oidc) if oidc is not None else None
        console = Console(
            open_reader, cards=load_cards(cards), predicting=predicting, acts=acts, people=people, recorder=recorder, provider=provider,
            config=configured.source if configured is not None else None, database=database,
        )  # fmt: skip
        config = uvicorn.Config(
            console.app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GOODBYE_S,
            limit_concurrency=MAX_CONNECTIONS,
            server_header=False,
            # A proxy on this machine says over which name and from where somebody came; anybody else would only claim it.
            proxy_headers=settings.far and settings.certificate is None,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
        )
        config.load()
    except CardsError as error:
        listener.close()
        raise Refused(f"--cards: {error}") from None
    except Refused:
        listener.close()
        raise
    except OSError as error:  # ssl.SSLError is one
        listener.close()
        raise Refused(
            f"[console] certificate {settings.certificate}, key {settings.key}: {error}; write the two PEM files that belong together"
        ) from None
    server = Server(config, console.feed.close)
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # uvicorn raises the signal again when it is done; the end was asked for and is clean
        signal.signal(number, lambda *_: None)
    place = f"[{host}]" if ":" in host else host
    scheme = "https" if settings.certificate is not None else "http"
    print(f"the console is at {scheme}://{place}:{listener.getsockname()[1]}/", flush=True)
    server.run([listener])


def _predicting(database: Where, table: Path | None, *, enabled: bool) -> Predicting:
    """table: the bank's own. Raises Refused."""
    from tillwatch.collector.predict.checkpoint import read_status  # noqa: PLC0415  # --help must not wait for it
    from tillwatch.collector.predict.settings import TablesError, parse_tables  # noqa: PLC0415
    from tillwatch.collector.store.whereabouts import anchor  # noqa: PLC0415
    from tillwatch.collector.web.predicting import Predicting  # noqa: PLC0415

    try:
        tables = parse_tables(table.read_text(encoding="utf-8") if table is not None else "")
    except (TablesError, OSError, UnicodeDecodeError) as error:
        raise Refused(f"--predictions: {table}: {error}") from None
    return Predicting(enabled, lambda: read_status(anchor(database)), tables)


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    # At once, without a goodbye to anyone: whoever started this is gone, and the next one wants the port.
    os._exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tillwatch-collector console",
        description="The fleet console and REST API over the collector's store.",
    )
    parser.add_argument(
        "--db",
        required=True,
        type=_where,
        help="the collector's store: its file, or postgresql://USER@HOST/DATABASE?password_file=FILE&data_dir=FOLDER",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the collector's configuration file, for [console], [oidc] and proofs",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where it answers (default: %(default)s)")
    parser.add_argument("--port", default=8080, type=int, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--cards", type=Path, metavar="FILE", help="the bank's own diagnosis cards")
    parser.add_argument("--predictions", type=Path, metavar="FILE", help="the bank's own table of the predictions")
    parser.add_argument("--no-predictions", action="store_true", help="they are switched off, and that is shown")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="end when standard input does, with the process that holds it"
    )
    options = parser.parse_args(arguments)
    if options.until_stdin_ends:
        threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    to_stderr()
    if os.name == "posix":
        with contextlib.suppress(PermissionError):  # its unit lets nobody change priorities; CPUWeight= holds there
            os.nice(BEHIND_INTAKE)
    from tillwatch.collector.config import ConfigError, load_config  # noqa: PLC0415  # as the next
    from tillwatch.collector.store.opening import open_reader  # noqa: PLC0415  # --help must not need the store
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415

    try:
        try:
            open_reader(options.db).close()
        except (StoreError, sqlite3.Error) as error:
            raise Refused(f"--db {options.db}: cannot be read as the collector's store: {error}") from None
        predicting = _predicting(options.db, options.predictions, enabled=not options.no_predictions)
        serve(
            lambda: open_reader(options.db), options.host, options.port, options.cards, predicting, options.db,
            load_config(options.config) if options.config is not None else None,
        )  # fmt: skip
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
