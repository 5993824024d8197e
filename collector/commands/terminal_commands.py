"""The commands about terminals: `terminals` lists them, `show` opens one."""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tillwatch.collector.commands.output import (
    DONE,
    NS,
    USAGE,
    CommandError,
    age,
    coloured,
    iso,
    print_json,
    print_table,
    value_text,
)
from tillwatch.collector.config import Config
from tillwatch.collector.read import ComponentView, Culprit, FleetReader, History, IdentityView, StateView, TerminalView
from tillwatch.collector.values import duration

MAX_SPAN_S = 10 * 366 * 86400.0


def run_terminals(config: Config, options: argparse.Namespace) -> int:
    with closing(_reader(config)) as reader:
        views = reader.terminals()
    if options.json:
        print_json([asdict(view) for view in views])
        return DONE
    if not views:
        print("No terminal is enrolled yet: tillwatch-collector enrol-token --help", file=sys.stderr)
    print_table(
        ("TERMINAL", "CONDITION", "CONNECTION", "LEVEL", "ALARMS", "BRANCH", "REGION", "CLASS", "HEARD", "REFUSED"),
        [_terminal_row(view) for view in views],
    )
    return DONE


def _terminal_row(view: TerminalView) -> tuple[str, ...]:
    level = str(view.level or "-")
    place = (view.branch, view.region, view.terminal_class)
    heard, refused = age(view.last_received), str(view.refused or "-")
    return (view.id, view.condition, view.connection, level, str(view.open_alarms), *place, heard, refused)


def run_show(config: Config, options: argparse.Namespace) -> int:
    if options.since and not (options.component and options.signal):
        raise CommandError("--since is for the history of one signal: name it with --component and --signal", USAGE)
    try:
        span = duration(options.since) if options.since else 3600.0
    except ValueError as error:
        raise CommandError(f"--since {options.since}: {error}", USAGE) from None
    with closing(_reader(config)) as reader:
        try:
            view = reader.terminal(options.terminal)
        except KeyError:
            raise _unknown("terminal", options.terminal, [one.id for one in reader.terminals()]) from None
        components = reader.components(options.terminal)
        offences = [one for one in reader.health().culprits if one.terminal == view.id]
        if options.component:
            names = [one.name for one in components]
            components = [one for one in components if one.name == options.component]
            if not components:
                raise _unknown(f"component of {view.id}", options.component, names)
        if options.signal:
            names = sorted({signal.signal for one in components for signal in one.signals})
            if options.signal not in names:
                raise _unknown("signal", options.signal, names)
        if options.component and options.signal:
            end = time.time_ns()
            start = end - int(min(span, MAX_SPAN_S) * NS)
            history = reader.history(options.terminal, options.component, options.signal, start, end)
            print_json(asdict(history)) if options.json else _print_history(history)
            return DONE
        identity = reader.identity(options.terminal)
    if options.json:
        print_json(
            asdict(view)
            | {"identity": asdict(identity), "parts": [_component(one, options.signal) for one in components]}
        )
        return DONE
    reason = f" ({view.reason})" if view.reason else ""
    print(
        f"{view.id}: {coloured(view.condition)}{reason}, {coloured(view.connection)}, heard {age(view.last_received)}"
    )
    if view.state is not None:
        print(_standing(view.state))
    print(
        f"{view.branch}, {view.region}, {view.terminal_class}; {view.open_alarms} open alarms; {view.lost} readings lost, "
        f"{view.holes} batches gone"
    )
    for one in offences:
        print(f"{one.refused} messages not taken since the collector's start: {_reasons(one)}; last {age(one.last_at)}")
    if view.over_limit:
        print(f"{view.over_limit} readings kept and not shown: it has more components or signals than are followed")
    _print_identity(identity)
    rows = []
    for one in components:
        rows.append((one.name, one.condition, "", "", age(one.last_at), one.reason))
        rows += [
            (
                "",
                signal.state.replace("none", ""),  # the device profile does not judge it
                f"  {signal.signal}",
                value_text(signal.value, signal.unit),
                age(signal.at),
                signal.quality.replace("good", ""),
            )
            for signal in one.signals
            if options.signal in {None, signal.signal}
        ]
    print_table(("COMPONENT", "CONDITION", "SIGNAL", "VALUE", "READ", "NOTE"), rows)
    return DONE


def _standing(state: StateView) -> str:
    """What it is worth to its customers, since when and why."""
    why = ": ".join(each for each in (state.cause or state.text, state.why) if each)
    lost = f"; not working: {', '.join(state.lost)}" if state.lost else ""
    party = f"; answers for it: {state.party}" if state.party else ""
    return f"{state.state} since {iso(state.since)}{f' ({why})' if why else ''}{lost}{party}"


def _reasons(culprit: Culprit) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in culprit.reasons)


def _print_identity(identity: IdentityView) -> None:
    for key in identity.keys:
        proves = f", proves up to batch {key.last_seq}" if key.state == "retiring" else ""
        print(f"key {key.id}: {coloured(key.state)} since {iso(key.since)}{proves}")
    if identity.two_machines:
        print(f"{coloured('warn')} two machines under this identity: {identity.two_machines}")
        for speaker in identity.speakers:
            print(f"     {speaker}")
    print()


def _component(view: ComponentView, signal: str | None) -> dict[str, Any]:
    fields = asdict(view)
    fields["signals"] = [one for one in fields["signals"] if signal in {None, one["signal"]}]
    return fields


def _print_history(history: History) -> None:
    if not history.points:
        print("No readings in this span; a longer one: --since 7d", file=sys.stderr)
    by_hour = history.resolution == "hour"
    headings = ("TIME", "MEAN", "LEAST", "MOST", "READINGS") if by_hour else ("TIME", "VALUE")
    rows = []
    for point in history.points:
        row = [iso(point.at), value_text(point.value, history.unit)]
        if by_hour:
            row += [value_text(point.least, history.unit), value_text(point.most, history.unit), str(point.n)]
        rows.append(tuple(row))
    print_table(headings, rows)


def _reader(config: Config) -> Any:
    from tillwatch.collector.store.opening import open_reader  # noqa: PLC0415 - help should not wait for it
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415

    try:
        reader: FleetReader = open_reader(config.store)
    except (StoreError, OSError) as error:
        raise CommandError(str(error)) from None
    return reader


def _prepare_data_dir(folder: Path) -> None:
    from tillwatch.collector.commands.acts import ActError, prepare_data_dir  # noqa: PLC0415 - help should not wait for it

    try:
        prepare_data_dir(folder)
    except ActError as error:
        raise CommandError(str(error)) from None


def _unknown(what: str, name: str, known: Iterable[str]) -> CommandError:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return CommandError(f"no {what} is called {name}{hint}")
