"""What the doctor says of the table of routes as it would be taken on at the next start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.routes import known_of, read_routes
from tillwatch.collector.routing.check import FAIL, NOTE, WARN, Remark, examine
from tillwatch.collector.routing.table import RouteTable
from tillwatch.collector.service import checked_policy, site_rules

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""
SUBJECT = "routes"


def examine_routes(config: Config, now: int) -> Iterator[Said]:
    """now: UTC ns."""
    if not config.desks:
        yield (
            SUBJECT,
            WARN,
            "no ticket system is configured: incidents wait until one is; write [tickets.NAME] into collector.toml",
        )
        return
    try:
        table, remarks = examined(config, now)
    except ConfigError as error:
        yield SUBJECT, FAIL, f"{error}; the collector will not start with it"
        return
    grave = [each for each in remarks if each.state != NOTE]
    for each in grave:
        more = "; the collector will not start with it" if each.state == FAIL else ""
        yield SUBJECT, each.state, f"{each.text}{more}"
    if not grave:
        yield SUBJECT, "ok", f"{table.source or 'no table'}: {counted(table)}"


def examined(config: Config, now: int, table: RouteTable | None = None) -> tuple[RouteTable, list[Remark]]:
    """What there is to say of a table, of that which the configuration names unless another is given. Raises ConfigError."""
    table = table or read_routes(config, config.tickets.routes)
    policy = checked_policy(config, datetime.fromtimestamp(now / 1e9, UTC).year)
    known = known_of(config, policy, parse_rules(site_rules(config)), now=now, enrolled=True)
    return table, list(examine(table, known))


def counted(table: RouteTable) -> str:
    """What it holds, in words."""
    if not table.routes and not table.notify:
        return f"every incident goes to {', '.join(table.tickets) or 'no ticket system'}"
    return f"rows for tickets: {len(table.routes)}, for calls: {len(table.notify)}; contracts: {len(table.contracts)}"
