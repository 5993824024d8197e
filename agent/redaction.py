"""Takes out of an SNMP recording what names people and networks, and what is secret. Pure.

By place: the tables of mib_groups. By value, wherever it stands: the secrets that the device was asked with, its own name, contact, location and
serial numbers, and whatever has the form of an address, an e-mail, a URL or a host's name. A maker's own text of no such form stays: a person
reads those before the file leaves the bank, which is why `texts` lists them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tillwatch.agent.mib_groups import ENTERPRISES, NEVER_ASKED, NEVER_STORED, REPLACED, holding
from tillwatch.agent.sources.snmp_values import NO_VALUE, Raw, text_of
from tillwatch.agent.sources.snmprec import is_address
from tillwatch.device_profiles.model import DeviceProfile
from tillwatch.device_profiles.recognise import beneath

ADDRESS, MAC, MAIL, HOST = "192.0.2.1", "02:00:00:00:00:01", "person@example.net", "device.example"
"""What stands in their place: of the ranges and names that RFC 5737 and RFC 2606 keep free for examples."""
REMOVED = "removed"
NAMES_ONE = frozenset({"identity.serial", "identity.name", "identity.location", "cell.imei", "position.latitude", "position.longitude"})  # fmt: skip
"""Signals that tell which device of all it is, or where it stands."""
_NOTHING = (b"", 0, REMOVED.encode())
MIN_NAME = 4
"""Characters of a name that is also looked for inside other texts; a shorter one would be found everywhere."""
MAC_BYTES, IPV6_BYTES = 6, 16
_OWN_NAMES = ("1.3.6.1.2.1.1.4", "1.3.6.1.2.1.1.5", "1.3.6.1.2.1.1.6", "1.3.6.1.2.1.33.1.1.5", "1.3.6.1.2.1.33.1.1.6")
_SERIALS = ("1.3.6.1.2.1.43.5.1.1.17", "1.3.6.1.2.1.47.1.1.1.1.11")
# The first byte from 10 up: a version number such as 2.1.0.4 is no address of a branch.
_IPV4 = re.compile(
    r"(?<![\d.])([1-9]\d|1\d\d|2[0-4]\d|25[0-5])(?:\.(?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])){3}(?![\d.]*\d)"
)
_IPV6 = re.compile(
    r"(?i)(?<![0-9a-f:])(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){7})[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![0-9a-f:])"
)
_MAC = re.compile(r"(?i)(?<![0-9a-f])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9a-f])|(?<![0-9a-f])(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}(?![0-9a-f])")  # fmt: skip
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*")
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+]*://)[^\s/]+")
_HOST = re.compile(r"(?i)\b[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+\.[a-z]{2,}\b|\b(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:local|lan|corp|intern|internal|intranet|home|bank|com|net|org|info|example)\b")  # fmt: skip
_FORMS = ((_MAC, MAC), (_MAIL, MAIL), (_URL, rf"\g<1>{HOST}"), (_IPV4, ADDRESS), (_IPV6, "2001:db8::1"), (_HOST, HOST))


@dataclass(frozen=True, slots=True)
class Redacted:
    """raws: what may be stored. removed: why -> how many values were left out or changed."""

    raws: dict[str, Raw]
    removed: Mapping[str, int]


class _Known:
    """What this device calls itself, and the addresses that it has or was asked at."""

    def __init__(self, raws: Mapping[str, Raw], secrets: Collection[str], beside: Collection[str], host: str) -> None:
        self.secrets = tuple(secret for secret in secrets if secret)
        names = {
            text_of(raw)
            for oid, raw in raws.items()
            if any(beneath(oid, each) for each in (*_OWN_NAMES, *_SERIALS)) and not beneath("1.3.6.1.4.1", oid)
        }
        spoken = {each for each in (*names, *beside) if each.casefold() not in NO_VALUE}
        self.names = tuple(sorted(spoken, key=len, reverse=True))
        addresses = {raw for raw in raws.values() if isinstance(raw, str) and _tells(raw)}
        for raw in raws.values():
            if isinstance(raw, bytes):
                addresses |= {found[0] for found in _IPV4.finditer(text_of(raw))}
        addresses |= {host} if is_address(host) else set()
        macs = {raw for raw in raws.values() if isinstance(raw, bytes) and _is_mac(raw)}
        indexes = {f".{each}." for each in addresses} | {f".{'.'.join(map(str, each))}." for each in macs}
        indexes |= {
            f".{'.'.join(str(byte) for byte in each.encode())}."
            for each in (*self.names, *self.secrets)
            if len(each) >= MIN_NAME
        }
        self.indexes = tuple(indexes)
        self.packed = frozenset(bytes(map(int, each.split("."))) for each in addresses)


def _tells(raw: Raw) -> bool:
    """Whether it is an address that tells of a network: not nothing, not a mask, not this machine."""
    return is_address(raw) and str(raw).partition(".")[0] not in {"0", "127", "255"}


def _is_text(raw: bytes) -> bool:
    try:
        return raw.decode("utf-8").strip("\0\r\n\t").isprintable()
    except UnicodeDecodeError:
        return False


def _is_mac(raw: bytes) -> bool:
    return len(raw) == MAC_BYTES and not _is_text(raw) and any(raw)


def named_by(profiles: Iterable[DeviceProfile]) -> frozenset[str]:
    """Where these profiles read what names one device, its place or its owner; a column stands for all its rows."""
    items = [
        item
        for profile in profiles
        for item in (*profile.scalars, *(each for table in profile.tables for each in (*table.items, *table.collect)))
    ]
    return frozenset(each.oid for item in items if item.signal.name in NAMES_ONE for each in item.fields)


def redact(
    raws: Mapping[str, Raw],
    secrets: Collection[str] = (),
    host: str = "",
    forget: Collection[str] = (),
    named: Collection[str] = (),
) -> Redacted:
    """secrets: community, user and pass phrases. host: what the device was asked at. forget: further texts that must not stay. named: OIDs of which
    a profile knows that they name the device (`named_by`).
    """
    told = {oid: raw for oid, raw in raws.items() if any(beneath(oid, each) for each in named)}
    spoken = {text_of(raw) for raw in told.values() if isinstance(raw, bytes)}
    known = _Known(raws, secrets, (host, *forget, *spoken), host)
    kept: dict[str, Raw] = {}
    removed: Counter[str] = Counter()
    for oid, raw in raws.items():
        why, new = _judge(oid, raw, known)
        if oid in told and new == raw and raw not in _NOTHING:
            why, new = (
                "what a profile knows to name the device, replaced",
                REMOVED.encode() if isinstance(raw, bytes) else 0,
            )
        if why:
            removed[why] += 1
        if new is not None:
            kept[oid] = new
    return Redacted(kept, dict(removed.most_common()))


def _judge(oid: str, raw: Raw, known: _Known) -> tuple[str, Raw | None]:
    """(why something is taken away, or nothing; what stays of the value)."""
    if group := holding(oid, NEVER_STORED) or holding(oid, NEVER_ASKED):
        return group.name, None
    if any(index in f"{oid}." for index in known.indexes):
        return "an address or a name in a row's index", None
    for place, instead in REPLACED.items():
        if beneath(oid, place):
            return ("name, location, serial number or MAC, replaced", instead) if raw else ("", raw)
    if isinstance(raw, str):
        return ("IP address, replaced", ADDRESS) if _tells(raw) else ("", raw)
    return _octets(raw, known) if isinstance(raw, bytes) else ("", raw)


def _octets(raw: bytes, known: _Known) -> tuple[str, Raw | None]:
    if raw in known.packed:
        return "IP address, replaced", bytes(map(int, ADDRESS.split(".")))
    if not _is_text(raw):
        if _is_mac(raw):
            return "MAC address, replaced", REPLACED["1.3.6.1.2.1.2.2.1.6"]
        # What is not text may still have text in it.
        hidden = any(each.encode() in raw for each in (*known.secrets, *known.names) if len(each) >= MIN_NAME)
        return ("octets with a name or an address in them", None) if hidden or len(raw) == IPV6_BYTES else ("", raw)
    text = raw.decode("utf-8")
    if any(secret == text or (len(secret) >= MIN_NAME and secret in text) for secret in known.secrets):
        return "a secret that the device was asked with", None
    new = text
    for name in known.names:
        if text.strip() == name:
            new = REMOVED
        elif len(name) >= MIN_NAME:
            new = new.replace(name, REMOVED)
    for form, instead in _FORMS:
        new = form.sub(instead, new)
    return ("", raw) if new == text else ("a name or an address in a text, replaced", new.encode())


def texts(raws: Mapping[str, Raw]) -> Iterator[tuple[str, str]]:
    """(OID, text) of what makers' own MIBs say in words and no rule took away, each text once."""
    seen: set[str] = set()
    for oid, raw in raws.items():
        if not beneath(oid, ENTERPRISES) or not isinstance(raw, bytes) or not _is_text(raw):
            continue
        text = text_of(raw)
        if text and text not in seen and not text.replace(".", "").lstrip("-").isdigit():
            seen.add(text)
            yield oid, text
