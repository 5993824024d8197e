"""What is emitted, read back from a real Alertmanager and from what it sends on; and the webhook's body at a receiver that answers as told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.collector.tickets.desks.alertmanager import PASSWORD, USER, Alertmanager, alertmanager
from tests.collector.tickets.desks.contract import NotSupportedError, PushContract, Seen
from tests.collector.tickets.desks.listening import Listener, listening
from tillwatch.collector.tickets.desks import alertmanager as desk
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Barred, Done, Leg, Retry, Uncertain

LEG = Leg()
WORDS = {"fault": "ups.on-battery", "terminal_class": "atm", "what": "UPS 由电池供电"}


@pytest.fixture
def listener():
    with listening() as listener:
        yield listener


@pytest.fixture
def real(tmp_path, listener):
    with alertmanager(tmp_path, listener.address + "/hook") as running:
        yield running


@pytest.fixture
async def port():
    made = []

    def connected(address, name="oncall", **settings):
        made.append(desk.connect(name, desk.Settings(url=address, timeout=2.0, **settings)))
        return made[-1]

    yield connected
    for each in made:
        await each.close()


def told(listener, status):
    return [got for got in listener.got if json.loads(got.body)["status"] == status]


async def test_a_real_alertmanager_sends_on_what_is_emitted_and_its_end(real, listener, port, message, until) -> None:
    api = port(real.address, form="api")
    assert await api.preflight() == []
    outcome = await api.deliver(message(**WORDS), None, doubtful=False, leg=Leg(queue="core"))
    assert isinstance(outcome, Done)
    [held] = real.alerts()
    assert outcome.external_id == held["fingerprint"]
    await until(lambda: told(listener, "firing"))
    [alert] = told(listener, "firing")[0].json()["alerts"]
    assert alert["labels"] == {
        "alertname": "ups.on-battery", "incident": "HWM-0011-1", "level": "2", "severity": "warning", "terminal": "atm-017", "branch": "north",
        "region": "r1", "component": "ups", "rule": "ups.on-battery", "class": "atm", "queue": "core",
    }  # fmt: skip
    assert "UPS 由电池供电" in alert["annotations"]["summary"]
    assert alert["annotations"]["action"] == "check the mains"
    assert alert["generatorURL"] == message().address
    assert alert["startsAt"] == "2026-03-01T08:00:00Z"

    end = message(op=Op.RESOLVE, seq=2, **WORDS)
    assert await api.deliver(end, None, doubtful=False, leg=Leg(queue="core")) == Done(state="resolved")
    assert real.alerts() == []
    await until(lambda: told(listener, "resolved"))
    [alert] = told(listener, "resolved")[0].json()["alerts"]
    assert (alert["status"], alert["fingerprint"]) == ("resolved", held["fingerprint"])


async def test_an_alert_lasts_until_its_end_is_told(real, listener, port, message, until) -> None:
    """One without an end is over for this Alertmanager after a second; ours is not."""
    real.ask("alerts", [{"labels": {"alertname": "forgotten"}}])
    await port(real.address, form="api").deliver(message(), None, doubtful=False, leg=LEG)
    await until(lambda: told(listener, "resolved"))
    assert told(listener, "resolved")[0].json()["commonLabels"]["alertname"] == "forgotten"
    [held] = real.alerts()
    assert held["labels"]["incident"] == "HWM-0011-1"
    lasts = datetime.fromisoformat(held["endsAt"]) - datetime.fromisoformat(held["startsAt"])
    assert lasts > timedelta(days=365)


async def test_told_twice_it_is_one_alert(real, port, message) -> None:
    api = port(real.address, form="api")
    first = await api.deliver(message(), None, doubtful=False, leg=LEG)
    assert await api.deliver(message(), None, doubtful=True, leg=LEG) == first
    assert len(real.alerts()) == 1


async def test_a_graver_level_replaces_the_alert_and_the_end_ends_all(real, port, message) -> None:
    api = port(real.address, form="api")
    await api.deliver(message(), None, doubtful=False, leg=LEG)
    await api.deliver(message(op=Op.UPDATE, seq=2, level=1), None, doubtful=False, leg=LEG)
    [held] = real.alerts()
    assert (held["labels"]["level"], held["labels"]["severity"]) == ("1", "critical")
    # The end is told in other words than the alert was: a class that was enrolled anew meanwhile.
    await api.deliver(message(op=Op.RESOLVE, seq=3, level=1, terminal_class="pos"), None, doubtful=False, leg=LEG)
    assert real.alerts() == []


async def test_what_is_said_after_the_end_does_not_fire_again(real, port, message) -> None:
    api = port(real.address, form="api")
    await api.deliver(message(), None, doubtful=False, leg=LEG)
    await api.deliver(message(op=Op.RESOLVE, seq=2, state="restored"), None, doubtful=False, leg=LEG)
    closing = message(op=Op.UPDATE, seq=3, state="closed", note="li.wei closed it")
    assert isinstance(await api.deliver(closing, None, doubtful=False, leg=LEG), Done)
    assert real.alerts() == []
    again = message(seq=4, state="open", since=message(seq=4).at)
    assert isinstance(await api.deliver(again, None, doubtful=False, leg=LEG), Done)
    assert len(real.alerts()) == 1


async def test_another_incident_stays(real, port, message) -> None:
    api = port(real.address, form="api")
    await api.deliver(message("HWM-0011-1"), None, doubtful=False, leg=LEG)
    await api.deliver(message("HWM-0022-1"), None, doubtful=False, leg=LEG)
    await api.deliver(message("HWM-0011-1", op=Op.RESOLVE, seq=2), None, doubtful=False, leg=LEG)
    assert [each["labels"]["incident"] for each in real.alerts()] == ["HWM-0022-1"]


async def test_a_clock_that_ran_ahead_is_no_reason_to_refuse(real, port, message) -> None:
    ahead = message(op=Op.RESOLVE, since=message().at + 10**9, address="http://127.0.0.1/terminal/网点 1")
    assert await port(real.address, form="api").deliver(ahead, None, doubtful=False, leg=LEG) == Done(state="resolved")


async def test_a_silence_there_is_seen(real, port, message) -> None:
    matcher = {"name": "terminal", "value": "atm-017", "isRegex": False, "isEqual": True}
    silence = {
        "matchers": [matcher], "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "test", "comment": "test",
    }  # fmt: skip
    real.ask("silences", silence)
    api = port(real.address, form="api")
    outcome = await api.deliver(message(), None, doubtful=False, leg=LEG)
    assert isinstance(outcome, Done)
    assert outcome.state in ("suppressed", "unprocessed")  # the second until its dispatcher has looked at it


async def test_a_preflight_says_what_is_wrong(listener, port) -> None:
    [problem] = await port(listener.address, form="api").preflight()
    assert not problem.passing
    assert "not as Alertmanager" in problem.what
    assert await port(listener.address).preflight() == []
    [problem] = await port("http://127.0.0.1:1", form="api").preflight()
    assert problem.passing


@pytest.mark.parametrize("form", ["webhook", "api"])
@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (500, Uncertain, "answered 500"),
        (400, Retry, "no such field"),
        (401, Barred, "check the secret"),
        (404, Retry, "check the address"),
        (302, Barred, "not followed"),
        (429, Retry, "answered 429"),
    ],
)
async def test_every_refusal_has_its_word(listener, port, message, form, status, kind, reason, tmp_path) -> None:
    secret = tmp_path / "token"
    secret.write_text("t0p-s3cr3t\n")
    listener.answers = [(status, {"retry-after": "7"}, b"no such field")]
    sender = port(listener.address + "/hook/t0k3n", form=form, secret_file=secret)
    outcome = await sender.deliver(message(), None, doubtful=False, leg=LEG)
    assert isinstance(outcome, kind)
    assert reason in outcome.reason
    assert not any(word in repr(outcome) + repr(sender) for word in ("t0p-s3cr3t", "t0k3n"))
    assert listener.got[0].headers["authorization"] == "Bearer t0p-s3cr3t"
    if isinstance(outcome, Retry):
        assert outcome.refused == (status != 429)
        assert outcome.after_s == (7.0 if status == 429 else None)


async def test_an_alertmanager_that_forgets_at_once_is_not_believed(listener, port, message) -> None:
    listener.answers = [(200, {}, b""), (200, {}, b"[]")]
    outcome = await port(listener.address, form="api").deliver(message(), None, doubtful=False, leg=LEG)
    assert isinstance(outcome, Uncertain)
    assert "does not show it" in outcome.reason


async def test_alerts_of_others_are_not_believed_to_be_ours(listener, port, message) -> None:
    """A filter that is passed over returns everything."""
    other = json.dumps([{"labels": {"incident": "HWM-0022-1"}}, {"labels": None}, 7]).encode()
    listener.answers = [(200, {}, b""), (200, {}, other)]
    outcome = await port(listener.address, form="api").deliver(message(op=Op.RESOLVE), None, doubtful=False, leg=LEG)
    assert outcome == Done(state="resolved")
    assert len(listener.got) == 2


async def test_the_body_of_the_webhook(listener, port, message) -> None:
    hook = port(listener.address + "/hook")
    assert await hook.deliver(message(**WORDS), None, doubtful=False, leg=LEG) == Done()
    assert await hook.deliver(message(**WORDS), None, doubtful=True, leg=LEG) == Done()
    grave = message(op=Op.RESOLVE, seq=2, level=1, **WORDS)
    await hook.deliver(grave, None, doubtful=False, leg=LEG)
    first, again, end = (got.json() for got in listener.got)
    assert first == again
    assert (first["version"], first["groupKey"], first["status"], first["truncatedAlerts"]) == (
        "4", "HWM-0011-1", "firing", 0,
    )  # fmt: skip
    assert first["externalURL"] == "http://127.0.0.1:8080"
    assert first["receiver"] == "oncall"
    [alert], [ended] = first["alerts"], end["alerts"]
    assert (alert["status"], alert["startsAt"], alert["endsAt"]) == (
        "firing", "2026-03-01T08:00:00.000Z", "0001-01-01T00:00:00Z",
    )  # fmt: skip
    assert (ended["status"], ended["endsAt"]) == ("resolved", "2026-03-01T08:00:02.000Z")
    # Also after the level changed: a receiver goes by it.
    assert alert["fingerprint"] == ended["fingerprint"]
    assert end["groupKey"] == first["groupKey"]


async def test_our_webhook_has_the_fields_of_the_real_one(real, listener, port, message, until) -> None:
    await port(real.address, form="api").deliver(message(**WORDS), None, doubtful=False, leg=LEG)
    await until(lambda: listener.got)
    await port(listener.address).deliver(message(**WORDS), None, doubtful=False, leg=LEG)
    theirs, ours = listener.got[0].json(), listener.got[-1].json()
    assert listener.got[-1].path == "/"
    assert ours.keys() == theirs.keys()
    assert {name: type(value) for name, value in ours.items()} == {name: type(value) for name, value in theirs.items()}
    assert ours["alerts"][0].keys() == theirs["alerts"][0].keys()
    assert ours["alerts"][0]["endsAt"] == theirs["alerts"][0]["endsAt"]


def test_settings_say_what_is_missing(tmp_path) -> None:
    assert "url is missing" in desk.Settings().problem()[1]
    assert "not both" in desk.Settings(url="https://a.example", secret_file=tmp_path, secret_env="A").problem()[1]
    assert desk.Settings(url="https://a.example").problem() is None
    with pytest.raises(ValueError, match="https"):
        desk.connect("x", desk.Settings(url="http://desk.bank.example/"))


class Alerts:
    """A real Alertmanager as the contract's system: its tickets are what fires there."""

    def __init__(self, folder: Path, running: Alertmanager) -> None:
        self.address, self.secrets = running.address, (PASSWORD,)
        self._running = running
        self._held = folder / "password"
        self._held.write_text(PASSWORD)

    def receiver(self, address: str, **settings: Any) -> desk.AlertmanagerPort:
        given = {"url": address, "form": "api", "user": USER, "secret_file": self._held} | settings
        return desk.connect("alertmanager", desk.Settings(**given))

    def tickets(self, key: str) -> list[Seen]:
        return [
            seen(each["fingerprint"], key, each["annotations"], TicketState.OPEN)
            for each in self._running.alerts()
            if each["labels"]["incident"] == key
        ]

    def person(self, ticket: str, act: str, text: str = "") -> None:
        raise NotSupportedError


class OnCall:
    """What on-call tools make of the webhook's body: one ticket for a groupKey, open as long as its alerts fire."""

    def __init__(self, folder: Path, listener: Listener) -> None:
        self.address, self.secrets = listener.address, ("t0p-s3cr3t",)
        listener.token = self.secrets[0]
        self._listener = listener
        self._held = folder / "token"
        self._held.write_text(listener.token)

    def receiver(self, address: str, **settings: Any) -> desk.AlertmanagerPort:
        return desk.connect("oncall", desk.Settings(**{"url": address, "secret_file": self._held} | settings))

    def tickets(self, key: str) -> list[Seen]:
        told = [body for got in self._listener.got if (body := got.json())["groupKey"] == key]
        alerts = {each["fingerprint"]: each for body in told for each in body["alerts"]}
        states = {"firing": TicketState.OPEN, "resolved": TicketState.RESOLVED}
        return [seen(name, key, each["annotations"], states[each["status"]]) for name, each in alerts.items()]

    def person(self, ticket: str, act: str, text: str = "") -> None:
        raise NotSupportedError


def seen(name: str, key: str, said: dict[str, str], state: TicketState) -> Seen:
    return Seen(name, key, said["summary"], f"{said['description']} {said['action']}", state, "", [])


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerts]:
    folder = tmp_path_factory.mktemp("alertmanager")
    with alertmanager(folder, "http://127.0.0.1:1/", locked=True) as running:
        yield Alerts(folder, running)


@pytest.fixture(scope="module")
def oncall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnCall]:
    with listening() as listener:
        yield OnCall(tmp_path_factory.mktemp("oncall"), listener)


class TestApi(PushContract):
    truncated_is_refused = False

    @pytest.fixture
    def system(self, alerts: Alerts) -> Alerts:
        return alerts

    async def test_resolving_ends_the_ticket(self, system: Alerts, tell: Any, key: str) -> None:
        """What does not fire any more is not shown there."""
        await tell(key)
        assert len(system.tickets(key)) == 1
        assert isinstance(await tell(key, Op.RESOLVE, 2, state="resolved", note="mains are back"), Done)
        assert system.tickets(key) == []

    async def test_preflight_names_a_wrong_secret(self, system: Alerts, connected: Any, tmp_path: Path) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text(self.wrong_secret)
        [problem] = await connected(secret_file=wrong).preflight()
        assert "check the secret" in problem.what
        assert not problem.passing


class TestWebhook(PushContract):
    truncated_is_refused = False

    @pytest.fixture
    def system(self, oncall: OnCall) -> OnCall:
        return oncall
