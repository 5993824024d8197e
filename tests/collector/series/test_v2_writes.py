"""What a store of the v2 write endpoint may answer, by a server that says each thing when it is told to: none that can be had refuses as InfluxDB does."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.collector.conftest import World
from tests.collector.series.written import SIGNALS, lived
from tillwatch.collector.series.exporter import MAX_SPLITS, Exporter, Limits
from tillwatch.collector.series.kept import Standing
from tillwatch.collector.series.port import OutsideRetentionError, SinkDownError, SinkRefusesError, SinkTooMuchError
from tillwatch.collector.series.settings import SinkSettings, connect
from tillwatch.collector.store.reading import reading
from tillwatch.collector.trust.authority import open_authority

Answer = tuple[int, dict[str, str], str]
OK: Answer = (204, {}, "")


@dataclass
class Asked:
    path: str
    question: dict[str, list[str]]
    token: str
    lines: list[str]


@dataclass
class Store:
    """judge: what it answers to lines. taken: what it said yes to."""

    judge: Callable[[list[str]], Answer] = lambda _: OK
    asked: list[Asked] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    with Serving(made):
        yield made


class Serving:
    def __init__(self, store: Store, context: ssl.SSLContext | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                lines = gzip.decompress(body).decode().split("\n")
                url = urlsplit(self.path)
                store.asked.append(Asked(url.path, parse_qs(url.query), self.headers.get("Authorization", ""), lines))
                self.say(*store.judge(lines), lines=lines)

            def do_GET(self) -> None:
                self.say(204 if self.path == "/ping" else 404, {}, "")

            def say(self, status: int, headers: dict[str, str], text: str, lines: list[str] | None = None) -> None:
                if status < 300 or status == 422:
                    store.taken.extend(lines or [])
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        store.port = self._server.server_address[1]

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02}).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def influx(url: str, **more: object) -> SinkSettings:
    return SinkSettings(kind="influxdb", url=url, org="bank", bucket="tills", timeout=5.0, **more)  # type: ignore[arg-type]


def exporting(world: World, store: Store, points: int = 100) -> Exporter:
    return Exporter("x", connect(influx(store.url)), lambda: reading(world.path), SIGNALS, Limits(points), Standing(), lambda *_: None)  # fmt: skip


def test_a_write_is_packed_and_says_where_it_belongs_and_who_writes(store: Store, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    sink = connect(influx(store.url, token_file=token))
    sink.write(b"a value=1 1\nb value=2 2")
    (asked,) = store.asked
    assert (asked.path, asked.question) == (
        "/api/v2/write",
        {"org": ["bank"], "bucket": ["tills"], "precision": ["ns"]},
    )
    assert (asked.token, asked.lines) == ("Token first", ["a value=1 1", "b value=2 2"])
    # A token that was replaced is found after the old one was refused.
    token.write_text("second\n")
    store.judge = lambda _: (401, {}, json.dumps({"code": "unauthorized", "message": "unauthorized access"}))
    with pytest.raises(SinkDownError, match="it answers 401: unauthorized access; look at its token"):
        sink.write(b"a value=1 1")
    store.judge = lambda _: OK
    sink.write(b"a value=1 1")
    assert store.asked[-1].token == "Token second"
    sink.close()


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ((400, {}, '{"message": "unable to parse"}'), SinkRefusesError, "unable to parse"),
        ((413, {}, "too large"), SinkTooMuchError, "too large"),
        ((422, {}, '{"message": "beyond retention"}'), OutsideRetentionError, "beyond retention"),
        ((404, {}, '{"message": "bucket not found"}'), SinkDownError, "look at url, org and bucket"),
        ((503, {}, ""), SinkDownError, "it answers 503"),
        ((500, {}, "<html>" + "x" * 5000), SinkDownError, "it answers 500"),
    ],
)
def test_what_is_answered_is_told(store: Store, answer: Answer, error: type[Exception], text: str) -> None:
    store.judge = lambda _: answer
    sink = connect(influx(store.url))
    with pytest.raises(error, match=text) as told:
        sink.write(b"a value=1 1")
    assert len(str(told.value)) < 500
    sink.close()


@pytest.mark.parametrize(
    ("said", "after"), [("7", 7.0), ("1e9", 300.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("-5", 0.0)]
)
async def test_a_store_that_asks_for_time_gets_it(store: Store, world: World, said: str, after: float) -> None:
    await lived(world, 3, "atm-1")
    store.judge = lambda _: (429, {"Retry-After": said}, "")
    wait = exporting(world, store).turn()
    assert wait >= after
    assert wait <= max(after, 1.0)


async def test_a_line_that_is_refused_is_found_passed_over_and_told(
    store: Store, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    _, sent = await lived(world, 30, "atm-1")

    def judge(lines: list[str]) -> Answer:
        bad = any("signal=identity.model" in line and " 1790000050000" in line for line in lines)
        return (400, {}, '{"message": "field type conflict"}') if bad else OK

    store.judge = judge
    one = exporting(world, store)
    one.turn()
    assert one.standing.written.n == world.pipeline.journal.n
    assert (one.standing.refused, one.standing.points) == (1, len(sent.readings) - 1)
    assert len(store.taken) == len(set(store.taken)) == len(sent.readings) - 1
    (told,) = [each.getMessage() for each in caplog.records if "passed over" in each.getMessage()]
    assert "signal=identity.model" in told
    assert "field type conflict" in told
    assert one.standing.note in told


async def test_a_store_that_refuses_everything_is_not_the_readings_fault(store: Store, world: World) -> None:
    await lived(world, 30, "atm-1")
    store.judge = lambda _: (400, {}, "no")
    one = exporting(world, store)
    assert one.turn() > 0
    assert "refuses" in one.standing.trouble
    assert len(store.asked) <= 2 * MAX_SPLITS + 1
    assert (one.standing.written.n, one.standing.refused) == (0, 0)
    store.judge = lambda _: OK
    one.turn()
    assert one.standing.written.n == world.pipeline.journal.n


async def test_what_is_too_much_goes_in_parts(store: Store, world: World) -> None:
    _, sent = await lived(world, 30, "atm-1")
    store.judge = lambda lines: OK if len(lines) <= 40 else (413, {}, "too large")
    one = exporting(world, store)
    one.turn()
    assert one.standing.written.n == world.pipeline.journal.n
    assert len(store.taken) == len(sent.readings)
    assert one.standing.refused == 0


async def test_what_lies_outside_its_retention_holds_nothing_up(store: Store, world: World) -> None:
    await lived(world, 30, "atm-1")
    store.judge = lambda _: (422, {}, '{"message": "points beyond retention policy dropped"}')
    one = exporting(world, store)
    one.turn()
    assert one.standing.written.n == world.pipeline.journal.n
    assert "shorter time" in one.standing.note


async def test_failures_wait_longer_and_longer_and_never_in_step(world: World, tmp_path: Path) -> None:
    await lived(world, 2, "atm-1")
    nobody = Store()
    with Serving(nobody):
        pass
    one = exporting(world, nobody)
    waits = [one.turn() for _ in range(12)]
    for i, wait in enumerate(waits):
        most = min(2**i, 60)
        assert most / 2 <= wait <= most
    assert one.standing.trouble.startswith("it does not answer")


def test_a_store_behind_tls_is_believed_by_its_authority_only(tmp_path: Path) -> None:
    own = open_authority(tmp_path / "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.server_file(("localhost", "127.0.0.1")))
    made = Store()
    with Serving(made, context):
        url = made.url.replace("http:", "https:")
        sink = connect(influx(url, ca_file=own.ca_file))
        sink.write(b"a value=1 1")
        assert sink.check() == ""
        sink.close()
        with pytest.raises(SinkDownError, match="certificate"):
            connect(influx(url)).write(b"a value=1 1")
        with pytest.raises(SinkDownError, match="ca_file: cannot use"):
            connect(influx(url, ca_file=tmp_path / "none.pem")).write(b"a value=1 1")
        with pytest.raises(SinkDownError, match="cannot read"):
            connect(influx(url, token_file=tmp_path / "none")).write(b"a value=1 1")
    assert made.taken == ["a value=1 1"]
