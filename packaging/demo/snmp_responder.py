"""A small SNMP agent over UDP, v1 and v2c, read-only: what a simulated device answers with. GET, GETNEXT and GETBULK over a
dictionary of OIDs whose values may be functions, so that they move and rows come and go. A wrong community gets no answer at all.

    responder = SnmpResponder(0, "public", {"1.3.6.1.2.1.1.1.0": text("a device"), "1.3.6.1.2.1.1.3.0": ticks(lambda: 42)})
    await responder.start()    # responder.port is the port it got
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

Oid = tuple[int, ...]

MAX_MESSAGE = 1400
"""Bytes of one answer: what passes without fragments everywhere. A larger GET is answered tooBig, a larger GETBULK is cut."""

MAX_REPETITIONS = 100

INTEGER, OCTETS, NULL, OBJECT, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
IP_ADDRESS, COUNTER32, GAUGE32, TICKS, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x46
NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_VIEW = 0x80, 0x81, 0x82
GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
V1, V2C = 0, 1
TOO_BIG, NO_SUCH_NAME, READ_ONLY, NOT_WRITABLE = 1, 2, 4, 17

Plain = int | str | bytes


class Value(NamedTuple):
    """An SNMP type and what it holds. A function is called for each request; None means that there is no such row now."""

    tag: int
    content: Plain | Callable[[], Plain | None]

    def now(self) -> Plain | None:
        return self.content() if callable(self.content) else self.content


def integer(content: int | Callable[[], int | None]) -> Value:
    return Value(INTEGER, content)


def text(content: str | bytes | Callable[[], str | bytes | None]) -> Value:
    return Value(OCTETS, content)


def object_id(content: str | Callable[[], str | None]) -> Value:
    return Value(OBJECT, content)


def ticks(content: int | Callable[[], int | None]) -> Value:
    """Hundredths of a second."""
    return Value(TICKS, content)


def counter(content: int | Callable[[], int | None]) -> Value:
    return Value(COUNTER32, content)


def counter64(content: int | Callable[[], int | None]) -> Value:
    return Value(COUNTER64, content)


def gauge(content: int | Callable[[], int | None]) -> Value:
    return Value(GAUGE32, content)


def parse_oid(dotted: str) -> Oid:
    return tuple(int(number) for number in dotted.strip(".").split("."))


class BadMessageError(ValueError):
    """Not an SNMP message; it gets no answer."""


def _encode(tag: int, body: bytes) -> bytes:
    length = len(body)
    if length < 0x80:
        return bytes((tag, length)) + body
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + body


def _encode_integer(tag: int, value: int) -> bytes:
    return _encode(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _encode_oid(oid: Oid) -> bytes:
    first, second, *rest = oid
    body = bytearray()
    for number in (first * 40 + second, *rest):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(number & 0x7F | 0x80)
        body += bytes(reversed(septets))
    return _encode(OBJECT, bytes(body))


def _encode_value(tag: int, value: Plain) -> bytes:
    if tag == OBJECT:
        return _encode_oid(parse_oid(str(value)))
    if isinstance(value, int):
        # Unsigned types wrap as on a real device.
        value &= {COUNTER32: 2**32 - 1, GAUGE32: 2**32 - 1, TICKS: 2**32 - 1, COUNTER64: 2**64 - 1}.get(tag, -1)
        return _encode_integer(tag, value)
    return _encode(tag, value.encode("utf-8") if isinstance(value, str) else value)


def _take(data: bytes, at: int) -> tuple[int, bytes, int]:
    """(tag, content, where it ends) of the element at `at`."""
    try:
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
    except IndexError:
        raise BadMessageError("cut off") from None
    if at + length > len(data):
        raise BadMessageError("cut off")
    return tag, data[at : at + length], at + length


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, content, at = _take(data, at)
        yield tag, content


def _decode_integer(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)


def _decode_oid(content: bytes) -> Oid:
    numbers: list[int] = []
    number = 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers:
        raise BadMessageError("empty OID")
    first = min(numbers[0] // 40, 2)
    return (first, numbers[0] - 40 * first, *numbers[1:])


class _Request(NamedTuple):
    """What an answer repeats of its request."""

    version: int
    community: bytes
    kind: int
    request_id: bytes
    bindings: bytes

    def reply(self, bindings: bytes, status: int = 0, index: int = 0) -> bytes:
        pdu = _encode(INTEGER, self.request_id) + _encode_integer(INTEGER, status) + _encode_integer(INTEGER, index)
        body = _encode(RESPONSE, pdu + _encode(SEQUENCE, bindings))
        return _encode(SEQUENCE, _encode_integer(INTEGER, self.version) + _encode(OCTETS, self.community) + body)

    def refuse(self, status: int, index: int = 0) -> bytes:
        return self.reply(self.bindings, status, index)


class SnmpResponder(asyncio.DatagramProtocol):
    """Answers on loopback. port 0: one that is free. tree: dotted OID of the instance (`.0` included) to Value."""

    def __init__(self, port: int, community: str, tree: Mapping[str, Value], host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self._community = community.encode()
        self._values = {parse_oid(dotted): value for dotted, value in tree.items()}
        self._order = sorted(self._values)
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Begins to answer; again on the same port after a stop."""
        if self._transport is None:
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, (self.host, self.port))
            self.port = self._transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """Stops to answer, as a device whose cable was pulled."""
        if self._transport:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            reply = self.answer(data)
        except BadMessageError:
            return
        if reply and self._transport:
            self._transport.sendto(reply, addr)

    def answer(self, message: bytes) -> bytes | None:
        """The answer to one message, or None where a device keeps silent."""
        try:
            (_, envelope), *_ = _elements(message)
            (_, version), (_, community), (kind, pdu), *_ = _elements(envelope)
            (_, request_id), (_, first), (_, second), (_, bindings), *_ = _elements(pdu)
            oids = [_decode_oid(next(_elements(binding))[1]) for _, binding in _elements(bindings)]
        except (ValueError, StopIteration):
            raise BadMessageError("not an SNMP message") from None
        request = _Request(_decode_integer(version), community, kind, request_id, bindings)
        if request.version not in (V1, V2C) or community != self._community:
            return None
        if kind == SET:
            return request.refuse(READ_ONLY if request.version == V1 else NOT_WRITABLE, 1)
        if kind == GET:
            found = [(oid, self._get(oid, request.version)) for oid in oids]
        elif kind == GET_NEXT:
            found = [self._next(oid, request.version) for oid in oids]
        elif kind == GET_BULK and request.version == V2C:
            found = self._bulk(oids, _decode_integer(first), min(_decode_integer(second), MAX_REPETITIONS))
        else:
            return None
        return self._reply(request, found)

    def _reply(self, request: _Request, found: list[tuple[Oid, tuple[int, Plain]]]) -> bytes:
        for index, (_, (tag, _content)) in enumerate(found, 1):
            if request.version == V1 and tag in (NO_SUCH_OBJECT, NO_SUCH_INSTANCE, END_OF_VIEW):
                return request.refuse(NO_SUCH_NAME, index)
        encoded = [_encode(SEQUENCE, _encode_oid(oid) + _encode_value(tag, content)) for oid, (tag, content) in found]
        size = list(accumulate(map(len, encoded)))
        fitting = bisect.bisect_right(size, MAX_MESSAGE)
        if fitting < len(encoded) and (request.kind != GET_BULK or not fitting):
            return request.refuse(TOO_BIG)
        return request.reply(b"".join(encoded[:fitting]))

    def _get(self, oid: Oid, version: int) -> tuple[int, Plain]:
        if value := self._values.get(oid):
            content = value.now()
            if content is not None and not (version == V1 and value.tag == COUNTER64):
                return value.tag, content
        at = bisect.bisect_left(self._order, oid[:-1])
        known = at < len(self._order) and self._order[at][: len(oid) - 1] == oid[:-1]
        return NO_SUCH_INSTANCE if known else NO_SUCH_OBJECT, b""

    def _next(self, oid: Oid, version: int) -> tuple[Oid, tuple[int, Plain]]:
        for i in range(bisect.bisect_right(self._order, oid), len(self._order)):
            following = self._order[i]
            tag, content = self._get(following, version)
            if tag < NO_SUCH_OBJECT:
                return following, (tag, content)
        return oid, (END_OF_VIEW, b"")

    def _bulk(self, oids: list[Oid], once: int, repetitions: int) -> list[tuple[Oid, tuple[int, Plain]]]:
        once = max(0, once)
        found = [self._next(oid, V2C) for oid in oids[:once]]
        row = oids[once:]
        for _ in range(max(0, repetitions)):
            answers = [self._next(oid, V2C) for oid in row]
            found += answers
            row = [oid for oid, _ in answers]
            if not row or all(tag == END_OF_VIEW for _, (tag, _) in answers):
                break
        return found
