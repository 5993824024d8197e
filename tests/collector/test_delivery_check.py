"""What the doctor says of the way out of the collector: what is late, what was given up, and receivers that would not take a message."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.desk import Desk
from tests.collector.tickets.desks.fake_zammad import FakeZammad
from tillwatch.collector import delivery_check
from tillwatch.collector.config import load_config
from tillwatch.collector.delivery_check import examine_deliveries
from tillwatch.collector.tickets.port import Problem

WEBHOOK = '[tickets.desk]\nkind = "webhook"\nurl = "https://desk.bank.example/hook"\nsecret_file = "{}"\n'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A level 1 fault that nobody was told of: its message is 20 minutes old."""
    desk = Desk(tmp_path, capsys)
    desk.enrol("atm-1")
    desk.say("atm-1", "env/smoke", "env.smoke", "alarm")
    return desk


def configured(site: Desk, text: str = "") -> None:
    secret = site.file.parent / "secret"
    secret.write_text(SECRET)
    site.file.write_text(site.file.read_text("utf-8") + (text or WEBHOOK.format(secret)), "utf-8")


def said(site: Desk) -> list[tuple[str, str, str]]:
    return list(examine_deliveries(load_config(site.file), time.time_ns()))


def change(site: Desk, statement: str) -> None:
    with closing(sqlite3.connect(site.path)) as db, db:
        assert db.execute(statement).rowcount


def test_what_waits_because_no_ticket_system_is_configured(site: Desk) -> None:
    sent = len(site.incident().messages)
    mend = "write [tickets.NAME] into collector.toml and restart the collector"
    assert said(site) == [
        ("deliveries", "warn", f"messages that wait for a ticket system, which is not configured: {sent}; {mend}")
    ]
    configured(site)
    assert said(site)[0][2].endswith("the next start of the collector sends them another way")


def test_what_waits_for_a_receiver_says_why_and_how_to_look(site: Desk) -> None:
    configured(site)
    change(site, "UPDATE outbox SET connector = 'desk', answer = 'no connection to desk.bank.example'")
    late, receiver = said(site)
    assert late[1] == "fail"
    assert late[2].partition(": ")[0] == "messages of level 1 that have not reached [tickets.desk]"
    assert late[2].endswith(
        "(no connection to desk.bank.example); see tillwatch-collector tickets check --connector desk"
    )
    assert receiver == ("tickets.desk", "ok", "can take messages")
    change(site, "UPDATE outbox SET state = 'done', done_at = created_at")
    assert said(site)[0] == ("deliveries", "ok", "nothing is late and nothing was given up")


def test_what_was_given_up_comes_with_the_command_that_brings_it_back(site: Desk) -> None:
    configured(site)
    change(site, "UPDATE outbox SET connector = 'desk', state = 'dead', answer = '422 no such queue'")
    (incident,) = site.incidents()
    name, sent = incident.id, len(site.incident().messages)
    assert (
        "deliveries",
        "fail",
        f"messages that desk will never get: {sent}, of {name} (422 no such queue); mend that, then tillwatch-collector tickets retry {name}",
    ) in said(site)
    change(site, "UPDATE outbox SET op = 'notify'")
    assert [state for subject, state, _ in said(site) if subject == "deliveries"] == ["warn"]


def test_what_waits_for_a_receiver_that_is_gone(site: Desk) -> None:
    configured(site)
    change(site, "UPDATE outbox SET connector = 'old'")
    assert any(
        state == "warn" and text.startswith("messages that wait for old, which is not configured: ")
        for _, state, text in said(site)
    )


@pytest.fixture
def zammad(tmp_path: Path) -> Iterator[FakeZammad]:
    with FakeZammad(tmp_path) as fake:
        yield fake


def test_a_receiver_that_would_not_take_a_message_is_named_with_the_mend(site: Desk, zammad: FakeZammad) -> None:
    configured(
        site,
        f'[tickets.desk]\nkind = "zammad"\nurl = "{zammad.address}"\nsecret_file = "{zammad.secret}"\nqueue = "Hardware"\n',
    )
    assert ("tickets.desk", "ok", "can take messages") in said(site)
    zammad.attributes.remove("hwm_incident")
    ((state, text),) = [(state, text) for subject, state, text in said(site) if subject == "tickets.desk"]
    assert state == "fail"
    assert "hwm_incident" in text
    assert "; " in text


async def test_one_that_does_not_answer_holds_the_doctor_up_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    class Silent:
        closed = False

        async def preflight(self) -> list[Problem]:
            await asyncio.Event().wait()
            return []

        async def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(delivery_check, "PREFLIGHT_S", 0.01)
    silent = Silent()
    (problem,) = await delivery_check._preflight(silent)  # type: ignore[arg-type]
    assert (problem.what, problem.passing, silent.closed) == ("no answer within 0.01 s", True, True)


def test_a_receiver_that_cannot_be_made(site: Desk) -> None:
    configured(site)
    (site.file.parent / "secret").write_text("too short")
    ((_, state, text),) = [one for one in said(site) if one[0] == "tickets.desk"]
    assert state == "fail"
    assert text.endswith("the collector will not start with it")


def test_who_calls_back_needs_a_door(site: Desk) -> None:
    configured(site)
    site.file.write_text(
        site.file.read_text("utf-8") + f'hook_secret_file = "{site.file.parent / "secret"}"\n', "utf-8"
    )
    assert [text.partition(":")[0] for subject, _, text in said(site) if subject == "hooks"] == [
        "tickets.desk cannot call"
    ]
    site.file.write_text(site.file.read_text("utf-8") + "[tickets]\nport = 8844\n", "utf-8")
    assert [text for subject, _, text in said(site) if subject == "hooks"] == []


def test_the_doctor_looks_at_it(site: Desk) -> None:
    configured(site)
    change(site, "UPDATE outbox SET connector = 'desk'")
    code, out, _ = site.call("doctor")
    assert code == 1
    assert "deliveries: messages of level 1 that have not reached [tickets.desk]: 1" in out
    assert "(not tried yet; is the collector running?)" in out
