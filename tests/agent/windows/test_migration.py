"""The keys of a terminal under data protection, from the enrolment to a rotation, with a real HTTPS server and real TLS."""

import asyncio
import base64
import json
import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.agent.enrolment.test_enrol import Server, broker, link
from tests.agent.windows.stand_in import Machine
from tillwatch.agent import doctor, identity
from tillwatch.agent.enrolment import renewal
from tillwatch.agent.enrolment.enrol import EnrolError, enrol, parse_token
from tillwatch.agent.identity import IdentityError
from tillwatch.agent.protection import PASSPHRASE
from tillwatch.agent.settings import CollectorConfig, Config, ConfigError, SpoolConfig
from tillwatch.agent.spool import Spool
from tillwatch.agent.uplink import tls_context
from tillwatch.agent.windows.dpapi import MARK, Dpapi
from tillwatch.agent.windows.migration import protect_state, unprotected


@pytest.fixture
def protects(machine, monkeypatch):
    """From here on this machine is Windows, as far as secrets go."""

    def begin(of=machine):
        monkeypatch.setattr(identity, "protector", lambda: Dpapi(of.api))
        return Dpapi(of.api)

    return begin


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


def enrolled(server, state):
    return enrol(parse_token(server.token()), state, say=lambda _: None)


def secrets_of(state):
    return b"".join((state / name).read_bytes() for name in ("seed", "tls.key"))


def test_an_enrolment_leaves_nothing_in_the_clear(server, protects, tmp_path):
    state = tmp_path / "state"
    protects()
    who = enrolled(server, state)
    assert (state / "seed").read_bytes().startswith(MARK)
    assert (state / "tls.key").read_bytes().startswith(PASSPHRASE)
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (state / "tls.key").read_bytes()
    assert identity.load(state).key.public == who.key.public
    assert tls_context(CollectorConfig(), state).cert_store_stats()["x509_ca"] == 1


async def test_the_protected_key_opens_the_broker(server, protects, tmp_path):
    state = tmp_path / "state"
    protects()
    enrolled_here = await asyncio.to_thread(enrolled, server, state)
    assert enrolled_here.terminal == "atm-7"
    with broker(tmp_path, state / "ca.crt") as port:
        opened = await link(port, state)
        await opened.close()


def test_a_copy_on_another_machine_says_what_to_do(server, protects, tmp_path):
    state = tmp_path / "state"
    protects()
    enrolled(server, state)
    protects(Machine())
    with pytest.raises(IdentityError, match=r"state/seed: .*another machine.*enrol --force TOKEN"):
        identity.load(state)
    with pytest.raises(ConfigError, match=r"tls key: .*another machine.*enrol --force TOKEN"):
        tls_context(CollectorConfig(), state)


def test_what_was_enrolled_without_protection_is_protected(server, protects, tmp_path):
    state = tmp_path / "state"
    public = enrolled(server, state).key.public
    before = secrets_of(state)
    dpapi = protects()
    assert identity.load(state).key.public == public  # it still runs, unprotected
    assert [file.name for file in unprotected(state, dpapi)] == ["seed", "tls.key"]
    assert protect_state(state, dpapi) == ["seed", "tls.key"]
    assert identity.load(state).key.public == public
    tls_context(CollectorConfig(), state)
    assert before[:32] not in secrets_of(state)
    assert protect_state(state, dpapi) == []


def test_nothing_is_done_where_nothing_encrypts(server, tmp_path):
    state = tmp_path / "state"
    enrolled(server, state)
    before = secrets_of(state)
    assert protect_state(state, identity.protector()) == []
    assert secrets_of(state) == before


def test_nothing_to_protect_before_the_enrolment(machine, tmp_path):
    assert protect_state(tmp_path / "not there", Dpapi(machine.api)) == []
    assert protect_state(tmp_path, Dpapi(machine.api)) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no PEM", "enrol --force TOKEN"),
        (
            rsa.generate_private_key(65537, 2048).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "not a key that an enrolment made",
        ),
    ],
)
def test_a_tls_key_that_is_none_is_told(protects, tmp_path, content, said):
    (tmp_path / "tls.key").write_bytes(content)
    with pytest.raises(IdentityError, match=said):
        protect_state(tmp_path, protects())
    assert (tmp_path / "tls.key").read_bytes() == content


@pytest.mark.parametrize("name", ["seed", "next.json"])
def test_a_protection_that_fails_leaves_the_file(machine, protects, tmp_path, name):
    (tmp_path / name).write_bytes(b"s" * 32)
    dpapi = protects()
    machine.fails["CryptProtectData"] = 5
    with pytest.raises(IdentityError, match=f"{name}: .*CryptProtectData: error 5"):
        protect_state(tmp_path, dpapi)
    assert (tmp_path / name).read_bytes() == b"s" * 32


def test_an_enrolment_that_cannot_protect_is_told(server, machine, protects, tmp_path):
    protects()
    machine.fails["CryptProtectData"] = 5
    with pytest.raises(EnrolError, match="CryptProtectData: error 5"):
        enrolled(server, tmp_path / "state")
    assert not (tmp_path / "state" / "seed").exists()


def test_a_rotation_is_protected_on_its_way(terminal, protects):
    """What waits for the agent to take it up holds both keys."""
    protects()
    who, seed = identity.load(terminal.state_dir), os.urandom(32)
    kept = json.loads((terminal.state_dir / "identity.json").read_text())
    kept.pop("version")
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    renewal.prepare(who, seed, kept, {"tls.key": pem, "tls.crt": b"certificate", "ca.crt": b"ca"})
    waiting = (terminal.state_dir / identity.NEXT).read_bytes()
    assert waiting.startswith(MARK)
    assert base64.b64encode(seed) not in waiting
    spool = Spool(terminal.state_dir / identity.SPOOL, who.terminal, who.key.public, SpoolConfig())
    taken = renewal.take_up(who, spool)
    spool.close()
    assert taken.key.public != who.key.public
    assert (terminal.state_dir / "seed").read_bytes().startswith(MARK)


def test_a_rotation_that_was_copied_waits(terminal, protects):
    """It is not removed: the machine that it was made for may yet come back."""
    protects()
    who = identity.load(terminal.state_dir)
    renewal.prepare(who, os.urandom(32), {}, {})
    protects(Machine())
    with pytest.raises(IdentityError, match="another machine"):
        renewal.take_up(who, None)
    assert (terminal.state_dir / identity.NEXT).exists()


def test_doctor_says_whether_the_keys_are_protected(server, machine, protects, tmp_path):
    state = tmp_path / "state"
    enrolled(server, state)
    settings = Config(None, state)
    assert list(doctor._protection(settings, identity.protector())) == []
    dpapi = protects()
    (finding,) = doctor._protection(settings, dpapi)
    assert (finding.check, finding.result) == ("keys", "warn")
    assert "seed, tls.key lie there unprotected" in finding.text
    protect_state(state, dpapi)
    assert [finding.result for finding in doctor._protection(settings, dpapi)] == ["ok"]
    (state / "tls.key").write_bytes(PASSPHRASE + b"!!\n")
    (finding,) = doctor._protection(settings, dpapi)
    assert (finding.result, "damaged" in finding.text) == ("warn", True)
