"""The table of routes as the configuration names it: read, held against what the configuration, the policy and the rules have, and refused with
what to write instead where an incident could not find its way.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.routing.check import FAIL, Known, Remark, examine
from tillwatch.collector.routing.matching import GLOBS
from tillwatch.collector.routing.sections import RouteError
from tillwatch.collector.routing.table import MAX_ROUTES, RouteTable, parse_routes
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.reading import connected
from tillwatch.collector.store.sqlite import terminals_of

READ_S = 3.0


def read_routes(config: Config, path: Path | None) -> RouteTable:
    """The table in this file; None: the one without rows, by which everything goes to the first ticket system. Raises ConfigError."""
    tickets = tuple(config.desks)
    if path is None:
        return RouteTable(tickets)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_ROUTES + 1)
        if len(raw) > MAX_ROUTES:
            raise ConfigError(
                f"{path}: this is no table of routes, it is larger than 1 MiB; name another with routes in [tickets]"
            )
        return parse_routes(raw.decode(), str(path), tickets)
    except OSError as error:
        raise ConfigError(f"[tickets] routes: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: a byte that is not UTF-8; save the file as UTF-8") from None
    except RouteError as error:
        raise ConfigError(str(error)) from None


def checked_routes(config: Config, policy: Policy, rules: Rules) -> tuple[RouteTable, tuple[Remark, ...]]:
    """The table that the configuration names, fit to be used, and what else there is to say of it. Raises ConfigError with the first thing that
    must be mended.
    """
    table = read_routes(config, config.tickets.routes)
    remarks = tuple(examine(table, known_of(config, policy, rules)))
    bad = next((each.text for each in remarks if each.state == FAIL), "")
    if bad:
        raise ConfigError(f"{table.source or config.source or 'collector.toml'}: {bad}")
    return table, remarks


def known_of(config: Config, policy: Policy, rules: Rules, *, now: int = 0, enrolled: bool = False) -> Known:
    """What rows may name. now: UTC ns, 0 where it does not matter what is over; enrolled: also what the terminals of the store have."""
    return Known(
        policy,
        tuple(config.channels),
        tuple(rules.by_id),
        _places(config.store) if enrolled else {},
        datetime.fromtimestamp(now / 1e9, UTC).toordinal() if now else 0,
    )


def _places(where: Where) -> Mapping[str, Collection[str]]:
    """Nothing where there is no store yet, or none that can be read: another check tells of that."""
    try:
        with closing(connected(where, READ_S)) as db:
            terminals = list(terminals_of(db))
    except sqlite3.Error:
        return {}
    found: dict[str, set[str]] = {what: set() for what in GLOBS if what in ("branch", "region", "terminal", "class")}
    for each in terminals:
        for what, value in (
            ("branch", each.branch),
            ("region", each.region),
            ("terminal", each.id),
            ("class", each.terminal_class),
        ):
            found[what].add(value)
    return found
