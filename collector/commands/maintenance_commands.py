"""The commands about planned work: `maintain` opens, lists and cancels windows in which nobody is called, `life-cycle` takes a terminal out of
service and puts it back.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from tillwatch.collector.commands.acting import another, journal, moment, reading, the_terminal, unknown, words, zone_of
from tillwatch.collector.commands.output import USAGE, CommandError, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.windows import EVERYWHERE, PLACES, Window, check_node
from tillwatch.collector.read import TerminalView
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.terminal.fleet import IN_SERVICE
from tillwatch.collector.web.lines import stamp

__all__ = ["CommandError", "run_life_cycle", "run_maintain"]

DAY_NS = 86_400 * 10**9
MAX_DAYS = 92
"""A longer window is a slip of the pen, such as another year, and would silence its scope for as long: what is away for longer has a life-cycle state."""


def run_maintain(config: Config, options: argparse.Namespace) -> int:
    asked = (options.scope is not None, options.list, options.cancel is not None)
    if sum(asked) != 1:
        raise CommandError("name a SCOPE to maintain, or write --list or --cancel ID", USAGE)
    if options.list:
        return _list(config, options)
    return _cancel(config, options) if options.cancel is not None else _make(config, options)


def _make(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    missing = [name for name in ("until", "reason", "approved_by") if not getattr(options, name)]
    if missing:
        flag = {"until": "--to", "reason": "--reason", "approved_by": "--approved-by"}[missing[0]]
        raise CommandError(f"{flag} is missing: a window has an end, a reason, and somebody who agreed to it", USAGE)
    reason, change = words(options.reason, "--reason", needed=True), words(options.change, "--change")
    approved = another(options.approved_by, "--approved-by")
    with reading(config) as reader:
        terminals = {view.id: view for view in reader.terminals()}
        touched = _touched(reader, options.scope, terminals)
        policy, windows = reader.in_force().policy, reader.windows()
    zone = _zone(options.scope, policy, terminals)
    since, until = moment(options.since, zone, "--from", now), moment(options.until, zone, "--to", now)
    if until <= max(since, now):
        raise CommandError(f"--to is {stamp(until)}: it must lie after --from and after now", USAGE)
    if until - since > MAX_DAYS * DAY_NS:
        raise CommandError(
            f"from {stamp(since)} to {stamp(until)} is longer than {MAX_DAYS} days; what is away for so long: tillwatch-collector life-cycle",
            USAGE,
        )
    window = Window(f"M-{secrets.token_hex(4)}", options.scope, since, until, reason=reason)
    for other in _overlaps(window, windows, terminals):
        print(
            f"note: it overlaps {other.id} ({other.scope}, {other.reason}); what both cover is silent while either is open",
            file=sys.stderr,
        )
    facts = {
        "action": "window", "id": window.id, "scope": options.scope, "from": since, "to": until, "reason": reason, "approved_by": approved,
        "change_ref": change, "terminal": options.scope.partition("/")[0] if options.scope.partition("/")[0] in terminals else "",
    }  # fmt: skip
    journal(config, facts)
    with reading(config) as reader:
        made = reader.windows().get(window.id)
    if made is None:
        raise CommandError(f"the window was journaled and is over already: it ended at {stamp(until)}")
    if options.json:
        print_json(_fields(made, time.time_ns(), made_by_people=True))
        return 0
    state = "is open" if made.active(time.time_ns()) else "is set up"
    print(f"{made.id} {state}: {made.scope} ({touched}), {stamp(since)} to {stamp(until)}")
    print("Nobody is called for what it covers; that is followed, and what lasts at its end is told.")
    print(f"To end it sooner: tillwatch-collector maintain --cancel {made.id}")
    return 0


def _touched(reader: SqliteReader, scope: str, terminals: Mapping[str, TerminalView]) -> str:
    """Whom it covers, in words. Raises CommandError for a scope that nobody has."""
    if scope == EVERYWHERE:
        return f"all {len(terminals)} terminals"
    try:
        check_node(scope)
    except ValueError as error:
        raise CommandError(f'SCOPE {scope!r}: {error}, or "{EVERYWHERE}"', USAGE) from None
    kind, _, name = scope.partition(":")
    if kind in PLACES:
        places = [view.branch if kind == "branch" else view.region for view in terminals.values()]
        if name not in places:
            raise unknown(kind, name, set(places))
        return f"{places.count(name)} terminals"
    owner, _, pattern = scope.partition("/")
    the_terminal(reader, owner)
    if not pattern:
        return terminals[owner].branch
    parts = [one.name for one in reader.components(owner) if fnmatchcase(one.name, pattern)]
    if not parts:
        raise unknown(f"component of {owner}", pattern, [one.name for one in reader.components(owner)])
    return ", ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")


def _zone(scope: str, policy: Policy, terminals: Mapping[str, TerminalView]) -> str:
    kind, _, name = scope.partition(":")
    if kind == "branch":
        return zone_of(policy, name)
    owner = terminals.get(scope.partition("/")[0])
    return zone_of(policy, owner.branch if owner is not None else "")


def _overlaps(window: Window, others: Mapping[str, Window], terminals: Mapping[str, TerminalView]) -> list[Window]:
    """Windows of others at the same time, over a terminal that both touch."""
    mine = [view for view in terminals.values() if window.touches(view.id, view.branch, view.region)]
    found = []
    for other in others.values():
        if next(iter(other.spans(window.since, window.until)), None) is None:
            continue
        if any(other.touches(view.id, view.branch, view.region) for view in mine):
            found.append(other)
    return found


def _list(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        windows, planned = reader.windows(), {each.id for each in reader.in_force().policy.windows}
    rows = [_fields(each, now, made_by_people=name not in planned) for name, each in sorted(windows.items())]
    if options.json:
        print_json(rows)
        return 0
    if not rows:
        print("no maintenance window")
        return 0
    shown = [
        (row["id"], row["scope"], row["state"], stamp(row["since"]) if row["since"] else "-", stamp(row["until"]) if row["until"] else "-",
         row["reason"], row["by"] or "-", row["approved_by"] or "-", row["change_ref"] or "-", row["made_in"])
        for row in rows
    ]  # fmt: skip
    print_table(
        ("WINDOW", "SCOPE", "STATE", "FROM", "TO", "REASON", "SET UP BY", "APPROVED BY", "CHANGE", "MADE IN"), shown
    )
    return 0


def _fields(window: Window, now: int, *, made_by_people: bool) -> dict[str, Any]:
    """since, until: of the one that is open, or of the next."""
    change, active = window.next_change(now), window.active(now)
    if active or change is None:
        begin, end = window.since, change or window.until
    else:
        begin, end = change, window.next_change(change) or 0
    state = "open" if active else "over" if change is None else "to come"
    return {
        "id": window.id, "scope": window.scope, "state": state, "since": begin, "until": end, "weekly": window.weekly is not None, "reason": window.reason,
        "by": window.by, "approved_by": window.approved_by, "change_ref": window.change_ref, "made_in": "journal" if made_by_people else "policy",
    }  # fmt: skip


def _cancel(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        windows, planned = reader.windows(), {each.id for each in reader.in_force().policy.windows}
    window = windows.get(options.cancel)
    if window is None:
        raise unknown("maintenance window", options.cancel, windows)
    if options.cancel in planned:
        raise CommandError(f"{window.id} stands in the site's policy; take it out there, and restart the collector")
    was_open = window.active(time.time_ns())
    journal(config, {"action": "window-cancel", "id": window.id})
    with reading(config) as reader:
        if window.id in reader.windows():
            raise CommandError(f"{window.id} is still there; see tillwatch-collector maintain --list")
    if options.json:
        print_json({"id": window.id, "cancelled": True, "was_open": was_open})
        return 0
    print(f"{window.id} ({window.scope}) is cancelled{'; what lasts in its scope is told' if was_open else ''}")
    return 0


def run_life_cycle(config: Config, options: argparse.Namespace) -> int:
    reason = words(options.reason, "--reason", needed=True)
    with reading(config) as reader:
        before = the_terminal(reader, options.terminal)
    if before.life_cycle == options.state:
        raise CommandError(f"{before.id} is {options.state} already")
    facts = {"action": "life-cycle", "terminal": before.id, "state": options.state, "reason": reason}
    journal(config, facts)
    with reading(config) as reader:
        after = reader.terminal(before.id)
    if after.life_cycle != options.state:
        raise CommandError(f"{after.id} is still {after.life_cycle}")
    if options.json:
        print_json({"terminal": after.id, "life_cycle": after.life_cycle, "was": before.life_cycle, "open_alarms": after.open_alarms})  # fmt: skip
        return 0
    print(f"{after.id} is {after.life_cycle}, before: {before.life_cycle}")
    if after.life_cycle == IN_SERVICE:
        print(f"What is wrong with it is told again: {after.open_alarms} open alarms.")
    else:
        ended = before.open_alarms - after.open_alarms
        print(f"Nothing is raised on it any more{f'; {ended} open alarms have ended' if ended else ''}.")
    return 0
