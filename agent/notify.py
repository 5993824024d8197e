"""Tells the service manager that started us how it goes: sd_notify(3) over $NOTIFY_SOCKET; silent where there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

listeners: list[Callable[[str], None]] = []
"""Who hears each state beside systemd: the Windows service, which is told by service control of another kind. None of them may fail."""


def notify(state: str) -> None:
    """`READY=1`, `WATCHDOG=1`, `STOPPING=1`, `STATUS=...`. Never fails: a manager that does not listen stops nothing."""
    for listener in listeners:
        listener(state)
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(state.encode(), address)
    except OSError:
        return


def watchdog_seconds() -> float:
    """How often the manager wants to hear WATCHDOG=1, halved as it recommends; 0 for never."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    except ValueError:
        return 0.0
