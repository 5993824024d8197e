"""What a broker may do to a connection, byte by byte; the good case runs against mosquitto in test_uplink."""

import asyncio
import contextlib
import ssl

import pytest
from gmqtt.mqtt import connection
from gmqtt.mqtt.protocol import MQTTProtocol

from tillwatch.agent import mqtt
from tillwatch.agent.mqtt import Link, LinkError

CONNACK, REFUSED, SUBACK_0, SUBACK_NO = b"\x20\x02\0\0", b"\x20\x02\0\5", b"\x90\x03\0\x01\0", b"\x90\x03\0\x01\x80"


@contextlib.asynccontextmanager
async def peer(*answers, then="stay"):
    """A port that answers each packet with the next of `answers` and then stays, or closes."""
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        for answer in answers:
            await reader.read(4096)
            writer.write(answer)
        if then == "close":
            await reader.read(4096)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


def connect(port, heard=None, tls=None):
    return Link.connect(
        "127.0.0.1",
        port,
        client_id="t",
        tls=tls,
        will=("w", b"gone"),
        subscribe="a",
        on_message=lambda topic, payload: heard.append((topic, payload)),
    )


async def test_refused():
    async with peer(REFUSED) as port:
        with pytest.raises(LinkError, match="not authorised"):
            await connect(port)


async def test_subscription_refused():
    async with peer(CONNACK, SUBACK_NO) as port:
        with pytest.raises(LinkError, match="access list"):
            await connect(port)


@pytest.mark.parametrize("answers", [(), (CONNACK,)])
async def test_closed_in_the_middle(answers):
    async with peer(*answers, then="close") as port:
        with pytest.raises(LinkError, match="closed the connection"):
            await connect(port)


@pytest.mark.parametrize("answers", [(), (CONNACK,), (b"HTTP/1.1 400 Bad Request\r\n\r\n",)])
async def test_silence_and_nonsense_are_bounded(answers, monkeypatch):
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT", 0.3)
    async with peer(*answers) as port:
        with pytest.raises(LinkError):
            await connect(port)


async def test_nobody_there():
    async with peer() as port:
        pass
    with pytest.raises(LinkError, match=f"127.0.0.1:{port}"):
        await connect(port)


async def test_closed_in_the_handshake_is_said_in_words():
    """Python's own error for it has no text."""
    async with peer(then="close") as port:
        with pytest.raises(LinkError, match=f"^broker 127.0.0.1:{port}: the broker closed the connection"):
            await connect(port, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


async def test_given_up_in_the_moment_of_connecting(monkeypatch, until):
    """The end of the agent may fall between the socket's connection and gmqtt's own."""
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["message"]))
    lost = []
    made, gone = MQTTProtocol.connection_made, connection.MQTTProtocol.connection_lost

    def give_up(self, transport):
        made(self, transport)
        connecting.cancel()

    def notice(self, exc):
        lost.append(self)
        gone(self, exc)

    monkeypatch.setattr(MQTTProtocol, "connection_made", give_up)
    monkeypatch.setattr(connection.MQTTProtocol, "connection_lost", notice)
    async with peer() as port:
        connecting = asyncio.ensure_future(connect(port))
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await until(lambda: lost)
    assert failures == []


async def test_messages_and_loss(until):
    heard = []
    async with peer(CONNACK, SUBACK_0 + b"\x30\x04\0\x01ax", then="close") as port:
        link = await connect(port, heard)
        await until(lambda: heard)
        assert heard == [("a", b"x")]
        link.publish("t", b"1")
        await asyncio.wait_for(link.lost.wait(), 60)
        with pytest.raises(LinkError):
            link.publish("t", b"2")
        await link.close()


async def test_close_does_not_wait_for_a_peer_that_never_answers(monkeypatch):
    monkeypatch.setattr(mqtt, "CLOSE_TIMEOUT", 0.2)
    async with peer(CONNACK, SUBACK_0) as port:
        link = await connect(port)
        for _ in range(200):
            link.publish("t", bytes(100_000))
        await asyncio.wait_for(link.close(), 60)
        assert link.lost.is_set()


async def test_a_tls_transport_that_python_has_let_go_of_is_no_fault_of_the_program():
    """A second close() takes the protocol from asyncio's TLS transport, and up to Python 3.11.2, which Debian 12 has, abort() then asks None."""

    class LetGo:
        def __init__(self, real):
            self._real, self._ssl_protocol = real, None

        def abort(self):
            self._real.abort()
            self._ssl_protocol._abort()

        def __getattr__(self, name):
            return getattr(self._real, name)

    async with peer(CONNACK, SUBACK_0, then="close") as port:
        link = await connect(port)
        link._client._connection._transport = LetGo(link._client._connection._transport)
        await asyncio.wait_for(link.close(), 60)
        assert link.lost.is_set()


async def test_a_peer_that_fell_silent_is_missed_though_messages_wait_for_it(monkeypatch):
    """What was written cannot leave any more: to wait for that would be to wait for as long as TCP does."""
    monkeypatch.setattr(mqtt, "KEEPALIVE", 1)
    async with peer(CONNACK, SUBACK_0) as port:
        link = await connect(port)
        for _ in range(200):
            link.publish("t", bytes(100_000))
        await asyncio.wait_for(link.lost.wait(), 60)


async def test_a_connect_that_fails_as_its_time_is_over_is_no_fault_of_the_program():
    """Both at once: the one who waits is cancelled, and what it waits for has failed already."""
    link = Link("atm-1", ("tw/1/atm-1/life", b""), lambda *_: None)
    wanted = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(link._unless_lost(wanted))
    await asyncio.sleep(0)
    wanted.set_exception(ConnectionRefusedError())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not wanted._log_traceback, "asyncio's own mark of a failure that nobody has looked at"
