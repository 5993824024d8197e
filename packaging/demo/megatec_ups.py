"""A Megatec Q1 UPS on a pseudo-terminal: answers Q1, F and I as fast as a line of 2400 baud lets it, and echoes the rest.

ups = MegatecUps(clock(), "ups-1")
ups.start()                # ups.path is what an agent opens
ups.model.mains_fail()
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from drift import Now
from ups_model import UpsModel

BYTES_PER_SECOND = 240
"""2400 baud, 8N1: ten bits a byte."""
CHUNK = 8
"""Bytes that a USB bridge hands over at once."""
MAX_REQUEST = 64


class MegatecUps:
    """path: the terminal to open, once started. `stop` makes it silent, `start` lets it answer again, `close` takes the line away."""

    def __init__(self, now: Now, seed: str, **model: float) -> None:
        self.model = UpsModel(now, seed, **model)
        self.path = ""
        self._master = self._slave = -1
        self._received = b""
        self._answering = False
        self._sending: set[asyncio.TimerHandle] = set()
        self._line_free = 0.0

    def start(self) -> None:
        if self._master < 0:
            import tty

            self._master, self._slave = os.openpty()  # the slave stays open here: no end of file while nobody reads
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.path = os.ttyname(self._slave)
            asyncio.get_running_loop().add_reader(self._master, self._receive)
        self._answering = True

    def stop(self) -> None:
        self._answering = False

    def close(self) -> None:
        self.stop()
        for timer in self._sending:
            timer.cancel()
        self._sending.clear()
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    def answer(self, request: str) -> str:
        """The answer to one request, without its CR."""
        ups = self.model
        if request == "Q1":
            bits = f"{int(not ups.mains)}{int(ups.low)}0010{int(ups.dead)}1"
            return (
                f"({ups.input_voltage:05.1f} {ups.fault_voltage:05.1f} {ups.output_voltage:05.1f} {ups.load:03.0f}"
                f" {ups.input_frequency:04.1f} {ups.battery_voltage:04.1f} {ups.temperature:04.1f} {bits}"
            )
        if request == "F":
            return "#230.0 004 024.0 50.0"
        if request == "I":
            return f"#{'Example Power':<15} {'MQ-1000':<10} {'V1.07':<10}"
        return request

    def _receive(self) -> None:
        try:
            self._received = (self._received + os.read(self._master, 256))[-MAX_REQUEST:]
        except OSError:
            return
        while b"\r" in self._received:
            request, _, self._received = self._received.partition(b"\r")
            if self._answering:
                self._send(self.answer(request.decode("ascii", "replace")).encode("ascii", "replace") + b"\r")

    def _send(self, reply: bytes) -> None:
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._line_free)
        for start in range(0, len(reply), CHUNK):
            chunk = reply[start : start + CHUNK]
            at += len(chunk) / BYTES_PER_SECOND
            self._sending.add(loop.call_at(at, self._write, chunk))
        self._line_free = at
        self._sending = {timer for timer in self._sending if timer.when() > loop.time()}

    def _write(self, chunk: bytes) -> None:
        if self._master >= 0:
            # Nobody reads, and the terminal is full: what comes is lost, as on a real line.
            with contextlib.suppress(BlockingIOError):
                os.write(self._master, chunk)
