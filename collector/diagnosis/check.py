"""What the doctor says of remote diagnosis: whether terminals can be asked, and whether a broker outside lets commands through."""

from __future__ import annotations

from collections.abc import Iterator

from tillwatch.collector.config import Config
from tillwatch.collector.diagnosis.order import OPEN
from tillwatch.collector.intake.access_check import held_back
from tillwatch.collector.store.opening import open_reader
from tillwatch.collector.store.reading import is_made
from tillwatch.collector.store.sqlite import StoreError

SUBJECT = "remote diagnosis"


def examine_diagnosis(config: Config) -> Iterator[tuple[str, str, str]]:
    """Subject, state, text. Reads the store and, of a broker that this machine configures, its access list."""
    if not config.diagnosis.enabled:
        yield SUBJECT, "ok", "off: no terminal is asked anything from here"
        return
    waiting, takers = 0, 0
    try:
        reader = open_reader(config.store) if is_made(config.store) else None
    except StoreError as error:
        yield SUBJECT, "warn", str(error)
        return
    if reader is not None:
        try:
            waiting = len(reader.orders(open_only=True))
            takers = reader.takers()
        finally:
            reader.close()
    yield SUBJECT, "ok", f"on: {takers} terminals take commands, {waiting} wait ({', '.join(OPEN)})"
    yield from held_back(config, SUBJECT, "command")
