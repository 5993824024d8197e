"""Which parts of a device's MIB tree a walk asks for, and which it never asks for or never stores. One table for the walk, its `--help` and its tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tillwatch.device_profiles.recognise import beneath

ENTERPRISES = "1.3.6.1.4.1"


class Group(NamedTuple):
    """A part of the tree: where, its name, what it tells or why it is left out."""

    oid: str
    name: str
    about: str


WALKED = (
    Group("1.3.6.1.2.1.1", "SNMPv2-MIB", "what the device says that it is"),
    Group("1.3.6.1.2.1.2", "IF-MIB", "interfaces and their errors"),
    Group("1.3.6.1.2.1.31", "IF-MIB (ifXTable)", "interfaces, 64-bit counters"),
    Group("1.3.6.1.2.1.25.1", "HOST-RESOURCES-MIB (system)", "uptime, users, processes"),
    Group("1.3.6.1.2.1.25.2", "HOST-RESOURCES-MIB (storage)", "memory and file systems"),
    Group("1.3.6.1.2.1.25.3", "HOST-RESOURCES-MIB (devices)", "processors, printers, disks"),
    Group("1.3.6.1.2.1.33", "UPS-MIB", "battery, input, output, alarms of any UPS"),
    Group("1.3.6.1.2.1.43", "Printer-MIB", "supplies, trays, alerts"),
    Group("1.3.6.1.2.1.47.1.1.1", "ENTITY-MIB", "parts and their models"),
    Group("1.3.6.1.2.1.99", "ENTITY-SENSOR-MIB", "sensors with unit and scale"),
    Group("1.3.6.1.2.1.105", "POWER-ETHERNET-MIB", "power that a switch gives"),
    Group("1.3.6.1.2.1.131", "ENTITY-STATE-MIB", "states of parts"),
    Group("1.3.6.1.2.1.233", "BATTERY-MIB", "battery packs"),
    Group(ENTERPRISES, "the makers' own MIBs", "what no standard knows"),
)
"""Nothing else is asked: of the standard tree only what tells a device's health, so that what names networks and people is not even read."""

NEVER_ASKED = (
    Group("1.3.6.1.2.1.3", "atTable", "IP and MAC addresses (ARP)"),
    Group("1.3.6.1.2.1.4", "IP-MIB", "addresses, routes, ARP"),
    Group("1.3.6.1.2.1.6", "TCP-MIB", "connections"),
    Group("1.3.6.1.2.1.7", "UDP-MIB", "listeners"),
    Group("1.3.6.1.2.1.14", "OSPF, BGP and other routing", "addresses; also .15 and .23"),
    Group("1.3.6.1.2.1.16", "RMON", "who talks with whom"),
    Group("1.3.6.1.2.1.17", "BRIDGE-MIB", "MAC addresses of neighbours"),
    Group("1.3.6.1.2.1.25.4", "hrSWRunTable", "programs and their parameters; also .5 and .6"),
    Group("1.3.6.1.2.1.55", "IPV6-MIB", "addresses"),
    Group("1.3.6.1.6.3", "SNMP-COMMUNITY, USM, VACM, TARGET, NOTIFICATION", "communities, users, trap receivers"),
    Group("1.0.8802", "LLDP-MIB", "neighbours and their names"),
)
NEVER_STORED = (
    Group("1.3.6.1.2.1.1.4", "sysContact", "a person"),
    Group("1.3.6.1.2.1.1.9", "sysORTable", "nothing about the device's health"),
    Group("1.3.6.1.2.1.25.1.4", "hrSystemInitialLoadParameters", "boot parameters may hold a secret"),
    Group("1.3.6.1.2.1.25.3.8.1.3", "hrFSRemoteMountPoint", "names of servers"),
    Group("1.3.6.1.2.1.31.1.1.1.18", "ifAlias", "what people wrote about a line"),
    Group("1.3.6.1.2.1.33.1.1.6", "upsIdentAttachedDevices", "what people wrote"),
    Group("1.3.6.1.2.1.43.5.1.1.4", "prtGeneralCurrentOperator", "a person"),
    Group("1.3.6.1.2.1.43.5.1.1.5", "prtGeneralServicePerson", "a person"),
    Group("1.3.6.1.2.1.47.1.1.1.1.14", "entPhysicalAlias", "what people wrote"),
    Group("1.3.6.1.2.1.47.1.1.1.1.15", "entPhysicalAssetID", "the owner's number"),
    Group("1.3.6.1.2.1.47.1.1.1.1.19", "entPhysicalUUID", "names one device of all"),
    Group("1.3.6.1.4.1.9.2", "OLD-CISCO", "addresses, users of terminal lines"),
    Group("1.3.6.1.4.1.9.9.23", "CISCO-CDP-MIB", "neighbours"),
    Group("1.3.6.1.4.1.9.9.43", "CISCO-CONFIG-MAN-MIB", "who changed what"),
    Group("1.3.6.1.4.1.9.9.96", "CISCO-CONFIG-COPY-MIB", "servers and users"),
    Group("1.3.6.1.4.1.11.2.3.9.4.2.1.1.6", "HP LaserJet jobs", "who printed what"),
    Group("1.3.6.1.4.1.11.2.4.3", "HP JetDirect settings", "addresses, access lists, communities"),
    Group("1.3.6.1.4.1.318.2", "APC card settings", "trap receivers and their communities"),
    Group("1.3.6.1.4.1.705.1.12", "MGE card settings", "addresses and communities"),
    Group("1.3.6.1.4.1.2021.8.1.3", "UCD-SNMP extCommand", "commands"),
    Group("1.3.6.1.4.1.2021.8.1.103", "UCD-SNMP extErrFixCmd", "commands"),
    Group("1.3.6.1.4.1.2021.16", "UCD-SNMP logMatch", "paths and patterns"),
    Group("1.3.6.1.4.1.2699.1.1", "Job-Monitoring-MIB", "who printed what"),
    Group("1.3.6.1.4.1.8072.1.2", "NET-SNMP registrations", "nothing about the device's health"),
    Group("1.3.6.1.4.1.8072.1.3.2.2", "nsExtendConfigTable", "commands; what they print stays, because profiles read it"),
    Group("1.3.6.1.4.1.8072.1.5", "NET-SNMP caches", "nothing about its health"),
    Group("1.3.6.1.4.1.8072.1.6", "NET-SNMP errors", "nothing about its health"),
    Group("1.3.6.1.4.1.8072.1.7", "NET-SNMP configuration", "settings"),
    Group("1.3.6.1.4.1.8072.1.8", "NET-SNMP transactions", "nothing about its health"),
    Group("1.3.6.1.4.1.8072.1.9", "NET-SNMP-VACM-MIB", "users and communities"),
    Group("1.3.6.1.4.1.14988.1.1.1", "MikroTik wireless tables", "MAC addresses of clients"),
    Group("1.3.6.1.4.1.14988.1.1.11", "MikroTik neighbours", "neighbours"),
)  # fmt: skip
"""Read only where it lies in the makers' tree, which is walked as a whole; then thrown away before anything is written."""

REPLACED: dict[str, bytes] = {
    "1.3.6.1.2.1.1.5": b"device",
    "1.3.6.1.2.1.1.6": b"branch",
    "1.3.6.1.2.1.2.2.1.6": b"\x02\0\0\0\0\1",
    "1.3.6.1.2.1.33.1.1.5": b"ups",
    "1.3.6.1.2.1.43.5.1.1.16": b"printer",
    "1.3.6.1.2.1.43.5.1.1.17": b"SERIAL-1",
    "1.3.6.1.2.1.47.1.1.1.1.11": b"SERIAL-1",
}
"""Name, location and serial numbers where a standard keeps them: a profile reads them, so that something must stand there."""


def holding(oid: str, groups: Iterable[Group]) -> Group | None:
    """The group that an OID lies in; None where it lies in none of them."""
    return next((group for group in groups if beneath(oid, group.oid)), None)
