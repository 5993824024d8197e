"""Whether this machine's clock is synchronised, as its own time service says."""

from __future__ import annotations

import shutil
import subprocess

ANSWER_S = 3.0


def synchronised() -> bool | None:
    """None where nobody here can say: another system, or a container."""
    program = shutil.which("timedatectl")
    if program is None:
        return None
    try:
        asked = subprocess.run(  # noqa: S603 - a fixed command
            [program, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(asked)
