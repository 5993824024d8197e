"""`tillwatch-collector diagnose`: asks a terminal something that changes nothing there, and shows what became of it."""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

from tillwatch.agent.wire import CommandKind
from tillwatch.collector.commands.acting import journal, reading, the_terminal, words
from tillwatch.collector.commands.output import FAILED, USAGE, CommandError, age, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.diagnosis.order import ANSWER_NS, DONE, OPEN, Order, argument_problem, refusal

KINDS = {"poll-now": CommandKind.POLL_NOW, "raise-sampling": CommandKind.RAISE_SAMPLING, "bundle": CommandKind.COLLECT_BUNDLE, "self-report": CommandKind.SELF_REPORT}  # fmt: skip
LOOK_S = 0.2
SHOWN = 50
WHY = {
    "collector-off": "this collector asks nothing of terminals: set [diagnosis] enabled = true and restart it",
    "no-commands": "its agent has never said that it takes commands: it is older, or was not heard yet",
    "terminal-off": "it lets no commands in: its operator sets [commands] enabled = true in agent.toml",
    "not-allowed": "[commands] allow in its agent.toml does not list this kind",
    "revoked": "its keys were revoked",
    "too-many": "enough commands wait for it already; tillwatch-collector diagnose --list shows them",
}


def run_diagnose(config: Config, options: argparse.Namespace) -> int:
    if options.list or not options.terminal:
        return _list(config, options)
    if not options.kind:
        raise CommandError(f"say what to ask: {', '.join(KINDS)}", USAGE)
    kind = KINDS[options.kind]
    reason = words(options.reason, "--reason", needed=True)
    given = {"component": options.component or None, "minutes": options.minutes, "factor": options.factor}
    arguments = {name: value for name, value in given.items() if value is not None}
    if problem := argument_problem(kind, arguments):
        raise CommandError(problem, USAGE)
    with reading(config) as reader:
        the_terminal(reader, options.terminal)
        why = refusal(reader.reach(options.terminal), kind)
    if why:
        raise CommandError(f"{options.terminal} cannot be asked: {WHY[why]}")
    ref = uuid4().hex
    facts: dict[str, Any] = {"kind": kind.value, "arguments": arguments, "reason": reason, "ref": ref}
    journal(config, {"action": "command", "terminal": options.terminal, **facts})
    order = _found(config, options.terminal, ref)
    if options.wait or options.out:
        order = _wait(config, order)
    if options.out is not None:
        _save(config, order, options.out)
    if options.json:
        print_json(fields(order))
    else:
        print(f"command {order.n}, {order.kind} to {order.terminal}: {said(order)}")
    return FAILED if (options.wait or options.out) and (order.state != DONE or order.outcome != "done") else 0


def fields(order: Order) -> dict[str, Any]:
    return {
        "command": order.n,
        "terminal": order.terminal,
        "kind": order.kind,
        "arguments": dict(order.arguments),
        "by": order.by,
        "reason": order.reason,
        "state": order.state,
        "outcome": order.outcome,
        "why": order.why,
        "words": order.words,
        "asked_at": order.asked_at,
        "sent_at": order.sent_at,
        "done_at": order.done_at,
        "expires_at": order.expires_at,
    }


def said(order: Order) -> str:
    state = order.state if order.outcome in ("", order.state) else f"{order.state}, {order.outcome}"
    return ": ".join(filter(None, (" ".join(filter(None, (state, order.why))), order.words)))


def _list(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        if options.terminal:
            the_terminal(reader, options.terminal)
        orders = reader.orders(options.terminal or None, limit=SHOWN)
    if options.json:
        print_json([fields(order) for order in orders])
    elif not orders:
        print(
            "nothing was asked of any terminal" if not options.terminal else f"nothing was asked of {options.terminal}"
        )
    else:
        rows = [(str(one.n), one.terminal, one.kind, one.component or "-", age(one.asked_at), one.by, said(one)) for one in orders]  # fmt: skip
        print_table(("COMMAND", "TERMINAL", "KIND", "DEVICE", "ASKED", "BY", "STATE"), rows)
    return 0


def _found(config: Config, terminal: str, ref: str) -> Order:
    with reading(config) as reader:
        for order in reader.orders(terminal, limit=SHOWN):
            if order.ref == ref:
                return order
    raise CommandError(f"the collector has taken it and shows it under {terminal} in a moment; see diagnose --list")


def _wait(config: Config, order: Order) -> Order:
    """Until it is settled; the collector itself ends what is not answered."""
    until = time.monotonic() + (order.expires_at - order.asked_at + ANSWER_NS) / 1e9 + 10
    told = ""
    while order.state in OPEN and time.monotonic() < until:
        if order.state != told:
            told = order.state
            print(f"{order.state}: {order.kind} to {order.terminal}", file=sys.stderr)
        time.sleep(LOOK_S)
        with reading(config) as reader:
            order = reader.order(order.n)
    return order


def _save(config: Config, order: Order, out: Path) -> None:
    if order.kind != CommandKind.COLLECT_BUNDLE or order.outcome != "done":
        return
    with reading(config) as reader:
        found = reader.bundle(order.n)
    if found.content is None:
        raise CommandError(f"the bundle is not whole: {found.missing} pieces are missing; ask for it again")
    try:
        out.write_bytes(zlib.decompress(found.content))
    except (OSError, zlib.error) as error:
        raise CommandError(f"{out}: {error}") from None
    print(f"written: {out}", file=sys.stderr)
