"""The receivers of a configuration, made from their tables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.port import DRILLS, Receiver
from tillwatch.collector.tickets.settings import KINDS, ReceiverSettings


class ReceiverError(ValueError):
    """A receiver cannot be made from its table; says which and why."""


def open_receivers(section: str, settings: Mapping[str, ReceiverSettings]) -> dict[str, Receiver]:
    """By name. Raises ReceiverError, naming the table [SECTION.NAME]."""
    made: dict[str, Receiver] = {}
    for name, each in settings.items():
        try:
            if name == DRILLS:
                raise ReceiverError("this name is the watchdog's; take another")
            module = import_module(_module_of(each))
            port = module.connect(name, each)
        except (ValueError, OSError, ImportError) as error:
            raise ReceiverError(f"[{section}.{name}]: {error}") from None
        made[name] = port if isinstance(port, Receiver) else Desk(port, language=each.language, settle_s=each.settle)
    return made


def _module_of(settings: ReceiverSettings) -> str:
    module = type(settings).__module__
    assert module in KINDS.values()
    return module
