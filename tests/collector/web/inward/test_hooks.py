"""The listener that ticket systems call, over real HTTPS: what it believes, what it refuses, and what a call does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import http.client
import json
import ssl
import time

import pytest

from tests.collector.tickets.conftest import make_store
from tests.collector.tickets.two_way.following import Clock, Journal, MemoryPort
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.desks import webhook
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.settings import ReceiverSettings
from tillwatch.collector.tickets.signature import TOLERANCE_S, Secret, signed_headers
from tillwatch.collector.tickets.two_way import inbox
from tillwatch.collector.tickets.two_way.hook_schemes import Scheme
from tillwatch.collector.tickets.two_way.inbox import Inbox, changes_of
from tillwatch.collector.tickets.two_way.sync import Rhythm, Sync
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.web.inward.hooks import CALLS_PER_MINUTE, MAX_HOOK, hint, hook_app, hook_listener, push
from tillwatch.collector.web.inward.listening import REFUSALS_PER_MINUTE, RefusedError

HOSTS = ("localhost", "127.0.0.1")
JIRA = "the secret that jira signs with"
KEY = Secret(b"0123456789abcdef0123456789abcdef")
WEBHOOK = "whsec_" + base64.b64encode(KEY.key).decode()


async def until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return open_authority(tmp_path_factory.mktemp("site") / "authority")


class Site:
    """A collector with a pollable system "jira" and a webhook that cannot be asked. mono: the listener's clock for limits."""

    def __init__(self, path, authority) -> None:
        self.folder = path
        self.authority = authority
        self.clock = Clock(time.time_ns())
        self.mono = 0.0
        self.port = MemoryPort(self.clock, name="jira")
        self.port.open("H-1", "1")
        self.store = make_store(path)
        self.journal = Journal(self.store)
        self.journal.incident("H-1", "1", "jira")
        self.journal.incident("H-2", "T-2", "webhook")
        self.sync = Sync(
            lambda: outbox.connect(self.store),
            self.port,
            self.journal,
            clock=self.clock,
            rhythm=Rhythm(poll_s=3600, hinted_s=0.01),
        )
        self.secret_file = path / "jira.secret"
        self.secret_file.write_text(JIRA + "\n")
        (path / "webhook.secret").write_text(WEBHOOK)
        jira = ReceiverSettings(url="https://jira.invalid", hook_scheme=Scheme.HUB, hook_secret_file=self.secret_file)
        pushed = webhook.Settings(url="https://desk.invalid", hook_secret_file=path / "webhook.secret")
        self.inbox = Inbox(
            lambda: inbox.connect(self.store),
            {"webhook": changes_of("webhook", pushed, self.journal)},
            again_s=0.01,
        )
        self.hints = 0
        self.alerts: list[bytes] = []

        def wake() -> None:
            self.hints += 1
            self.sync.hint()

        async def alert(headers, body: bytes) -> bool:
            if headers.get("authorization") != "Bearer alerts":
                raise RefusedError(401, "no")
            self.alerts.append(body)
            return True

        self.app = hook_app(
            {
                "/hooks/jira": hint(self.inbox, "jira", jira, wake),
                "/hooks/webhook": push(self.inbox, "webhook", pushed),
                "/alerts/prometheus": alert,
            },
            lambda: self.mono,
        )
        self.listener = hook_listener(self.app, "127.0.0.1", 0, authority.server_file(HOSTS))
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.listener.start()
        self.tasks = [asyncio.create_task(self.sync.run()), asyncio.create_task(self.inbox.run())]

    async def stop(self) -> None:
        await self.listener.stop()
        for task in self.tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.journal.conn.close()

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        return await asyncio.to_thread(self._post, path, body, headers)

    def _post(self, path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> int:
        context = ssl.create_default_context(cadata=self.authority.ca_pem)
        conn = http.client.HTTPSConnection("127.0.0.1", self.listener.port, context=context, timeout=60)
        try:
            conn.request(method, path, body, headers)
            answer = conn.getresponse()
            answer.read()
            return answer.status
        except (BrokenPipeError, ConnectionResetError):
            return 0
        finally:
            conn.close()

    async def jira(self, delivery: str, body: bytes = b"{}", secret: str = JIRA) -> int:
        signature = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
        headers = {"X-Hub-Signature": signature, "X-Atlassian-Webhook-Identifier": delivery}
        return await self.post("/hooks/jira", body, headers)

    async def pushes(self, delivery: str, late_s: int = 0, secret: Secret = KEY, **said) -> int:
        body = json.dumps({"incident": "H-2", **said}).encode()
        headers = signed_headers([secret], delivery, int(time.time()) - late_s, body)
        return await self.post("/hooks/webhook", body, headers)


@pytest.fixture
async def site(tmp_path, authority):
    made = Site(tmp_path, authority)
    await made.start()
    yield made
    await made.stop()


async def test_call_makes_the_poller_ask(site) -> None:
    await until(lambda: site.port.asked == 1)
    site.clock.pass_s(60)
    site.port.change("1", owner="li.wei")
    assert await site.jira("d-1") == 202
    await until(lambda: site.journal.facts)
    assert site.journal.seen() == [("H-1", "open", "li.wei")]


async def test_repeated_call_is_answered_and_not_acted_on(site) -> None:
    assert [await site.jira("d-1"), await site.jira("d-1"), await site.jira("d-2")] == [202, 200, 202]
    assert site.hints == 2


async def test_forged_call_does_nothing_and_is_said_once(site, caplog) -> None:
    assert [await site.jira(f"d-{number}", secret="another") for number in range(3)] == [401] * 3
    assert site.hints == 0
    assert sum("is refused" in line for line in caplog.messages) == 1
    assert JIRA not in caplog.text
    assert await site.jira("d-0") == 202, "the id of a forged call is not taken"


async def test_webhook_that_cannot_be_asked_brings_the_change_itself(site) -> None:
    said = {"state": "working", "owner": "li.wei", "by": "li.wei", "note": "在路上", "note_id": "n1"}
    assert await site.pushes("w1", **said) == 202
    assert await site.pushes("w1", **said) == 200
    await until(lambda: site.journal.facts)
    assert await site.pushes("w2", state=TicketState.CLOSED.value) == 202
    await until(lambda: len(site.journal.facts) == 2)
    assert site.journal.seen() == [("H-2", "working", "li.wei"), ("H-2", "closed", "li.wei")]
    assert site.journal.notes() == ["在路上"]
    assert site.hints == 0


async def test_answer_comes_before_anything_is_done(tmp_path, authority) -> None:
    """Taken and answered with nobody at work; journaled by the next collector."""
    site = Site(tmp_path, authority)
    await site.listener.start()
    assert await site.pushes("w1", owner="li.wei") == 202
    assert site.journal.facts == []
    await site.inbox.drain()
    assert site.journal.seen() == [("H-2", "open", "li.wei")]
    await site.inbox.close()
    await site.sync.close()
    await site.stop()


@pytest.mark.parametrize("late_s", [TOLERANCE_S + 5, -TOLERANCE_S - 5])
async def test_recorded_call_is_not_believed_later(site, late_s) -> None:
    assert await site.pushes("w1", late_s=late_s, owner="li.wei") == 401


async def test_forged_push_changes_nothing(site) -> None:
    assert await site.pushes("w1", secret=Secret(b"x" * 32), owner="mallory") == 401
    assert await site.post("/hooks/webhook", b'{"incident": "H-2", "owner": "mallory"}', {}) == 401
    assert site.journal.facts == []


async def test_oversized_call_is_refused(site) -> None:
    # Either the answer is read, or the listener hung up on the rest of the body.
    assert await site.jira("d-1", b"x" * (MAX_HOOK + 100_000)) in {413, 0}
    assert site.hints == 0
    assert await site.jira("d-2", b"x" * (MAX_HOOK - 1)) == 202


async def test_unknown_places_and_methods(site) -> None:
    assert await site.post("/hooks/nobody", b"", {}) == 404
    assert await site.post("/", b"", {}) == 404
    assert await asyncio.to_thread(site._post, "/hooks/jira", b"", {}, "GET") == 405


async def test_guessing_is_slowed_down(site) -> None:
    tries = [await site.jira("d", secret="guess") for _ in range(REFUSALS_PER_MINUTE + 2)]
    assert tries == [401] * REFUSALS_PER_MINUTE + [429] * 2
    site.mono += 61
    assert await site.jira("d") == 202


async def test_flood_of_good_calls_is_bounded(site) -> None:
    await until(lambda: site.port.asked == 1)
    app, seen = site.app, []

    async def call(number: int) -> None:
        body = b"{}"
        signature = "sha256=" + hmac.new(JIRA.encode(), body, "sha256").hexdigest()
        headers = [(b"x-hub-signature", signature.encode()), (b"x-github-delivery", str(number).encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/hooks/jira",
            "raw_path": b"/hooks/jira",
            "query_string": b"",
        }
        scope |= {"headers": headers, "client": ("10.0.0.1", 1), "http_version": "1.1", "scheme": "https"}

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message) -> None:
            if message["type"] == "http.response.start":
                seen.append(message["status"])

        await app(scope, receive, send)

    await asyncio.gather(*(call(number) for number in range(CALLS_PER_MINUTE + 50)))
    assert (seen.count(202), seen.count(429)) == (CALLS_PER_MINUTE, 50)
    await until(lambda: site.port.asked > 1)
    assert site.port.asked < 50


async def test_secret_that_is_replaced_or_missing(site, caplog) -> None:
    site.secret_file.write_text("a secret for the time afterwards\n" + JIRA + "\n")
    assert await site.jira("d-1") == 202
    assert await site.jira("d-2", secret="a secret for the time afterwards") == 202
    for content in ("", "short"):
        site.secret_file.write_text(content)
        assert await site.jira("d-3") == 503
    site.secret_file.unlink()
    assert await site.jira("d-3") == 503
    site.secret_file.write_text(JIRA)
    assert await site.jira("d-3") == 202
    assert sum("is refused" in line and "secret" in line for line in caplog.messages) == 1


async def test_store_that_is_locked_makes_the_caller_try_again(tmp_path, authority, monkeypatch) -> None:
    monkeypatch.setattr(inbox, "BUSY_S", 0.05)
    site = Site(tmp_path, authority)
    await site.listener.start()
    site.journal.conn.execute("BEGIN IMMEDIATE")
    status = await site.jira("d-1")
    site.journal.conn.execute("ROLLBACK")
    assert status == 503
    assert site.hints == 0
    assert await site.jira("d-1") == 202
    await site.inbox.close()
    await site.sync.close()
    await site.stop()


async def test_alerts_have_a_place_of_their_own(site) -> None:
    assert await site.post("/alerts/prometheus", b"[]", {"authorization": "Bearer alerts"}) == 202
    assert await site.post("/alerts/prometheus", b"[]", {}) == 401
    assert site.alerts == [b"[]"]


async def test_port_that_is_taken_is_said_with_its_mend(site) -> None:
    second = hook_listener(site.app, "127.0.0.1", site.listener.port, site.authority.server_file(HOSTS))
    with pytest.raises(OSError, match=r"set port in \[tickets\]"):
        await second.start()
