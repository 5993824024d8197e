"""Checksums of serial protocols, by the name a shim gives. Each takes the covered bytes and returns an unsigned number."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from functools import partial, reduce
from operator import xor as _xor


def xor(data: bytes) -> int:
    """All bytes exclusive-or'ed (EBDS)."""
    return reduce(_xor, data, 0)


def sum8(data: bytes) -> int:
    """The sum of all bytes, modulo 256."""
    return sum(data) & 0xFF


def lrc(data: bytes) -> int:
    """The number that brings the sum of all bytes to 0 modulo 256 (ccTalk, Modbus ASCII)."""
    return -sum(data) & 0xFF


def _crc16_reflected(data: bytes, *, polynomial: int, start: int) -> int:
    crc = start
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ polynomial if crc & 1 else crc >> 1
    return crc


def _crc16(data: bytes, *, polynomial: int, start: int) -> int:
    crc = start
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ polynomial) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


def _xmodem(data: bytes) -> int:
    return binascii.crc_hqx(data, 0)


def _voltronic(data: bytes) -> int:
    """XMODEM, where a byte of the sum that would read as `(`, CR or LF is one more."""
    return sum((byte + (byte in b"(\r\n")) << 8 * at for at, byte in enumerate(_xmodem(data).to_bytes(2, "little")))


_kermit = partial(_crc16_reflected, polynomial=0x8408, start=0)

CHECKSUMS: dict[str, tuple[int, Callable[[bytes], int]]] = {
    "xor": (1, xor),
    "sum8": (1, sum8),
    "lrc": (1, lrc),
    "crc16-modbus": (2, partial(_crc16_reflected, polynomial=0xA001, start=0xFFFF)),
    "crc16-kermit": (2, _kermit),
    "crc16-ccnet": (2, _kermit),
    "crc16-xmodem": (2, _xmodem),
    "crc16-voltronic": (2, _voltronic),
    "crc16-8005": (2, partial(_crc16, polynomial=0x8005, start=0xFFFF)),
}
"""Name -> (bytes on the line, function). CCNET's 0x8408 with start 0 is KERMIT's; 0x8005 with start FFFF is SSP's."""
