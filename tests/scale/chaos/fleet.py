"""A fleet that does not exist, in a process of its own: `simulate-fleet`, which speaks the real protocol, keeps what is not acknowledged, and writes down at its
end what it sent, with digests.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tillwatch.collector.alarm.rules import parse_rules, shipped_text
from tillwatch.collector.commands.acts import actor
from tillwatch.collector.fleet_load.ledger import Sent, read
from tillwatch.collector.fleet_load.terminals import Fleet
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.lock import locked
from tillwatch.collector.store.opening import open_store
from tillwatch.collector.trust.authority import Authority
from tillwatch.device_profiles.catalogue import load_catalogue

SEED = "chaos"
READINGS = 12
FAULTY = 0.6
"""Share of the terminals that show faults: alarms, incidents and tickets come all the time."""
END_S = 150.0
"""For what is sealed to be acknowledged once it was told to end, on a machine that is busy."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a fleet says at its end. figures: as `simulate-fleet --json` tells them."""

    figures: dict[str, Any]
    sent: list[Sent]


def enrol(where: Postgres, own: Authority, count: int, rules: str) -> None:
    """Make them terminals of an installation whose collectors do not run yet."""
    parse_rules(rules)
    fleet = Fleet(count, SEED)
    with locked(where, 1.0) as lease:
        store = open_store(where, lease)
        units = {name: known.unit for name, known in load_catalogue().signals.items()}
        pipeline = Pipeline(store, own.ack_key, units)

        async def journaled() -> None:
            await pipeline.start(shipped_text(), rules)
            places = {one.terminal: one for one in fleet.places()}
            await pipeline.operate_all(
                [
                    {
                        "action": "enrol", "actor": actor(), "terminal": name, "branch": places[name].branch, "region": places[name].region,
                        "class": places[name].terminal_class, "public": fleet.key(n).public,
                    }
                    for n, name in enumerate(map(fleet.name, range(count)))
                ]
            )  # fmt: skip
            await pipeline.stop()

        try:
            asyncio.run(journaled())
        finally:
            store.close()


class Load:
    """config: of any collector of the installation, for its keys; broker: where its terminals connect."""

    def __init__(self, folder: Path, config: Path, broker: tuple[str, int], count: int, interval_s: float) -> None:
        self._folder, self.ledger = folder, folder / "fleet.ledger"
        self._command = [
            sys.executable, "-P", "-m", "tillwatch.collector", "simulate-fleet", "--terminals", str(count), "--seed", SEED,
            "--interval", f"{interval_s:g}", "--readings", str(READINGS), "--faults", str(FAULTY), "--ahead", "0", "--broker", f"{broker[0]}:{broker[1]}",
            "--tls", "yes", "--ledger", str(self.ledger), "--json", "--config", str(config),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "fleet.out").open("wb") as out, (self._folder / "fleet.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def tail(self) -> str:
        return (self._folder / "fleet.log").read_text()[-2000:]

    def end(self) -> Account:
        """Nothing new is sealed; returns when all is acknowledged, or nothing moves any more."""
        assert self._process is not None
        assert self.running, f"the fleet has ended by itself\n{self.tail()}"
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(END_S)
        out = (self._folder / "fleet.out").read_text()
        assert out, self.tail()
        return Account(json.loads(out), read(self.ledger))

    def close(self) -> None:
        """Its senders end with their standard input."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
