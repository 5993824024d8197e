"""Coming in and going out, over the whole door: what is asked, what ends, what is told."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import pyotp
import pytest

from tests.collector.people.peopled import FORM, HASH, WORD, peopled
from tillwatch.collector.people.directory import NANO, Full
from tillwatch.collector.people.passwords import Passwords
from tillwatch.collector.people.recording import MAX_REFUSALS
from tillwatch.collector.people.roles import Role
from tillwatch.collector.people.second_factor import SecondFactor, new_codes
from tillwatch.collector.people.sessions import MAX_DEVICES
from tillwatch.collector.people.settings import ConsoleSection
from tillwatch.collector.people.signing_in import MAX_HASHING, MAX_WAITING, STEP_NS, Caller, Refused

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ELSEWHERE = Caller("203.0.113.9")


def step_of(house, client) -> str:
    asker = house.directory.by_cookie(client.cookies["tw_session"])
    return asker.session.step if asker.session else "none"


def code_at(house) -> str:
    return pyotp.TOTP(SECRET).at(house.clock.at // NANO)


def test_who_knows_the_password_comes_in_and_goes_out(house):
    house.add("li.wei", Role.TECHNICIAN)
    browser = house.browser("li.wei")
    assert browser.get("/api/v1/terminals").status_code == 200
    assert browser.post("/sign-in/out", headers=FORM).status_code == 303
    assert browser.get("/api/v1/terminals").status_code == 401
    [came, went] = [*house.told("sign-in"), *house.told("sign-out")]
    assert (came["actor"], came["way"], came["session"]) == ("li.wei", "password", went["session"])


def test_who_signs_in_again_in_the_same_browser_leaves_no_session_behind(house):
    house.add("li.wei")
    house.add("wang")
    browser = house.browser("li.wei")
    first = browser.cookies["tw_session"]
    browser.post("/sign-in", data={"name": "wang", "password": WORD}, headers=FORM)
    assert house.directory.by_cookie(first).visitor.name == ""
    assert house.directory.by_cookie(browser.cookies["tw_session"]).visitor.name == "wang"


def test_the_cookie_is_strict_and_out_of_reach_of_scripts(house):
    house.add("li.wei")
    answer = house.client.post("/sign-in", data={"name": "LI.WEI", "password": WORD}, headers=FORM)
    [cookie] = [each for each in answer.headers.get_list("set-cookie") if each.startswith("tw_session=")]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert len(answer.cookies["tw_session"]) == 43


def test_over_tls_the_cookie_never_goes_in_the_clear(tmp_path):
    with peopled(tmp_path, ConsoleSection(names=("fleet.bank.example",))) as house:
        house.add("li.wei")
        house.client.base_url = "https://fleet.bank.example"
        answer = house.client.post(
            "/sign-in", data={"name": "li.wei", "password": WORD}, headers={"Origin": "https://fleet.bank.example"}
        )
        [cookie] = [each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-tw_session=")]
        assert "Secure" in cookie
        assert "Strict-Transport-Security" in answer.headers


def test_a_wrong_name_is_answered_as_a_wrong_password(house):
    house.add("li.wei")
    house.add("gone", active=False)
    house.add("vouched", password="")
    said = set()
    for name, password in (
        ("li.wei", "wrong"),
        ("nobody", WORD),
        ("gone", WORD),
        ("vouched", ""),
        ("vouched", "x"),
        ("<b>", "x"),
    ):
        answer = house.client.post("/sign-in", data={"name": name, "password": password or " "}, headers=FORM)
        said.add(
            (
                answer.status_code,
                answer.text.replace(name, "").replace(name.replace("<", "&lt;").replace(">", "&gt;"), ""),
            )
        )
        assert "tw_session" not in house.client.cookies
    assert len(said) == 1


async def test_a_wrong_name_takes_as_long_as_a_wrong_password(house):
    """Counted in hashes, not on a clock: one for each try."""
    house.add("li.wei")
    counted = []

    class Counting(Passwords):
        def verify(self, held: str, password: str) -> bool:
            counted.append(bool(held))
            return super().verify(held, password)

    house.people._passwords = Counting(time_cost=1, memory_kib=8, lanes=1)
    for name in ("li.wei", "nobody", "not a name at all!"):
        with pytest.raises(Refused):
            await house.people.password(name, "wrong", ELSEWHERE)
    assert counted == [True, False, False]
    assert house.people._passwords._nobody.startswith("$argon2id$")


def test_what_was_typed_is_in_no_record(house):
    house.add("li.wei")
    house.client.post("/sign-in", data={"name": "my password is Hunter22", "password": "secret words"}, headers=FORM)
    house.client.post("/sign-in", data={"name": "li.wei", "password": "secret words"}, headers=FORM)
    told = house.told("sign-in-refused")
    assert [(each["actor"], each["reason"]) for each in told] == [("", "password"), ("li.wei", "password")]
    assert "Hunter22" not in str(told)
    assert "secret" not in str(told)


async def test_who_guesses_waits_and_who_is_known_does_not(house):
    """Also the last administrator comes in from where they always do, while somebody else tries their name."""
    house.add("admin", Role.ADMINISTRATOR)
    known = await house.people.password("admin", WORD, Caller("192.0.2.7"))
    for _ in range(5):
        with pytest.raises(Refused, match="wrong"):
            await house.people.password("admin", "guess", ELSEWHERE)
    for who in (ELSEWHERE, Caller("192.0.2.7")):
        with pytest.raises(Refused, match="wait") as refused:
            await house.people.password("admin", WORD, who)
        assert refused.value.wait == 1
    await house.people.password("admin", WORD, Caller("192.0.2.7", device=known.device))
    house.clock.pass_s(1)
    await house.people.password("admin", WORD, ELSEWHERE)


async def test_somebody_at_the_machine_frees_a_name(house):
    house.add("admin", Role.ADMINISTRATOR)
    for _ in range(5):
        with pytest.raises(Refused):
            await house.people.password("admin", "guess", ELSEWHERE)
    house.change("admin", freed_at=house.clock.at)
    await house.people.password("admin", WORD, ELSEWHERE)


async def test_under_attack_the_record_is_bounded_and_counts(house):
    house.add("li.wei")
    for _ in range(MAX_REFUSALS + 7):
        with pytest.raises(Refused):
            await house.people.password("li.wei", "guess", ELSEWHERE)
    assert len(house.told("sign-in-refused")) == MAX_REFUSALS
    house.clock.pass_s(60)
    await house.people.tell_due()
    assert [each["count"] for each in house.told("sign-in-refused")][-1] == 7


async def test_no_more_passwords_are_hashed_at_once_than_fit(house):
    """Those at work go on once all that were not let wait are answered: by then whoever could begin has begun."""
    house.add("li.wei")
    at_work: set[int] = set()
    most: list[int] = []
    go_on = threading.Event()

    class Held(Passwords):
        def verify(self, held: str, password: str) -> bool:
            at_work.add(threading.get_ident())
            most.append(len(at_work))
            assert go_on.wait(60)
            at_work.discard(threading.get_ident())
            return False

    house.people._passwords = Held(1, 8, 1)
    tried = [house.people.password(f"name{k}", "x", Caller(f"192.0.2.{k}")) for k in range(MAX_WAITING + 10)]
    said = []
    for each in asyncio.as_completed(tried):
        with pytest.raises((Refused, Full)) as answer:
            await each
        said.append(answer.type.__name__)
        if said.count("Full") == 10:
            go_on.set()
    assert said == ["Full"] * 10 + ["Refused"] * MAX_WAITING
    assert (max(most), len(most)) == (MAX_HASHING, MAX_WAITING)


async def test_a_hash_of_old_parameters_is_made_anew_and_no_session_ends(house):
    house.add("li.wei")
    first = await house.people.password("li.wei", WORD, ELSEWHERE)
    house.people._passwords = Passwords(time_cost=2, memory_kib=16, lanes=1)
    await house.people.password("li.wei", WORD, ELSEWHERE)
    assert "m=16,t=2" in house.directory.db.execute("SELECT password FROM person").fetchone()[0]
    assert house.directory.by_cookie(first.cookie).visitor.name == "li.wei"
    assert not [each for each in house.told("person") if each["did"] != "added"]


def test_the_second_factor_is_asked_and_a_used_code_is_not_taken_twice(house):
    house.add("li.wei", factor=SecondFactor(SECRET))
    first, second = house.browser("li.wei"), house.browser("li.wei")
    assert step_of(house, first) == "totp"
    assert first.get("/api/v1/terminals").status_code == 401
    before = first.cookies["tw_session"]
    assert first.post("/sign-in/code", data={"code": code_at(house)}, headers=FORM).status_code == 303
    assert first.cookies["tw_session"] != before
    assert first.get("/api/v1/terminals").status_code == 200
    assert second.post("/sign-in/code", data={"code": code_at(house)}, headers=FORM).status_code == 403
    assert [each["way"] for each in house.told("sign-in")] == ["password, totp"]
    assert house.told("sign-in-refused")[-1]["reason"] == "code"


def test_codes_cannot_be_tried_one_after_the_other(house):
    house.add("li.wei", factor=SecondFactor(SECRET))
    browser = house.browser("li.wei")
    said = [browser.post("/sign-in/code", data={"code": f"{k:06}"}, headers=FORM).status_code for k in range(6)]
    assert said == [403] * 5 + [429]
    again = browser.post("/sign-in/code", data={"code": code_at(house)}, headers=FORM)
    assert (again.status_code, again.headers["Retry-After"]) == (429, "1")


def test_a_recovery_code_stands_for_the_app_once(house):
    shown, kept = new_codes()
    house.add("li.wei", factor=SecondFactor(SECRET, codes=kept))
    assert house.browser("li.wei").post("/sign-in/code", data={"code": shown[0]}, headers=FORM).status_code == 303
    assert house.browser("li.wei").post("/sign-in/code", data={"code": shown[0]}, headers=FORM).status_code == 403
    assert house.told("sign-in")[-1]["way"] == "password, recovery code"


def test_half_way_in_is_over_after_ten_minutes(house):
    house.add("li.wei", factor=SecondFactor(SECRET))
    browser = house.browser("li.wei")
    house.clock.pass_s(STEP_NS // NANO)
    assert browser.post("/sign-in/code", data={"code": code_at(house)}, headers=FORM).status_code == 403
    assert browser.get("/api/v1/terminals").status_code == 401


def test_a_password_that_was_given_has_to_be_changed(house):
    house.add("li.wei", must_change=True)
    browser = house.browser("li.wei")
    assert step_of(house, browser) == "password"
    assert browser.get("/api/v1/terminals").status_code == 401
    for password, again, status in (
        ("short", "short", 422),
        ("violet tundra 4711", "other", 422),
        (WORD[:-1] + "7", WORD[:-1] + "7", 303),
    ):
        answer = browser.post("/sign-in/password", data={"password": password, "again": again}, headers=FORM)
        assert answer.status_code == status
    assert browser.get("/api/v1/terminals").status_code == 200
    assert house.browser("li.wei", WORD[:-1] + "7").get("/api/v1/terminals").status_code == 200


def test_a_role_may_need_a_second_factor(tmp_path):
    with peopled(tmp_path, ConsoleSection(totp=(Role.SUPERVISOR,))) as house:
        house.add("boss", Role.SUPERVISOR)
        house.add("li.wei", Role.VIEWER)
        assert house.browser("li.wei").get("/api/v1/terminals").status_code == 200
        browser = house.browser("boss")
        assert step_of(house, browser) == "enrol"
        shown = browser.get("/sign-in").text
        assert "<svg" in shown
        secret = house.people.offer_factor(house.directory.by_cookie(browser.cookies["tw_session"]).session)
        assert " ".join(secret[k : k + 4] for k in range(0, 32, 4)) in shown
        assert browser.post("/sign-in/factor", data={"code": "000000"}, headers=FORM).status_code == 403
        code = pyotp.TOTP(secret).at(house.clock.at // NANO)
        answer = browser.post("/sign-in/factor", data={"code": code}, headers=FORM)
        assert (answer.status_code, answer.text.count('<li class="tw-code">')) == (200, 10)
        assert browser.get("/api/v1/terminals").status_code == 200
        assert step_of(house, house.browser("boss")) == "totp"


def test_a_session_ends_after_a_quiet_half_hour_and_after_half_a_day(house):
    house.add("li.wei")
    browser = house.browser("li.wei")
    for _ in range(23):  # 11.5 hours of work
        house.clock.pass_s(29 * 60 + 59)
        assert browser.get("/sign-in", headers={"Sec-Fetch-Mode": "navigate"}).status_code == 200
        assert browser.get("/api/v1/terminals").status_code == 200
    house.clock.pass_s(29 * 60 + 59)
    assert browser.get("/api/v1/terminals").status_code == 200
    house.clock.pass_s(24)  # twelve hours after the password
    assert browser.get("/api/v1/terminals").status_code == 401
    browser = house.browser("li.wei")
    for _ in range(3):  # a page that fetches by itself is nobody's work
        house.clock.pass_s(10 * 60)
        last = browser.get("/api/v1/terminals").status_code
    assert last == 401


def test_a_wall_board_stays_signed_in(house):
    house.add("wall", Role.VIEWER, board=True)
    browser = house.browser("wall")
    house.clock.pass_s(360 * 86_400)
    assert browser.get("/api/v1/terminals").status_code == 200
    house.change("wall", active=False)
    assert browser.get("/api/v1/terminals").status_code == 401


@pytest.mark.parametrize("more", [{"active": False}, {"role": Role.SUPERVISOR}, {"password": HASH + "x"}])
def test_a_change_by_another_process_ends_sessions_at_once(house, more):
    house.add("li.wei", Role.TECHNICIAN)
    browser = house.browser("li.wei")
    house.change("li.wei", **more)
    assert browser.get("/api/v1/terminals").status_code == 401


def test_so_many_sessions_and_known_browsers_and_no_more(house):
    house.add("li.wei")
    browsers = [house.browser("li.wei") for _ in range(MAX_DEVICES + 2) if not house.clock.pass_s(1)]
    assert [each.get("/api/v1/terminals").status_code for each in browsers] == [401] * (MAX_DEVICES - 3) + [200] * 5
    assert house.directory.db.execute("SELECT count(*) FROM device").fetchone()[0] == MAX_DEVICES


def test_a_link_lets_somebody_choose_a_password_once(house):
    from tillwatch.collector.people import accounts, sessions
    from tillwatch.collector.people.console_db import transaction

    house.add("li.wei", password="")
    secret = sessions.new_secret()
    with closing(house.beside()) as db, transaction(db):
        accounts.invite(db, "li.wei", sessions.digest_of(secret), house.clock.at + 10**12)
    assert "li.wei" in house.client.get(f"/sign-in/welcome?token={secret}").text
    chosen = {"token": secret, "password": WORD, "again": WORD}
    assert house.client.post("/sign-in/welcome", data=chosen | {"again": "other"}, headers=FORM).status_code == 422
    assert house.client.post("/sign-in/welcome", data=chosen, headers=FORM).status_code == 303
    assert house.client.get("/api/v1/terminals").status_code == 200
    assert house.browser().post("/sign-in/welcome", data=chosen, headers=FORM).status_code == 403
    assert house.browser("li.wei").get("/api/v1/terminals").status_code == 200


async def test_changing_the_password_ends_all_sessions_and_begins_this_one_anew(house):
    house.add("li.wei")
    other = await house.people.password("li.wei", WORD, ELSEWHERE)
    mine = await house.people.password("li.wei", WORD, ELSEWHERE)
    with pytest.raises(Refused, match="wrong"):
        await house.people.change_password(mine.session, "not it", "granite lemon 4711 harp", ELSEWHERE)
    fresh = await house.people.change_password(mine.session, WORD, "granite lemon 4711 harp", ELSEWHERE)
    assert [house.directory.by_cookie(each.cookie).visitor.name for each in (other, mine, fresh)] == ["", "", "li.wei"]
