"""Errors of main memory with ECC as the kernel's EDAC drivers count them, by module where the driver knows modules. Any uncorrected error is
critical: data was lost, and the module will do it again. Corrected ones are many where they come to more than CORRECTED_A_DAY, on average
since the machine started, which is when the counters start anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.sysfs import folders, number, text

CORRECTED_A_DAY = 10
"""Corrected errors of a module that are still chance (a bit that radiation flips); a module with more is one to replace."""
DAY_S = 86_400


def read(root: Path) -> Iterator[Sample]:
    """Parts: `memory:mc0`, `memory:mc0 DIMM_A1`; on old drivers `memory:mc0 csrow0`, `memory:mc0 csrow0 ch1`; `unknown` for errors without a place."""
    days = _days_up(root)
    for controller in folders(root / "sys/devices/system/edac/mc", "mc"):
        name = controller.name
        yield from _counts(f"memory:{name}", controller / "ce_count", controller / "ue_count", days=days)
        yield from _counts(
            f"memory:{name} unknown", controller / "ce_noinfo_count", controller / "ue_noinfo_count", days=days
        )
        modules = folders(controller, "dimm") or folders(controller, "rank")
        names: set[str] = set()
        for module in modules:
            label = text(module / "dimm_label") or text(module / "dimm_location") or module.name
            if label in names:
                label = f"{label} {module.name}"
            names.add(label)
            yield from _counts(f"memory:{name} {label}", module / "dimm_ce_count", module / "dimm_ue_count", days=days)
        for row in () if modules else folders(controller, "csrow"):
            yield from _counts(f"memory:{name} {row.name}", row / "ce_count", row / "ue_count", days=days)
            channels = sorted(
                {m[1] for file in row.glob("ch*_count") if (m := re.match(r"(ch\d+)_[cu]e_count$", file.name))}
            )
            for channel in channels:
                part = f"memory:{name} {row.name} {channel}"
                label = text(row / f"{channel}_dimm_label")
                yield from _counts(part, row / f"{channel}_ce_count", row / f"{channel}_ue_count", label, days=days)


def _days_up(root: Path) -> float | None:
    """At least 1: what came within an hour of the start says nothing yet of a day. None where nobody knows."""
    up = re.match(r"\d+", text(root / "proc/uptime"))
    return max(1.0, int(up[0]) / DAY_S) if up else None


def _counts(part: str, corrected: Path, uncorrected: Path, label: str = "", *, days: float | None) -> Iterator[Sample]:
    label = label or part.partition(":")[2]
    if (count := number(corrected)) is not None and count >= 0:
        state = State.NONE if days is None else State.WARN if count > CORRECTED_A_DAY * days else State.OK
        yield Sample(part, "memory.ecc.corrected", count, state, label=label)
    if (count := number(uncorrected)) is not None and count >= 0:
        yield Sample(part, "memory.ecc.uncorrected", count, State.CRIT if count else State.OK, label=label)
