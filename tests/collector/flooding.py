"""A machine that floods a broker, as a process: `python flooding.py PORT FILE QOS PER_S`. FILE is a msgpack list of [topic, payload].

Raw MQTT 3.1.1 over a socket, so many messages a second or as many as the broker takes, until it is ended; what comes back is thrown away.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from pathlib import Path

import msgpack

CHUNK = 256 * 1024


def remaining(length: int) -> bytes:
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | (0x80 if length else 0))
        if not length:
            return bytes(out)


def text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def publish(topic: str, payload: bytes, qos: int, mid: int) -> bytes:
    body = text(topic) + (mid.to_bytes(2, "big") if qos else b"") + payload
    return bytes((0x30 | qos << 1,)) + remaining(len(body)) + body


def main(port: int, file: Path, qos: int, per_s: float) -> None:
    messages = msgpack.unpackb(file.read_bytes())
    blob = bytearray()
    mid = 0
    while len(blob) < 4 * CHUNK:
        for topic, payload in messages:
            mid = mid % 65535 + 1
            blob += publish(topic, payload, qos, mid)
    bytes_per_s = per_s * len(blob) / mid
    with socket.create_connection(("127.0.0.1", port)) as line:
        connect = text("MQTT") + bytes((4, 2, 0, 0)) + text(f"flood-{os.getpid()}")
        line.sendall(b"\x10" + remaining(len(connect)) + connect)
        line.recv(4)
        print("floods", flush=True)
        line.setblocking(False)
        view, at, sent, begin = memoryview(blob), 0, 0, time.monotonic()
        while True:
            allowed = min(int(bytes_per_s * (time.monotonic() - begin)) - sent, CHUNK)
            readable, writable, _ = select.select([line], [line] if allowed > 0 else [], [], 0.005)
            if readable and not line.recv(CHUNK):
                return
            if writable:
                done = line.send(view[at : at + allowed])
                at, sent = (at + done) % len(blob), sent + done


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
