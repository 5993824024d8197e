"""SNMP notifications as they come off the wire, version 1 and 2c: pure. Bytes to a notice, a notice to the answer of an inform. Only what
carries a trap is decoded; of version 3 the number alone is read here (traps_v3.py does the rest, with more memory).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

MAX_MESSAGE = 8_192
"""Bytes. A trap fits one packet of 1,472; net-snmp sends at most 8 KiB without being told otherwise."""
MAX_VARBINDS = 32
"""That are shown; the richest traps of the MIBs in use have some 20."""
MAX_VALUE = 60
MAX_SHOWN = 400
"""Characters of one notice in words."""

SNMP_TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0"
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
STANDARD = "1.3.6.1.6.3.1.1.5"
"""snmpTraps of RFC 3418; the generic traps of version 1 are numbered so by RFC 3584."""
NAMES = {
    f"{STANDARD}.1": "coldStart",
    f"{STANDARD}.2": "warmStart",
    f"{STANDARD}.3": "linkDown",
    f"{STANDARD}.4": "linkUp",
    f"{STANDARD}.5": "authenticationFailure",
    f"{STANDARD}.6": "egpNeighborLoss",
}
COMMUNITY = "1.3.6.1.6.3.18.1.4."
"""snmpTrapCommunity, which a proxy puts into what it passes on (RFC 3584): the nearest thing to a password, and never shown."""
ENTERPRISE_SPECIFIC = 6


class MessageError(Exception):
    """It is no notification of version 1 or 2c. The text says what it is."""


@dataclass(frozen=True, slots=True)
class Notice:
    """trap: the notification's OID (snmpTrapOID). varbinds: what came with it, as (OID, text). answer: what an inform waits for, else empty."""

    version: str
    community: str
    trap: str
    varbinds: tuple[tuple[str, str], ...]
    answer: bytes = b""

    @property
    def name(self) -> str:
        """Empty for a trap that only its maker's MIB names."""
        return NAMES.get(self.trap, "")

    def __str__(self) -> str:
        shown = " ".join(f"{oid}={text}" for oid, text in self.varbinds)
        return f"{self.name or 'unrecognised'} {self.trap} {shown}".strip()[:MAX_SHOWN]


def version_of(data: bytes) -> str:
    """`1`, `2c` or `3`. Raises MessageError."""
    try:
        number = int(api.decodeMessageVersion(data))
    except Exception as error:  # pyasn1 raises what it likes on hostile bytes
        raise MessageError("no SNMP message") from error
    if number not in {0, 1, 3}:
        raise MessageError(f"SNMP version number {number}")
    return {0: "1", 1: "2c", 3: "3"}[number]


def read(data: bytes) -> Notice:
    """A message of version 1 or 2c. Raises MessageError."""
    version = version_of(data)
    if version == "3":
        raise MessageError("a message of version 3")
    proto: Any = api.PROTOCOL_MODULES[0 if version == "1" else 1]
    try:
        message, rest = decoder.decode(data, asn1Spec=proto.Message())
        if rest:
            raise MessageError("bytes after the message")
        community = bytes(proto.apiMessage.get_community(message)).decode("utf-8", "replace")
        pdu = proto.apiMessage.get_pdu(message)
        if version == "1":
            return _read_v1(proto, pdu, community)
        if not pdu.isSameTypeWith(proto.SNMPv2TrapPDU()) and not pdu.isSameTypeWith(proto.InformRequestPDU()):
            raise MessageError("neither a trap nor an inform")
        trap, varbinds = shown(proto.apiPDU.get_varbinds(pdu))
        answer = b""
        if pdu.isSameTypeWith(proto.InformRequestPDU()):
            proto.apiMessage.set_pdu(message, proto.apiPDU.get_response(pdu))
            proto.apiPDU.set_varbinds(proto.apiMessage.get_pdu(message), proto.apiPDU.get_varbinds(pdu))
            answer = bytes(encoder.encode(message))
    except MessageError:
        raise
    except Exception as error:  # pyasn1 raises what it likes on hostile bytes
        raise MessageError(f"no notification: {type(error).__name__}") from error
    if not trap:
        raise MessageError("a notification without snmpTrapOID")
    return Notice(version, community, trap, varbinds, answer)


def _read_v1(proto: Any, pdu: Any, community: str) -> Notice:
    if not pdu.isSameTypeWith(proto.TrapPDU()):
        raise MessageError("no trap")
    generic = int(proto.apiTrapPDU.get_generic_trap(pdu))
    if generic == ENTERPRISE_SPECIFIC:
        trap = f"{proto.apiTrapPDU.get_enterprise(pdu)}.0.{int(proto.apiTrapPDU.get_specific_trap(pdu))}"
    else:
        trap = f"{STANDARD}.{generic + 1}"
    _, varbinds = shown(proto.apiTrapPDU.get_varbinds(pdu))
    return Notice("1", community, trap, varbinds)


def shown(varbinds: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(snmpTrapOID, the other varbinds as text, bounded)."""
    trap = ""
    found: list[tuple[str, str]] = []
    for oid, value in varbinds:
        name = str(oid)
        if name == SNMP_TRAP_OID:
            trap = str(value)
        elif name != SYS_UPTIME and not name.startswith(COMMUNITY) and len(found) < MAX_VARBINDS:
            text = "".join(c for c in str(value.prettyPrint()) if c.isprintable())
            found.append((name, text[:MAX_VALUE]))
    return trap, tuple(found)
