"""Enrolment of the watchdog with the collector's own listener, and every way in which it must not go."""

from __future__ import annotations

import asyncio
import json
import ssl
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.trust.authority import Authority, open_authority
from tillwatch.collector.trust.registry import Enrolment, JournalRegistrar, create_token
from tillwatch.collector.watch.identity import IDENTITY, TLS, IdentityError, enrol, load, parse_token
from tillwatch.collector.web.inward.enrol import EnrolListener, MqttAddress, enrol_app

HOSTS = ("localhost", "127.0.0.1")


class Collector:
    """What of a collector an enrolment meets."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.authority: Authority = open_authority(folder / "authority")
        self.db = open_db(world.path)
        registrar = JournalRegistrar(self.db, world.pipeline.operate, find=world.pipeline.terminal)
        app = enrol_app(registrar, self.authority, MqttAddress("", 8883, tls=True), HOSTS)
        self.listener = EnrolListener(app, "127.0.0.1", 0, self.authority.server_file(HOSTS))

    def token(self, *, ca: bytes | None = None, port: int = 0) -> str:
        enrolment = Enrolment("watchdog", "monitoring", "monitoring", "watchdog")
        return create_token(
            self.db, enrolment, host="127.0.0.1", port=port or self.listener.port, ca=ca or self.authority.fingerprint
        )


@pytest.fixture
async def collector(world: World, tmp_path: Path) -> AsyncIterator[Collector]:
    await world.start()
    one = Collector(world, tmp_path)
    await one.listener.start()
    yield one
    await one.listener.stop()
    one.db.close()


async def test_a_token_becomes_an_identity_that_the_collector_knows(collector: Collector, tmp_path: Path) -> None:
    state = tmp_path / "dog"
    state.mkdir()
    token = parse_token(collector.token())
    who = await asyncio.to_thread(enrol, token, state)
    assert (who.terminal, who.host, who.port, who.tls) == ("watchdog", "127.0.0.1", 8883, True)
    known = collector.world.pipeline.fold.fleet.terminals["watchdog"]
    assert (known.terminal_class, list(known.keys)) == ("watchdog", [who.key.key_id])
    assert list(who.ack_keys) == [collector.authority.ack_key.key_id]
    assert isinstance(who.context(), ssl.SSLContext)
    again = load(state)
    assert (again.key.public, again.ca) == (who.key.public, collector.authority.ca_pem)
    for name in (IDENTITY, TLS):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
    assert sorted(each.name for each in state.iterdir()) == [IDENTITY, TLS]
    # The token is used up, and what was enrolled stays.
    with pytest.raises(IdentityError, match="refused: this token is not good"):
        await asyncio.to_thread(enrol, token, state)
    assert load(state).key.public == who.key.public


async def test_the_end_of_the_certificate_is_said_a_month_before(collector: Collector, tmp_path: Path) -> None:
    state = tmp_path / "dog"
    state.mkdir()
    who = await asyncio.to_thread(enrol, parse_token(collector.token()), state)
    assert who.warning(datetime.now(UTC)) == ""
    assert "certificate ends on" in who.warning(datetime.now(UTC) + timedelta(days=701))
    (state / TLS).unlink()
    assert "tls.pem" in who.warning(datetime.now(UTC))
    with pytest.raises(IdentityError, match="not usable for TLS"):
        who.context()


async def test_another_collector_than_the_tokens_is_told_nothing(collector: Collector, tmp_path: Path) -> None:
    token = parse_token(collector.token(ca=bytes(32)))
    with pytest.raises(IdentityError, match="shows another authority than the token names"):
        await asyncio.to_thread(enrol, token, tmp_path)
    assert "watchdog" not in collector.world.pipeline.fold.fleet.terminals


def test_nobody_there(collector: Collector, tmp_path: Path, free_port: int) -> None:
    with pytest.raises(IdentityError, match="see that the collector runs"):
        enrol(parse_token(collector.token(port=free_port)), tmp_path)


@pytest.fixture
def free_port() -> int:
    from tests.collector.watch.running import free_ports

    return free_ports(1)[0]


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_half_a_token_is_said_so(collector: Collector, cut: int) -> None:
    with pytest.raises(IdentityError, match="not a whole enrolment token"):
        parse_token(collector.token()[:cut])


def test_a_damaged_identity_says_how_to_mend_it(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="is not enrolled; make a token"):
        load(tmp_path)
    for content in ("", "[]", "{}", json.dumps({"terminal": "a b"})):
        (tmp_path / IDENTITY).write_text(content)
        with pytest.raises(IdentityError, match="damaged; make a token"):
            load(tmp_path)
