"""The API over a real store: incidents with their card in the reader's language, why of alarms, and states of terminals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.desk import Desk
from tillwatch.collector.alarm.diagnosis import Cards, parse_cards
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web.app import Console

V1 = "/api/v1"
OWN = """
["ups.battery-low".en]
engineer = ["The key of the branch"]
["ups.battery-low".zh]
text = "本行：UPS 电池将尽"
"""


def asking(desk: Desk, cards: Cards | None = None) -> Iterator[TestClient]:
    console = Console(lambda: SqliteReader(desk.path), with_pages=False, cards=cards)
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def bank(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.enrol("atm-1")
    desk.say("atm-1", "ups", "identity.model", "EP-1000")
    desk.say("atm-1", "ups", "ups.battery.charge", 12)
    return desk


@pytest.fixture
def client(bank: Desk) -> Iterator[TestClient]:
    yield from asking(bank)


@pytest.fixture
def with_own_cards(bank: Desk) -> Iterator[TestClient]:
    yield from asking(bank, parse_cards(OWN))


def test_one_incident_has_its_card_and_what_the_device_told(client: TestClient) -> None:
    (item,) = client.get(f"{V1}/incidents").json()["items"]
    one = client.get(f"{V1}/incidents/{item['id']}").json()
    assert one["card"]["engineer_brings"]
    assert {told["value"] for told in one["card"]["told"]} == {"EP-1000"}
    assert one["action"]
    assert [step["role"] for step in one["steps"]][:2] == ["duty engineer", "backup engineer"]
    assert one["acts"][0] == f"acknowledge {item['id']}"
    assert one["members"][0]["alarm"]["masks"] == []
    assert [message["state"] for message in one["messages"]] == ["pending"] * len(one["messages"])
    for name in ("opened_at", "announced_at", "occurred_at"):
        assert datetime.fromisoformat(one[name]).utcoffset() is not None


def test_texts_are_in_the_language_that_is_asked_for_and_a_banks_own_words_are_its_own(
    client: TestClient, with_own_cards: TestClient
) -> None:
    english, chinese = (client.get(f"{V1}/alarms", params={"lang": lang}).json()["items"][0] for lang in ("en", "zh"))
    assert english["text"] == "The battery of the UPS runs empty"
    assert chinese["text"] != english["text"]
    assert chinese["action"] != english["action"]
    own = with_own_cards.get(f"{V1}/incidents", params={"lang": "zh"}).json()["items"][0]
    assert own["text"] == "本行：UPS 电池将尽"
    one = with_own_cards.get(f"{V1}/incidents/{own['id']}").json()
    assert one["card"]["engineer_brings"] == ["The key of the branch"]
    why = with_own_cards.get(f"{V1}/alarms/{english['id']}/why", params={"lang": "zh"}).json()["why"]
    rule = next(line for line in why["lines"] if line["key"] == "why.rule")
    assert rule["values"] == {"rule": "ups.battery-low", "text_rule": "本行：UPS 电池将尽"}
    assert "本行：UPS 电池将尽" in rule["text"]


def test_a_terminal_has_its_state_or_none(bank: Desk, client: TestClient) -> None:
    one = client.get(f"{V1}/terminals/atm-1").json()
    assert one["life_cycle"] == "in_service"
    state = one["state"]
    assert (state["state"], state["reason"], state["party"]) == ("degraded", "ups.battery-low", "power")
    assert datetime.fromisoformat(state["since"]) < datetime.fromisoformat(one["last_received"])
    bank.operate(action="life-cycle", terminal="atm-1", state="repair", reason="workshop")
    one = client.get(f"{V1}/terminals/atm-1").json()
    assert (one["life_cycle"], one["state"]["state"]) == ("repair", "repair")


def test_shelved_and_drilled_ones_say_so(bank: Desk, client: TestClient) -> None:
    bank.operate(
        action="shelve", terminal="atm-1", alarm=1, until=bank.now + 3600 * 10**9, reason="known", second="chen"
    )
    bank.operate(action="drill", terminal="atm-1", rule="env.fire", component="", minutes=5, level=1)
    shelved, drill = sorted(client.get(f"{V1}/alarms").json()["items"], key=lambda item: item["id"])
    assert (shelved["isa_state"], shelved["masks"][0]["kind"], shelved["masks"][0]["by"]) == (
        "SHLVD",
        "shelved",
        "li.wei",
    )
    assert (drill["drill"], drill["level"]) == (True, 1)
    assert {item["drill"] for item in client.get(f"{V1}/incidents").json()["items"]} == {True, False}
