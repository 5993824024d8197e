"""What the commands about alarms, incidents and planned work have in common: they look up what is meant, check what is said, journal the act, and
look again at what it has changed. An act that changed nothing is no success, whatever was journaled.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

from tillwatch.collector.commands.acts import ActError, act, actor, prepare_data_dir
from tillwatch.collector.commands.output import USAGE, CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.windows import moment_ns
from tillwatch.collector.incident.applies import MAX_WORDS
from tillwatch.collector.incident.case import Line
from tillwatch.collector.incident.incident_views import IncidentFile
from tillwatch.collector.read import AlarmView, TerminalView
from tillwatch.collector.store.opening import open_reader
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.reading import is_made
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import AuthorityError
from tillwatch.collector.web.lines import say
from tillwatch.collector.web.messages import TEXTS


@contextmanager
def reading(config: Config) -> Iterator[SqliteReader]:
    try:
        with closing(open_reader(config.store)) as reader:
            yield reader
    except StoreError as error:
        raise CommandError(str(error)) from None


def made(config: Config) -> bool:
    """Whether a collector has ever been started on the store. Raises CommandError where that cannot be told."""
    try:
        return is_made(config.store)
    except StoreError as error:
        raise CommandError(str(error)) from None


def journal(config: Config, facts: dict[str, Any]) -> None:
    """Have it journaled, and return once it is in effect. Raises CommandError."""
    try:
        prepare_data_dir(config.collector.data_dir)
        act(config, facts)
    except (ActError, RequestError, StoreError, AuthorityError) as error:
        raise CommandError(str(error)) from None


def refuse(line: Line | None) -> None:
    """Raises CommandError with why an act does not apply."""
    if line is not None:
        raise CommandError(say(TEXTS["en"], line))


def words(text: str | None, option: str, *, needed: bool = False) -> str:
    said = (text or "").strip()
    if len(said) > MAX_WORDS or (said and not said.isprintable()):
        raise CommandError(f"{option} takes up to {MAX_WORDS} printable characters", USAGE)
    if needed and not said:
        raise CommandError(f"{option} is empty; say it for the record, and for whoever looks at it", USAGE)
    return said


def another(name: str, option: str) -> str:
    """A person who is not the one who acts. Raises CommandError."""
    said = words(name, option, needed=True)
    own = {part.strip(" ()").removeprefix("as ").casefold() for part in actor().split("(")}
    if said.casefold() in own:
        raise CommandError(f"{option} {said}: that is you; somebody else has to agree", USAGE)
    return said


def moment(text: str, zone: str, option: str, now: int) -> int:
    """UTC ns of `now`, of a length from now on such as `+90m`, or of a time in ISO 8601, without an offset by the clocks of that zone."""
    if text == "now":
        return now
    if text.startswith("+"):
        return now + length(text[1:], option)
    try:
        return moment_ns(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        raise CommandError(
            f"{option} {text!r} is no time; write 2026-11-21T22:00 (by the clocks of {zone}), 2026-11-21T22:00+08:00, now, or +90m",
            USAGE,
        ) from None


_LENGTHS = {"m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}


def length(text: str, option: str) -> int:
    """Ns of `30m`, `2h` or `1d`."""
    number, unit = text[:-1], text[-1:]
    if unit not in _LENGTHS or not number.isdecimal() or not 0 < int(number) <= 10_000:
        raise CommandError(f"{option} {text!r} is no length of time; write 30m, 2h or 1d", USAGE)
    return int(number) * _LENGTHS[unit]


def zone_of(policy: Policy, branch: str = "") -> str:
    """By whose clocks a time without an offset is meant."""
    return (policy.branch(branch).zone if branch else "") or policy.zone


def the_alarm(reader: SqliteReader, number: str) -> AlarmView:
    try:
        return reader.alarm(int(number))
    except (ValueError, KeyError):
        raise CommandError(
            f"there is no alarm {number}; tillwatch-collector alarms lists those that are open"
        ) from None


def the_incident(reader: SqliteReader, text: str, now: int) -> IncidentFile:
    """By its id, or by as much of it as fits no other."""
    try:
        return reader.incident(text, now)
    except KeyError:
        pass
    found = reader.find_incident(text)
    if len(found) > 1:
        raise CommandError(f"{text} fits {len(found)} incidents: {', '.join(found[:5])}; write more of the id")
    if not found:
        raise CommandError(f"there is no incident {text}; tillwatch-collector incidents lists them")
    return reader.incident(found[0], now)


def the_terminal(reader: SqliteReader, name: str) -> TerminalView:
    try:
        return reader.terminal(name)
    except KeyError:
        raise unknown("terminal", name, (one.id for one in reader.terminals())) from None


def unknown(what: str, name: str, known: Iterable[str]) -> CommandError:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return CommandError(f"no {what} is called {name}{hint}")
