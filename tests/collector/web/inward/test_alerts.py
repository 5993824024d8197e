"""From a real Alertmanager over real HTTPS into the journal: the whole way of another system's alert to its incident and back to its end."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.collector.conftest import World
from tests.collector.sending import Sender
from tests.collector.tickets.desks.alertmanager import alertmanager
from tillwatch.collector.alarm.rules import EXTERNAL
from tillwatch.collector.intake.alertmanager import AlertsSettings
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.web.inward.alerts import alerts
from tillwatch.collector.web.inward.hooks import hook_app, hook_listener
from tillwatch.collector.web.inward.listening import RefusedError

TOKEN = "t0p-s3cr3t"
GIVEN = {
    "labels": {"alertname": "HighLatency", "severity": "critical", "terminal": "atm-1"},
    "annotations": {"summary": "交易耗时 9 秒"},
}
BODY = b'{"version": "4", "alerts": [{"status": "firing", "labels": {"a": "b"}}]}'


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    return AlertsSettings(secret_file=tmp_path / "token")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return open_authority(tmp_path_factory.mktemp("site") / "authority")


def incidents(world):
    return [each for each in world.pipeline.fold.book.incidents.values() if each.fault == EXTERNAL]


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_alert_goes_all_the_way_and_so_does_its_end(world, settings, authority, tmp_path) -> None:
    world.now = time.time_ns()
    await world.start()
    await Sender("atm-1").enrol(world.pipeline, "hill", "north")
    # The first call finds a store that does not take it: Alertmanager sends it again.
    failures = [StoreError("the disk is full")]

    async def operate(facts) -> None:
        if failures:
            raise failures.pop()
        world.now = time.time_ns()
        await world.pipeline.operate(facts)

    app = hook_app({"/alerts/prometheus": alerts("prometheus", settings, operate)})
    listener = hook_listener(app, "127.0.0.1", 0, authority.server_file(("127.0.0.1",)))
    await listener.start()
    (tmp_path / "ca.pem").write_text(authority.ca_pem)
    more = f', http_config: {{ authorization: {{ credentials: {TOKEN} }}, tls_config: {{ ca_file: "{tmp_path / "ca.pem"}" }} }}'
    address = f"https://127.0.0.1:{listener.port}/alerts/prometheus"
    started = contextlib.ExitStack()
    try:
        running = await asyncio.to_thread(started.enter_context, alertmanager(tmp_path, address, more))
        lasts = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        await asyncio.to_thread(running.ask, "alerts", [GIVEN | {"endsAt": lasts}])
        await until(lambda: incidents(world))
        [incident] = incidents(world)
        assert failures == []
        assert (incident.state, incident.terminal, incident.level, incident.cause) == (
            "open",
            "atm-1",
            1,
            "交易耗时 9 秒",
        )
        over = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        await asyncio.to_thread(running.ask, "alerts", [GIVEN | {"startsAt": over, "endsAt": over}])
        await until(lambda: incidents(world)[0].state == "restored")
    finally:
        await asyncio.to_thread(started.close)
        await listener.stop()
    rows = world.store.conn.execute("SELECT op FROM outbox WHERE incident = ? ORDER BY seq", (incident.corr_id,))
    assert [op for (op,) in rows] == ["open", "resolve"]
    world.store.close()
    copy = tmp_path / "again.db"
    rebuild(world.path, copy)
    again, before = World(copy), World(world.path)
    assert tables(again.store.conn) == tables(before.store.conn)
    again.store.close()
    before.store.close()


@pytest.mark.parametrize(
    ("shown", "body", "status"),
    [
        ("Bearer wrong", BODY, 401),
        ("", BODY, 401),
        (f"Bearer {TOKEN}", b"{", 400),
        (f"Bearer {TOKEN}", b'{"version": "3"}', 400),
    ],
)
async def test_what_is_not_to_be_believed_is_refused(settings, shown, body, status) -> None:
    journal = []

    async def operate(facts) -> None:
        journal.append(facts)

    with pytest.raises(RefusedError) as error:
        await alerts("prometheus", settings, operate)({"authorization": shown}, body)
    assert error.value.status == status
    assert TOKEN not in f"{error.value} {error.value.why}"
    assert journal == []


async def test_a_missing_token_file_refuses_all_for_now(tmp_path) -> None:
    settings = AlertsSettings(secret_file=tmp_path / "none")
    with pytest.raises(RefusedError) as error:
        await alerts("prometheus", settings, None)({"authorization": "Bearer "}, BODY)  # type: ignore[arg-type]
    assert error.value.status == 503
    assert "none" not in str(error.value)
    assert "cannot read" in error.value.why


async def test_a_repeat_is_answered_and_not_journaled(settings, caplog) -> None:
    journal = []

    async def operate(facts) -> None:
        journal.append(facts)

    handle = alerts("prometheus", settings, operate, lambda: 1_772_352_000 * 10**9)
    headers = {"authorization": f"Bearer {TOKEN}"}
    short = BODY.replace(b'"alerts"', b'"truncatedAlerts": 3, "alerts"')
    assert [await handle(headers, each) for each in (short, short, BODY, short)] == [True, False, False, False]
    assert len(journal) == 1
    # Told when it begins, not at each call.
    assert [each.message for each in caplog.records].count(caplog.records[0].message) == 2
