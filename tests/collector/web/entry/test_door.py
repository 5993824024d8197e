"""The door: who comes in, what they did not mean, how often they may ask, and what happens to a page when its session ends."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.collector.people.peopled import BASE, FORM, URL, Peopled, peopled
from tillwatch.collector.people.console_db import transaction
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.people.sessions import Token, digest_of, make_token, new_secret
from tillwatch.collector.people.settings import ConsoleSection
from tillwatch.collector.web.entry.door import BURST_S, Door, House, local

HTML = {"Accept": "text/html,*/*"}
DAY = 86_400 * 10**9


@pytest.fixture
def house(tmp_path):
    with peopled(tmp_path) as made:
        yield made


def token_of(house: Peopled, owner: str, role: Role, scope: Scope = Scope()) -> dict[str, str]:  # noqa: B008 - frozen
    from tillwatch.collector.people import accounts

    secret = "tw_" + new_secret()
    with closing(house.beside()) as db, transaction(db):
        person = accounts.find(db, owner)
        make_token(
            db, digest_of(secret), Token(0, "test", owner, role, scope, BASE, BASE + DAY, 0), person.role, person.scope
        )
    return {"Authorization": f"Bearer {secret}"}


# Who comes in.


def test_until_there_is_an_account_everybody_on_this_machine_looks(house):
    assert house.client.get("/api/v1/terminals").status_code == 200
    house.add("li.wei")
    assert house.client.get("/api/v1/terminals").status_code == 401


def test_where_it_is_allowed_who_has_not_signed_in_looks(tmp_path):
    with peopled(tmp_path, ConsoleSection(anonymous=True)) as house:
        house.add("li.wei")
        assert house.client.get("/api/v1/terminals").status_code == 200


def test_nobody_from_another_machine_looks_without_signing_in(tmp_path):
    with peopled(tmp_path, ConsoleSection(names=("fleet.bank.example",))) as house:
        house.client.base_url = "https://fleet.bank.example"
        assert house.client.get("/api/v1/terminals").status_code == 401
        house.client.base_url = "https://rebound.example"
        assert house.client.get("/api/v1/terminals").status_code == 421


def test_pages_lead_to_the_sign_in_page_and_programs_get_a_problem(house):
    house.add("li.wei")
    answer = house.client.get("/terminal/ATM-001?range=d7", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fterminal%2FATM-001%3Frange%3Dd7")
    assert house.client.get("/", headers=HTML).headers["location"] == "/sign-in"
    answer = house.client.get("/api/v1/terminals", headers=HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert house.client.get("/_nicegui/anything").status_code == 401


@pytest.mark.parametrize(
    ("address", "goes"),
    [
        ("/inbox?state=open", "/inbox?state=open"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/x\\@evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\tx", "/"),
        ("/" + "x" * 600, "/"),
        ("/sign-in?next=/sign-in", "/"),
        ("", "/"),
    ],
)
def test_only_addresses_of_this_console_are_gone_on_to(address, goes):
    assert local(address) == goes


def test_signing_in_leads_where_somebody_wanted_to_go_and_never_elsewhere(house):
    house.add("li.wei")
    for wanted, goes in (("/inbox", "/inbox"), ("//evil.example", "/")):
        from tests.collector.people.peopled import WORD

        answer = house.browser().post(
            "/sign-in", data={"name": "li.wei", "password": WORD, "next": wanted}, headers=FORM
        )
        assert answer.headers["location"] == goes


# Tokens.


def test_a_token_comes_in_as_what_it_was_made_for(house):
    house.add("li.wei", Role.SUPERVISOR)
    bearer = token_of(house, "li.wei", Role.VIEWER, Scope(regions=frozenset({"South"})))
    items = house.client.get("/api/v1/terminals", params={"limit": 1000}, headers=bearer).json()["items"]
    assert {item["region"] for item in items} == {"South"}


def test_a_token_ends_with_its_time_its_owner_and_their_role(house):
    house.add("li.wei", Role.SUPERVISOR)
    technician, viewer = token_of(house, "li.wei", Role.TECHNICIAN), token_of(house, "li.wei", Role.VIEWER)
    house.change("li.wei", role=Role.VIEWER)
    assert [house.client.get("/api/v1/terminals", headers=each).status_code for each in (technician, viewer)] == [
        401,
        200,
    ]
    house.change("li.wei", role=Role.VIEWER, active=False)
    assert house.client.get("/api/v1/terminals", headers=viewer).status_code == 401
    house.change("li.wei", active=True)
    house.clock.pass_s(86_400)
    assert house.client.get("/api/v1/terminals", headers=viewer).status_code == 401


def test_a_token_sees_no_more_than_its_owner_does_today(house):
    house.add("li.wei", Role.TECHNICIAN)
    whole = token_of(house, "li.wei", Role.VIEWER)
    north = token_of(house, "li.wei", Role.VIEWER, Scope(regions=frozenset({"North"})))
    house.change("li.wei", scope=Scope(regions=frozenset({"South"})))
    items = house.client.get("/api/v1/terminals", params={"limit": 1000}, headers=whole).json()["items"]
    assert {item["region"] for item in items} == {"South"}
    assert house.client.get("/api/v1/terminals", headers=north).status_code == 401


@pytest.mark.parametrize("said", ["Bearer wrong", "Bearer ", "Basic bGk6d2Vp", "Bearer tw_\u00e9", "x"])
def test_a_header_that_proves_nothing_does_not_fall_back_to_the_cookie(house, said):
    house.add("li.wei")
    browser = house.browser("li.wei")
    assert browser.get("/api/v1/terminals", headers={"Authorization": said.encode("latin-1")}).status_code == 401


def test_when_a_token_was_used_is_written_down(house):
    house.add("li.wei")
    bearer = token_of(house, "li.wei", Role.VIEWER)
    house.clock.pass_s(3600)
    assert house.client.get("/api/v1/terminals", headers=bearer).status_code == 200
    assert house.client.portal is not None
    house.client.portal.call(asyncio.sleep, 0)
    for _ in range(200):
        seen = house.directory.db.execute("SELECT seen_at FROM token").fetchone()[0]
        if seen:
            break
        house.client.portal.call(asyncio.sleep, 0.01)
    assert seen == house.clock.at


# What was not meant.


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-TW-CSRF": "wrong"}, 403),
        ({"X-TW-CSRF": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 421),
        ({"Origin": "null"}, 421),
    ],
)
def test_an_act_with_a_cookie_carries_the_word_of_its_session(house, headers, status):
    house.add("li.wei", Role.SUPERVISOR)
    browser = house.browser("li.wei")
    right = house.csrf(browser) if "Sec-Fetch-Site" in headers or "Origin" in headers else {}
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert browser.request(method, "/api/v1/anything", headers={**right, **headers}).status_code == status


def test_the_word_of_another_session_does_not_hold(house):
    house.add("li.wei", Role.SUPERVISOR)
    mine, other = house.browser("li.wei"), house.browser("li.wei")
    assert mine.post("/api/v1/anything", headers=house.csrf(other)).status_code == 403
    assert mine.post("/api/v1/anything", headers=house.csrf(mine)).status_code in {404, 405}


def test_a_form_with_a_cookie_needs_the_browsers_word_where_it_comes_from(house):
    house.add("li.wei")
    browser = house.browser("li.wei")
    assert browser.post("/sign-in/out").status_code == 403
    assert browser.post("/sign-in/out", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.get("/api/v1/terminals").status_code == 200
    assert browser.post("/sign-in/out", headers={"Origin": URL}).status_code == 303


# How often.


def test_who_asks_too_often_waits(tmp_path):
    with peopled(tmp_path, ConsoleSection(rate=1)) as house:
        house.add("li.wei")
        browser, bearer = house.browser("li.wei"), token_of(house, "li.wei", Role.VIEWER)
        for more, who in (({}, browser), (bearer, house.browser())):
            said = [who.get("/api/v1/nothing", headers=more) for _ in range(BURST_S + 3)]
            late = [each for each in said if each.status_code == 429]
            assert late
            assert late[0].headers["retry-after"] == "1"
            assert late[0].headers["content-type"] == "application/problem+json"


# When a session ends.


async def small(scope, receive, send):
    """A websocket that says again what it hears, and a stream that counts."""
    if scope["type"] == "lifespan":
        for said in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{said}.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for k in range(1000):
        await send({"type": "http.response.body", "body": f"{k}\n".encode(), "more_body": True})
        await asyncio.sleep(0.01)


def test_an_open_websocket_is_closed_when_its_session_ends(house):
    house.add("li.wei")
    cookie = {"Cookie": f"tw_session={house.browser('li.wei').cookies['tw_session']}"}
    hall = House(house.directory)
    with TestClient(Door(small, hall), base_url=URL) as client:
        with client.websocket_connect("/_nicegui_ws", headers=cookie) as socket:
            socket.send_text("here")
            assert socket.receive_text() == "here"
            hall.look()
            socket.send_text("still")
            assert socket.receive_text() == "still"
            house.change("li.wei", active=False)
            client.portal.call(hall.look)
            with pytest.raises(WebSocketDisconnect) as closed:  # noqa: PT012 - as above
                while True:
                    socket.send_text("more")
                    socket.receive_text()
            assert closed.value.code == 4401
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/_nicegui_ws", headers=cookie):
            pass


def test_nobody_opens_a_websocket(house):
    house.add("li.wei")
    with (
        TestClient(Door(small, House(house.directory)), base_url=URL) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/_nicegui_ws"),
    ):
        pass


async def test_a_stream_ends_when_its_session_does(house):
    house.add("li.wei")
    hall, sent = House(house.directory), []
    cookie = house.browser("li.wei").cookies["tw_session"]
    scope = {
        "type": "http", "method": "GET", "path": "/api/v1/events", "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(b"cookie", f"tw_session={cookie}".encode())],
    }  # fmt: skip

    async def send(message):
        sent.append(message)
        if len(sent) == 5:
            house.change("li.wei", active=False)
            hall.look()

    async def receive():
        await asyncio.Event().wait()

    await asyncio.wait_for(Door(small, hall)(scope, receive, send), 60)
    assert len(sent) == 6
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_the_answer_to_a_look_is_cut_off_too_when_everybody_may_no_longer_look(house):
    """The first account ends what was open to everybody."""
    hall = House(house.directory)
    with TestClient(Door(small, hall), base_url=URL) as client, client.websocket_connect("/_nicegui_ws") as socket:
        socket.send_text("here")
        assert socket.receive_text() == "here"
        house.add("li.wei")
        client.portal.call(hall.look)
        with pytest.raises(WebSocketDisconnect):  # noqa: PT012 - how much still passes is not sure
            while True:
                socket.send_text("more")
                socket.receive_text()
