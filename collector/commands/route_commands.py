"""The command `route`: it says which way an incident goes and why, row by row, or what is wrong with a table of routes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.collector.commands.acting import moment, reading, the_incident, zone_of
from tillwatch.collector.commands.output import DONE, FAILED, USAGE, CommandError, coloured, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.incident.incident_views import IncidentView
from tillwatch.collector.route_check import counted, examined
from tillwatch.collector.routes import checked_routes, read_routes
from tillwatch.collector.routing.check import NOTE
from tillwatch.collector.routing.decide import NOTIFY, ROUTE, Because, Routed, Way, decide, undelivered
from tillwatch.collector.routing.matching import RouteFacts
from tillwatch.collector.routing.table import RouteTable
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.web.lines import span

__all__ = ["CommandError", "run_route"]

NS = 10**9
Told = tuple[tuple[str, str, str], ...]
Call = tuple[tuple[str, str, str], tuple[Way, ...]]
"""(role, person, channel) that is to be told, and through what."""


def run_route(config: Config, options: argparse.Namespace) -> int:
    if (options.explain is None) == (options.check is None):
        raise CommandError("write either --explain INCIDENT or --check, and with it the file of a table", USAGE)
    if options.explain is not None:
        return _explain(config, options)
    if options.at is not None:
        raise CommandError("--at belongs to --explain", USAGE)
    return _check(config, options)


def _check(config: Config, options: argparse.Namespace) -> int:
    path = Path(options.check) if options.check else config.tickets.routes
    table, remarks = examined(config, time.time_ns(), read_routes(config, path))
    if options.json:
        print_json({"file": table.source, "remarks": [asdict(each) for each in remarks]})
    else:
        for each in remarks:
            print(f"{coloured(each.state.ljust(4))}  {each.text}")
        if all(each.state == NOTE for each in remarks):
            print(f"{coloured('ok'.ljust(4))}  {table.source or 'no table'}: {counted(table)}")
    return DONE if all(each.state == NOTE for each in remarks) else FAILED


def _explain(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        view = the_incident(reader, options.explain, now).view
        book, addressed = reader.in_force(), reader.addressed(view.id)
    table, _ = checked_routes(config, book.policy, book.rules)
    zone = zone_of(book.policy, view.branch)
    at = moment(options.at, zone, "--at", now) if options.at is not None else now
    facts = RouteFacts(
        view.level, view.component, view.fault, view.branch, view.region, view.terminal, addressed.terminal_class, view.scope
    )  # fmt: skip

    def way_of(told: Told) -> Routed:
        about = _message(view, facts, told, at)
        return decide(table, facts, about, at, book.policy, stays=addressed.connector)

    routed = way_of(addressed.told)
    calls = [(each, way_of((each,)).notify) for each in addressed.told]
    late = undelivered(table, facts, at, book.policy, drill=view.drill)
    limit = book.policy.targets[view.level].undelivered_ns
    if options.json:
        print_json(_fields(view, facts, at, routed, calls, late, limit))
        return DONE
    _print_head(view, facts)
    print(f"as of {_clock(at, zone)} ({zone}), by {table.source or 'no table'}\n")
    _print_ticket(routed)
    _print_calls(calls, _clock(addressed.called_at, zone), drill=view.drill)
    _print_rows(routed.because, NOTIFY)
    if table.fallback is not None:
        _print_late(table, book.policy, late, view.level)
    return DONE


def _message(view: IncidentView, facts: RouteFacts, told: Told, at: int) -> TicketMessage:
    """As one of it would be now, in what decides its way."""
    return TicketMessage(
        view.id, Op.UPDATE, 0, view.level, view.terminal, view.branch, view.region, view.component, view.text, at, view.occurred_at,
        scope=view.scope, told=told, drill=view.drill, fault=view.fault, terminal_class=facts.terminal_class,
    )  # fmt: skip


def _print_head(view: IncidentView, facts: RouteFacts) -> None:
    place = (("terminal", facts.terminal), ("component", facts.component), ("class", facts.terminal_class), ("branch", facts.branch), ("region", facts.region))  # fmt: skip
    said = ", ".join(f"{what} {value}" for what, value in place if value)
    print(f"{view.id}: level {view.level}, rule {facts.rule}, scope {facts.scope}{', drill' if view.drill else ''}")
    if said:
        print(said)


def _print_ticket(routed: Routed) -> None:
    if routed.ticket is None:
        print(f"Ticket: nowhere yet, {routed.why}")
    else:
        name, leg = routed.ticket
        print(f"Ticket: {name}{f', queue {leg.queue}' if leg.queue else ''}; {routed.why}")
    for contract in routed.contracts:
        print(f"  covered by {contract.name}: {contract.line}")
    _print_rows(routed.because, ROUTE)


def _clock(at: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(at // NS, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _print_calls(calls: Sequence[Call], called: str, *, drill: bool) -> None:
    if not calls:
        print("\nCalls: nobody was to be told so far")
        return
    print(f"\nCalls, as the last one ({called}) would go{': a drill calls nobody' if drill else ''}")
    for (role, person, channel), ways in calls:
        print(f"  {person} by {channel}{f' ({role})' if role else ''}")
        _print_ways(ways)
        if not ways and not drill:
            print("  -> no row takes it: it stands in the ticket and reaches nobody")


def _print_ways(ways: Sequence[Way]) -> None:
    for name, leg in ways:
        print(f"  -> {name}: {leg.channel} {leg.contact or '(no number is known)'}")


def _print_late(table: RouteTable, policy: Policy, late: tuple[tuple[Way, ...], str], level: int) -> None:
    ways, why = late
    assert table.fallback is not None
    limit = policy.targets[level].undelivered_ns
    after = f"after {span(limit / NS)}" if limit else "never: the policy sets no limit for this level"
    print(f"\nWhile its ticket is not delivered, {after}: {why}")
    _print_ways(ways)


def _print_rows(because: Sequence[Because], kind: str) -> None:
    rows = [(f"  {each.name}", "yes" if each.matched else "no", each.why) for each in because if each.kind == kind]
    if rows:
        print_table(("  ROW", "MATCHES", "WHY"), rows)


def _fields(
    view: IncidentView,
    facts: RouteFacts,
    at: int,
    routed: Routed,
    calls: Sequence[Call],
    late: tuple[tuple[Way, ...], str],
    limit: int,
) -> dict[str, Any]:
    ticket = None if routed.ticket is None else {"connector": routed.ticket[0], "queue": routed.ticket[1].queue}
    return {
        "incident": view.id,
        "at": at,
        "drill": view.drill,
        "facts": asdict(facts),
        "ticket": ticket,
        "row": routed.row,
        "why": routed.why,
        "contracts": [{"name": each.name, "line": each.line} for each in routed.contracts],
        "told": [
            {"role": role, "person": person, "channel": channel, "notify": _ways(ways)}
            for (role, person, channel), ways in calls
        ],
        "rows": [asdict(each) for each in routed.because],
        "undelivered": {"after_s": limit / NS, "notify": _ways(late[0]), "why": late[1]},
    }


def _ways(ways: Sequence[Way]) -> list[dict[str, str]]:
    return [{"connector": name, "channel": leg.channel, "contact": leg.contact} for name, leg in ways]
