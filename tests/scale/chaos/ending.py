"""The end of a run: all mended, drained, stopped, and every check made; the figures as one line of JSON."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg

from tests.scale.chaos import oracle
from tests.scale.chaos.fleet import Account
from tests.scale.chaos.installation import Installation
from tests.scale.chaos.machine import until
from tillwatch.collector.scaled import FENCED_EXIT
from tillwatch.collector.store.opening import open_db

SINK_S = 240.0
"""For the sink to have what was read while it was down: its exporter waits a minute at most before it tries again, and this machine is busy."""
SHOWN = 40


def ended(line: Installation) -> Account:
    """Raises AssertionError with everything that is wrong."""
    line.mend()
    account = line.drain(lambda: _told(line))
    sunk = _sunk(line, account)
    codes = line.stop()
    found = [f"{name} ended with {code}" for name, code in codes.items() if code]
    found += line.witness.findings()
    with closing(open_db(line.database.where())) as db:
        true = oracle.truth(db, account)
    path = oracle.copied(line.database.where(), line.folder / "truth.db")
    found += [
        *true.found,
        *oracle.told(path, line.desk),
        *oracle.rebuilt(path),
        *sunk,
        *oracle.written(true, line.victoria),
        *_deaths(line),
    ]
    messages, requests = line.desk.attempts()
    tickets = line.desk.opened()
    fenced = sum(code == FENCED_EXIT for collector in line.collectors for code in collector.ended)
    line.figures.facts |= {
        "terminals": len(account.sent), "batches": true.batches, "readings": true.readings, "sent_again": account.figures["resent"],
        "tickets": len(tickets), "messages": messages, "messages_told_again": requests - messages, "ended_fenced": fenced, "epochs": line.lease().epoch,
        "longest_wait_of_a_terminal_s": round(line.witness.longest_wait(0.0), 1),
    }  # fmt: skip
    print("figures:", json.dumps(line.figures.plain()), flush=True)
    assert not found, "\n".join([*found[:SHOWN], f"{len(found)} findings", line.report()])
    assert true.batches, "nothing was sent"
    assert tickets, "no incident came: nothing was seen of tickets"
    return account


def _told(line: Installation) -> bool:
    """Whether the desk was told all that waits."""
    try:
        with line.database.asked() as conn:
            row = conn.execute("SELECT count(*) FROM outbox WHERE state <> 'done'").fetchone()
    except psycopg.Error:
        return False
    return row == (0,)


def _sunk(line: Installation, account: Account) -> list[str]:
    """Wait for the sink while the collectors still run."""
    with closing(open_db(line.database.where())) as db:
        true = oracle.truth(db, account)
    lacks: list[str] = []

    def look() -> bool:
        lacks[:] = oracle.written(true, line.victoria)
        return not lacks

    try:
        line.tell(f"the sink has all after {until(look, SINK_S, 'the sink'):.0f} s")
    except AssertionError:
        return [f"the sink is not there after {SINK_S:g} s: {len(lacks)} series lack something"]
    return []


def _deaths(line: Installation) -> list[str]:
    """Nothing ends by itself but who was fenced off, and nothing that strikes from outside looks like a fault of the program."""
    found = []
    for collector in line.collectors:
        found += [
            f"{collector.name} has ended by itself with {code}" for code in collector.ended if code != FENCED_EXIT
        ]
        lines = collector.log.read_text("utf-8", "replace").splitlines()
        traces = [
            "\n".join(lines[max(at - 3, 0) : at + 40])
            for at, text in enumerate(lines)
            if text.startswith(("Traceback", "  + Exception Group"))
        ]
        found += [f"{collector.name}:\n{trace}" for trace in traces]
    return found
