"""The demo's ticket desk, run as a program and asked over HTTP."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tillwatch.collector.tickets.signature import Secret, signed_headers

RECEIVER = Path(__file__).parents[3] / "packaging/demo/ticket_receiver.py"
SECRET = Secret.parse("whsec_dGlsbHdhdGNoLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk=")


@pytest.fixture
def secret_file(tmp_path) -> Path:
    path = tmp_path / "secret"
    path.write_text("whsec_dGlsbHdhdGNoLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk=\n")
    return path


@pytest.fixture
def address(secret_file):
    command = [sys.executable, str(RECEIVER), "--port", "0", "--secret-file", str(secret_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0


def ask(address: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None):
    parts = urlsplit(address)
    conn = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        conn.request(method, path, body, headers or {})
        response = conn.getresponse()
        return response.status, response.read().decode()
    finally:
        conn.close()


def event(kind: str, seq: int, incident: str = "HWM-1-1", **data) -> bytes:
    told = {"incident": incident, "seq": seq, "level": 1, "terminal": "atm-1", "what": "no paper", **data}
    return json.dumps(
        {"type": f"incident.{kind}", "timestamp": f"2026-03-01T08:00:0{seq}+00:00", "data": told}
    ).encode()


def post(address: str, body: bytes, message_id: str, secret: Secret = SECRET, at: int | None = None):
    return ask(address, "POST", "/", body, signed_headers([secret], message_id, at or int(time.time()), body))


def test_a_ticket_lives_through_its_incident(address) -> None:
    status, answer = post(address, event("opened", 1), "a_1")
    assert status == 200
    assert json.loads(answer) == {"id": "T-0001", "url": f"{address}/#T-0001", "state": "open"}
    assert json.loads(post(address, event("updated", 2, level=2), "a_2")[1])["state"] == "open"
    assert json.loads(post(address, event("resolved", 3), "a_3")[1])["state"] == "resolved"
    [ticket] = json.loads(ask(address, "GET", "/tickets")[1])
    assert (ticket["state"], ticket["opened"], ticket["resolved"]) == (
        "resolved",
        "2026-03-01T08:00:01+00:00",
        "2026-03-01T08:00:03+00:00",
    )


def test_the_same_id_is_answered_alike_and_acted_on_once(address) -> None:
    first = post(address, event("opened", 1), "a_1")
    assert post(address, event("opened", 1, incident="HWM-2-1"), "a_1") == first
    assert len(json.loads(ask(address, "GET", "/tickets")[1])) == 1


def test_nothing_unsigned_is_believed(address) -> None:
    body = event("opened", 1)
    good = signed_headers([SECRET], "a_1", int(time.time()), body)
    assert ask(address, "POST", "/", body)[0] == 401
    assert ask(address, "POST", "/", body + b" ", good)[0] == 401
    assert post(address, body, "a_1", secret=Secret(bytes(32)))[0] == 401
    status, answer = post(address, body, "a_1", at=int(time.time()) - 3600)
    assert (status, "check both clocks" in answer) == (401, True)
    assert json.loads(ask(address, "GET", "/tickets")[1]) == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", event("exploded", 1), event("opened", 1, level="high"), b"[" * 9000]
)
def test_a_signed_event_of_another_form_is_one_clear_answer(address, body) -> None:
    status, answer = post(address, body, "a_1")
    assert (status, "not an incident event" in answer) == (422, True)
    assert post(address, event("opened", 1), "a_1")[0] == 200


def test_a_body_past_the_bound_is_refused_unread(address) -> None:
    assert ask(address, "POST", "/", headers={"content-length": "999999999999"})[0] == 413
    assert ask(address, "POST", "/", headers={"content-length": "x"})[0] == 413
    assert ask(address, "GET", "/elsewhere")[0] == 404


def test_the_page_shows_tickets_and_runs_nothing_that_a_device_says(address) -> None:
    post(address, event("opened", 1, what="<script>alert(1)</script> 缺纸"), "a_1")
    status, page = ask(address, "GET", "/")
    assert status == 200
    assert "T-0001" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "缺纸" in page
    assert 'http-equiv="refresh"' in page


def test_a_port_in_use_and_a_bad_secret_are_told_in_a_line(secret_file, tmp_path) -> None:
    command = [sys.executable, str(RECEIVER), "--secret-file"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [*command, str(secret_file), "--port", port], capture_output=True, text=True, check=False, timeout=60
        )
    assert (ended.returncode, port in ended.stderr, ended.stderr.count("\n")) == (2, True, 1)
    (tmp_path / "bad").write_text("hunter2\n")
    ended = subprocess.run([*command, str(tmp_path / "bad")], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, "hunter2" in ended.stderr, f"{tmp_path}/bad:1: " in ended.stderr) == (2, False, True)
