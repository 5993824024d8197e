"""What the doctor says of remote diagnosis: whether terminals can be asked, and whether a broker outside lets commands through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tillwatch.collector.config import Config
from tillwatch.collector.diagnosis.order import OPEN
from tillwatch.collector.intake.mosquitto import ACL
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import StoreError

SUBJECT = "remote diagnosis"


def examine_diagnosis(config: Config) -> Iterator[tuple[str, str, str]]:
    """Subject, state, text. Reads the store and, of a broker that this machine configures, its access list."""
    if not config.diagnosis.enabled:
        yield SUBJECT, "ok", "off: no terminal is asked anything from here"
        return
    waiting, takers = 0, 0
    if config.database.is_file():
        try:
            reader = SqliteReader(config.database)
        except StoreError as error:
            yield SUBJECT, "warn", str(error)
            return
        try:
            waiting = len(reader.orders(open_only=True))
            takers = reader.takers()
        finally:
            reader.close()
    yield SUBJECT, "ok", f"on: {takers} terminals take commands, {waiting} wait ({', '.join(OPEN)})"
    acl = _acl(config)
    if acl is not None and "/command" not in acl.read_text(encoding="utf-8", errors="replace"):
        yield (
            SUBJECT,
            "fail",
            f"{acl} lets no command through: write it anew, tillwatch-collector broker-config mosquitto --out {acl.parent}, and reload the broker",
        )


def _acl(config: Config) -> Path | None:
    """The access list that `broker-config` wrote beside the list of revoked certificates, where it is on this machine."""
    if config.broker.embedded or config.broker.crl_file is None:
        return None
    beside = config.broker.crl_file.parent / ACL
    return beside if beside.is_file() else None
