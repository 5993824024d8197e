"""A storm of alarms through the real pipeline and the real sender: each is told once, and what matters most goes first."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.collector.storming import Storm
from tests.collector.tickets.conftest import Desk, desk, secret_file

__all__ = ["desk", "secret_file"]


async def test_everything_is_told_once_and_level_1_first(tmp_path: Path, desk: Desk, secret_file: Path) -> None:
    """Forty branches with five faults each. The desk comes when all has been stored: what waits goes by its gravity."""
    storm = Storm(tmp_path / "collector.db", branches=40, parts=5)
    await storm.start()
    await storm.blow(0.0)
    sending = asyncio.create_task(storm.sender(desk.address, secret_file).run())
    try:
        await storm.all_told()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        storm.close()
    levels = [level for level, _ in storm.answered]
    assert sorted(levels) == [1] * 40 + [2] * 40 + [3] * 120
    assert max(i for i, level in enumerate(levels) if level == 1) < 60, "those under way beside them apart"
    opened = [each["webhook_id"] for each in desk.received() if each["type"] == "incident.opened"]
    assert len(opened) == len(set(opened)) == 200
