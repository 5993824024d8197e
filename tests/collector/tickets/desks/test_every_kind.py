"""What holds for every kind of receiver, those to come included: they are taken from settings.KINDS.

Whatever a system answers, what comes out of its connector are the exceptions of port.py. Two servers ask for it: one answers anything at all, made of the words
that the connector's own source holds, so that it gets far; and the fakes of the products answer as they do, with one place of it spoilt.
"""

from __future__ import annotations

import ast
import asyncio
import copy
import json
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.tickets.desks.fake_glpi import FakeGlpi
from tests.collector.tickets.desks.fake_http import Asked, FakeServer, Reply
from tests.collector.tickets.desks.fake_jira import FakeJira
from tests.collector.tickets.desks.fake_jsm_ops import FakeJsmOps
from tests.collector.tickets.desks.fake_pagerduty import FakePagerDuty
from tests.collector.tickets.desks.fake_redmine import FakeRedmine
from tests.collector.tickets.desks.fake_servicenow import FakeServiceNow
from tests.collector.tickets.desks.fake_zammad import FakeZammad
from tillwatch.collector import tickets
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks import jsm_ops
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import (
    FAILURES,
    BarredError,
    GoneError,
    Leg,
    Link,
    NotAppliedError,
    Outcome,
    Problem,
    Receiver,
    RejectedError,
    Remote,
    TicketPort,
    UnclearError,
    Watched,
)
from tillwatch.collector.tickets.receivers import open_receivers
from tillwatch.collector.tickets.settings import KINDS, ReceiverSettings, settings_of

ROOT = Path(__file__).parents[4]
SECRETS = {"webhook": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "request-tracker": "1-27-0123456789abcdef"}
SECRET = "user:s3cr3t0123456789abcdef0123456"
TOKEN = "t0ken-in-the-address"
NEEDED = {
    "roundup": {"user": "hwmon"},
    "redmine": {"queue": "hardware", "key_field": "1"},
    "jira": {"queue": "OPS"},
    "request-tracker": {"queue": "Hardware"},
}
BY_LIBRARY = {"apprise"}
"""Kinds whose exchanges are those of a library, which hands on no more of an answer than its status."""

ONLY_TOLD = {"alertmanager", "jsm-ops", "servicenow-events", "webhook"}
"""Kinds that are never asked for a ticket."""

BOUNDS = {
    "PAGE": 2,
    "MAX_PAGES": 4,
    "TICKET_PAGES": 4,
    "ROUNDS": 2,
    "READS": 3,
    "NOTES": 2,
    "RECONCILED": 3,
    "MAX_NOTES": 9,
}
"""Of lists, as small as makes every one of them be reached."""

MOST_REQUESTS = 120
"""Of one question to a server that never ends a list, with these bounds."""


def configured(kind: str, folder: Path, address: str) -> ReceiverSettings:
    cls = settings_of(kind)
    secret = folder / "secret"
    secret.write_text(SECRETS.get(kind, SECRET))
    given: dict[str, Any] = {"url": address, "secret_file": secret, **NEEDED.get(kind, {})}
    if kind == "apprise":
        secret.write_text(f"json://127.0.0.1:9/{TOKEN}")
        given = {"url_file": secret}
    if kind == "pagerduty":
        given |= {"rest_url": address, "rest_token_file": secret}
    return cls(**given)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_what_settings_and_documents_say(kind, tmp_path) -> None:
    settings = configured(kind, tmp_path, f"https://desk.invalid/{TOKEN}")
    assert settings.problem() is None
    assert settings_of(kind)().problem() is not None
    connector = import_module(KINDS[kind]).connect("one", settings)
    assert connector.name == "one"
    assert callable(connector.preflight)
    assert callable(connector.close)
    [receiver] = open_receivers("tickets", {"other": settings}).values()
    assert isinstance(receiver, Receiver)
    assert receiver.name == "other"
    assert receiver.settle_s > 0
    if isinstance(connector, Receiver):
        assert callable(connector.deliver)
    else:
        assert isinstance(connector, Watched)
        assert connector.caps.settle_s == receiver.settle_s
    documents = "".join((ROOT / f"packaging/docs/{name}.md").read_text("utf-8") for name in ("tickets", "routing"))
    assert f"`{kind}`" in documents or f'kind = "{kind}"' in documents
    for shown in (repr(settings), repr(connector), repr(receiver)):
        assert TOKEN not in shown
        assert SECRETS.get(kind, SECRET) not in shown


@pytest.mark.parametrize("kind", sorted(set(KINDS) - BY_LIBRARY))
def test_a_certificate_file_that_cannot_be_read_bars(kind, tmp_path, message) -> None:
    settings = configured(kind, tmp_path, "https://127.0.0.1:9")
    object.__setattr__(settings, "ca_file", tmp_path / "no-such-file")

    async def tell() -> Outcome:
        [receiver] = open_receivers("tickets", {"one": settings}).values()
        try:
            return await receiver.deliver(message(op=Op.UPDATE), None, doubtful=False, leg=Leg())
        finally:
            await receiver.close()

    assert "ca_file" in asyncio.run(tell()).reason


@pytest.fixture
def bounds(monkeypatch) -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith(tickets.__name__):
            for bound, small in BOUNDS.items():
                if isinstance(getattr(module, bound, None), int):
                    monkeypatch.setattr(module, bound, small)


SEEDS = st.integers(0, 2**32)
"""What hypothesis draws: answers are made in the thread of a server, where it cannot draw, and there are hundreds in one example."""


# Anything at all.


class Anything(FakeServer):
    """Answers as told, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.says: Callable[[Asked], Reply] = lambda _: Reply(200)

    def answer(self, asked: Asked) -> Reply:
        return self.says(asked)


@pytest.fixture(scope="module")
def anything() -> Iterator[Anything]:
    with Anything() as server:
        yield server


def words_of(kind: str) -> list[str]:
    """Whatever looks like a name in the sources of a connector."""
    folder = Path(tickets.__file__).parent
    beside = {
        "request-tracker": ["products/rest2"],
        "jira": ["products/jira_site", "products/jira_workflow"],
        "servicenow": ["products/table_api"],
    }
    files = [folder / f"desks/{kind.replace('-', '_')}.py", *(folder / f"{name}.py" for name in beside.get(kind, ()))]
    found = {
        word
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= 60
        for word in node.value.split(",")
        if word and all(c.isalnum() or c in "@_-." for c in word)
    }
    return sorted(found - set(KINDS))


PLAIN = [
    None,
    True,
    False,
    "",
    0,
    1,
    5,
    -3,
    2**70,
    1e999,
    float("nan"),
    "5",
    "7",
    "../../x",
    "a b",
    "\ud83d",
    "x" * 5000,
    [],
    {},
]
TIMES = [
    "2026-03-01T08:00:00Z",
    "2026-03-01 08:00:00",
    "2026-03-01.08:00:00",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
]


@dataclass
class Invented:
    """JSON of these words, from one seed; at most MOST of them in one answer."""

    words: list[str]
    chance: random.Random
    left: int = 0

    def one(self, depth: int = 0) -> Any:
        chance, kind = self.chance, self.chance.random()
        self.left -= 1
        if self.left < 0 or depth > 5 or kind < 0.4 * (depth > 0):
            return chance.choice([*PLAIN, *TIMES, "HWM-0011-1", "[HWM-0011-1] ups", chance.choice(self.words)])
        if kind < 0.6:
            return [self.one(depth + 1) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
        return {word: self.one(depth + 1) for word in self.words if chance.random() < 0.9}


def connected(kind: str, folder: Path, address: str) -> Any:
    connector = import_module(KINDS[kind]).connect("one", configured(kind, folder, address))
    if isinstance(connector, jsm_ops.JsmOps):
        connector._waits_s = (0.0, 0.0)
    return connector


READS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("find", ("HWM-0011-1",)),
    ("read", ("5",)),
    ("has_note", ("5", "[HWM-0011-1/2]")),
    ("changed_since", ("",)),
    ("changed_since", ("1772352000000000000",)),
    ("changed_since", ("1772352000/0",)),
    ("changed_since", ("2026-03-01T08:00:00Z",)),
)
WRITES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("note", ("5", "more")),
    *(("set_state", ("5", state, "why")) for state in (TicketState.WORKING, TicketState.RESOLVED)),
)


READ_FAILURES = (NotAppliedError, RejectedError, BarredError)


async def asked_for(connector: Any, server: FakeServer, message: Callable[..., Any]) -> None:
    """Every method, and what may come out of it."""
    for name, words in (*READS, *WRITES):
        if (method := getattr(connector, name, None)) is None:
            continue
        before = len(server.asked)
        fine = (*READ_FAILURES, *(() if name in {"find", "changed_since"} else (GoneError,)))
        told = None
        with suppress(*fine, *(() if (name, words) in READS else (UnclearError,))):
            told = await method(*words)
        if told is not None:
            looked_at(name, told)
        assert len(server.asked) - before <= MOST_REQUESTS, name
    for problem in await connector.preflight():
        assert isinstance(problem, Problem)
        assert SECRET not in repr(problem)
    receiver = connector if isinstance(connector, Receiver) else Desk(connector)
    for op, link, doubtful in (
        (Op.OPEN, None, False),
        (Op.UPDATE, None, True),
        (Op.RESOLVE, Link("5", "", ""), False),
    ):
        outcome = await receiver.deliver(message(op=op), link, doubtful=doubtful, leg=Leg())
        assert isinstance(outcome, Outcome)
        for each in (getattr(outcome, "external_id", ""), getattr(outcome, "url", ""), getattr(outcome, "state", "")):
            assert isinstance(each, str)


def looked_at(name: str, told: Any) -> None:
    if name == "changed_since":
        told, cursor = told
        assert isinstance(cursor, str)
    for remote in told if isinstance(told, list) else [told] if name == "read" else []:
        assert isinstance(remote, Remote)
        assert isinstance(remote.state, TicketState | None)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - BY_LIBRARY))
def test_whatever_is_answered_one_of_the_exceptions_of_the_contract_comes_out(
    kind, tmp_path_factory, anything, message, bounds
) -> None:
    words, folder = words_of(kind), tmp_path_factory.mktemp("kind")

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SEEDS, st.sampled_from([200, 200, 200, 201, 204, 404, 412, 403, 422, 500]))
    def answer(seed: int, status: int) -> None:
        chance = random.Random(seed)

        def says(asked: Asked) -> Reply:
            invented = Invented(words, chance, left=150)
            usual = status if chance.random() < 0.2 else 201 if asked.method == "POST" else 200
            headers = {"content-range": "0-99/1000000", "etag": 'W/"1"'} if chance.random() < 0.5 else {}
            return Reply(usual, invented.one(), headers)

        async def ask() -> None:
            connector = connected(kind, folder, anything.address)
            try:
                await asked_for(connector, anything, message)
            finally:
                await connector.close()

        anything.says = says
        asyncio.run(ask())

    answer()


# As the product answers, with one place of it spoilt.

FAKES: dict[str, Callable[[Path], Any]] = {
    "glpi": FakeGlpi,
    "jira": lambda _: FakeJira("cloud", lambda: 1_772_352_000.0),
    "jsm-ops": FakeJsmOps,
    "pagerduty": FakePagerDuty,
    "redmine": lambda _: FakeRedmine(),
    "servicenow": lambda _: FakeServiceNow(),
    "zammad": FakeZammad,
}


def places(held: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in it."""
    own = list(held.items()) if isinstance(held, dict) else list(enumerate(held)) if isinstance(held, list) else []
    return [(held, key) for key, _ in own] + [place for _, each in own for place in places(each)]


def spoilt(body: Any, chance: random.Random) -> Any:
    body = copy.deepcopy(body)
    if not (found := places(body)):
        return chance.choice(PLAIN)
    holder, key = chance.choice(found)
    if chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice([*PLAIN, *TIMES])
    return body


@pytest.mark.parametrize("kind", FAKES)
def test_an_answer_that_is_spoilt_in_one_place_does_no_more_harm(kind, tmp_path_factory, message, bounds) -> None:
    folder = tmp_path_factory.mktemp("kind")

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(SEEDS)
    def answer(seed: int) -> None:
        chance = random.Random(seed)
        with FAKES[kind](folder) as fake:
            if kind == "pagerduty":
                fake.reads_back = True
            receiver = fake.receiver(fake.address)
            connector: TicketPort | Receiver = receiver.port if isinstance(receiver, Desk) else receiver

            async def ask() -> None:
                try:
                    made = await receiver.deliver(message(), None, doubtful=False, leg=Leg())
                    ticket = getattr(made, "external_id", "")
                    fake.person(ticket, "note", "on my way")
                    real = fake.answer
                    fake.answer = lambda asked: spoil(real(asked))
                    await asked_for(connector, fake, message)
                    if isinstance(connector, Watched):
                        await read(ticket)
                finally:
                    await receiver.close()

            def spoil(reply: Reply) -> Reply:
                if chance.random() < 0.5:
                    return reply
                return Reply(reply.status, spoilt(reply.body, chance), reply.headers)

            async def read(ticket: str) -> None:
                for _ in range(10):
                    with suppress(*READ_FAILURES, GoneError):
                        looked_at("read", await connector.read(ticket))

            asyncio.run(ask())

    answer()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - BY_LIBRARY - ONLY_TOLD))
@pytest.mark.parametrize("ticket", ["", "..", "../5", "5/../6", "5 6", "5?x=1", "5^ORstate=1", "٣", "9" * 500, "5\n"])
def test_an_id_that_is_none_is_asked_for_nowhere(kind, ticket, tmp_path, anything) -> None:
    connector = connected(kind, tmp_path, anything.address)
    assert isinstance(connector, Watched)
    anything.says = lambda asked: Reply(
        200, {"session_token": "s", "session": {"glpiID": 7}, "login": "l", "Name": "n"}
    )
    anything.asked.clear()

    async def ask() -> None:
        for name, words in (("read", ("",)), *WRITES):
            if (method := getattr(connector, name, None)) is not None:
                with pytest.raises(FAILURES):
                    await method(ticket, *words[1:])
        await connector.close()

    asyncio.run(ask())
    assert not [each for each in anything.asked if ticket and (ticket in each.path or ticket in each.query.values())]


# One record that we may not touch.

FORBIDDEN = {
    "glpi": b'["ERROR_RIGHT_MISSING", "no right"]',
    "jira": b'{"errorMessages": ["no permission for this issue"], "errors": {}}',
}


@pytest.mark.parametrize("kind", sorted(FAKES.keys() - {"jsm-ops"}))
def test_a_403_for_one_ticket_bars_no_other(kind, tmp_path, message) -> None:
    """What products answer of a ticket in a project, a queue or an entity that we may not see."""
    with FAKES[kind](tmp_path) as fake:
        if kind == "pagerduty":
            fake.reads_back = True
        receiver = fake.receiver(fake.address)
        connector: Any = receiver.port if isinstance(receiver, Desk) else receiver

        async def ask() -> None:
            made = await receiver.deliver(message(), None, doubtful=False, leg=Leg())
            real = fake.answer

            def forbids(asked: Asked) -> Reply:
                if f"/{made.external_id}" not in asked.path and str(made.external_id) not in str(asked.body):
                    return real(asked)
                return Reply(403, json.loads(FORBIDDEN.get(kind, b'{"error": {"message": "Forbidden"}}')))

            fake.answer = forbids
            for name, words in (("read", ("",)), *WRITES):
                if (method := getattr(connector, name, None)) is not None:
                    with pytest.raises((RejectedError, GoneError)):
                        await method(made.external_id, *words[1:])
            await receiver.close()

        asyncio.run(ask())
