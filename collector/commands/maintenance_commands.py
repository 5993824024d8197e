"""The commands about planned work: `maintain` opens, lists and cancels windows in which nobody is called, `life-cycle` takes a terminal out of
service and puts it back.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

from tillwatch.collector.commands.acting import journal, moment, reading, the_terminal, unknown, words
from tillwatch.collector.commands.acts import actor
from tillwatch.collector.commands.output import USAGE, CommandError, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.duty.planning import (
    Extent,
    Place,
    PlanError,
    UnknownError,
    check_approval,
    check_span,
    check_words,
    extent,
    overlapping,
    state_of,
    window_facts,
    zone_of_scope,
)
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.terminal.fleet import IN_SERVICE
from tillwatch.collector.web.lines import stamp

__all__ = ["CommandError", "run_life_cycle", "run_maintain"]


def run_maintain(config: Config, options: argparse.Namespace) -> int:
    asked = (options.scope is not None, options.list, options.cancel is not None)
    if sum(asked) != 1:
        raise CommandError("name a SCOPE to maintain, or write --list or --cancel ID", USAGE)
    if options.list:
        return _list(config, options)
    return _cancel(config, options) if options.cancel is not None else _make(config, options)


_OPTIONS = {"to": "--to", "reason": "--reason", "approved_by": "--approved-by", "change_ref": "--change"}
"""What a field of planned work is called here."""


def _make(config: Config, options: argparse.Namespace) -> int:
    try:
        return _make_checked(config, options)
    except UnknownError as error:
        raise CommandError(str(error)) from None
    except PlanError as error:
        asked = f"SCOPE {options.scope!r}" if error.field == "scope" else _OPTIONS[error.field]
        raise CommandError(f"{asked}: {error}", USAGE) from None


def _make_checked(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    missing = [name for name in ("until", "reason", "approved_by") if not getattr(options, name)]
    if missing:
        flag = {"until": "--to", "reason": "--reason", "approved_by": "--approved-by"}[missing[0]]
        raise CommandError(f"{flag} is missing: a window has an end, a reason, and somebody who agreed to it", USAGE)
    reason = check_words(options.reason, "reason", needed=True)
    change = check_words(options.change or "", "change_ref")
    approved = check_approval(options.approved_by, actor())
    with reading(config) as reader:
        places = {view.id: Place(view.branch, view.region) for view in reader.terminals()}
        owner = options.scope.partition("/")[0]
        parts = [one.name for one in reader.components(owner)] if owner in places else []
        covered = extent(options.scope, places, parts)
        policy, windows = reader.in_force().policy, reader.windows()
    zone = zone_of_scope(options.scope, policy, places)
    since, until = moment(options.since, zone, "--from", now), moment(options.until, zone, "--to", now)
    check_span(since, until, now)
    window = Window(f"M-{secrets.token_hex(4)}", options.scope, since, until, reason=reason)
    for other in overlapping(window, windows.values(), places):
        print(
            f"note: it overlaps {other.id} ({other.scope}, {other.reason}); what both cover is silent while either is open",
            file=sys.stderr,
        )
    facts = window_facts(window, approved, change, owner if owner in places else "")
    journal(config, facts)
    with reading(config) as reader:
        made = reader.windows().get(window.id)
    if made is None:
        raise CommandError(f"the window was journaled and is over already: it ended at {stamp(until)}")
    if options.json:
        print_json(_fields(made, time.time_ns(), made_by_people=True))
        return 0
    state = "is open" if made.active(time.time_ns()) else "is set up"
    print(f"{made.id} {state}: {made.scope} ({_whom(covered, places)}), {stamp(since)} to {stamp(until)}")
    print("Nobody is called for what it covers; that is followed, and what lasts at its end is told.")
    print(f"To end it sooner: tillwatch-collector maintain --cancel {made.id}")
    return 0


def _whom(covered: Extent, places: Mapping[str, Place]) -> str:
    if covered.components:
        more = len(covered.components) - 5
        return ", ".join(covered.components[:5]) + (f" and {more} more" if more > 0 else "")
    if len(covered.terminals) == len(places):
        return f"all {len(places)} terminals"
    return places[covered.terminals[0]].branch if len(covered.terminals) == 1 else f"{len(covered.terminals)} terminals"


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
    state, begin, end = state_of(window, now)
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
