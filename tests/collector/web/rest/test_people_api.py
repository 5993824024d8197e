"""Accounts over REST: one's own, and everybody's for who manages people."""

from __future__ import annotations

import pyotp
import pytest

from tests.collector.people.peopled import WORD, peopled
from tillwatch.collector.people.directory import NANO
from tillwatch.collector.people.roles import Role
from tillwatch.collector.people.settings import ConsoleSection
from tillwatch.collector.web.rest.people_schema import MAX_PREFERENCES

V1 = "/api/v1"
OTHER = "granite lemon 4711 harp"


@pytest.fixture
def house(tmp_path):
    with peopled(tmp_path, ConsoleSection(rate=1000)) as made:
        made.add("root", Role.ADMINISTRATOR)
        yield made


def signed(house, name: str, password: str = WORD):
    client = house.browser(name, password)
    client.headers.update(house.csrf(client))
    return client


@pytest.fixture
def root(house):
    return signed(house, "root")


@pytest.fixture
def li(house):
    house.add("li.wei", Role.TECHNICIAN, full_name="李伟")
    return signed(house, "li.wei")


# One's own.


def test_who_asks_is_told_who_they_are_and_what_they_may(house, li):
    me = li.get(f"{V1}/me").json()
    assert (me["name"], me["full_name"], me["role"], me["anonymous"]) == ("li.wei", "李伟", "technician", False)
    assert me["permissions"] == ["act", "diagnose", "metrics", "open", "see", "see_protected", "self"]
    assert house.browser().get(f"{V1}/me").status_code == 401


def test_signing_in_over_rest_gives_the_word_for_acts(house):
    house.add("li.wei")
    client = house.browser()
    assert client.post(f"{V1}/sign-in", json={"name": "li.wei", "password": "wrong"}).status_code == 403
    said = client.post(f"{V1}/sign-in", json={"name": "li.wei", "password": WORD}).json()
    assert said["step"] == ""
    assert (
        client.put(f"{V1}/me", json={"language": "zh"}, headers={"X-TW-CSRF": said["csrf"]}).json()["language"] == "zh"
    )
    assert client.post(f"{V1}/sign-out", headers={"X-TW-CSRF": said["csrf"]}).status_code == 204
    assert client.get(f"{V1}/me").status_code == 401


def test_settings_are_kept_and_wrong_ones_refused(li):
    wish = {"language": "zh", "zone": "Asia/Shanghai", "theme": "dark", "full_name": "Li Wei"}
    assert wish.items() <= li.put(f"{V1}/me", json=wish).json().items()
    assert wish.items() <= li.get(f"{V1}/me").json().items()
    assert li.put(f"{V1}/me", json={"language": ""}).json()["language"] == ""
    for wrong in ({"zone": "Mars/Olympus"}, {"language": "fr"}, {"full_name": "x" * 81}, {"role": "administrator"}):
        assert li.put(f"{V1}/me", json=wrong).status_code == 422


def test_another_password_ends_the_other_sessions_and_keeps_this_one(house, li):
    elsewhere = signed(house, "li.wei")
    assert li.post(f"{V1}/me/password", json={"before": "wrong", "password": OTHER}).status_code == 403
    assert li.post(f"{V1}/me/password", json={"before": WORD, "password": "li.wei-li.wei-1"}).status_code == 422
    assert li.post(f"{V1}/me/password", json={"before": WORD, "password": OTHER}).status_code == 200
    assert (li.get(f"{V1}/me").status_code, elsewhere.get(f"{V1}/me").status_code) == (200, 401)
    assert [facts["did"] for facts in house.told("person")][-1] == "password"


def test_a_second_factor_is_begun_confirmed_renewed_and_taken_away(house, li):
    offer = li.post(f"{V1}/me/factor").json()
    assert offer["picture"].startswith("<svg")
    assert li.put(f"{V1}/me/factor", json={"code": "000000"}).status_code == 403
    code = pyotp.TOTP(offer["secret"]).at(house.clock.at // NANO)
    first = li.put(f"{V1}/me/factor", json={"code": code}).json()["codes"]
    assert li.post(f"{V1}/me/factor").status_code == 409
    assert li.get(f"{V1}/me").json()["recovery_codes"] == 10
    assert li.post(f"{V1}/me/factor/codes", json={"password": "wrong"}).status_code == 403
    second = li.post(f"{V1}/me/factor/codes", json={"password": WORD}).json()["codes"]
    assert set(first).isdisjoint(second)
    client = house.browser()
    assert client.post(f"{V1}/sign-in", json={"name": "li.wei", "password": WORD, "code": first[0]}).status_code == 403
    assert (
        client.post(f"{V1}/sign-in", json={"name": "li.wei", "password": WORD, "code": second[0]}).json()["step"] == ""
    )
    assert li.post(f"{V1}/me/factor/removal", json={"password": WORD}).status_code == 204
    assert li.get(f"{V1}/me").json()["factor"] is False


def test_who_needs_a_second_factor_does_not_take_it_away(tmp_path):
    with peopled(tmp_path, ConsoleSection(totp=(Role.TECHNICIAN,))) as house:
        house.add("li.wei", Role.VIEWER)
        li = signed(house, "li.wei")
        offer = li.post(f"{V1}/me/factor").json()
        li.put(f"{V1}/me/factor", json={"code": pyotp.TOTP(offer["secret"]).at(house.clock.at // NANO)})
        house.change("li.wei", role=Role.TECHNICIAN)
        client = house.browser()
        house.clock.pass_s(30)
        code = pyotp.TOTP(offer["secret"]).at(house.clock.at // NANO)
        said = client.post(f"{V1}/sign-in", json={"name": "li.wei", "password": WORD, "code": code}).json()
        answer = client.post(f"{V1}/me/factor/removal", json={"password": WORD}, headers={"X-TW-CSRF": said["csrf"]})
        assert answer.status_code == 409


def test_sessions_are_listed_and_ended(house, li):
    elsewhere, third = signed(house, "li.wei"), signed(house, "li.wei")
    listed = li.get(f"{V1}/me/sessions").json()
    assert [each["own"] for each in listed].count(True) == 1
    assert len(listed) == 3
    mark = elsewhere.get(f"{V1}/me/sessions").json()
    mark = next(each["mark"] for each in mark if each["own"])
    assert li.delete(f"{V1}/me/sessions/{mark}").status_code == 204
    assert (elsewhere.get(f"{V1}/me").status_code, third.get(f"{V1}/me").status_code) == (401, 200)
    assert li.delete(f"{V1}/me/sessions/{mark}").status_code == 404
    assert li.delete(f"{V1}/me/sessions").status_code == 204
    assert (third.get(f"{V1}/me").status_code, li.get(f"{V1}/me").status_code) == (401, 200)


def test_a_token_is_shown_once_and_revoked(house, li):
    made = li.post(f"{V1}/me/tokens", json={"name": "grafana", "role": "viewer", "days": 30})
    assert made.status_code == 201
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    program = house.browser()
    assert program.get(f"{V1}/terminals", headers=bearer).status_code == 200
    [listed] = li.get(f"{V1}/me/tokens").json()
    assert "token" not in listed
    assert made.json()["token"] not in li.get(f"{V1}/me/tokens").text
    # What lets somebody in is a person's matter.
    for method, path, body in (
        ("POST", "me/tokens", {"name": "x", "role": "viewer"}), ("POST", "me/password", {"before": WORD, "password": OTHER}), ("POST", "me/factor", None),
        ("PUT", "me", {"language": "zh"}), ("DELETE", "me/sessions", None), ("POST", "sign-out", None),
    ):  # fmt: skip
        assert program.request(method, f"{V1}/{path}", json=body, headers=bearer).status_code == 403, path
    assert program.put(f"{V1}/me/preferences/board", json={"value": [1]}, headers=bearer).status_code == 200
    assert li.delete(f"{V1}/me/tokens/{listed['number']}").status_code == 204
    assert program.get(f"{V1}/terminals", headers=bearer).status_code == 401
    assert [facts["did"] for facts in house.told("token")] == ["made", "revoked"]


def test_a_token_above_its_owner_is_refused(li):
    for wrong in (
        {"role": "supervisor"},
        {"role": "administrator"},
        {"role": "viewer", "days": 400},
        {"role": "viewer", "scope": {"regions": [""]}},
    ):
        assert li.post(f"{V1}/me/tokens", json={"name": "x", **wrong}).status_code == 422


def test_preferences_are_kept_for_each_and_bounded(house, li, root):
    assert li.get(f"{V1}/me/preferences/fleet.filters").json() == {"key": "fleet.filters", "value": None}
    assert li.put(f"{V1}/me/preferences/fleet.filters", json={"value": [{"name": "夜间"}]}).status_code == 200
    assert li.get(f"{V1}/me/preferences/fleet.filters").json()["value"] == [{"name": "夜间"}]
    assert root.get(f"{V1}/me/preferences/fleet.filters").json()["value"] is None
    assert li.put(f"{V1}/me/preferences/big", json={"value": "x" * 20_000}).status_code == 422
    for odd in ('{"value": NaN}', '{"value": "\\ud800"}', "[" * 50_000, "", "{"):
        answer = li.put(f"{V1}/me/preferences/odd", content=odd, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, odd[:10]
    assert li.put(f"{V1}/me/preferences/Not A Key", json={"value": 1}).status_code == 422
    for k in range(MAX_PREFERENCES - 1):
        assert li.put(f"{V1}/me/preferences/k{k}", json={"value": k}).status_code == 200
    assert li.put(f"{V1}/me/preferences/more", json={"value": 1}).status_code == 422
    assert li.delete(f"{V1}/me/preferences/k0").status_code == 204
    assert li.put(f"{V1}/me/preferences/more", json={"value": 1}).status_code == 200


def test_a_sign_of_life_keeps_the_session(house, li):
    for _ in range(3):
        house.clock.pass_s(20 * 60)
        assert li.put(f"{V1}/me/active").status_code == 204
    assert li.get(f"{V1}/me").status_code == 200


# Everybody.


def test_somebody_new_begins_with_a_link(house, root):
    wish = {"name": "Wang.Fang", "full_name": "王芳", "role": "supervisor", "scope": {"regions": ["North"]}}
    made = root.post(f"{V1}/people", json=wish).json()
    assert (made["person"]["name"], made["person"]["password"]) == ("wang.fang", False)
    link = made["invitation"]["address"]
    client = house.browser()
    token = link.partition("token=")[2]
    from tests.collector.people.peopled import FORM

    chosen = {"token": token, "password": OTHER, "again": OTHER}
    assert client.post("/sign-in/welcome", data=chosen, headers=FORM).status_code == 303
    assert client.get(f"{V1}/me").json()["scope"] == {"regions": ["North"], "branches": []}
    assert root.post(f"{V1}/people", json=wish).status_code == 422
    told = [(facts["actor"], facts["did"]) for facts in house.told("person") if facts["person"] == "wang.fang"]
    assert told == [("root", "added"), ("root", "invited"), ("wang.fang", "password")]
    assert token not in str(house.told())


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "<b>x</b>"}, {"name": ""}, {"name": "x", "role": "boss"}, {"name": "x", "role": "technician", "board": True},
        {"name": "x", "role": "administrator", "scope": {"regions": ["North"]}}, {"name": "x", "scope": {"regions": ["x"] * 201}}, {"name": "x", "extra": 1},
    ],
)  # fmt: skip
def test_wrong_wishes_are_refused(root, wrong):
    assert root.post(f"{V1}/people", json=wrong).status_code == 422


def test_a_change_of_role_scope_or_state_ends_sessions_at_once(house, root, li):
    for change in ({"role": "viewer"}, {"scope": {"branches": ["Harbour Road"]}}, {"active": False}):
        assert li.get(f"{V1}/me").status_code == 200
        assert root.put(f"{V1}/people/li.wei", json=change).status_code == 200
        assert li.get(f"{V1}/me").status_code == 401
        if "active" not in change:
            li.cookies.clear()
            li.post(f"{V1}/sign-in", json={"name": "li.wei", "password": WORD})
    assert house.browser().post(f"{V1}/sign-in", json={"name": "li.wei", "password": WORD}).status_code == 403
    assert root.get(f"{V1}/people/li.wei").json()["active"] is False


def test_the_last_administrator_cannot_lock_everybody_out(root):
    for change in ({"active": False}, {"role": "viewer"}):
        assert root.put(f"{V1}/people/root", json=change).status_code == 422
    assert root.get(f"{V1}/people").status_code == 200


def test_a_given_password_holds_once(house, root, li):
    given = root.post(f"{V1}/people/li.wei/password").json()["password"]
    assert li.get(f"{V1}/me").status_code == 401
    client = house.browser()
    assert client.post(f"{V1}/sign-in", json={"name": "li.wei", "password": given}).json()["step"] == "password"
    assert client.get(f"{V1}/terminals").status_code == 401
    assert given not in str(house.told())


def test_who_lost_the_second_factor_is_helped(house, root, li):
    offer = li.post(f"{V1}/me/factor").json()
    li.put(f"{V1}/me/factor", json={"code": pyotp.TOTP(offer["secret"]).at(house.clock.at // NANO)})
    assert root.delete(f"{V1}/people/li.wei/factor").json()["factor"] is False
    assert li.get(f"{V1}/me").status_code == 401
    assert house.told("person")[-1]["did"] == "factor reset"


def test_who_manages_people_sees_and_ends_sessions_and_tokens(house, root, li):
    made = li.post(f"{V1}/me/tokens", json={"name": "grafana", "role": "viewer"}).json()
    assert len(root.get(f"{V1}/people/li.wei/sessions").json()) == 1
    [token] = root.get(f"{V1}/people/li.wei/tokens").json()
    assert root.delete(f"{V1}/people/li.wei/tokens/{token['number']}").status_code == 204
    assert house.browser().get(f"{V1}/me", headers={"Authorization": f"Bearer {made['token']}"}).status_code == 401
    assert root.delete(f"{V1}/people/li.wei/sessions").status_code == 204
    assert li.get(f"{V1}/me").status_code == 401


def test_nobody_of_that_name_is_not_found(root):
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("POST", "/invitation"),
        ("POST", "/password"),
        ("DELETE", "/factor"),
        ("GET", "/sessions"),
        ("GET", "/tokens"),
    ):
        assert (
            root.request(method, f"{V1}/people/nobody{path}", json={} if method == "PUT" else None).status_code == 404
        )


ODD = ('"\\ud800"', '"\\u0000"', '"' + "x" * 3000 + '"', "null", "[]", "{}", "1e999", "-1", "true")


def test_odd_values_are_refused_and_never_a_defect(root, li):
    """Half characters, control characters, too much, the wrong kind: in every field that somebody can send."""
    fields = {
        ("POST", "sign-in"): ("name", "password", "code"), ("PUT", "me"): ("full_name", "language", "zone", "theme"), ("POST", "me/password"): ("before", "password"),
        ("PUT", "me/factor"): ("code",), ("POST", "me/factor/removal"): ("password",), ("POST", "me/tokens"): ("name", "role", "scope", "days"),
        ("POST", "people"): ("name", "full_name", "role", "scope", "board"), ("PUT", "people/li.wei"): ("full_name", "role", "scope", "active", "board"),
    }  # fmt: skip
    right = {"name": '"a"', "password": f'"{WORD}"', "role": '"viewer"'}
    for (method, path), names in fields.items():
        for name in names:
            for odd in ODD:
                body = {one: right[one] for one in names if one in right} | {name: odd}
                said = "{" + ", ".join(f'"{key}": {value}' for key, value in body.items()) + "}"
                client = root if path.startswith("people") else li
                answer = client.request(
                    method, f"{V1}/{path}", content=said, headers={"Content-Type": "application/json"}
                )
                assert answer.status_code < 500, (path, name, odd, answer.text)
    for path in (
        "people/%ED%A0%80",
        "people/%00",
        "people/%2e%2e",
        "people/a%2Fb",
        "me/tokens/99999999999999999999",
        "me/sessions/x",
        "people/li.wei/tokens/0",
    ):
        for method in ("GET", "PUT", "DELETE"):
            assert root.request(method, f"{V1}/{path}", json={}).status_code < 500, path


def test_no_answer_holds_a_secret(house, root, li):
    li.post(f"{V1}/me/factor")
    said = root.get(f"{V1}/people").text + li.get(f"{V1}/me").text
    person = house.directory.db.execute("SELECT password FROM person LIMIT 1").fetchone()[0]
    assert person not in said
    assert "argon2" not in said
