"""Soldered flash (eMMC) of a payment terminal: the wear that the chip counts itself, in steps of ten percent (JEDEC eMMC 5.0, EXT_CSD)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.sysfs import folders, number, text

RESERVE = {1: ("normal", State.OK), 2: ("warning", State.WARN), 3: ("urgent", State.CRIT)}
"""pre_eol_info: 2 is 80 % of the reserved blocks used, 3 is 90 %."""
WARN, CRIT = 90, 100


def read(root: Path) -> Iterator[Sample]:
    """Parts: `drive:mmcblk0`. The wear is the beginning of its step: 0x01 is 0 to 10 %, 0x0B is more than 100 %."""
    for block in folders(root / "sys/block", "mmcblk"):
        device = block / "device"
        part, label = f"drive:{block.name}", text(device / "name") or block.name
        steps = [_step(word) for word in text(device / "life_time").split()[:2]]
        known = [step for step in steps if step is not None]
        if known:
            used = (max(known) - 1) * 10
            state = State.CRIT if used >= CRIT else State.WARN if used >= WARN else State.OK
            yield Sample(part, "drive.wear", used, state, label=label, unit="%")
        if word := RESERVE.get(number(device / "pre_eol_info") or 0):
            yield Sample(part, "drive.reserve", word[0], word[1], label=label)
        if known or word:
            for signal, file in (
                ("identity.model", "name"),
                ("identity.serial", "serial"),
                ("identity.firmware", "fwrev"),
            ):
                if said := text(device / file):
                    yield Sample(part, signal, said, label=label)


def _step(word: str) -> int | None:
    """0x01 to 0x0B; 0 is not defined."""
    try:
        step = int(word, 16)
    except ValueError:
        return None
    return step if 1 <= step <= 11 else None
