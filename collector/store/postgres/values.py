"""How single values go to PostgreSQL and come back: as SQLite keeps them, whole numbers of 64 bits, floats, text, bytes, nothing.

Text may have any character but U+0000 there. What a terminal says may have that too, and one that lies must not stop the group that its words are in: U+0000 is
kept as U+0001 U+0001, U+0001 as U+0001 U+0002. Equal texts stay equal, others different, and the order of texts is what it was.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import FloatBinaryDumper, NumericBinaryLoader
from psycopg.types.string import BytesBinaryDumper

BOOL, BYTEA, INT8, TEXT, FLOAT8, NUMERIC = 16, 17, 20, 25, 701, 1700
_LEAST, _MOST = -(2**63), 2**63 - 1
_int8 = Struct(">q").pack


def kept(text: str) -> str:
    """As PostgreSQL can keep it."""
    if "\0" in text or "\1" in text:
        return text.replace("\1", "\1\2").replace("\0", "\1\1")
    return text


def said(text: str) -> str:
    """As it was said."""
    return text.replace("\1\1", "\0").replace("\1\2", "\1") if "\1" in text else text


class _Number(Dumper):
    format = Format.BINARY
    oid = INT8

    def dump(self, obj: Any) -> bytes:
        if not _LEAST <= obj <= _MOST:
            raise OverflowError("an integer of more than 64 bits")
        return _int8(obj)


class _Text(Dumper):
    format = Format.BINARY
    oid = TEXT

    def dump(self, obj: str) -> bytes:
        return kept(obj).encode()


class _TextLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return said(str(data, "utf-8"))


class _Truth(Loader):
    """Conditions are 0 and 1, as SQLite gives them."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"\x01")


class _Exact(NumericBinaryLoader):
    """Sums of whole numbers, which PostgreSQL gives as decimals."""

    def load(self, data: Buffer) -> Any:
        value = super().load(data)
        return int(value) if value == value.to_integral_value() else float(value)


def register(connection: psycopg.Connection[Any]) -> None:
    adapters = connection.adapters
    for kind in (int, bool):
        adapters.register_dumper(kind, _Number)
    adapters.register_dumper(str, _Text)
    adapters.register_dumper(float, FloatBinaryDumper)
    for bytes_like in (bytes, bytearray, memoryview):
        adapters.register_dumper(bytes_like, BytesBinaryDumper)
    adapters.register_loader(TEXT, _TextLoader)
    adapters.register_loader(BOOL, _Truth)
    adapters.register_loader(NUMERIC, _Exact)
