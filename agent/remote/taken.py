"""What was taken, in the spool's file: a command is written down before anything is done for it, so that it is carried out at most once,
whatever ends the agent in between. Every method may raise SpoolFullError.
"""

from __future__ import annotations

from tillwatch.agent.remote.judging import Past
from tillwatch.agent.spool import Spool
from tillwatch.agent.wire import Command, CommandKind, Outcome

KEPT = 64
"""Rows: the hour that the rate is counted over has at most 12 taken ones; the highest number, which decides, is always among them."""
HOUR_MS = 3_600_000


class Taken:
    """The table `command`."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def past(self) -> Past:
        with self._spool.beside() as (db, ran):
            mark = db.execute("SELECT coalesce(max(number), 0) FROM command").fetchone()[0]
            kinds = db.execute(
                "SELECT kind FROM command WHERE ran > ? AND outcome <> ?", (ran - HOUR_MS, Outcome.REFUSED)
            ).fetchall()
        return Past(mark, tuple(kind for (kind,) in kinds))

    def knows(self, number: int) -> bool:
        with self._spool.beside() as (db, _):
            return db.execute("SELECT 1 FROM command WHERE number = ?", (number,)).fetchone() is not None

    def take(self, command: Command, until: int = 0, factor: int = 1) -> None:
        """Before it is carried out. until, factor: of a raised sampling."""
        self._write(command, "", until, factor)

    def refuse(self, command: Command) -> None:
        self._write(command, Outcome.REFUSED, 0, 1)

    def finish(self, number: int, outcome: Outcome) -> None:
        """Once the result is in the spool."""
        with self._spool.beside() as (db, _):
            db.execute("UPDATE command SET outcome = ? WHERE number = ?", (outcome, number))

    def unfinished(self) -> list[int]:
        """Taken by an agent that ended before it had told the result."""
        with self._spool.beside() as (db, _):
            return [number for (number,) in db.execute("SELECT number FROM command WHERE outcome = '' ORDER BY number")]

    def raised(self) -> tuple[int, int]:
        """Until when, UTC ns by the collector's clock, and how many times as often the last raised sampling goes; (0, 1) where there is none."""
        with self._spool.beside() as (db, _):
            row = db.execute(
                "SELECT until, factor FROM command WHERE kind = ? AND outcome = ? ORDER BY number DESC LIMIT 1",
                (CommandKind.RAISE_SAMPLING, Outcome.DONE),
            ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 1)

    def _write(self, command: Command, outcome: str, until: int, factor: int) -> None:
        with self._spool.beside() as (db, ran):
            db.execute(
                "INSERT INTO command VALUES (?, ?, ?, ?, ?, ?)",
                (command.number, command.kind, ran, outcome, until, factor),
            )
            db.execute(
                "DELETE FROM command WHERE number NOT IN (SELECT number FROM command ORDER BY number DESC LIMIT ?)",
                (KEPT,),
            )
