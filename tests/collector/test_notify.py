"""What systemd hears."""

from __future__ import annotations

import os
import socket

from tillwatch.collector import notify


def test_it_speaks_to_the_socket_that_systemd_names(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify.notify(notify.READY, "STATUS=12 terminals")
        assert listener.recv(100) == b"READY=1\nSTATUS=12 terminals"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0tillwatch-test-{os.getpid()}")
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@tillwatch-test-{os.getpid()}")
        notify.notify(notify.WATCHDOG)
        assert listener.recv(100) == b"WATCHDOG=1"


def test_without_systemd_it_is_silent(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.notify(notify.READY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify.notify(notify.READY)


def test_the_watchdog_is_fed_twice_as_often_as_it_wants(monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert notify.watchdog_s() == 0
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    assert notify.watchdog_s() == 15
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert notify.watchdog_s() == 0
