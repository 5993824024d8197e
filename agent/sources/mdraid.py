"""Software RAID of Linux out of /proc/mdstat: what each array does, which members it lacks, and how far a repair is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.sysfs import raw

STATES = {
    "active": State.OK,
    "check": State.OK,
    "container": State.OK,
    "resync": State.WARN,
    "recovering": State.WARN,
    "reshape": State.WARN,
    "degraded": State.CRIT,
    "inactive": State.CRIT,
}
_ARRAY = re.compile(r"(\S{1,40}) : (active|inactive)\s*(.*)")
_MEMBER = re.compile(r"\S+\[\d+\]((?:\([A-Z]\))*)")
_NEEDED = re.compile(r"\[(\d{1,4})/(\d{1,4})\] \[[U_]+\]")
_BLOCKS = re.compile(r"(\d{1,18}) blocks")
_WORK = re.compile(
    r"(recovery|resync|check|reshape)\s*=\s*(?:(\d{1,3}(?:\.\d+)?)%\s*\((\d+)/(\d+)\)|(DELAYED|PENDING|REMOTE))"
)


@dataclass(frozen=True, slots=True)
class Array:
    """required, active: members it should have and has. synced: blocks that are done. progress: percent of a repair or check, None if none runs."""

    name: str
    state: str
    blocks: int
    synced: int
    required: int
    active: int
    failed: int
    spare: int
    progress: float | None


def arrays(mdstat: str) -> list[Array]:
    found = []
    lines = mdstat.splitlines()
    for n, line in enumerate(lines):
        if head := _ARRAY.fullmatch(line.rstrip()):
            body = []
            for following in lines[n + 1 :]:
                if not following.startswith((" ", "\t")) or not following.strip():
                    break
                body.append(following)
            found.append(_array(head[1], head[2] == "active", head[3], "\n".join(body)))
    return found


def _array(name: str, active: bool, members: str, body: str) -> Array:  # noqa: FBT001 - what the line says
    flags = [member[1] for member in _MEMBER.finditer(members)]
    failed, spare = sum("(F)" in flag for flag in flags), sum("(S)" in flag for flag in flags)
    # An array that does not run has no members, whatever it says that it had.
    needed = _NEEDED.search(body) if active else None
    # Without redundancy no member can be missing: the array would not run.
    required = int(needed[1]) if needed else len(flags) - spare - failed if active else 0
    there = int(needed[2]) if needed else required
    blocks = int(match[1]) if (match := _BLOCKS.search(body)) else 0
    work = _WORK.search(body)
    synced, progress = blocks, None
    if work:
        synced = int(work[3]) if work[3] else 0
        progress = min(100.0, float(work[2])) if work[2] else 0.0
    kind = work[1] if work else ""
    if not active:
        # The container of a firmware RAID is never active; the arrays in it are.
        state = "container" if "external:" in body else "inactive"
    elif kind == "recovery":
        state = "recovering"
    elif there < required:
        state = "degraded"
    else:
        state = kind or "active"
    return Array(name, state, blocks, synced, required, there, failed, spare, progress)


def read(root: Path) -> Iterator[Sample]:
    """Parts: `raid:md0`."""
    for array in arrays(raw(root / "proc/mdstat")):
        part = f"raid:{array.name}"
        state = STATES[array.state]
        yield Sample(part, "raid.state", array.state, state, label=array.name)
        yield Sample(part, "raid.members.required", array.required, label=array.name)
        yield Sample(part, "raid.members.active", array.active, label=array.name)
        yield Sample(
            part, "raid.members.failed", array.failed, State.WARN if array.failed else State.OK, label=array.name
        )
        yield Sample(part, "raid.members.spare", array.spare, label=array.name)
        if array.progress is not None:
            yield Sample(part, "raid.progress", array.progress, label=array.name, unit="%")
