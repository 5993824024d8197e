"""SNMP notifications of version 3: pysnmp's engine between the listener's bytes and a notice. It authenticates and decrypts, and it answers
informs and the discovery that goes before them. It brings some 14 MiB with it; only an agent with a device of version 3 carries that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyasn1.codec.ber import decoder
from pysnmp.carrier.asyncio.dgram.udp import DOMAIN_NAME, UdpTransportAddress
from pysnmp.carrier.base import AbstractTransportDispatcher
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import ntfrcv
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.rfc1902 import OctetString
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from tillwatch.agent.sources.snmp_client import SnmpTarget
from tillwatch.agent.sources.snmp_pysnmp import AUTHS, PRIVS
from tillwatch.agent.sources.trap_messages import MessageError, Notice, shown

MAX_SENDERS = 16
"""Engine ids whose keys are kept. A device has one for life; more are a device that makes itself a new one each time, or an attack."""
MAX_MESSAGES = 1_000
"""Messages after which the engine is made anew: it keeps something of each that it did not answer."""
AUTH_PRIV = 3
"""securityLevel of RFC 3411: authenticated and encrypted, as the device is polled."""
MAX_ENGINE_ID = 32

Send = Callable[[bytes, tuple[str, int]], None]


class V3Receiver:
    """For all devices that share one user. send: puts an answer on the wire. Call it from one thread."""

    def __init__(self, target: SnmpTarget, send: Send) -> None:
        self._target, self._send = target, send
        self._engine: Any = None
        self._wire = _Wire(self._answer)
        self._known: set[bytes] = set()
        self._messages = 0
        self._address = ("", 0)
        self._authentic = False
        self._got: Notice | None = None

    def receive(self, data: bytes, address: tuple[str, int]) -> Notice | None:
        """None for what is answered but says nothing: the discovery before an inform. Raises MessageError for what is not authentic."""
        sender, user = _sender(data)
        if self._engine is None or self._messages >= MAX_MESSAGES or len(self._known) > MAX_SENDERS:
            self._renew()
        self._messages += 1
        if sender and sender != bytes(self._engine.snmpEngineID) and sender not in self._known:
            self._known.add(sender)
            self._add(sender)
        self._address, self._authentic, self._got = address, False, None
        try:
            self._wire.feed(self._engine, data, address)
        except Exception as error:  # pysnmp raises what it likes on hostile bytes
            raise MessageError(f"not a notification: {type(error).__name__}") from error
        if self._got is None and (sender or user):
            raise MessageError(
                "not authentic: user, pass phrases and protocols must be those that the device is polled with"
            )
        return self._got

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close_dispatcher()
            self._engine = None

    def _renew(self) -> None:
        self.close()
        self._known, self._messages = set(), 0
        self._engine = engine.SnmpEngine()
        self._engine.register_transport_dispatcher(self._wire)
        self._add(None)
        ntfrcv.NotificationReceiver(self._engine, self._take)
        self._engine.observer.register_observer(self._level, "rfc3412.receiveMessage:request")

    def _add(self, sender: bytes | None) -> None:
        """The user as the sender has it: keys are made for one engine, the sender's own for a trap and ours for an inform."""
        target = self._target
        config.add_v3_user(
            self._engine,
            target.user,
            AUTHS[target.auth],
            target.auth_key or None,
            PRIVS[target.priv],
            target.priv_key or None,
            securityEngineId=None if sender is None else OctetString(sender),
        )

    def _level(self, _engine: Any, _point: str, variables: dict[str, Any], _context: Any) -> None:
        self._authentic = int(variables["securityLevel"]) == AUTH_PRIV

    def _take(self, _engine: Any, _state: Any, _context_engine: Any, _name: Any, varbinds: Any, _context: Any) -> None:
        trap, others = shown(varbinds)
        if self._authentic and trap:
            self._got = Notice("3", "", trap, others)

    def _answer(self, data: bytes) -> None:
        self._send(data, self._address)


class _Wire(AbstractTransportDispatcher):  # type: ignore[misc]  # pysnmp has no types
    """In the place of pysnmp's own sockets: the listener has one already, and looks at the sender before anything is decoded."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send

    def feed(self, snmp: Any, data: bytes, address: tuple[str, int]) -> None:
        snmp.message_dispatcher.receive_message(snmp, DOMAIN_NAME, UdpTransportAddress(address), data)

    def send_message(self, outgoingMessage: Any, transportDomain: Any, transportAddress: Any) -> None:  # noqa: ARG002, N803 - pysnmp's names
        self._send(bytes(outgoingMessage))


def _sender(data: bytes) -> tuple[bytes, bytes]:
    """(msgAuthoritativeEngineID, msgUserName); both empty for a discovery. Raises MessageError."""
    try:
        message, _ = decoder.decode(data, asn1Spec=SNMPv3Message())
        security, _ = decoder.decode(bytes(message.getComponentByPosition(2)), asn1Spec=UsmSecurityParameters())
        sender, user = bytes(security.getComponentByPosition(0)), bytes(security.getComponentByPosition(3))
    except Exception as error:  # pyasn1 raises what it likes on hostile bytes
        raise MessageError("no SNMPv3 message") from error
    if len(sender) > MAX_ENGINE_ID:
        raise MessageError("an engine id of more than 32 octets")
    return sender, user
