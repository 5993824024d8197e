"""What a value in the configuration may be, and what is wrong with it otherwise: the text says what to write instead. Used with `tables.Table`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tillwatch.agent.settings import Intervals
from tillwatch.agent.tables import Table

MAX_SOURCE_NAME = 48
"""Characters. A component is `<source>/<part>` and has 96 (wire.MAX_NAME): half of it stays for the part."""
MIN_INTERVAL = 0.5
MAX_INTERVAL = 7 * 86_400.0
MIN_SPOOL = 1 << 20

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def read_secret(table: Table, key: str, path: Path, *, literal: bool = False) -> str:
    """`<key>as_path` or `<key>_env`; a literal only where the value is hardly a secret (an SNMP v1 or v2c community travels in clear)."""
    plain = table.take(key, "", as_text) if literal else ""
    file = table.take(f"{key}_file", None, as_path(path))
    variable = table.take(f"{key}_env", "", as_text)
    if bool(plain) + (file is not None) + bool(variable) > 1:
        raise table.wrong(f"{key}_file", f"is given twice: keep one of `{key}_file` and `{key}_env`")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip() or _empty(table, key, file)
        except (OSError, UnicodeDecodeError) as error:
            raise table.wrong(f"{key}_file", f"cannot be read: {error}") from None
    if variable:
        secret = os.environ.get(variable, "")
        if not secret:
            raise table.wrong(f"{key}_env", f"names {variable}, which is not set in the environment of the agent")
        return secret
    return plain


def _empty(table: Table, key: str, file: Path) -> str:
    raise table.wrong(f"{key}_file", f"names {file}, which is empty")


def read_intervals(table: Table, default: Intervals) -> Intervals:
    duration = as_duration(MIN_INTERVAL, MAX_INTERVAL)
    return Intervals(
        table.take("fast", default.fast, duration),
        table.take("normal", default.normal, duration),
        table.take("slow", default.slow, duration),
    )


def as_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError('is text: write it in quotes, "like this"')
    return value


def as_texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('is a list of text: ["a", "b"]')
    return tuple(value)


def as_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("is true or false, without quotes")


def as_int(least: int, most: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"is a whole number from {least} to {most}, without quotes")
        return value

    return convert


as_port = as_int(1, 65_535)


def as_one_of(*words: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is one of {', '.join(words)} in quotes, not {value!r}")
        return str(value)

    return convert


def as_name(value: Any) -> str:
    name = as_text(value)
    if len(name) > MAX_SOURCE_NAME or "/" in name or not name.isprintable() or name != name.strip():
        raise ValueError(f"is a name of 1 to {MAX_SOURCE_NAME} printable characters without a slash, not {name!r}")
    return name


def as_path(path: Path) -> Callable[[Any], Path]:
    """Relative to the configuration file, so that the working directory of a service does not matter."""
    return lambda value: path.parent / Path(as_text(value)).expanduser()


def as_duration(least: float, most: float) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f'is a time with its unit: "10s", "5m", "2h" or "1d", not {value!r}')
        seconds = float(match[1]) * _SECONDS[match[2]]
        if not least <= seconds <= most:
            raise ValueError(f"is from {least:g} s to {most:g} s, not {value!r}")
        return seconds

    return convert


def as_size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = re.fullmatch(r"(\d+)\s*(|KiB|MiB|GiB|kB|MB|GB)", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f'is a size: "256 MiB", "1 GiB" or a number of bytes, not {value!r}')
        size = int(match[1]) * _BYTES[match[2]]
    if size < MIN_SPOOL:
        raise ValueError(f"is at least {MIN_SPOOL} bytes")
    return size
