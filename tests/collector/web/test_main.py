"""The console as a process: how it refuses wrong input, and how it ends."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request

import pytest

from tests.collector.web.running import Running
from tillwatch.collector.web.__main__ import Refused, listen, main


def test_other_addresses_are_refused_until_there_are_users():
    with pytest.raises(Refused, match="loopback address only"):
        listen("0.0.0.0", 0)


def test_a_port_in_use_is_one_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Refused, match="another program listens there"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_a_store_that_is_none_is_one_clear_error(tmp_path, capsys):
    assert main(["--db", str(tmp_path / "none.db")]) == 2
    assert "none.db" in capsys.readouterr().err
    (tmp_path / "text.db").write_text("this is not a database, it is longer than a header of one" * 20)
    assert main(["--db", str(tmp_path / "text.db")]) == 2
    assert "text.db" in capsys.readouterr().err


def test_it_ends_cleanly_with_an_open_event_stream(tmp_path):
    console = Running(tmp_path)
    with urllib.request.urlopen(console.url + "api/v1/events", timeout=10) as stream:
        assert stream.readline() == b"event: revision\n"
        console.change()
        seen = [stream.readline() for _ in range(4)]
        assert seen.count(b"event: revision\n") == 1
        code, errors = console.stop()
    assert (code, errors) == (0, "")


def test_it_serves_a_real_store(world, tmp_path):
    """The console over what the collector writes, not over a fake."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tillwatch.collector.web", "--db", str(world.path), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(url + "api/v1/terminals", timeout=10) as answer:
            assert b'"total":0' in answer.read()
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()
