"""Tells systemd how the service is (sd_notify): READY=1, WATCHDOG=1, STOPPING=1, STATUS=... Does nothing where no one listens."""

from __future__ import annotations

import os
import socket

READY, WATCHDOG, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def notify(*states: str) -> None:
    """Best effort: a supervisor that does not read must not stop the work."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            # A leading @ names a socket in the abstract namespace.
            speaker.sendto("\n".join(states).encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        pass


def watchdog_s() -> float:
    """How often systemd wants to hear WATCHDOG=1: half of its limit; 0 for never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
