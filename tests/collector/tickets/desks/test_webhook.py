"""The connector against a real receiver, and against one that misbehaves in every way known."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import logging
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tillwatch.collector.tickets.desks.webhook import WebhookPort, judge, render, retry_after, webhook_id
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.port import Dead, Disabled, Done, Leg, Retry, Uncertain
from tillwatch.collector.tickets.signature import Secret, read_secrets, verify

OTHER = Secret(b"another secret of 32 bytes......")


@pytest.fixture
async def port(proxy, secret_file):
    port = WebhookPort(proxy.address + "/hook/s3cr3t-token", read_secrets(secret_file), timeout_s=0.5)
    yield port
    await port.close()


async def test_an_incident_becomes_a_ticket_and_the_ticket_its_end(proxy, port, desk, message) -> None:
    opened = await port.deliver(message(), None, doubtful=False, leg=Leg())
    assert opened == Done("T-0001", f"{desk.address}/#T-0001", "open")
    assert await port.deliver(message(op=Op.RESOLVE, seq=2), None, doubtful=False, leg=Leg()) == Done(
        "T-0001", f"{desk.address}/#T-0001", "resolved"
    )
    [ticket] = desk.tickets()
    assert (ticket["level"], ticket["terminal"], ticket["what"], ticket["state"]) == (
        2,
        "atm-017",
        "UPS runs on battery",
        "resolved",
    )
    assert ticket["opened"] == "2026-03-01T08:00:01.000+00:00"
    assert ticket["resolved"] == "2026-03-01T08:00:02.000+00:00"


async def test_what_goes_over_the_wire(proxy, port, message) -> None:
    await port.deliver(message(), None, doubtful=False, leg=Leg())
    await port.deliver(message(), None, doubtful=True, leg=Leg())
    first, second = proxy.seen
    headers, body = first.headers, first.body
    assert headers["webhook-id"] == second.headers["webhook-id"] == "HWM-0011-1_1"
    assert body == second.body
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "type": "incident.opened",
        "timestamp": "2026-03-01T08:00:01.000+00:00",
        "data": {
            "incident": "HWM-0011-1",
            "seq": 1,
            "level": 2,
            "terminal": "atm-017",
            "branch": "north",
            "region": "r1",
            "component": "ups",
            "what": "UPS runs on battery",
            "since": "2026-03-01T08:00:00.000+00:00",
            "evidence": [
                {"signal": "battery.charge", "value": 41.5, "unit": "%", "at": "2026-03-01T08:00:00.000+00:00"}
            ],
            "evidence_left_out": 0,
            "cause": "mains failed",
            "consequence": "the terminal stops in 9 min",
            "action": "check the mains",
            "address": "http://127.0.0.1:8080/incident/HWM-0011-1",
            "scope": "terminal",
            "state": "",
            "note": "",
            "affected": [],
            "affected_count": 0,
            "parent": "",
            "told": [],
            "drill": False,
            "card": {"means": "", "checks": [], "brings": [], "parts": []},
        },
    }


@pytest.mark.parametrize(
    ("behaviour", "kind", "reason"),
    [
        ("500", Uncertain, "answered 500"),
        ("500 after commit", Uncertain, "answered 500"),
        ("502", Uncertain, "answered 502"),
        ("hang", Uncertain, "no answer from 127.0.0.1 within 0.5 s"),
        ("drip", Uncertain, "within 0.5 s"),
        ("drop after commit", Uncertain, "broke off"),
        ("drop", Uncertain, "broke off"),
        ("410", Disabled, "gone"),
        ("400", Retry, "declined"),
        ("401", Retry, "check the secret"),
        ("302", Retry, "redirect, not followed"),
        ("login", Retry, "login"),
    ],
)
async def test_every_misbehaviour_has_its_word(proxy, port, message, behaviour, kind, reason) -> None:
    proxy.script = [behaviour]
    outcome = await port.deliver(message(), None, doubtful=False, leg=Leg())
    assert isinstance(outcome, kind)
    assert reason in outcome.reason
    assert isinstance(await port.deliver(message(), None, doubtful=True, leg=Leg()), Done)
    assert len(proxy.seen) == 2


@pytest.mark.parametrize("behaviour", ["429", "503"])
async def test_a_wait_that_is_asked_for_is_passed_on(proxy, port, message, behaviour) -> None:
    proxy.script = [behaviour]
    assert await port.deliver(message(), None, doubtful=False, leg=Leg()) == Retry(
        f"127.0.0.1 answered {behaviour}", after_s=1.0
    )


@pytest.mark.parametrize("behaviour", ["huge", "garbage"])
async def test_success_without_a_usable_answer_is_success(proxy, port, message, behaviour) -> None:
    proxy.script = [behaviour]
    assert await port.deliver(message(), None, doubtful=False, leg=Leg()) == Done()


async def test_nobody_there_is_known_not_to_have_happened(message) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
    port = WebhookPort(address, [OTHER])
    assert await port.deliver(message(), None, doubtful=False, leg=Leg()) == Retry(
        "no connection to 127.0.0.1 (Connection refused)"
    )
    await port.close()


async def test_a_wrong_secret_or_clock_changes_nothing_and_says_what_to_check(desk, secret_file, message) -> None:
    for port in (
        WebhookPort(desk.address, [OTHER]),
        WebhookPort(desk.address, read_secrets(secret_file), clock=lambda: 1e9),
    ):
        outcome = await port.deliver(message(), None, doubtful=False, leg=Leg())
        assert outcome == Retry("127.0.0.1 answered 401 (declined): check the secret and both clocks", refused=True)
        await port.close()
    assert desk.tickets() == []


async def test_during_a_rotation_the_old_secret_still_opens(desk, secret_file, message) -> None:
    port = WebhookPort(desk.address, [OTHER, *read_secrets(secret_file)])
    assert isinstance(await port.deliver(message(), None, doubtful=False, leg=Leg()), Done)
    await port.close()


async def test_no_log_and_no_reason_holds_the_path_or_the_secret(proxy, port, message, caplog) -> None:
    caplog.set_level(logging.INFO)
    proxy.script = ["pass", "500", "hang", "drop", "401", "302", "410"]
    reasons = [str(await port.deliver(message(seq=n), None, doubtful=False, leg=Leg())) for n in range(1, 8)]
    for text in (*reasons, caplog.text):
        assert "s3cr3t" not in text
        assert "tillwatch-test" not in text
        assert "dGls" not in text


@pytest.fixture
def tls_server(tmp_path):
    """A receiver over TLS whose certificate only its own file vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "desk")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca = tmp_path / "ca.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    posts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append((dict(self.headers.items()), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_) -> None:
            """The client refused the certificate."""

    with Server(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca, tmp_path / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}/", ca, posts
        server.shutdown()
        thread.join()


async def test_tls_is_verified(tls_server, message) -> None:
    address, ca, posts = tls_server
    port = WebhookPort(address, [OTHER])
    outcome = await port.deliver(message(), None, doubtful=False, leg=Leg())
    assert outcome == Retry("no connection to 127.0.0.1 (certificate: self-signed certificate)")
    assert posts == []
    await port.close()
    port = WebhookPort(address, [OTHER], ca=ca, clock=lambda: 1_772_352_000)
    assert await port.deliver(message(), None, doubtful=False, leg=Leg()) == Done()
    await port.close()
    [(headers, body)] = posts
    assert verify([OTHER], headers, body, 1_772_352_000) == webhook_id(message())


@pytest.mark.parametrize(
    "address", ["", "ftp://h/", "https://", "http://desk.bank/", "https://h:99999/", "https://h/\n", "https://[::1/"]
)
def test_an_address_that_will_not_do_is_refused_at_the_start(address) -> None:
    with pytest.raises(ValueError, match="address"):
        WebhookPort(address, [OTHER])


def test_plain_http_stays_on_this_machine() -> None:
    for address in ("http://127.0.0.1:1/", "http://localhost/", "http://[::1]:1/", "https://desk.bank/"):
        WebhookPort(address, [OTHER])
    with pytest.raises(ValueError, match="needs a secret"):
        WebhookPort("https://desk.bank/", [])


NOW = 1_772_352_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Sun, 01 Mar 2026 08:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 07:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("１２", None),
    ],
)
def test_both_forms_of_retry_after(text, seconds) -> None:
    assert retry_after(text, NOW) == seconds


def test_every_status_has_an_outcome_and_none_kills_a_message() -> None:
    for status in range(200, 600):
        outcome = judge(status, {}, b"", "desk.bank", NOW)
        assert not isinstance(outcome, Dead)
        assert isinstance(outcome, Done) is (status < 300)
        assert isinstance(outcome, Disabled) is (status == 410)
        assert isinstance(outcome, Uncertain) is (status >= 500)


@pytest.mark.parametrize(
    ("body", "done"),
    [
        (b'{"id": 17, "url": "https://d/17", "state": "new"}', Done("17", "https://d/17", "new")),
        (b'{"id": "T", "url": "javascript:alert(1)"}', Done("T")),
        (b'{"id": true, "state": ["x"], "url": 5}', Done()),
        (b'{"id": "a\\nb", "state": "\\u0000"}', Done()),
        (b'{"id": "' + b"x" * 501 + b'"}', Done()),
        (b"[1]", Done()),
        (b"ok", Done()),
        (b"\xff\xfe", Done()),
        (b"[" * 60_000, Done()),
        (b'{"id": ' + b"9" * 5000 + b"}", Done()),
        (b"", Done()),
    ],
)
def test_an_answer_names_the_ticket_or_nothing(body, done) -> None:
    assert judge(200, {}, body, "desk.bank", NOW) == done


def test_the_bytes_of_a_message_never_change(message) -> None:
    assert render(message()) == render(type(message()).unpack(message().pack()))
    assert "缺纸" in render(message(what="缺纸")).decode()
