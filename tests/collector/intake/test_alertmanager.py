"""What a real Alertmanager sends becomes facts, firing and resolved; what nobody would send is refused with a reason, or cut and counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.tickets.desks.alertmanager import Alertmanager, alertmanager
from tests.collector.tickets.desks.listening import Got, Listener, listening
from tillwatch.collector.config import ConfigError, parse_config
from tillwatch.collector.incident.incidents import correlation_id
from tillwatch.collector.intake import alertmanager as intake
from tillwatch.collector.intake.alertmanager import AGAIN_NS, AlertError, AlertsSettings, Heard, facts_of
from tillwatch.collector.tickets.desks import alertmanager as desk
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Done, Leg
from tillwatch.collector.tickets.settings import SecretError

NOW = 1_772_352_000 * 10**9
SETTINGS = AlertsSettings(secret_env="TOKEN", terminal_label="host")
START = "2026-03-01T07:30:00.123456789Z"


def body(*alerts: Any, **more: Any) -> bytes:
    return json.dumps({"version": "4", "alerts": list(alerts)} | more).encode()


def alert(**fields: Any) -> dict[str, Any]:
    return {
        "status": "firing", "fingerprint": "c0ffee0011223344", "startsAt": START, "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "HighLatency", "severity": "critical", "host": "atm-1"}, "annotations": {"summary": "Takes 9 s"},
    } | fields  # fmt: skip


def one(**fields: Any) -> dict[str, Any]:
    [facts] = facts_of("prom", body(alert(**fields)), SETTINGS, NOW)
    return facts


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def real(tmp_path: Path, listener: Listener) -> Iterator[Alertmanager]:
    # The bearer token that [alerts.NAME] asks for is Alertmanager's own http_config.
    more = ", max_alerts: 2, http_config: { authorization: { credentials: t0p-s3cr3t } }"
    with alertmanager(tmp_path, listener.address, more) as running:
        yield running


async def first(listener: Listener, status: str, truncated: int = 0) -> Got:
    async with asyncio.timeout(60):
        while True:
            for got in list(listener.got):
                if got.json()["status"] == status and got.json()["truncatedAlerts"] == truncated:
                    return got
            await asyncio.sleep(0.01)


async def test_a_real_alertmanager_is_understood_firing_and_resolved(
    real: Alertmanager, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"alertname": "高延迟", "severity": "critical", "host": "atm-1", "component": "app"}
    began = time.time_ns() - 60 * 10**9
    given = {"labels": labels, "annotations": {"summary": "Takes 9 s", "runbook": "https://wiki.example/9"}}
    real.ask("alerts", [given | {"startsAt": iso(began), "endsAt": iso(began + 3600 * 10**9)}])
    got, now = await first(listener, "firing"), time.time_ns()
    [held] = real.alerts()
    monkeypatch.setenv("TOKEN", "another t0p-s3cr3t")
    assert SETTINGS.admits(got.headers["authorization"])
    [facts] = facts_of("prom", got.body, SETTINGS, now)
    assert facts == {
        "action": "alert", "actor": "alerts prom", "source": "prom", "fingerprint": held["fingerprint"], "status": "firing", "level": 1,
        "place": {"terminal": "atm-1", "branch": "", "region": "", "component": "app"}, "labels": labels,
        "annotations": given["annotations"], "cause": "Takes 9 s", "started_at": began // 10**6 * 10**6, "ended_at": 0, "left_out": 0, "cut": 0,
    }  # fmt: skip
    ended = time.time_ns()
    real.ask("alerts", [given | {"startsAt": iso(began), "endsAt": iso(ended)}])
    got, now = await first(listener, "resolved"), time.time_ns()
    [facts] = facts_of("prom", got.body, SETTINGS, now)
    assert (facts["status"], facts["fingerprint"]) == ("resolved", held["fingerprint"])
    assert facts["ended_at"] == ended // 10**6 * 10**6


async def test_what_a_real_alertmanager_leaves_out_is_counted(real: Alertmanager, listener: Listener) -> None:
    real.ask("alerts", [{"labels": {"alertname": "many", "n": str(n)}} for n in range(5)])
    got = await first(listener, "firing", truncated=3)
    facts = facts_of("prom", got.body, SETTINGS, time.time_ns())
    assert [each["left_out"] for each in facts] == [3, 3]


def iso(at: int) -> str:
    return datetime.fromtimestamp(at // 10**6 / 1000, UTC).isoformat()


def test_levels_and_places_follow_the_table() -> None:
    assert one()["level"] == 1
    assert one(labels={"severity": "page"})["level"] == 3
    own = AlertsSettings(secret_env="T", level_label="prio", levels={"P2": 2}, level=1, branch_label="site")
    [facts] = facts_of("prom", body(alert(labels={"prio": "P2", "site": "hill"})), own, NOW)
    assert (facts["level"], facts["place"]["branch"]) == (2, "hill")
    [facts] = facts_of("prom", body(alert(labels={})), own, NOW)
    assert facts["level"] == 1


def test_times_are_never_of_the_future_and_may_be_missing() -> None:
    assert one()["started_at"] == 1_772_350_200_123_456_000
    assert one(startsAt="2999-01-01T00:00:00Z")["started_at"] == NOW
    assert one(startsAt="2199-01-01T00:00:00Z")["started_at"] == NOW
    for odd in (None, 7, "", "yesterday", "2026-03-01T07:30:00", "0001-01-01T00:00:00Z"):
        assert one(startsAt=odd)["started_at"] == NOW
    assert one(status="resolved")["ended_at"] == NOW
    assert one(endsAt=START)["ended_at"] == 0


def test_texts_are_cut_and_counted() -> None:
    facts = one(
        labels={f"l{i:03}": "x" for i in range(50)} | {"n" * 200: "x"}, annotations={"summary": "s" * 3000, "a": "\ud800\x00b"}
    )  # fmt: skip
    assert len(facts["labels"]) == intake.MAX_LABELS
    assert facts["cut"] == 12
    assert len(facts["annotations"]["summary"]) == intake.MAX_TEXT
    assert facts["annotations"]["a"] == "? b"
    assert len(facts["cause"]) == intake.MAX_CAUSE


def test_alerts_beyond_the_bound_are_counted() -> None:
    many = [alert(fingerprint=f"{i:04x}") for i in range(intake.MAX_ALERTS + 5)]
    facts = facts_of("prom", body(*many, truncatedAlerts=7), SETTINGS, NOW)
    assert len(facts) == intake.MAX_ALERTS
    assert facts[0]["left_out"] == 12


def test_one_bad_alert_does_not_stop_the_others() -> None:
    facts = facts_of("prom", body(alert(), {"status": "burning"}, 7), SETTINGS, NOW)
    assert [each["left_out"] for each in facts] == [2]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", "version 4"),
        (b'{"version": "3", "alerts": []}', "version 4"),
        (b'{"version": "4"}', "alerts is missing"),
        (body({"status": "burning"}), "neither firing nor resolved"),
        (body(alert(labels=None)), "labels"),
        (body(alert(labels={"a": 1})), "labels"),
        (body(alert(annotations=[1])), "annotations"),
        (b" " * (intake.MAX_BODY + 1), "larger than"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(sent: bytes, reason: str) -> None:
    with pytest.raises(AlertError, match=reason):
        facts_of("prom", sent, SETTINGS, NOW)


def test_an_alert_without_a_usable_fingerprint_gets_one_of_its_labels() -> None:
    found = {one(fingerprint=odd)["fingerprint"] for odd in (None, 7, "", "a/b", "x" * 65)}
    assert len(found) == 1
    assert one(fingerprint="", labels={"other": "x"})["fingerprint"] not in found


async def test_what_tillwatch_itself_told_does_not_come_round(real: Alertmanager, listener: Listener) -> None:
    """One Alertmanager for both directions, whose route leads back."""
    corr_id = correlation_id("hill", "atm-1", "ups", "ups.on-battery", 1)
    told = TicketMessage(corr_id, Op.OPEN, 1, 2, "atm-1", "hill", "north", "ups", "UPS runs on battery", NOW, NOW)
    port = desk.connect("am", desk.Settings(url=real.address, form="api"))
    assert isinstance(await port.deliver(told, None, doubtful=False, leg=Leg()), Done)
    await port.close()
    got = await first(listener, "firing")
    assert got.json()["alerts"][0]["labels"]["incident"] == corr_id
    assert facts_of("prom", got.body, SETTINGS, time.time_ns()) == []
    [kept] = facts_of("prom", body(alert(labels={"incident": "INC0012345"})), SETTINGS, NOW)
    assert kept["left_out"] == 0


def test_an_empty_group_is_nothing() -> None:
    assert facts_of("prom", body(), SETTINGS, NOW) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.dictionaries(st.text(), st.text(), max_size=4)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"status": st.sampled_from(["firing", "resolved"]), "labels": TEXTS},
            optional={"annotations": TEXTS, "fingerprint": JSON, "startsAt": JSON | st.datetimes().map(str), "endsAt": JSON},
        )
        | JSON,
        max_size=4,
    ),
    JSON,
)  # fmt: skip
def test_whatever_comes_can_be_journaled_or_is_refused(alerts: list[Any], truncated: Any) -> None:
    sent = json.dumps({"version": "4", "alerts": alerts, "truncatedAlerts": truncated}).encode()
    try:
        found = facts_of("prom", sent, SETTINGS, NOW)
    except AlertError:
        return
    for facts in found:
        assert msgpack.unpackb(msgpack.packb(facts)) == facts
        assert 0 < facts["started_at"] <= NOW
        assert 1 <= facts["level"] <= 3
        assert facts["cause"]


@given(st.binary(max_size=200))
def test_rubbish_is_refused(sent: bytes) -> None:
    with pytest.raises(AlertError):
        facts_of("prom", sent, SETTINGS, NOW)


def test_what_is_said_again_is_journaled_again_after_an_hour_only() -> None:
    heard, facts = Heard(), one()
    assert heard.is_news(facts, NOW)
    assert heard.is_news(facts, NOW), "it was not journaled"
    heard.journaled(facts, NOW)
    assert not heard.is_news(one(annotations={"summary": "Takes 9.1 s"}), NOW + AGAIN_NS - 1)
    assert heard.is_news(facts, NOW + AGAIN_NS)
    assert heard.is_news(facts, NOW - 1), "a clock that was set back keeps nothing from being heard"
    for news in (one(status="resolved"), one(labels={"severity": "warning", "host": "atm-1"}), one(fingerprint="ff")):
        assert heard.is_news(news, NOW)


def test_what_was_heard_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_REMEMBERED", 2)
    heard = Heard()
    for name in ("aa", "bb", "aa", "cc"):
        heard.journaled(one(fingerprint=name), NOW)
    assert [heard.is_news(one(fingerprint=name), NOW) for name in ("aa", "bb", "cc")] == [False, True, False]


def test_only_the_bearer_of_the_token_is_admitted(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("new-token\nold-token\n")
    settings = AlertsSettings(secret_file=secret)
    assert settings.admits("Bearer new-token")
    assert settings.admits("bearer old-token")
    for wrong in (
        "",
        "Bearer",
        "Bearer ",
        "Bearer new-token\nold-token",
        "Basic new-token",
        "Bearer new-toke",
        "new-token",
    ):
        assert not settings.admits(wrong)
    secret.write_text("\n")
    with pytest.raises(SecretError):
        settings.admits("Bearer ")


def configured(text: str) -> Any:
    return parse_config(text, Path("collector.toml"))


def test_the_table_in_the_configuration(tmp_path: Path) -> None:
    config = configured(
        '[alerts.prom]\nsecret_env = "PROM_TOKEN"\nlevels = { page = 1 }\nlevel = 2\nterminal_label = "instance"\n'
        '[alerts.zabbix]\nsecret_file = "zabbix.token"\n'
    )
    assert config.alerts["prom"].levels == {"page": 1}
    assert config.alerts["prom"].terminal_label == "instance"
    assert config.alerts["zabbix"].secret_file == Path("zabbix.token").absolute()
    assert config.settings["alerts.prom.level"] == "2"
    assert configured("").alerts == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[alerts.prom]\n", "line 1: .alerts.prom. write either secret_file or secret_env|secret_file or secret_env"),
        ('[alerts.prom]\nsecret = "x"\n', "no secrets in this file"),
        ('[alerts.prom]\nsecret_env = "T"\nlevels = { page = 4 }\n', "line 3.*from 1 to 3"),
        ('[alerts.prom]\nsecret_env = "T"\nlevel = true\n', "line 3.*from 1 to 3"),
        ('[alerts.prom]\nsecret_env = "T"\nseverity = "x"\n', "unknown key 'severity'"),
        ("[alerts]\nlevel = 2\n", r"write it into a section \[alerts.NAME\]"),
        ("alerts = 7\n", r"write a section \[alerts.NAME\]"),
    ],
)
def test_mistakes_in_it_are_named(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        configured(text)
