"""The outermost wall: what is too large is refused before anything reads it, as a problem that says so, with the headers of every answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.collector.people.peopled import FORM, Peopled, peopled
from tillwatch.collector.people.roles import Role
from tillwatch.collector.web.entry.guard import HEADERS, MAX_BODY

PIECE = b"x" * 65_536
PIECES = MAX_BODY // len(PIECE) + 1


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peopled]:
    with peopled(tmp_path_factory.mktemp("house")) as house:
        house.add("li.wei", Role.TECHNICIAN)
        yield house


@pytest.fixture(scope="module")
def client(house: Peopled) -> TestClient:
    return house.browser("li.wei")


def in_pieces() -> Iterator[bytes]:
    for _ in range(PIECES):
        yield PIECE


@pytest.mark.parametrize("path", ["/api/v1/incidents/acts", "/api/v1/backtests", "/sign-in"])
@pytest.mark.parametrize("how", ["said", "in pieces", "lied"])
def test_what_is_too_large_is_a_problem(house: Peopled, client: TestClient, path: str, how: str) -> None:
    asker = house.directory.by_cookie(client.cookies["tw_session"])
    headers = {"Content-Type": "application/json", "X-TW-CSRF": asker.visitor.csrf, **FORM}
    if path == "/sign-in":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if how == "lied":
        headers["Content-Length"] = "-1"
    answer = client.post(path, content=in_pieces() if how == "in pieces" else PIECE * PIECES, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json"), answer.text
    assert answer.json()["detail"] == f"the request is larger than {MAX_BODY} bytes; send less at once"
    assert answer.json()["instance"] == path
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
