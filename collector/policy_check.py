"""What the doctor says of the policy as it would be taken on at the next start: who is told at all, which days are known as holidays, and names that
fit nothing.
"""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime

from tillwatch.collector.alarm.rules import Rules, parse_rules
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.incident.topology import Topology
from tillwatch.collector.service import checked_policy, site_rules
from tillwatch.collector.store.reading import connected
from tillwatch.collector.store.sqlite import terminals_of

SHOWN = 5
"""Names in one line; the rest are counted."""
READ_S = 3.0
_NO_ROSTER = "[[shift]]: there is none"

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""


def examine_policy(config: Config, now: int) -> Iterator[Said]:
    """now: UTC ns."""
    year = datetime.fromtimestamp(now / 1e9, UTC).year
    try:
        policy, rules = checked_policy(config, year), parse_rules(site_rules(config))
    except ConfigError as error:
        yield "policy", "fail", f"{error}; the collector will not start with it"
        return
    where = str(config.policy.file) if config.policy.file is not None else "the one that ships, no file of this site"
    yield "policy", "ok", where
    yield from _roster(policy)
    for note in policy.notes:
        if not note.startswith(_NO_ROSTER):
            yield "policy", "warn", f"{note}; correct it in the policy (packaging/docs/policy.md)"
    yield from _holidays(policy, year)
    yield from _names(config, policy, rules)
    if policy.regulator is not None and not any(step.channels for step in policy.regulator.target.steps):
        text = "[regulator] calls nobody: an outage to be reported has a ticket and no call; add [[regulator.step]]"
        yield "regulator", "warn", text


def _roster(policy: Policy) -> Iterator[Said]:
    if not policy.roster.shifts:
        text = "not in use: calls name the role, and nobody's number; write [person.NAME] and [[shift]] into the policy"
        yield "roster", "warn", text
        return
    people = {person.id for shift in policy.roster.shifts for person in shift.people}
    yield "roster", "ok", f"{len(policy.roster.shifts)} shifts of {len(people)} people"


def _holidays(policy: Policy, year: int) -> Iterator[Said]:
    """Of each place whose days a calendar in use has: whether this year's and the next one's are known."""
    tables = [tomllib.loads(text).get("holidays", {}) for text in (policy.shipped, policy.text)]
    days: dict[str, list[str]] = {}
    working: dict[str, list[str]] = {}
    for table in tables:
        for place, row in table.items():
            days[place] = [str(day) for day in row.get("days", days.get(place, []))]
            working[place] = [str(day) for day in row.get("working_days", working.get(place, []))]
    for place in sorted(days):
        missing = [str(each) for each in (year, year + 1) if not _within(days[place], each)]
        if missing:
            text = f"no holidays of {' and '.join(missing)} are known; update the package `holidays`, or write them into [holidays.{place}]"
            yield f"holidays {place}", "warn", text
        elif working[place] and not _within(working[place], year):
            text = f"no make-up working days of {year} are known, of other years they are; write them into [holidays.{place}]"
            yield f"holidays {place}", "warn", text
        else:
            late = working[place] and not _within(working[place], year + 1)
            more = f"; the make-up working days of {year + 1} are not announced, or not known yet" if late else ""
            yield f"holidays {place}", "ok", f"known for {year} and {year + 1}{more}"


def _within(days: Iterable[str], year: int) -> bool:
    return any(day.startswith(f"{year}-") for day in days)


def _names(config: Config, policy: Policy, rules: Rules) -> Iterator[Said]:
    if strangers := policy.strangers(rules.by_id):
        text = f"{_some(strangers)}; correct the name, or take the line out"
        yield "policy classes", "warn", text
    if not policy.links:
        return
    try:
        with closing(connected(config.store, READ_S)) as db:
            known = {each.id: (each.branch, each.region, each.terminal_class) for each in terminals_of(db)}
    except sqlite3.Error:
        return  # another check tells of a database that cannot be read
    nodes = Topology(policy.links, known).strangers()
    if nodes:
        text = f"{_some(nodes)}: no terminal, branch or region of that name; enrol it, or correct the link"
        yield "policy links", "warn", text
    else:
        yield "policy links", "ok", f"{len(policy.links)}, all of things that are there"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return "; ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")
