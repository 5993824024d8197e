"""How single settings are read out of TOML: each takes a value and returns it as it is used, or raises ValueError with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any

LEAST_KEPT_S = 7 * 86_400.0
"""A shorter retention is a slip of the pen: nobody could look into last week's fault any more."""

MOST_YEARLY = 12.0
"""Who accepts more than one false finding a month and terminal reads none of them."""

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB)")
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,60}")


def duration(value: Any) -> float:
    """Seconds out of "500ms", "10s", "5m", "2h" or "30d". Raises ValueError."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError('write a duration with its unit, for example "10s", "5m" or "500ms"')


def kept(value: Any) -> float:
    if value == "forever":
        return 0.0
    seconds = duration(value)
    if seconds < LEAST_KEPT_S:
        raise ValueError('write at least "7d", or "forever"')
    return seconds


def size(value: Any) -> int:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(match[1]) * _BYTES[match[2]]
    raise ValueError('write a size with its unit, for example "64MiB"')


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("write true or false, without quotes")


def port(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise ValueError("write a port from 1 to 65535, without quotes")


def count(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError("write a whole number of at least 1, without quotes")


def yearly(value: Any) -> float:
    """A number of findings a terminal and year."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.01 <= value <= MOST_YEARLY:
        return float(value)
    raise ValueError(f"write how many a terminal and year, from 0.01 to {MOST_YEARLY:g}, without quotes")


def text(value: Any) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise ValueError("write a text of 1 to 60 characters, in quotes")


def host(value: Any) -> str:
    if isinstance(value, str) and _HOST.fullmatch(value):
        return value
    raise ValueError('write one host name or IP address, without scheme or port, for example "tills.bank.example"')


def hosts(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(host(one) for one in value)
    raise ValueError('write a list of host names or addresses, for example ["tills.bank.example", "10.1.2.3"]')


def nodes(value: Any) -> tuple[str, ...]:
    """Hosts, each with a port of its own behind a colon where it has one."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        for one in value:
            name, colon, own = one.rpartition(":")
            host(name if colon and own.isdigit() and 0 < int(own) < 65536 and ":" not in name else one)
        return tuple(value)
    raise ValueError(
        'write a list of host names or addresses, for example ["mq1.bank.example", "mq2.bank.example:5671"]'
    )


def path(value: Any) -> Path:
    if isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("write a path, in quotes")


def variable(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        return value
    raise ValueError('write the name of an environment variable, for example "TILLWATCH_WEBHOOK_SECRET"')


def language(value: Any) -> str:
    if value in ("en", "zh"):
        return str(value)
    raise ValueError('write "en" or "zh"')


def url(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"https?://[^\s]{1,2000}", value):
        return value
    raise ValueError('write the whole address, for example "https://desk.bank.example/hooks/tillwatch"')


def postgres(value: Any) -> str:
    """The address of a database, without a password: what is written in this file is shown and kept as record."""
    form = 'write such as "postgresql://tillwatch@db.bank.example/tillwatch"'
    if not isinstance(value, str) or not re.fullmatch(r"postgres(ql)?://[^\s]{1,2000}", value):
        raise ValueError(form)
    address, _, rest = value.partition("://")[2].partition("/")
    if ":" in address.rpartition("@")[0] or re.search(r"[?&](password|passfile|sslkey|sslpassword)=", value):
        raise ValueError(f"no secrets in this file; {form}, and name a password_file")
    if not address.rpartition("@")[0] or not rest.partition("?")[0]:
        raise ValueError(f"the user and the database are missing in it; {form}")
    return value


def words(value: Any) -> dict[str, str]:
    """A table of texts: what is written there -> what it means here."""
    if isinstance(value, dict) and all(isinstance(one, str) and one for one in value.values()):
        return dict(value)
    raise ValueError('write a table of texts, for example { "Waiting" = "on_hold" }')


def setting(read: Callable[[Any], Any], default: Any) -> Any:
    return field(default=default, metadata={"read": read})
