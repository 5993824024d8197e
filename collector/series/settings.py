"""What every sink has in common in the configuration: a table [sinks.NAME] of a kind. A kind is a file, influx.py or victoriametrics.py."""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tillwatch.collector import values
from tillwatch.collector.tickets.settings import read_secret
from tillwatch.collector.values import setting

if TYPE_CHECKING:
    from tillwatch.collector.series.port import Sink

KINDS: Mapping[str, str] = {
    "influxdb": "tillwatch.collector.series.influx",
    "victoriametrics": "tillwatch.collector.series.victoriametrics",
}
"""Kind -> module, which has `connect(settings)`."""
SINK_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""A sink's name is that of a file, and a label in metrics."""
NEEDS_BUCKET = frozenset({"influxdb"})
LEAST_TIMEOUT_S, MOST_TIMEOUT_S = 1.0, 60.0
"""Of one write. While it waits one state of the store is held, so that the write-ahead log beside it grows by a minute's readings at most."""
MOST_POINTS = 50_000
"""Lines of one write: 10 MB, the limit of InfluxDB 3 and of many proxies."""


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """url: of the store; token_file or token_env: where its token is, neither for a store that asks for none; ca_file: trusted instead of the
    system's own authorities; timeout: of one write, s; points: lines of one write.
    """

    kind: str = setting(values.text, "")
    url: str = field(default="", repr=False, metadata={"read": values.url})  # it may hold a password
    org: str = setting(values.text, "")
    bucket: str = setting(values.text, "")
    token_file: Path | None = setting(values.path, None)
    token_env: str = setting(values.variable, "")
    ca_file: Path | None = setting(values.path, None)
    timeout: float = setting(values.duration, 10.0)
    points: int = setting(values.count, 5_000)

    def problem(self) -> tuple[str, str] | None:
        """(key or "", what to write instead) if these settings cannot work together."""
        if not self.url:
            return "", "url is missing; write the address of the store"
        if self.kind in NEEDS_BUCKET and not self.bucket:
            return "", "bucket is missing; write the bucket, or the database of InfluxDB 3, that takes the readings"
        if self.token_file and self.token_env:
            return "token_env", "write either token_file or token_env, and not both"
        if not LEAST_TIMEOUT_S <= self.timeout <= MOST_TIMEOUT_S:
            return "timeout", f'write from "{LEAST_TIMEOUT_S:g}s" to "{MOST_TIMEOUT_S:g}s"'
        if self.points > MOST_POINTS:
            return "points", f"write at most {MOST_POINTS}"
        return None

    def token(self) -> str:
        """Read now: one that was replaced in its file is found. Empty where none is set. Raises SecretError."""
        return read_secret(self.token_file, self.token_env, "token") if self.token_file or self.token_env else ""

    def told(self) -> dict[str, str]:
        """All of it as text, for the record. An address may hold a secret: of it only the digest."""
        said = {one.name: str(getattr(self, one.name)) for one in fields(self)}
        return said | {"url": sha256(self.url.encode()).hexdigest()}


def connect(settings: SinkSettings) -> Sink:
    """The sink; nothing is connected yet. The libraries of its kind are imported here. Raises ImportError where they are not installed."""
    made: Sink = import_module(KINDS[settings.kind]).connect(settings)
    return made
