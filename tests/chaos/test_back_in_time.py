"""Either end of the line goes back in time, with real processes and a real broker: the collector is restored from a backup that was made while
it ran, and a terminal from an old copy of its state. What is gone is declared and shown, what is there goes on, and nothing waits for ever.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.chaos import oracle, parts, rig
from tillwatch.agent.identity import SPOOL
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore

SLACK = 10**9
PAST = 4
"""Batches that each life is given to go on."""


async def _go_on(line: rig.Rig) -> dict[str, int]:
    before = line.marks()
    await line.wait(
        lambda: all(mark >= before[name] + PAST for name, mark in line.marks().items()),
        rig.FLOW_S,
        "batches to be stored",
    )
    return line.marks()


def _rows(line: rig.Rig, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{line.database}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def _rebuilds(line: rig.Rig) -> None:
    copy = line.folder / "rebuilt.db"
    rebuild(line.database, copy)
    with closing(SqliteStore(line.database)) as kept, closing(SqliteStore(copy)) as made:
        assert tables(made.conn) == tables(kept.conn)


@pytest.mark.timeout(600)
async def test_a_collector_restored_from_an_old_backup_is_told_what_is_gone(tmp_path: Path) -> None:
    async with rig.running(tmp_path, 2) as line:
        await _go_on(line)
        backup = tmp_path / "backup.db"
        await line.command("backup", backup)
        assert line.collector.process is not None, "it runs all the while"
        new = await _go_on(line)
        # What is stored and not yet acknowledged is still the terminal's: it would be sent again, and be no hole.
        await line.wait(
            lambda: all(agent.spool().acked >= new[agent.name] for agent in line.agents), rig.FLOW_S, "acknowledgements"
        )
        await line.collector.kill()
        await line.command("restore", backup)
        old = line.marks()
        assert all(old[name] < new[name] for name in new)
        line.tell("restored")
        await line.collector.start()
        await line.wait(
            lambda: all(mark >= new[name] + PAST for name, mark in line.marks().items()),
            rig.FLOW_S,
            "batches after those that are gone",
        )
        await line.drain()
        await line.end()
        with closing(SqliteReader(line.database)) as reader:
            for agent in line.agents:
                view = reader.terminal(agent.name)
                spooled = agent.spool()
                assert spooled.lost == 0, "the terminal itself lost nothing"
                assert line.marks()[agent.name] == spooled.acked
                # What was acknowledged by the life that is gone, and by it alone: declared, counted, shown.
                assert new[agent.name] - old[agent.name] <= view.holes <= spooled.acked - old[agent.name]
                assert view.connection == "offline"
                open_ones = {(a.rule, a.component, str(a.value)) for a in reader.alarms(terminal=agent.name)}
                # What its devices raise by themselves is theirs; of the delivery only the silence may stand.
                assert {rule for rule, _, _ in open_ones if not rule.startswith("ups.")} <= {"terminal.silent"}, (
                    open_ones
                )
        assert not any("Traceback" in part.tail(100_000) for part in line.parts.values())
        _rebuilds(line)


@pytest.mark.timeout(600)
@pytest.mark.long
async def test_a_terminal_restored_from_an_old_copy_begins_an_epoch_and_loses_nothing_it_read_since(
    tmp_path: Path,
) -> None:
    async with rig.running(tmp_path, 1) as line:
        (agent,) = line.agents
        await _go_on(line)
        await agent.end()
        copy = (agent.state / SPOOL).read_bytes()
        await agent.start()
        await _go_on(line)
        await agent.kill()
        for left in agent.state.glob(f"{SPOOL}*"):
            left.unlink()
        (agent.state / SPOOL).write_bytes(copy)
        line.tell("restored")
        await agent.start()
        await line.wait(lambda: len(_rows(line, "SELECT epoch FROM stream")) == 2, rig.FLOW_S, "a new epoch")
        await line.wait(
            lambda: max(_rows(line, "SELECT mark FROM stream WHERE current = 1")) >= (PAST,), rig.FLOW_S, "it to go on"
        )
        for device in agent.devices:
            device.quiet = True
        await agent.end()
        await line.collector.end()
        with closing(SqliteReader(line.database)) as reader:
            view = reader.terminal(agent.name)
            said = {s.signal: s for c in reader.components(agent.name) if c.name == "agent" for s in c.signals}
            assert "older copy" in said["agent.spool.rolled-back"].value
            assert said["agent.epoch.reason"].value == said["agent.spool.rolled-back"].value
            assert (view.holes, view.lost) == (0, 0)
            bounds = oracle.Bounds.of(parts.SEAL_S, parts.POLL_S)
            for device in agent.devices:
                first, last = device.runs[0].answers[0], device.runs[-1].answers[-1]
                points = reader.history(
                    agent.name, device.name, oracle.NUMBER, first.at - SLACK, last.at + SLACK
                ).points
                values = [point.value for point in points]
                assert all(a < b for a, b in pairwise(values)), "each once, in order"
                for run in device.runs:
                    missing = [answer.n for answer in run.answers if answer.n not in values]
                    allowed = bounds.killed if run.ended == "killed" else bounds.stopped
                    assert missing == [answer.n for answer in run.answers[len(run.answers) - len(missing) :]]
                    assert len(missing) <= allowed
        assert "Traceback" not in agent.tail(100_000)
        _rebuilds(line)
