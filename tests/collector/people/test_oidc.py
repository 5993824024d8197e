"""OpenID Connect against a provider that answers over HTTP: who comes in, as what, and every lie that is not believed."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc.jwk import OctKey, RSAKey

from tests.collector.people.peopled import FORM, URL, WORD, peopled
from tests.collector.people.small_provider import CLIENT, SECRET, SmallProvider
from tillwatch.collector.people.directory import NANO
from tillwatch.collector.people.oidc import ASK_S, OidcError, Provider, fitting
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.people.settings import Claim, OidcSection

ROLES = (
    Claim("groups", "tellers-it", Role.TECHNICIAN, Scope(regions=frozenset({"South"}))),
    Claim("groups", "heads", Role.SUPERVISOR),
    Claim("realm_access.roles", "audit", Role.AUDITOR),
)


@pytest.fixture(scope="module")
def running():
    provider = SmallProvider()
    yield provider
    provider.stop()


@pytest.fixture
def provider(running, monkeypatch):
    monkeypatch.setenv("TW_TEST_OIDC", SECRET)
    running.person = {"sub": "4711", "preferred_username": "Li.Wei", "name": "李伟", "groups": ["staff", "tellers-it"]}
    running.wrong.clear()
    running.codes.clear()
    running.asked.clear()
    return running


@pytest.fixture
def house(provider, tmp_path):
    settings = OidcSection(
        issuer=provider.issuer, client_id=CLIENT, secret_env="TW_TEST_OIDC", address=URL, label="Bank SSO", roles=ROLES
    )
    made_with = Provider(settings)
    with peopled(tmp_path, provider=made_with) as made:
        made.clock.at = time.time_ns()
        made.provider = made_with
        yield made


def away(house, wanted: str = "/inbox"):
    """A browser that has been at the provider, and with what it was sent back."""
    client = house.browser()
    answer = client.get("/sign-in/oidc", params={"next": wanted})
    assert answer.status_code == 303, answer.text
    sent = httpx2.get(answer.headers["location"], follow_redirects=False, trust_env=False)
    return client, dict(parse_qsl(urlsplit(sent.headers["location"]).query))


def come_in(house, wanted: str = "/inbox"):
    client, back = away(house, wanted)
    return client, client.get("/sign-in/oidc/callback", params=back, headers={"Sec-Fetch-Site": "cross-site"})


def test_whoever_it_vouches_for_comes_in_as_the_configuration_says(house):
    client, answer = come_in(house)
    assert answer.status_code == 200
    assert 'content="0; url=/inbox"' in answer.text  # and not a redirect: the strict cookie would stay behind
    me = client.get("/api/v1/me").json()
    assert (me["name"], me["full_name"], me["role"], me["scope"]["regions"], me["password"]) == (
        "li.wei",
        "李伟",
        "technician",
        ["South"],
        False,
    )
    assert [(facts["action"], facts["actor"]) for facts in house.told()] == [
        ("person", "li.wei"),
        ("sign-in", "li.wei"),
    ]
    assert house.told("sign-in")[0]["way"] == "oidc"
    assert "tw_oidc" not in client.cookies


def test_the_button_stands_on_the_sign_in_page(house):
    house.add("root", Role.ADMINISTRATOR)
    assert "Sign in with Bank SSO" in house.client.get("/sign-in").text


def test_the_role_is_that_of_today_and_another_one_ends_sessions(house, provider):
    first, _ = come_in(house)
    provider.person["groups"] = ["heads"]
    second, _ = come_in(house)
    assert second.get("/api/v1/me").json()["role"] == "supervisor"
    assert first.get("/api/v1/me").status_code == 401
    provider.person["groups"] = []
    third, answer = come_in(house)
    assert answer.status_code == 403
    assert "nothing says what you may do here" in answer.text
    assert third.get("/api/v1/me").status_code == 401
    assert house.told("sign-in-refused")[-1]["reason"] == "provider_nobody"


def test_a_name_that_is_somebody_here_does_not_become_them(house):
    house.add("li.wei", Role.ADMINISTRATOR)
    client, answer = come_in(house)
    assert answer.status_code == 403
    assert client.get("/api/v1/me").status_code == 401


def test_who_is_known_stays_known_under_another_name_and_disabled_means_out(house, provider):
    come_in(house)
    provider.person["preferred_username"] = "li.wei.married"
    client, _ = come_in(house)
    assert client.get("/api/v1/me").json()["name"] == "li.wei"
    house.change("li.wei", active=False)
    assert come_in(house)[1].status_code == 403


def test_such_a_person_has_no_password(house):
    come_in(house)
    assert house.browser().post("/sign-in", data={"name": "li.wei", "password": WORD}, headers=FORM).status_code == 403


WRONG_CLAIMS = [
    {"iss": "https://evil.example"}, {"aud": "another"}, {"aud": ["console", "another"]}, {"aud": ["console", "another"], "azp": "another"}, {"azp": "another"},
    {"exp": 1}, {"exp": None}, {"iat": 1}, {"iat": None}, {"nbf": 2**33}, {"nonce": "another"}, {"nonce": None}, {"nonce": 7}, {"sub": None}, {"sub": ""},
    {"preferred_username": None}, {"preferred_username": "not a name"}, {"preferred_username": ["li.wei"]}, {"exp": "tomorrow"},
]  # fmt: skip


def test_claims_that_are_not_right_are_not_believed(house, provider):
    for claims in WRONG_CLAIMS:
        provider.wrong["claims"] = claims
        assert come_in(house)[1].status_code == 403, claims
    assert house.directory.db.execute("SELECT count(*) FROM person").fetchone()[0] == 0


def without_signature(token: str) -> str:
    header = urlsafe_b64encode(b'{"alg":"none","kid":"first"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


LIES = [
    {"key": RSAKey.generate_key(2048, parameters={"kid": "first"})},
    {"key": RSAKey.generate_key(2048, parameters={"kid": "unknown"})},
    {"key": OctKey.import_key("a" * 32)},
    {"twist": without_signature},
    {"twist": lambda token: token[:-8] + "AAAAAAAA"},
    {"twist": lambda token: "x"},
    {"token": {"access_token": "x"}},
    {"token": {"id_token": 7}},
    {"token": []},
    {"token": b"<html>"},
    {"token": {"id_token": "x" * 600_000}},
]


def test_what_is_not_signed_by_it_is_not_believed(house, provider):
    for lie in LIES:
        provider.wrong.clear()
        provider.wrong |= lie
        assert come_in(house)[1].status_code == 403, lie


def test_an_answer_belongs_to_the_browser_that_asked_and_is_taken_once(house):
    victim, back = away(house)
    other = house.browser()
    assert other.get("/sign-in/oidc/callback", params=back).status_code == 403
    _, mine = away(house)
    assert victim.get("/sign-in/oidc/callback", params=mine).status_code == 403
    client, back = away(house)
    assert client.get("/sign-in/oidc/callback", params=back).status_code == 200
    assert client.get("/sign-in/oidc/callback", params=back).status_code == 403


def test_an_answer_that_comes_late_or_from_another_provider_is_refused(house, provider):
    provider.wrong["back"] = {"iss": "https://evil.example"}
    assert come_in(house)[1].status_code == 403
    provider.wrong["back"] = {"error": "access_denied"}
    _, answer = come_in(house)
    assert (answer.status_code, "did not sign you in" in answer.text) == (403, True)
    provider.wrong.clear()
    for odd in ({}, {"state": ""}, {"state": "x", "code": "y"}, {"code": "\x00"}):
        assert house.browser().get("/sign-in/oidc/callback", params=odd).status_code == 403


def test_it_never_leads_to_another_site(house):
    _, answer = come_in(house, "//evil.example/")
    assert 'content="0; url=/"' in answer.text


def test_new_keys_are_found(house, provider):
    come_in(house)
    before, provider.key = provider.key, RSAKey.generate_key(2048, parameters={"kid": "second", "use": "sig"})
    try:
        assert come_in(house)[1].status_code == 403  # an unknown key does not make it ask at once, again and again
        house.provider._keys_at -= (ASK_S + 1) * NANO
        assert come_in(house)[1].status_code == 200
    finally:
        provider.key = before


async def test_a_provider_that_calls_itself_otherwise_or_is_not_there_is_one_clear_error(provider):
    settings = OidcSection(
        issuer=provider.issuer, client_id=CLIENT, secret_env="TW_TEST_OIDC", address=URL, roles=ROLES
    )
    provider.wrong["issuer_of_discovery"] = "https://another.example"
    one = Provider(settings)
    with pytest.raises(OidcError, match=r"calls itself 'https://another\.example'"):
        await one.begin("/")
    await one.close()
    gone = Provider(
        OidcSection(issuer="http://127.0.0.1:9", client_id=CLIENT, secret_env="TW_TEST_OIDC", address=URL, roles=ROLES)
    )
    with pytest.raises(OidcError, match=r"127\.0\.0\.1:9"):
        await gone.begin("/")
    await gone.close()


def test_the_first_row_that_fits_decides():
    assert fitting(ROLES, {"groups": ["heads", "tellers-it"]}).role is Role.TECHNICIAN
    assert fitting(ROLES, {"groups": "heads"}).role is Role.SUPERVISOR
    assert fitting(ROLES, {"realm_access": {"roles": ["audit"]}}).role is Role.AUDITOR
    for nobody in (
        {},
        {"groups": []},
        {"groups": ["Heads"]},
        {"realm_access": "audit"},
        {"realm_access": {"roles": "auditors"}},
        {"groups": {"heads": 1}},
    ):
        assert fitting(ROLES, nobody) is None
