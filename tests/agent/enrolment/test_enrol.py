"""Against a small HTTPS server with its own CA: the contract of POST /api/v1/enrol as the agent keeps it."""

import asyncio
import base64
import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from hashlib import sha256

import msgpack
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tillwatch.agent import identity
from tillwatch.agent.enrolment.enrol import DOMAIN, EnrolError, Token, enrol, parse_token
from tillwatch.agent.mqtt import Link, LinkError
from tillwatch.agent.settings import CollectorConfig
from tillwatch.agent.uplink import tls_context
from tillwatch.agent.wire import VerifyKey

SECRET = bytes(range(20))


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = self.issue("a CA", self.key.public_key(), ca=True)

    def issue(self, subject, public_key, *, ca=False, address=None):
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("a CA"))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if ca:
            usage = dict.fromkeys(
                ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"],
                False,
            )
            usage |= {"key_cert_sign": True, "crl_sign": True, "encipher_only": False, "decipher_only": False}
            builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


class Server:
    def __init__(self, folder, address="127.0.0.1"):
        self.authority = Authority()
        self.ack_key = os.urandom(32)
        self.seen = []
        self.change = lambda reply: reply
        self.status = 200
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self.authority.issue("collector", key.public_key(), address=address)
        chain = folder / "chain.pem"
        chain.write_bytes(b"".join(pem(cert) for cert in (leaf, self.authority.cert)))
        key_file = folder / "key.pem"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key_file)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append((self.path, request))
                body = json.dumps(outer.change(outer.reply(request))).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Quiet(http.server.HTTPServer):
            def handle_error(self, *_):
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def reply(self, request):
        csr = x509.load_pem_x509_csr(request["csr"].encode())
        assert csr.is_signature_valid
        assert csr.subject == name(request["terminal"])
        proof = DOMAIN + bytes.fromhex(request["secret"]) + csr.public_bytes(serialization.Encoding.DER)
        key = VerifyKey(base64.b64decode(request["public_key"]))
        assert key.verify(base64.b64decode(request["proof"]), proof)
        return {
            "terminal": request["terminal"],
            "branch": "main street",
            "region": "north",
            "certificate": pem(self.authority.issue(request["terminal"], csr.public_key())).decode(),
            "ca": pem(self.authority.cert).decode(),
            "ack_keys": [base64.b64encode(self.ack_key).decode()],
            "mqtt": {"host": "127.0.0.1", "port": 8883, "tls": True},
        }

    def token(self, **changed):
        fingerprint = sha256(self.authority.cert.public_bytes(serialization.Encoding.DER)).digest()
        fields = {"h": "127.0.0.1", "p": self.http.server_port, "f": fingerprint, "s": SECRET, "t": "atm-7", **changed}
        return "tw1." + base64.urlsafe_b64encode(msgpack.packb(fields)).decode().rstrip("=")

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


MOSQUITTO = """
user root
listener {port} 127.0.0.1
cafile {ca}
certfile {folder}/chain.pem
keyfile {folder}/key.pem
require_certificate true
use_identity_as_username true
acl_file {folder}/acl
"""
ACL = "pattern write tw/1/%u/batch\npattern write tw/1/%u/life\npattern read tw/1/%u/ack\n"


@contextlib.contextmanager
def broker(folder, ca):
    """mosquitto with client certificates, its name in the access list: the set-up of one machine."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (folder / "acl").write_text(ACL)
    (folder / "broker.conf").write_text(MOSQUITTO.format(port=port, folder=folder, ca=ca))
    process = subprocess.Popen(
        ["/usr/sbin/mosquitto", "-c", folder / "broker.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                assert process.poll() is None, process.args
                time.sleep(0.01)
        yield port
    finally:
        process.kill()
        process.wait(60)


async def link(port, state_dir):
    return await Link.connect(
        "127.0.0.1",
        port,
        client_id="atm-7",
        tls=tls_context(CollectorConfig(), state_dir),
        will=("tw/1/atm-7/life", b"gone"),
        subscribe="tw/1/atm-7/ack",
        on_message=lambda *_: None,
    )


async def test_what_enrolment_gave_opens_the_broker(server, tmp_path):
    state = tmp_path / "state"
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, lambda: enrol(parse_token(server.token()), state, say=lambda _: None))
    with broker(tmp_path, state / "ca.crt") as port:
        opened = await link(port, state)
        opened.publish("tw/1/atm-7/life", b"here")
        await opened.close()
        stranger = Authority()
        (state / "ca.crt").write_bytes(pem(stranger.cert))
        with pytest.raises(LinkError, match="verify failed"):
            await link(port, state)


def pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


def test_a_token_becomes_an_identity(server, tmp_path):
    who = enrol(parse_token(server.token()), tmp_path / "state", say=lambda _: None)
    assert (who.terminal, who.branch, who.region) == ("atm-7", "main street", "north")
    ((path, request),) = server.seen
    assert path == "/api/v1/enrol"
    assert bytes.fromhex(request["secret"]) == SECRET
    assert base64.b64decode(request["public_key"]) == who.key.public
    assert [key.public for key in who.ack_keys.values()] == [server.ack_key]
    assert who.broker == identity.Broker("127.0.0.1", 8883, tls=True)
    context = ssl.create_default_context(cafile=tmp_path / "state" / "ca.crt")
    context.load_cert_chain(tmp_path / "state" / "tls.crt", tmp_path / "state" / "tls.key")
    if os.name == "posix":
        assert {path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir()} == {0}


def test_again_only_with_force_and_with_new_keys(server, tmp_path):
    token = parse_token(server.token())
    first = enrol(token, tmp_path / "state", say=lambda _: None)
    with pytest.raises(EnrolError, match="--force"):
        enrol(token, tmp_path / "state")
    assert len(server.seen) == 1
    second = enrol(token, tmp_path / "state", force=True, say=lambda _: None)
    assert second.key.public != first.key.public


def test_another_ca_hears_nothing(server, tmp_path):
    with pytest.raises(EnrolError, match="another CA"):
        enrol(parse_token(server.token(f=os.urandom(32))), tmp_path / "state")
    assert not server.seen
    assert not (tmp_path / "state" / "identity.json").exists()


def test_right_ca_in_the_chain_of_a_stranger_is_not_enough(tmp_path):
    """Anyone may send the CA's certificate along: only a leaf that it signed for this very address may be spoken to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "false").mkdir()
    stranger = Server(tmp_path / "false", address="127.0.0.2")
    try:
        with pytest.raises(EnrolError, match="verify failed"):
            enrol(parse_token(stranger.token()), tmp_path / "state", say=lambda _: None)
        assert not stranger.seen
    finally:
        stranger.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: reply | {"terminal": "atm-8"},
        lambda reply: reply | {"certificate": reply["ca"]},
        lambda reply: reply | {"ca": pem(Authority().cert).decode()},
        lambda reply: reply | {"ack_keys": []},
        lambda reply: reply | {"ack_keys": ["AAAA"]},
        lambda reply: {key: value for key, value in reply.items() if key != "mqtt"},
        lambda _: [],
    ],
)
def test_reply_that_does_not_fit_changes_nothing(server, tmp_path, change):
    server.change = change
    with pytest.raises(EnrolError):
        enrol(parse_token(server.token()), tmp_path / "state", say=lambda _: None)
    assert not (tmp_path / "state" / "identity.json").exists()
    assert not (tmp_path / "state" / "seed").exists()


def test_refusal_is_told_in_the_collectors_words(server, tmp_path):
    server.status = 403
    server.change = lambda _: {"detail": "this token was used on 2026-01-01"}
    with pytest.raises(EnrolError, match="this token was used"):
        enrol(parse_token(server.token()), tmp_path / "state", say=lambda _: None)


def test_nobody_answers(tmp_path):
    with pytest.raises(EnrolError, match="firewall"):
        enrol(Token("127.0.0.1", 9, bytes(32), SECRET, "t"), tmp_path / "state")


@pytest.mark.parametrize(
    "text", ["", "tw1.", "tw2.abc", "tw1.!!!", "tw1.gA", "tw1." + base64.urlsafe_b64encode(msgpack.packb([1])).decode()]
)
def test_token_that_is_none(text):
    with pytest.raises(EnrolError, match="copy it again"):
        parse_token(text)


def test_short_secret_and_bad_terminal(server):
    for changed in ({"s": b"short"}, {"t": "a/b"}, {"f": b"short"}):
        with pytest.raises(EnrolError, match="copy it again"):
            parse_token(server.token(**changed))
