"""`tickets`: what has become of the messages to ticket systems and people, and what a person can do where one is stuck."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from tillwatch.collector.commands.acting import journal, reading, the_incident
from tillwatch.collector.commands.output import DONE, FAILED, USAGE, CommandError, age, iso, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.read import OutgoingView, TicketLinkView
from tillwatch.collector.store.delivery_reader import outgoing, queues, ticket_links
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.port import (
    BarredError,
    GoneError,
    NotAppliedError,
    Receiver,
    RejectedError,
    Remote,
    TicketPort,
    UnclearError,
)
from tillwatch.collector.tickets.receivers import ReceiverError, open_receivers
from tillwatch.collector.tickets.two_way import tracked
from tillwatch.collector.tickets.two_way.sweep import Swept, sweep

__all__ = ["CommandError", "run_tickets"]

T = TypeVar("T")
Work = Callable[[Config, argparse.Namespace], int]


def run_tickets(config: Config, options: argparse.Namespace) -> int:
    work, needs = _ACTIONS[options.action]
    given = [each for each in (options.incident, options.ticket) if each]
    if len(given) < needs or len(given) > needs + (options.action == "retry"):
        most = "one incident or none" if options.action == "retry" else "no incident"
        wanted = " ".join(("INCIDENT", "TICKET")[:needs]) or most
        raise CommandError(f"tickets {options.action} takes {wanted}", USAGE)
    return work(config, options)


def _list(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader, reader.snapshot() as db:
        waiting = outgoing(db, connector=options.connector, undone=True)
        links = ticket_links(db, living=not options.all)
        lines = queues(db)
    links = [each for each in links if options.connector in ("", each.connector)]
    if options.json:
        print_json(
            {"queues": [asdict(q) for q in lines], "waiting": _rows(waiting), "tickets": [asdict(t) for t in links]}
        )
        return DONE
    if lines:
        print("Not delivered")
        print_table(
            ("  RECEIVER", "WAITING", "LEVEL 1 AND 2", "GIVEN UP", "OLDEST", "WHY"),
            [
                (f"  {q.connector or '(none)'}", str(q.waiting), str(q.graves), str(q.dead), age(q.oldest_at), q.answer)
                for q in lines
            ],
        )
        print()
    if not links:
        print("no ticket" if options.all else "no ticket of an incident that is not settled")
        return DONE
    late = {each.incident for each in waiting if each.op != "notify"}
    print_table(
        ("INCIDENT", "TICKET", "IN", "STATE", "ITS OWN WORD", "OWNER", "LAST READ", ""),
        [
            (
                t.incident,
                t.id,
                t.connector,
                t.state,
                t.status,
                t.owner,
                age(t.verified_at),
                "messages wait" if t.incident in late else "",
            )
            for t in links
        ],
    )
    return DONE


def _explain(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        found = the_incident(reader, options.incident, now)
        with reader.snapshot() as db:
            rows, links = outgoing(db, incident=found.view.id), ticket_links(db, incident=found.view.id)
    if options.json:
        print_json({"incident": found.view.id, "ticket": asdict(links[0]) if links else None, "messages": _rows(rows)})
        return DONE
    view = found.view
    print(f"{view.id}: level {view.level}, {view.state}: {view.text}")
    print(_ticket(links, rows))
    print("\nMessages")
    print_table(
        ("  N", "MADE", "WHAT", "TO", "STATE", "TRIES", "NEXT OR DONE", "ANSWER"),
        [
            (f"  {r.seq}", iso(r.created_at)[:19], r.op, _to(r), r.state, str(r.attempts), _when(r, now), r.answer)
            for r in rows
        ],
    )
    print(f"\nWhy it goes there: tillwatch-collector route --explain {view.id}")
    return DONE


def _ticket(links: Sequence[TicketLinkView], rows: Sequence[OutgoingView]) -> str:
    if links:
        link = links[0]
        owner = f", with {link.owner}" if link.owner else ""
        return f"its ticket is {link.id} in {link.connector}, {link.status or link.state}{owner}: {link.url or 'no address'}"
    making = [row for row in rows if row.op == "open"]
    if not making:
        return "no ticket was ever asked for: it has not been told yet, or settled before it was"
    last = making[-1]
    if not last.connector:
        return "no ticket: no ticket system is configured; see [tickets.NAME] in collector.toml"
    return f"no ticket yet: {last.connector} was asked {last.attempts} times; {last.answer or 'it waits for its turn'}"


def _to(row: OutgoingView) -> str:
    return f"{row.connector} {row.contact or row.queue}".strip()


def _when(row: OutgoingView, now: int) -> str:
    if row.state == "done":
        return age(row.done_at)
    if row.state == "dead":
        return "never, unless retried"
    left = (row.not_before - now) // 10**9
    return f"in {left} s" if left > 0 else "now"


def _retry(config: Config, options: argparse.Namespace) -> int:
    """Without an incident: all that was given up, and receivers that had switched themselves off."""
    incident = ""
    if options.incident:
        with reading(config) as reader:
            incident = the_incident(reader, options.incident, time.time_ns()).view.id
    facts = {"action": "ticket-retry", "connector": options.connector}
    journal(config, {**facts, "incident": incident} if incident else facts)
    with reading(config) as reader, reader.snapshot() as db:
        rows = outgoing(db, incident=incident, connector=options.connector, undone=True)
    if options.json:
        print_json({"waiting": _rows(rows)})
    else:
        print(f"{len(rows)} messages wait and are tried now; tillwatch-collector tickets shows what becomes of them")
    return DONE


def _link(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        view = the_incident(reader, options.incident, time.time_ns()).view
        with reader.snapshot() as db:
            rows = outgoing(db, incident=view.id)
    own = next((row.connector for row in rows if row.op != "notify"), "")
    name = options.connector or own or next(iter(config.desks), "")
    remote = _ask(config, name, lambda port: _read(port, options.ticket))
    facts = {"connector": name, "external_id": remote.id, "url": remote.url, "status": remote.status}
    facts["state"] = remote.state.value if remote.state else remote.status
    journal(config, {"action": "ticket-link", "incident": view.id, **facts})
    if options.json:
        print_json({"incident": view.id, **facts})
    else:
        print(f"{view.id} is followed in ticket {remote.id} of {name} ({remote.status})")
        if remote.key != view.id:
            print(f"the ticket does not show this key; put {view.id} into its key field, so that it is found by it")
    return DONE


async def _read(port: TicketPort, ticket: str) -> Remote:
    try:
        return await port.read(ticket)
    except GoneError:
        raise CommandError(f"{port.name} has no ticket {ticket}") from None


def _sweep(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader, reader.snapshot() as db:
        links = ticket_links(db, living=not options.all)
    done: list[tuple[str, Swept]] = []
    names = [options.connector] if options.connector else list(dict.fromkeys(each.connector for each in links))
    for name in names:
        pairs = [(each.incident, each.id) for each in links if each.connector == name]
        done += [(name, each) for each in _ask(config, name, partial(_swept, config, pairs))]
    if options.json:
        print_json([{"connector": name, **asdict(each)} for name, each in done])
    elif not done:
        print(f"{len(links)} tickets were looked at; none is there twice")
    else:
        print_table(
            ("INCIDENT", "IN", "KEPT", "CLOSED", "PROBLEM"),
            [(each.incident, name, each.kept, " ".join(each.closed), each.problem) for name, each in done],
        )
    return FAILED if any(each.problem for _, each in done) else DONE


async def _swept(config: Config, pairs: Sequence[tuple[str, str]], port: TicketPort) -> list[Swept]:
    """Beside a collector that may be making another ticket at this very moment: what a delivery is under way for is left alone, as the collector's
    own sweep does.
    """
    with reading(config) as reader:

        async def is_linked(incident: str, ticket: str) -> bool:
            with reader.snapshot() as db:
                link = tracked.of_incident(db, port.name, incident)
                resting = tracked.rest(db, port.name, incident)
            return link is not None and link.external_id == ticket and resting is not None

        return await sweep(port, pairs, is_linked=is_linked)


def _check(config: Config, options: argparse.Namespace) -> int:
    receivers = _receivers(config)
    names = [options.connector] if options.connector else list(receivers)
    found = {name: asyncio.run(_preflight(_of(receivers, name))) for name in names}
    if options.json:
        print_json({name: [asdict(problem) for problem in problems] for name, problems in found.items()})
    elif not found:
        print("no receiver is configured; see [tickets.NAME] in collector.toml")
    else:
        rows = [
            (
                name,
                "fail" if problems else "ok",
                problems[0].what if problems else "can take messages",
                problems[0].mend if problems else "",
            )
            for name, problems in found.items()
        ]
        for name, problems in found.items():
            rows += [("", "fail", problem.what, problem.mend) for problem in problems[1:] if name]
        print_table(("RECEIVER", "", "FOUND", "WHAT TO DO"), rows)
    return FAILED if any(found.values()) else DONE


async def _preflight(receiver: Receiver) -> list[Any]:
    try:
        return list(await receiver.preflight())
    finally:
        await receiver.close()


def _receivers(config: Config) -> dict[str, Receiver]:
    try:
        return {**open_receivers("tickets", config.desks), **open_receivers("channels", config.channels)}
    except ReceiverError as error:
        raise CommandError(str(error)) from None


def _of(receivers: dict[str, Receiver], name: str) -> Receiver:
    if not receivers:
        raise CommandError("no ticket system is configured; see [tickets.NAME] in collector.toml")
    if name not in receivers:
        raise CommandError(f"no receiver {name} is configured; there are: {', '.join(receivers)}")
    return receivers[name]


def _ask(config: Config, name: str, work: Callable[[TicketPort], Awaitable[T]]) -> T:
    desk = _of(_receivers(config), name)
    if not isinstance(desk, Desk):
        raise CommandError(f"[tickets.{name}] takes messages and tells nothing of its tickets")

    async def asked() -> T:
        try:
            return await work(desk.port)
        except (NotAppliedError, UnclearError, RejectedError, BarredError) as error:
            raise CommandError(f"{name}: {error}") from None
        finally:
            await desk.close()

    return asyncio.run(asked())


def _rows(rows: Sequence[OutgoingView]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]


_ACTIONS: dict[str, tuple[Work, int]] = {
    "list": (_list, 0),
    "explain": (_explain, 1),
    "retry": (_retry, 0),
    "link": (_link, 2),
    "sweep": (_sweep, 0),
    "check": (_check, 0),
}
"""With how many positional values each takes."""
