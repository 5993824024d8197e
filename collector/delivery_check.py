"""What the doctor says of the way out: what waits too long for whom, what was given up, whether receivers would take a message, and whether those that
call back find a door. Receivers are asked as `tickets check` asks them: nothing is told to anybody.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing

from tillwatch.collector.commands.output import iso
from tillwatch.collector.config import Config
from tillwatch.collector.read import OutgoingView, WaitingView
from tillwatch.collector.store.opening import open_reader
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.port import Problem, Receiver
from tillwatch.collector.tickets.receivers import ReceiverError, open_receivers
from tillwatch.collector.tickets.settings import ReceiverSettings

PREFLIGHT_S = 5.0
"""For each receiver, all at the same time: a person waits for the doctor."""
MOST = 1_000
"""Messages that were given up and are looked at; more have the same reasons."""
SHOWN = 3
"""Incidents named in one line; the rest are counted."""

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""
SUBJECT = "deliveries"


def examine_deliveries(config: Config, now: int) -> Iterator[Said]:
    """now: UTC ns."""
    yield from _outbox(config, now)
    yield from _receivers(config)
    yield from _calls(config)


def _outbox(config: Config, now: int) -> Iterator[Said]:
    """Of a database that can be read; another check tells of one that cannot."""
    try:
        with closing(open_reader(config.store)) as reader:
            waiting = reader.waiting()
            rows, total = reader.outgoing(limit=MOST)
    except (StoreError, sqlite3.Error):
        return
    late = [each for each in waiting if each.late(now)]
    for each in late:
        yield SUBJECT, "fail", _late(each, config)
    dead = [row for row in rows if row.state == "dead"]
    yield from _given_up(dead)
    known = {*config.desks, *config.channels}
    for name in sorted({row.connector for row in rows} - known):
        yield SUBJECT, "warn", _nowhere(name, sum(row.connector == name for row in rows), config)
    if not late and not dead and not {row.connector for row in rows} - known:
        more = f"; {total} wait, none for longer than the policy allows" if total else ""
        yield SUBJECT, "ok", f"nothing is late and nothing was given up{more}"


def _nowhere(name: str, count: int, config: Config) -> str:
    said = f"messages that wait for {name or 'a ticket system'}, which is not configured: {count}"
    if config.desks:
        return f"{said}; the next start of the collector sends them another way"
    return f"{said}; write [tickets.NAME] into collector.toml and restart the collector"


def _late(each: WaitingView, config: Config) -> str:
    table = f"[{'channels' if each.connector in config.channels else 'tickets'}.{each.connector}]"
    said = f"messages of level {each.level} that have not reached {table}: {each.count}, the first since {iso(each.oldest_at)}"
    why = each.answer or "not tried yet; is the collector running?"
    return f"{said} ({why}); see tillwatch-collector tickets check --connector {each.connector}"


def _given_up(dead: list[OutgoingView]) -> Iterator[Said]:
    """One line for a receiver and what it said, with the command that brings its messages back."""
    reasons: dict[tuple[str, bool, str], list[OutgoingView]] = defaultdict(list)
    for row in dead:
        reasons[row.connector, row.op == Op.NOTIFY, row.answer].append(row)
    for (connector, call, answer), rows in reasons.items():
        names = list(dict.fromkeys(row.incident for row in rows))
        of = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        what = "calls to people" if call else "messages"
        state = "fail" if not call and min(row.level for row in rows) <= 2 else "warn"
        one = names[0] if len(names) == 1 else f"--connector {connector}"
        yield (
            SUBJECT,
            state,
            f"{what} that {connector or 'nobody'} will never get: {len(rows)}, of {of} ({answer or 'no reason was kept'}); mend that, then tillwatch-collector tickets retry {one}",
        )


def _receivers(config: Config) -> Iterator[Said]:
    sections: tuple[tuple[str, Mapping[str, ReceiverSettings]], ...] = (
        ("tickets", config.desks),
        ("channels", config.channels),
    )
    made: dict[str, Receiver] = {}
    for section, tables in sections:
        for name, settings in tables.items():
            subject = f"{section}.{name}"
            try:
                made[subject] = open_receivers(section, {name: settings})[name]
            except ReceiverError as error:
                yield subject, "fail", f"{error}; the collector will not start with it"
    for subject, problems in asyncio.run(_ask(made)).items():
        for problem in problems:
            yield subject, "warn" if problem.passing else "fail", f"{problem.what}; {problem.mend}"
        if not problems:
            yield subject, "ok", "can take messages"


async def _ask(receivers: Mapping[str, Receiver]) -> dict[str, list[Problem]]:
    answers = await asyncio.gather(*(_preflight(each) for each in receivers.values()))
    return dict(zip(receivers, answers, strict=True))


async def _preflight(receiver: Receiver) -> list[Problem]:
    try:
        async with asyncio.timeout(PREFLIGHT_S):
            return list(await receiver.preflight())
    except TimeoutError:
        mend = "it is tried again by itself; look at the network and at that system if this lasts"
        return [Problem(f"no answer within {PREFLIGHT_S:g} s", mend, passing=True)]
    finally:
        await receiver.close()


def _calls(config: Config) -> Iterator[Said]:
    callers = [f"tickets.{name}" for name, each in config.desks.items() if each.takes_hooks]
    callers += [f"alerts.{name}" for name in config.alerts]
    if callers and not config.tickets.port:
        yield (
            "hooks",
            "warn",
            f"{', '.join(callers)} cannot call: write host and port into [tickets], without it tickets are asked once a minute, and alerts do not arrive",
        )
