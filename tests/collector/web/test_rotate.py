"""Rotation over real HTTPS: the agent's own steps, and everything that the keys do not vouch for."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tillwatch.agent import identity
from tillwatch.agent.enrolment import enrol as agent_enrol
from tillwatch.agent.enrolment import renewal, rotate
from tillwatch.agent.enrolment.enrol import EnrolError, RefusedError
from tillwatch.agent.wire import SigningKey
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.trust.registry import Enrolment, JournalRegistrar, create_token
from tillwatch.collector.web.inward.enrol import EnrolListener, MqttAddress, enrol_app
from tillwatch.collector.web.inward.listening import REFUSALS_PER_MINUTE

HOSTS = ("localhost", "127.0.0.1")


class Site:
    """A collector's registry behind its listener, and one terminal that has enrolled there."""

    def __init__(self, folder):
        self.authority = open_authority(folder / "authority")
        self.store = SqliteStore(folder / "collector.db")
        self.pipeline = Pipeline(self.store, self.authority.ack_key, {})
        registrar = JournalRegistrar(self.store.conn, self.pipeline.operate, find=self.pipeline.terminal)
        app = enrol_app(registrar, self.authority, MqttAddress("", 8883, tls=True), HOSTS)
        self.listener = EnrolListener(app, "127.0.0.1", 0, self.authority.server_file(HOSTS))
        self.folder = folder
        self.who = None

    async def start(self):
        await self.pipeline.start(shipped_text(), "")
        await self.listener.start()
        self.who = await self.enrol("till-1")

    async def enrol(self, name):
        place = Enrolment(name, "Harbour", "North", "atm")
        made = create_token(
            self.store.conn, place, host="127.0.0.1", port=self.listener.port, ca=self.authority.fingerprint
        )
        token, state = agent_enrol.parse_token(made), self.folder / name
        return await asyncio.to_thread(agent_enrol.enrol, token, state, say=lambda _: None)

    def states(self):
        return sorted(key.state for key in self.pipeline.terminal("till-1").keys.values())

    async def post(self, body, path=rotate.PATH):
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))

        def send():
            connection = http.client.HTTPSConnection("127.0.0.1", self.listener.port, context=context, timeout=60)
            try:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            finally:
                connection.close()

        return await asyncio.to_thread(send)


@pytest.fixture
async def site(tmp_path):
    one = Site(tmp_path)
    await one.start()
    yield one
    await one.listener.stop()
    one.store.close()


def asked(who, new=None, **changes):
    """What the agent sends; `changes` replaces members after the proofs were made."""
    new = new or SigningKey(os.urandom(32))
    _, csr = agent_enrol.tls_request(changes.pop("csr_name", who.terminal))
    message = rotate.DOMAIN + who.key.public + new.public + csr.public_bytes(serialization.Encoding.DER)
    return {
        "terminal": who.terminal,
        "key": who.key.key_id.hex(),
        "public_key": base64.b64encode(new.public).decode(),
        "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
        "proof_old": base64.b64encode(who.key.sign(message)).decode(),
        "proof_new": base64.b64encode(new.sign(message)).decode(),
        **changes,
    }


async def test_the_agents_own_steps(site):
    before = (site.who.state_dir / identity.TLS_CERT).read_bytes()
    await asyncio.to_thread(rotate.rotate, site.who)
    assert site.states() == ["active", "pending"]
    assert identity.load(site.who.state_dir).key.public == site.who.key.public, "nothing is taken up by the command"
    with pytest.raises(EnrolError, match="waits already"):
        await asyncio.to_thread(rotate.rotate, site.who)
    prepared = json.loads((site.who.state_dir / identity.NEXT).read_text())
    certificate = x509.load_pem_x509_certificate(prepared["files"][identity.TLS_CERT].encode())
    assert prepared["files"][identity.TLS_CERT].encode() != before
    assert f"{certificate.serial_number:x}" in site.pipeline.terminal("till-1").certificates
    assert (site.who.state_dir / identity.NEXT).stat().st_mode & 0o777 == 0o600
    assert renewal.waiting(site.who.state_dir)


async def test_how_a_key_stands(site):
    assert await asyncio.to_thread(rotate.key_state, site.who) == {"state": "active", "reason": ""}
    await site.pipeline.operate({"action": "revoke", "terminal": "till-1", "reason": "stolen"})
    assert await asyncio.to_thread(rotate.key_state, site.who) == {"state": "revoked", "reason": "stolen"}
    other = await site.enrol("till-2")
    forged = {
        "terminal": "till-1",
        "key": site.who.key.key_id.hex(),
        "at": 5,
        "proof": base64.b64encode(bytes(64)).decode(),
    }
    assert (await site.post(forged, rotate.STATE_PATH))[1]["state"] == "unknown", "who has not the key learns nothing"
    assert await asyncio.to_thread(rotate.key_state, other) == {"state": "active", "reason": ""}
    for wrong in ({"at": "x"}, {"at": -1}, {"at": True}, {"key": "zz"}, {"proof": "!"}, {"terminal": 5}):
        assert (await site.post({**forged, **wrong}, rotate.STATE_PATH))[0] == 400


async def test_what_the_keys_do_not_vouch_for_changes_nothing(site):
    other = await site.enrol("till-2")
    thief = SigningKey(os.urandom(32))
    good = asked(site.who)
    wrong = [
        ({"proof_old": good["proof_new"]}, 403, "proofs do not fit"),
        ({"proof_new": good["proof_old"]}, 403, "proofs do not fit"),
        ({"public_key": base64.b64encode(thief.public).decode()}, 403, "proofs do not fit"),
        ({"csr": asked(site.who)["csr"]}, 403, "proofs do not fit"),
        ({"key": other.key.key_id.hex()}, 403, "does not know this key"),
        ({"terminal": "till-2", "csr": asked(site.who, csr_name="till-2")["csr"]}, 403, "does not know this key"),
        ({"terminal": "till-2"}, 400, "names another terminal"),
        ({"terminal": "nobody", "csr": asked(site.who, csr_name="nobody")["csr"]}, 403, "does not know this key"),
        ({"public_key": base64.b64encode(bytes(31)).decode()}, 403, "does not know this key"),
        ({"proof_old": "!"}, 400, "base64"),
        ({"key": "not hex"}, 400, "hex"),
        ({"csr": "no request"}, 400, "cannot be read"),
        ({"csr": None}, 400, "as texts"),
    ]
    for change, status, detail in wrong:
        answer = await site.post({**good, **change})
        assert (answer[0], detail in answer[1]["detail"]) == (status, True), (change, answer)
    assert site.states() == ["active"]
    assert (await site.post(good))[0] == 200
    again = await site.post(good)
    assert (again[0], "known already" in again[1]["detail"]) == (403, True)


async def test_a_key_that_is_revoked_or_has_handed_over_gets_no_other(site):
    new = SigningKey(os.urandom(32))
    facts = {"action": "rotate", "terminal": "till-1", "public": new.public, "old": site.who.key.key_id}
    await site.pipeline.operate({**facts, "epoch": bytes(12), "seq": 5, "n": 1})
    with pytest.raises(RefusedError, match="a copy of another terminal's, or an old backup"):
        await asyncio.to_thread(rotate.rotate, site.who)
    await site.pipeline.operate({"action": "revoke", "terminal": "till-1", "reason": "stolen"})
    with pytest.raises(RefusedError, match=r"revoked \(stolen\): enrol again"):
        await asyncio.to_thread(rotate.rotate, site.who)
    assert not renewal.waiting(site.who.state_dir)


async def test_guessing_is_slowed_down(site):
    forged = asked(site.who, proof_old=base64.b64encode(bytes(64)).decode())
    statuses = [(await site.post(forged))[0] for _ in range(REFUSALS_PER_MINUTE + 2)]
    assert statuses == [403] * REFUSALS_PER_MINUTE + [429] * 2
