"""Enrolment over real HTTPS: the agent's own steps, and everything that a token does not allow."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import os
import ssl
import time

import msgpack
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tillwatch.agent import identity as agent_identity
from tillwatch.agent.enrolment import enrol as agent_enrol
from tillwatch.agent.wire import SigningKey
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.trust.registry import Enrolment, JournalRegistrar, create_token, proof_message, secret_digest
from tillwatch.collector.web.inward.enrol import (
    MAX_BODY,
    EnrolListener,
    MqttAddress,
    enrol_app,
)
from tillwatch.collector.web.inward.listening import MAX_ADDRESSES, REFUSALS_PER_MINUTE, RefusalLimit

HOSTS = ("localhost", "127.0.0.1")


class Site:
    """A collector's enrolment side on a port of its own, with what it wrote down."""

    def __init__(self, folder, mqtt_host=""):
        self.authority = open_authority(folder / "authority")
        self.db = open_db(folder / "collector.db")
        self.entries = []
        registrar = JournalRegistrar(self.db, self.operate)
        app = enrol_app(registrar, self.authority, MqttAddress(mqtt_host, 8883, tls=True), HOSTS)
        self.listener = EnrolListener(app, "127.0.0.1", 0, self.authority.server_file(HOSTS))

    async def operate(self, facts, also):
        self.db.execute("BEGIN IMMEDIATE")
        try:
            also(self.db)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.entries.append(facts)
        self.db.execute("COMMIT")

    def token(self, terminal="till-1", now=None, host="127.0.0.1"):
        place = Enrolment(terminal, "Harbour", "North", "atm")
        return create_token(self.db, place, host=host, port=self.listener.port, ca=self.authority.fingerprint, now=now)

    async def post(self, body, path="/api/v1/enrol"):
        """Status and JSON of the answer, over a connection that checks the certificate."""
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))

        def send():
            connection = http.client.HTTPSConnection("127.0.0.1", self.listener.port, context=context, timeout=60)
            try:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                connection.request("POST", path, data, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, answer.headers["content-type"], json.loads(answer.read())
            finally:
                connection.close()

        return await asyncio.to_thread(send)


@pytest.fixture
async def site(tmp_path):
    one = Site(tmp_path)
    await one.listener.start()
    yield one
    await one.listener.stop()
    one.db.close()


def asked(token, **changes):
    """What an agent sends for a token; `changes` replaces members after the proof was made."""
    fields = msgpack.unpackb(base64.urlsafe_b64decode(token[4:] + "=="))
    signing, tls = SigningKey(os.urandom(32)), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, changes.pop("csr_name", fields["t"]))])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(tls, hashes.SHA256())
    proof = signing.sign(proof_message(fields["s"], csr.public_bytes(serialization.Encoding.DER)))
    return {
        "secret": fields["s"].hex(),
        "terminal": fields["t"],
        "public_key": base64.b64encode(signing.public).decode(),
        "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
        "proof": base64.b64encode(proof).decode(),
        **changes,
    }


async def test_the_real_agent_enrols(site, tmp_path):
    state = tmp_path / "agent"
    token = agent_enrol.parse_token(site.token())
    made = await asyncio.to_thread(agent_enrol.enrol, token, state, say=lambda _: None)
    assert (made.terminal, made.branch, made.region) == ("till-1", "Harbour", "North")
    assert [key.public for key in made.ack_keys.values()] == [site.authority.ack_key.public]
    assert (made.broker.host, made.broker.port, made.broker.tls) == ("127.0.0.1", 8883, True)
    (facts,) = site.entries
    certificate = x509.load_pem_x509_certificate((state / agent_identity.TLS_CERT).read_bytes())
    assert facts["public"] == made.key.public
    assert facts["serial"] == f"{certificate.serial_number:x}"
    assert (facts["action"], facts["terminal"], facts["class"]) == ("enrol", "till-1", "atm")
    context = ssl.create_default_context(cafile=state / agent_identity.CA_CERT)
    context.load_cert_chain(state / agent_identity.TLS_CERT, state / agent_identity.TLS_KEY)
    with pytest.raises(agent_enrol.EnrolError, match="not good"):
        await asyncio.to_thread(agent_enrol.enrol, token, tmp_path / "second", say=lambda _: None)


async def test_the_agent_turns_away_from_another_authority(site, tmp_path):
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other")
    other.listener.port = site.listener.port
    token = agent_enrol.parse_token(other.token())
    with pytest.raises(agent_enrol.EnrolError, match="another CA"):
        await asyncio.to_thread(agent_enrol.enrol, token, tmp_path / "agent", say=lambda _: None)
    other.db.close()


async def test_bad_tokens_all_get_the_same_answer(site):
    used, expired, foreign = site.token(), site.token(now=time.time_ns() - 25 * 3600 * 10**9), site.token("till-2")
    assert (await site.post(asked(used)))[0] == 200
    wrong_terminal = asked(foreign, csr_name="till-1", terminal="till-1")
    unknown = asked(site.token())
    site.db.execute("DELETE FROM token WHERE secret_digest = ?", (secret_digest(bytes.fromhex(unknown["secret"])),))
    answers = [await site.post(body) for body in (asked(used), asked(expired), wrong_terminal, unknown)]
    assert {answer[0] for answer in answers} == {403}
    assert len({json.dumps(answer[1:]) for answer in answers}) == 1
    assert answers[0][1] == "application/problem+json"
    assert "ask for a new one" in answers[0][2]["detail"]
    assert len(site.entries) == 1


async def test_two_at_once_with_one_token(site):
    token = site.token()
    answers = await asyncio.gather(*(site.post(asked(token)) for _ in range(8)))
    assert sorted(answer[0] for answer in answers) == [200] + [403] * 7
    assert len(site.entries) == 1


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"proof": base64.b64encode(bytes(64)).decode()}, "proof does not fit"),
        ({"public_key": base64.b64encode(SigningKey(bytes(32)).public).decode()}, "proof does not fit"),
        ({"secret": "00" * 20}, "proof does not fit"),
        (
            {
                "csr": asked(
                    "tw1." + base64.urlsafe_b64encode(msgpack.packb({"s": b"x" * 20, "t": "till-1"})).decode()
                )["csr"]
            },
            "proof does not fit",
        ),
        ({"csr_name": "till-2"}, "names another terminal"),
        ({"csr": "-----BEGIN"}, "cannot be read"),
        ({"terminal": "till-2"}, "names another terminal"),
        ({"secret": "00"}, "the secret has 20 bytes"),
        ({"secret": "zz"}, "a JSON object"),
        ({"proof": 7}, "a JSON object"),
        ({"public_key": "!"}, "a JSON object"),
    ],
)
async def test_what_does_not_fit_is_refused_and_the_token_stays_good(site, change, detail):
    token = site.token()
    status, kind, problem = await site.post(asked(token, **change))
    assert (status, kind) == (400, "application/problem+json")
    assert detail in problem["detail"]
    assert (await site.post(asked(token)))[0] == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"[" * 8000, b'{"secret": 1}'])
async def test_what_is_no_request_is_refused(site, body):
    status, _, problem = await site.post(body)
    assert status == 400
    assert "a JSON object" in problem["detail"]


async def test_bodies_are_bounded(site):
    status, _, problem = await site.post(b"x" * (MAX_BODY + 1))
    assert (status, problem["detail"]) == (413, f"the request is larger than {MAX_BODY} bytes")
    assert (await site.post(asked(site.token())))[0] == 200


async def test_a_body_that_never_ends_is_given_up(site, monkeypatch):
    monkeypatch.setattr("tillwatch.collector.web.inward.listening.BODY_TIMEOUT_S", 0.1)
    context = ssl.create_default_context(cafile=str(site.authority.ca_file))
    reader, writer = await asyncio.open_connection("127.0.0.1", site.listener.port, ssl=context)
    writer.write(b"POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    await writer.wait_closed()


async def test_an_address_that_guesses_is_stopped_and_then_let_in_again(tmp_path):
    now = 0.0
    limit = RefusalLimit(lambda: now)
    for _ in range(REFUSALS_PER_MINUTE):
        assert not limit.blocked("10.0.0.1")
        limit.add("10.0.0.1")
    assert limit.blocked("10.0.0.1")
    assert not limit.blocked("10.0.0.2")
    now = 60 / REFUSALS_PER_MINUTE + 0.1
    assert not limit.blocked("10.0.0.1")
    for number in range(MAX_ADDRESSES + 10):
        limit.add(f"10.{number >> 8}.{number & 255}.1")
    assert len(limit._refused) == MAX_ADDRESSES


async def test_the_listener_limits_refusals_but_not_enrolments(site):
    for number in range(REFUSALS_PER_MINUTE + 5):
        assert (await site.post(asked(site.token(f"till-{number}"))))[0] == 200
    answers = [(await site.post(b"{}"))[0] for _ in range(REFUSALS_PER_MINUTE + 1)]
    assert answers == [400] * REFUSALS_PER_MINUTE + [429]
    assert (await site.post(asked(site.token())))[0] == 429


async def test_no_secret_is_logged(site, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    token = site.token()
    body = asked(token)
    await site.post(body)
    await site.post(body)
    await site.post({**body, "proof": "AAAA"})
    written = caplog.text + "".join(capfd.readouterr())
    assert "till-1 enrolled from 127.0.0.1" in written
    assert "refused: token already used" in written
    for secret in (
        body["secret"],
        base64.b64encode(bytes.fromhex(body["secret"])).decode(),
        token[10:30],
        body["proof"],
    ):
        assert secret not in written


async def test_terminals_are_told_where_the_broker_is(tmp_path, site):
    assert (await site.post(asked(site.token())))[2]["mqtt"] == {"host": "127.0.0.1", "port": 8883, "tls": True}
    (tmp_path / "b").mkdir()
    named = Site(tmp_path / "b", "mq.bank.example")
    await named.listener.start()
    assert (await named.post(asked(named.token())))[2]["mqtt"]["host"] == "mq.bank.example"
    await named.listener.stop()
    named.db.close()


async def test_a_forged_host_header_sends_nobody_away(site):
    context = ssl.create_default_context(cafile=str(site.authority.ca_file))
    body = json.dumps(asked(site.token())).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.listener.port, ssl=context)
    head = (
        f"POST /api/v1/enrol HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await asyncio.wait_for(reader.read(), 60)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["mqtt"]["host"] == "localhost"
    writer.close()
    await writer.wait_closed()


async def test_health_and_nothing_else(site):
    context = ssl.create_default_context(cafile=str(site.authority.ca_file))

    def get(path):
        connection = http.client.HTTPSConnection("127.0.0.1", site.listener.port, context=context, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.headers["server"]

    assert await asyncio.to_thread(get, "/api/v1/health") == (200, None)
    for path in ("/docs", "/openapi.json", "/", "/api/v1/terminals"):
        assert (await asyncio.to_thread(get, path))[0] == 404


async def test_a_port_in_use_is_named_with_the_mend(site, tmp_path):
    second = EnrolListener(site.listener._app, "127.0.0.1", site.listener.port, site.authority.server_file(HOSTS))
    with pytest.raises(OSError, match=rf"port {site.listener.port} for enrolment: .*set port in \[enrolment\]"):
        await second.start()
    await second.stop()


async def test_start_and_stop_leave_nothing_behind(tmp_path, capfd):
    before = asyncio.all_tasks()
    one = Site(tmp_path)
    await one.listener.start()
    await one.post(asked(one.token()))
    await one.listener.stop()
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", one.listener.port)
    one.db.close()
    assert capfd.readouterr() == ("", "")
