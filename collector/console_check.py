"""What the doctor says of a console that does not answer beside a collector that runs: whether one is to run on this machine at all."""

from __future__ import annotations

import shutil
import subprocess

from tillwatch.collector.config import Config

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""
PORT = "console port"
UNIT = "tillwatch-console"
ANSWER_S = 3.0


def silent_console(config: Config, *, own: bool) -> Said:
    """own: the collector was started with a console of its own, without `--no-console`."""
    where = f"nothing answers on {config.console.host} port {config.console.port}"
    if own:
        return PORT, "fail", f"{where}; see the collector's log"
    state = _unit_state()
    if state.startswith("enabled"):
        return PORT, "fail", f"{where}, and the service {UNIT} is {state}; see systemctl status {UNIT}"
    absent = f"no console runs here: the collector was started with --no-console, and the service {UNIT} is {state}"
    if config.amqp is not None:
        return PORT, "ok", f"{absent}; people use that of another collector of this installation"
    return PORT, "warn", f"{absent}; start one: systemctl enable --now {UNIT}, or tillwatch-collector console"


def _unit_state() -> str:
    """As systemd calls it: `enabled`, `disabled`, `masked`. Of a machine without systemd, or without the unit: `not installed`."""
    program = shutil.which("systemctl")
    if program is None:
        return "not installed"
    try:
        said = subprocess.run(  # noqa: S603 - a fixed command
            [program, "is-enabled", f"{UNIT}.service"], capture_output=True, text=True, timeout=ANSWER_S, check=False
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return "not installed"
    return "not installed" if said in {"", "not-found"} else said
