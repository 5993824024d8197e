"""One trial of a rule as a process of its own, for the console: what is to be tried comes on standard input as JSON, how far it is and what came of it go to standard
output, a line of JSON each. It gives way to everything else on the machine, and it is bounded in memory.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from typing import Any

from tillwatch.collector.backtest.judging import Episode, Tally

MAX_MEMORY = 3 * 1024**3
"""Bytes of address space: a year of a large fleet folds in some 1.5 GiB, numpy's own maps among them."""
NICE = 15
MAX_LISTED = 2_000
"""Episodes that are handed over, the newest; all are counted."""
MAX_TERMINALS = 500
EVERY = 0.01
"""Of the way, between two words on the progress."""


def main() -> int:
    _give_way()
    asked: dict[str, Any] = json.loads(sys.stdin.read())
    from tillwatch.collector.backtest import trial  # noqa: PLC0415 - under the bound
    from tillwatch.collector.backtest.rule_run import TrialError  # noqa: PLC0415
    from tillwatch.collector.store.opening import open_reader  # noqa: PLC0415
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415
    from tillwatch.collector.store.whereabouts import of_text  # noqa: PLC0415

    told = -1.0

    def progress(_: int, share: float) -> None:
        nonlocal told
        if share - told >= EVERY:
            told = share
            _say({"share": round(share, 4)})

    only = frozenset(asked["only"]) if asked.get("only") is not None else None
    try:
        with closing(open_reader(of_text(asked["db"]))) as reader:
            in_force = reader.in_force()
            with reader.snapshot() as db:
                found = trial.of_rule(
                    db, in_force, asked["text"], asked["rule"], asked["since"], asked["until"], asked.get("terminal", ""), progress, only
                )  # fmt: skip
    except (TrialError, StoreError) as error:
        _say({"failed": str(error)})
        return 1
    except MemoryError:
        _say({"failed": f"it needs more than {MAX_MEMORY // 1024**3} GiB: try less time, or one terminal"})
        return 1
    _say({"report": report(found)})
    return 0


def report(found: Any) -> dict[str, Any]:
    """Of a trial.Trial, for JSON."""
    return {
        "since": found.span.since, "until": found.span.until, "terminals": found.span.terminals, "by_the_hour": len(found.told.hourly),
        "faults": [each.text for each in found.told.faults][:20],
        "tried": _tally(found.tried), "stood": _tally(found.stood), "by_terminal": _by_terminal(found.tried, found.stood),
    }  # fmt: skip


def _tally(tally: Tally) -> dict[str, Any]:
    newest = sorted(tally.episodes, key=lambda each: -each.begun)[:MAX_LISTED]
    return {**tally.facts(), "list": [_episode(each) for each in newest]}


def _episode(each: Episode) -> dict[str, Any]:
    plain = asdict(each)
    plain["lead_days"] = None if each.lead is None else round(each.lead / (86_400 * 10**9), 3)
    return {name: plain[name] for name in ("terminal", "component", "begun", "ended", "level", "value", "outcome", "lead_days")}  # fmt: skip


def _by_terminal(tried: Tally, stood: Tally) -> list[dict[str, Any]]:
    """Where most would have been raised, first."""
    ours, theirs = _counts(tried.episodes), _counts(stood.episodes)
    names = sorted({name for name, _ in (*ours, *theirs)}, key=lambda name: (-_all(ours, name), -_all(theirs, name), name))  # fmt: skip
    return [
        {"terminal": name, "tried": _all(ours, name), "right": ours[name, "hit"], "false": ours[name, "false"], "stood": _all(theirs, name)}
        for name in names[:MAX_TERMINALS]
    ]  # fmt: skip


def _counts(episodes: Sequence[Episode]) -> Counter[tuple[str, str]]:
    return Counter((each.terminal, each.outcome) for each in episodes)


def _all(counts: Counter[tuple[str, str]], terminal: str) -> int:
    return sum(n for (name, _), n in counts.items() if name == terminal)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def _give_way() -> None:
    if sys.platform == "win32":
        return
    import os  # noqa: PLC0415 - not there in this form elsewhere
    import resource  # noqa: PLC0415

    with suppress(OSError):  # the console's unit lets nobody change priorities
        os.nice(NICE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


if __name__ == "__main__":
    sys.exit(main())
