"""The address of the small chart: what it takes, what it answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.collector.fake_fleet import NANO, FakeFleet
from tillwatch.collector.web.app import Console

BASE = 1_790_000_000 * NANO
CHARGE = "/chart/ATM-001/ups/battery/battery.charge.svg"


@pytest.fixture
def client() -> Iterator[TestClient]:
    console = Console(lambda: FakeFleet(60, BASE), now=lambda: BASE, with_pages=False)
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        yield client


def test_a_component_may_have_parts_or_none(client):
    for path in (CHARGE, "/chart/ATM-001/environment/temperature.svg"):
        answer = client.get(path, params={"from": BASE // NANO - 3600, "to": BASE // NANO})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert answer.headers["cache-control"] == "private, max-age=60"
        assert answer.text.startswith("<svg ")


def test_times_are_the_branchs_and_texts_as_asked(client):
    assert "UTC+08:00" in client.get(CHARGE).text
    assert "读数为文字" in client.get("/chart/ATM-001/ups/output.source.svg", params={"lang": "zh"}).text


@pytest.mark.parametrize(
    ("path", "params", "status", "said"),
    [
        ("/chart/nowhere/ups/load.svg", {}, 404, "nowhere"),
        ("/chart/ATM-001/ups/nothing.svg", {}, 404, "nothing"),
        (CHARGE, {"from": "yesterday"}, 422, "yesterday"),
        (CHARGE, {"from": "10", "to": "5"}, 422, "before"),
        (CHARGE, {"from": "0"}, 422, "ten years"),
        (CHARGE, {"from": "253402214400", "to": "253402300799"}, 422, "ahead"),
        (CHARGE, {"lang": "fr"}, 422, "lang"),
    ],
)
def test_what_cannot_be_drawn_is_a_problem_that_says_so(client, path, params, status, said):
    answer = client.get(path, params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]


def test_the_future_and_the_first_hour_of_time_can_be_asked_for(client):
    for start, end in ((0, 3600), (BASE // NANO, BASE // NANO + 6 * 3600)):
        assert client.get(CHARGE, params={"from": start, "to": end}).status_code == 200
