"""What may leave, and what may come back: against a real WebSocket server and against peers that are none."""

from __future__ import annotations

import ast
import asyncio
import base64
import hashlib
import json
import re
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.server import serve
from wsproto.events import BytesMessage, Ping, Request, TextMessage

from tests.agent.sources.xfs_server import Terminal
from tillwatch.agent.sources import xfs4iot
from tillwatch.agent.sources import xfs_link as module
from tillwatch.agent.sources.xfs_link import (
    COMMANDS,
    FRAME,
    VERSIONS,
    Address,
    LostError,
    RefusedError,
    XfsError,
    XfsLink,
)

SERVICE = "/xfs4iot/v1.0/PinPad1/"


@pytest.fixture
async def terminal():
    terminal = Terminal(("PinPad1",))
    await terminal.start()
    yield terminal
    await terminal.stop()
    assert terminal.deaths == []


@pytest.fixture
async def peer():
    """A WebSocket server that answers each command with what `answer(connection, header)` does."""

    class Peer:
        answer = None
        port = 0

        async def serve(self, connection):
            async for frame in connection:
                await self.answer(connection, json.loads(frame)["header"])

    peer = Peer()
    server = await serve(peer.serve, "127.0.0.1", 0, compression=None, max_size=None)
    peer.port = next(iter(server.sockets)).getsockname()[1]
    yield peer
    server.close()
    await server.wait_closed()


def address(server, target=SERVICE):
    return Address("127.0.0.1", server.port, target)


async def ask(peer, command="Common.Status", hinted=lambda: None):
    link = await XfsLink.open(address(peer), hinted)
    try:
        return await link.ask(command)
    finally:
        await link.close()


async def test_a_command_is_answered(terminal):
    link = await XfsLink.open(address(terminal))
    try:
        for _ in range(3):
            assert (await link.ask("Common.Status"))["common"]["device"] == "online"
        assert link.is_open
    finally:
        await link.close()
    assert not link.is_open
    assert terminal.asked == [("PinPad1", "Common.Status")] * 3


async def test_no_other_command_can_be_sent(terminal):
    """Names that exist, with every version; and what could be shaped out of an allowed one."""
    link = await XfsLink.open(address(terminal))
    try:
        for command in (
            "CashDispenser.Dispense",
            "CardReader.ReadRawData",
            "Storage.SetStorage",
            "Common.Status ",
            "common.status",
            "",
        ):
            for version in (*VERSIONS, "9.9", '2.0","x":"'):
                with pytest.raises(XfsError, match="no frame that may be sent"):
                    await link.ask(command, version)
        with pytest.raises(XfsError, match="no frame"):
            await link.ask("Common.Status", "9.9")
        for event in (TextMessage(data="{}"), BytesMessage(data=b"x"), Ping(), Request(host="h", target="/admin")):
            with pytest.raises(XfsError, match=r"may be sent|may not be sent"):
                link._write(event)
        assert terminal.asked == []
        assert await link.ask("Common.Status")
    finally:
        await link.close()


def test_there_is_one_place_where_bytes_leave():
    """Nothing in the two modules writes, sends or hands a connection on but that method."""
    places = []
    for source in (module, xfs4iot):
        for part in ast.walk(ast.parse(Path(source.__file__).read_text("utf-8"))):
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                calls = [
                    node.func.attr
                    for node in ast.walk(part)
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                ]
                places += [
                    (part.name, call)
                    for call in calls
                    if call in {"write", "writelines", "send", "sendall", "sendto", "write_eof"}
                ]
    assert sorted(places) == [
        ("_write", "send"),
        ("_write", "write"),
    ]  # wsproto makes the bytes, the transport takes them


def test_the_frames():
    """Fixed, but for the number of the request."""
    for command in COMMANDS:
        assert re.match(r"(ServicePublisher\.GetServices|Common\.(Capabilities|Status)|Storage\.GetStorage)$", command)
        for version in VERSIONS:
            frame = module._FRAMES[command, version] % 7
            assert FRAME.fullmatch(frame)
            assert json.loads(frame) == {
                "header": {"name": command, "requestId": 7, "type": "command", "version": version, "timeout": 5000},
                "payload": {},
            }
    assert not FRAME.fullmatch(module._FRAMES["Common.Status", "2.0"] % 0)
    assert not FRAME.fullmatch(module._FRAMES["Common.Status", "2.0"].replace("Status", "Reset") % 7)


@pytest.mark.parametrize(
    "target", ["/", "/xfs4iot/v1.0/../x/", "/xfs4iot/v1.0/a/b/", "/xfs4iot/v1.0/a b/", "/xfs4iot/v1.0/a/\r\n"]
)
async def test_other_paths_are_not_opened(terminal, target):
    with pytest.raises(XfsError, match="no path of XFS4IoT"):
        await XfsLink.open(address(terminal, target))


async def test_the_number_of_the_request_begins_anew(terminal, monkeypatch):
    monkeypatch.setattr(module, "MAX_REQUEST_ID", 2)
    link = await XfsLink.open(address(terminal))
    try:
        numbers = []
        for _ in range(4):
            await link.ask("Common.Status")
            numbers.append(link._last_id)
        assert numbers == [1, 2, 1, 2]
    finally:
        await link.close()


@pytest.mark.parametrize(
    "status", ["invalidMessage", "tooManyRequests", "invalidRequestID", {"a": 1}, "free text of a maker"]
)
async def test_a_command_that_is_not_accepted(peer, status):
    peer.answer = lambda connection, header: Terminal.acknowledge(connection, header, status)
    with pytest.raises(RefusedError) as caught:
        await ask(peer)
    assert caught.value.code == (status if isinstance(status, str) and " " not in status else "a code that is none")
    assert "free text" not in str(caught.value)


async def test_a_command_that_fails(peer):
    peer.answer = lambda connection, header: Terminal.complete(connection, header, {}, "hardwareError")
    with pytest.raises(RefusedError, match=r"^Common\.Status is answered with hardwareError$"):
        await ask(peer)


async def test_only_events_of_the_list_are_hints(terminal):
    hints = []
    link = await XfsLink.open(address(terminal), lambda: hints.append(1))
    try:
        await link.ask("Common.Status")
        for event in (
            "CardReader.MediaInsertedEvent",
            "Biometric.SubjectRemovedEvent",
            "Common.Status",
            "Common.StatusChangedEvent",
        ):
            await terminal.say("PinPad1", event, {"track2": "4111"})
        async with asyncio.timeout(60):
            while not hints:
                await asyncio.sleep(0.01)
        await link.ask("Common.Status")
        assert hints == [1]
    finally:
        await link.close()


async def test_answers_to_others_and_rubbish_are_passed_over(peer):
    async def answer(connection, header):
        for text in ("", "[", "[]", "7", '{"header":5}', '{"header":{"type":"completion"}}', "[" * 100_000):
            await connection.send(text)
        await connection.send(b"\x00\x01")
        await Terminal.complete(connection, {**header, "requestId": header["requestId"] + 1}, {"of": "another"})
        await Terminal.complete(connection, {**header, "name": "Common.Capabilities"}, {"of": "another"})
        await Terminal.complete(connection, header, {"of": "this"})

    peer.answer = answer
    assert await ask(peer) == {"of": "this"}


async def test_a_payload_that_is_none_is_empty(peer):
    async def answer(connection, header):
        await connection.send(
            json.dumps({"header": {**header, "type": "completion", "completionCode": "success"}, "payload": [1]})
        )

    peer.answer = answer
    assert await ask(peer) == {}


async def test_a_service_that_is_lost_over_the_question(peer):
    async def answer(connection, _):
        connection.transport.abort()

    peer.answer = answer
    with pytest.raises(LostError):
        await ask(peer)


async def test_a_service_that_closes_over_the_question(peer):
    async def answer(connection, _):
        await connection.close()

    peer.answer = answer
    with pytest.raises(LostError):
        await ask(peer)


async def test_no_answer_is_bounded(peer, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.2)

    async def answer(_connection, _header):
        pass

    peer.answer = answer
    with pytest.raises(XfsError, match=r"not answered within 0\.2 s"):
        await ask(peer)


async def test_messages_are_bounded(peer, monkeypatch):
    monkeypatch.setattr(module, "MAX_MESSAGE", 50_000)

    async def answer(connection, _):
        await connection.send("x" * 60_000)

    peer.answer = answer
    with pytest.raises(XfsError, match="more than 50000 characters"):
        await ask(peer)


async def test_messages_in_pieces_are_bounded_too(peer, monkeypatch):
    monkeypatch.setattr(module, "MAX_MESSAGE", 50_000)

    async def answer(connection, _):
        await connection.send("x" * 1_000 for _ in range(1_000))

    peer.answer = answer
    with pytest.raises(XfsError, match="more than 50000 characters"):
        await ask(peer)


async def test_what_is_said_between_two_questions_is_bounded(peer, monkeypatch):
    monkeypatch.setattr(module, "MAX_HEARD", 100_000)

    async def answer(connection, _):
        for _ in range(1_000):
            await connection.send(json.dumps({"header": {"type": "unsolicited", "name": "x" * 1_000}}))

    peer.answer = answer
    with pytest.raises(XfsError, match="more than 100000 bytes"):
        await ask(peer)


async def raw(reply):
    """A peer that says these bytes to whatever asks, and then nothing."""

    async def serve_raw(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await reader.read()
        except OSError:
            pass  # the link has enough and aborts
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    return server, Address("127.0.0.1", server.sockets[0].getsockname()[1], SERVICE)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", r"HTTP 400"),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", r"HTTP 302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no WebSocket"),
        (
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: eA==\r\n\r\n",
            "no WebSocket",
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, "no WebSocket"),
        (b"", "no WebSocket answers"),
    ],
    ids=["refused", "redirected", "another protocol", "wrong key", "endless head", "silent"],
)
async def test_peers_that_are_no_websocket(reply, text, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_S", 0.5)
    server, where = await raw(reply)
    with pytest.raises(XfsError, match=text):
        await XfsLink.open(where)
    server.close()
    await server.wait_closed()


FRAMES = {
    "unknown opcode": b"\x83\x00",
    "reserved bits": b"\xf1\x00",
    "masked by the server": b"\x81\x81\x00\x00\x00\x00x",
    "no UTF-8": b"\x81\x02\xff\xfe",
    "long ping": b"\x89\x7e\x00\x80" + b"x" * 128,
    "continuation of nothing": b"\x80\x01x",
    "wrong close": b"\x88\x01x",
    "close without UTF-8": b"\x88\x04\x03\xe8\xff\xfe",
    "close": b"\x88\x02\x03\xe8",
    "handshake again": b"HTTP/1.1 101 X\r\n\r\n",
}


@pytest.mark.parametrize("name", FRAMES)
async def test_frames_that_are_none(name, monkeypatch):
    """After a right handshake. Each is an error at once, and the task that reads ends without one of its own."""
    monkeypatch.setattr(module, "ANSWER_S", 5.0)
    started = asyncio.Event()

    async def serve_raw(reader, writer):
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", asked, re.IGNORECASE)[1]
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
            writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            await reader.read(10)
            started.set()
            writer.write(FRAMES[name])
            await reader.read()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve_raw, "127.0.0.1", 0)
    link = await XfsLink.open(Address("127.0.0.1", server.sockets[0].getsockname()[1], SERVICE))
    with pytest.raises(XfsError, match=r"no WebSocket|ended the connection|cannot be read"):
        await link.ask("Common.Status")
    assert started.is_set()
    await link.close()
    server.close()
    await server.wait_closed()


async def test_a_length_that_is_a_lie_costs_nothing(monkeypatch, peer):
    """A frame of 2**62 bytes is taken piece by piece, up to the bound."""
    monkeypatch.setattr(module, "MAX_MESSAGE", 50_000)

    async def answer(connection, _):
        connection.transport.write(b"\x81\x7f\x40" + b"\x00" * 7 + b"x" * 60_000)

    peer.answer = answer
    with pytest.raises(XfsError, match=r"more than 50000 characters|no WebSocket"):
        await ask(peer)


async def test_the_host_is_named_with_its_port(terminal):
    link = await XfsLink.open(address(terminal))
    await link.ask("Common.Status")
    (connection,) = terminal.open["PinPad1"]
    assert connection.request.headers["Host"] == f"127.0.0.1:{terminal.port}"
    assert not {"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Origin"} & set(connection.request.headers)
    await link.close()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (Address("atm1", 80, SERVICE), "ws://atm1/xfs4iot/v1.0/PinPad1/"),
        (Address("::1", 5846, SERVICE), "ws://[::1]:5846/xfs4iot/v1.0/PinPad1/"),
        (Address("atm1", 80, SERVICE, ssl.create_default_context()), "wss://atm1:80/xfs4iot/v1.0/PinPad1/"),
    ],
)
def test_addresses(given, shown):
    assert str(given) == shown


async def test_nobody_listens():
    with pytest.raises(XfsError, match="ws://127"):
        await XfsLink.open(Address("127.0.0.1", 1, SERVICE))


async def test_pings_are_answered_and_a_peer_that_does_not_read_is_left(peer, monkeypatch):
    async def answer(connection, header):
        assert await asyncio.wait_for(await connection.ping(b"here?"), 60) >= 0
        await Terminal.complete(connection, header, {"of": "this"})

    peer.answer = answer
    assert await ask(peer) == {"of": "this"}
    monkeypatch.setattr(module, "MAX_UNSENT", -1)
    with pytest.raises(XfsError, match=r"does not read|no WebSocket"):
        await ask(peer)
