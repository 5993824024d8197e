"""A large installation in namespaces: three broker nodes, PostgreSQL and three collectors, each on a machine of its own on one switch; the test's own machine has the
ticket desk, the sink, the balancer and the fleet. Everything can be struck, and what it did is told as figures.
"""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.scale.chaos.balancer import Balancer
from tests.scale.chaos.cluster import ACCESS, MQTT, Cluster
from tests.scale.chaos.collector import MAIN, OPENER, Collector, settings
from tests.scale.chaos.database import Database
from tests.scale.chaos.desk import Desk
from tests.scale.chaos.fleet import Account, Load, enrol
from tests.scale.chaos.machine import UP_S, Machine, until
from tests.scale.chaos.network import Network, network
from tests.scale.chaos.witness import Lease, Witness
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.collector.scaled import FENCED_EXIT
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.trust.authority import open_authority

NODES, COLLECTORS, SERVER = ("b1", "b2", "b3"), ("c1", "c2", "c3"), "pg"
FLOW_S = 180.0
"""For batches to be stored again after any fault that is mended: several heartbeats and leases, and the start of a node, on a machine that is busy."""
SETTLED_INTERVALS = 6
"""Within which the newest batch of every terminal was stored where all is well: for a machine that is busy."""
SINK_PORT = 8428
RULES = """
[fold]
silent_after = 3.0
silent_least = "60s"
[[rule]]
id = "ups.on-battery"
for = "1s"
hold = "1s"
[[rule]]
id = "atm.jam"
for = "1s"
hold = "1s"
[[rule]]
id = "printer.stopped"
for = "1s"
hold = "1s"
"""


@dataclass
class Figures:
    """What is told at the end. after: of each fault by its kind, in seconds: to the first batch that was stored, the longest that a terminal waited for one of its
    own, and how long what was struck stayed so.
    """

    after: defaultdict[str, list[tuple[float, float, float]]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[str, object] = field(default_factory=dict)

    def plain(self) -> dict[str, object]:
        worst = {
            kind: {
                "times": len(each),
                "first_batch_after_s": round(max(first for first, _, _ in each), 1),
                "terminal_waited_s": round(max(waited for _, waited, _ in each), 1),
                "struck_for_s": round(max(held for _, _, held in each), 1),
            }
            for kind, each in sorted(self.after.items())
        }
        return {**self.facts, "faults": sum(map(len, self.after.values())), "worst_of_each_kind": worst}


class Installation:
    def __init__(self, net: Network, folder: Path, terminals: int, interval_s: float) -> None:
        self.net, self.folder, self.figures = net, folder, Figures()
        self.story: list[str] = []
        self._began = time.monotonic()
        self._terminals, self._interval_s = terminals, interval_s
        own = self._authority = open_authority(folder / COLLECTORS[0] / "authority")
        self.cluster = Cluster(net, NODES, folder, own, "test")
        self.database = Database(net, SERVER, folder)
        self.witness = Witness(self.database)
        self.mqtt = Balancer(net.own, MQTT, [(net.address[node], MQTT) for node in NODES])
        self.access = Balancer(net.own, ACCESS, [(net.address[name], ACCESS) for name in COLLECTORS])
        self.desk = Desk(net.own, own.server_file((net.own, "test"), path=folder / "desk.pem"))
        self.victoria = VictoriaMetrics(folder / "victoria")
        self.sink = Balancer(net.own, SINK_PORT, [("127.0.0.1", self.victoria.port)])
        (folder / "rules.toml").write_text(RULES)
        (folder / "password").write_text(self.cluster.password + "\n")
        secret = folder / "desk.secret"
        secret.touch(0o600)
        secret.write_text(f"whsec_{base64.b64encode(b'what the desk and the collectors share').decode()}\n")
        more = (
            f'[rules]\nfile = "{folder / "rules.toml"}"\n[tickets.webhook]\nurl = "https://test:{self.desk.port}/"\nca_file = "{own.ca_file}"\nsecret_file = "{secret}"\n'
            f'[sinks.victoriametrics]\nurl = "http://test:{SINK_PORT}"\n'
        )
        # As the database is called from the collectors' machines.
        store = self.database.where(SERVER).url
        self.collectors = [
            # Each calls another node first, so that none carries all of them.
            Collector(
                net, name, folder, settings(name, folder, store, (*NODES[at:], *NODES[:at]), folder / "password", more)
            )
            for at, name in enumerate(COLLECTORS)
        ]
        for name in COLLECTORS[1:]:
            shutil.copytree(own.ca_file.parent, folder / name / own.ca_file.parent.name)
        self.load = Load(folder, self.collectors[0].config, (net.own, MQTT), terminals, interval_s)
        self.machines: dict[str, Machine] = {
            machine.name: machine for machine in (*self.cluster.nodes, self.database, *self.collectors)
        }

    def start(self) -> None:
        self.database.begin()
        open_db(self.database.where()).close()
        self.witness.begin()
        enrol(self.database.where(), self._authority, self._terminals, RULES)
        self.tell(f"{self._terminals} terminals are enrolled")
        self.victoria.start()
        self.desk.start()
        self.sink.start()
        self.access.start()
        self.cluster.start()
        self.tell("the cluster runs")
        for collector in self.collectors:
            collector.start()

        def folds() -> bool:
            assert not any(set(each.ended) - {FENCED_EXIT} for each in self.collectors), self.report()
            lease = self.witness.lease()
            return lease is not None and lease.good

        until(folds, UP_S, "a collector to fold", self.report)
        self.mqtt.start()
        self.load.start()
        self.flows(0.0)
        self.tell("batches are stored")

    def close(self) -> None:
        """Everything, whatever state it is in."""
        with ExitStack() as stack:
            for machine in self.machines.values():
                stack.callback(machine.end)
            for each in (
                self.mqtt.close,
                self.sink.close,
                self.access.close,
                self.victoria.kill,
                self.desk.close,
                self.load.close,
            ):
                stack.callback(each)

    # Looking.

    def holder(self) -> Collector:
        """The one that folds: by the process that the lease names."""
        found: list[Collector] = []

        def look() -> bool:
            lease = self.witness.lease()
            if lease is not None and lease.good:
                found[:] = [
                    each
                    for each in self.collectors
                    if any(f"(process {pid})" in lease.holder for pid in each.processes(MAIN))
                ]
            return bool(found)

        until(look, UP_S, "a collector that folds", self.report)
        return found[0]

    def standby(self) -> list[Collector]:
        holder = self.holder()
        return [each for each in self.collectors if each is not holder]

    def complete(self) -> None:
        """Wait until every collector is there with its opener, which those that were struck just now begin again."""
        for each in self.collectors:
            until(lambda each=each: each.processes(OPENER), UP_S, f"{each.name} to be there again", self.report)

    def lease(self) -> Lease:
        found: list[Lease] = []

        def look() -> bool:
            lease = self.witness.lease()
            found[:] = [lease] if lease is not None else []
            return bool(found)

        until(look, UP_S, "the lease to be read", self.report)
        return found[0]

    def flows(self, after_s: float, *, epoch: int = 0) -> float:
        """Wait until a batch is stored after that time, UTC s, under this epoch or a later one; seconds from then to the first one."""
        first: list[float] = []

        def look() -> bool:
            at = self.witness.first_batch(after_s, epoch)
            first[:] = [at] if at is not None else []
            self._fleet_runs()
            return bool(first)

        until(look, FLOW_S, "batches to be stored", self.report)
        return first[0] - after_s

    def steady(self, mended_s: float) -> None:
        """Wait until batches of every terminal are stored again, also of those whose last ones were on their way when something was struck."""

        settled = SETTLED_INTERVALS * self._interval_s

        def look() -> bool:
            self._fleet_runs()
            newest, now = self.witness.newest(), time.time()
            return now > mended_s + settled and len(newest) == self._terminals and min(newest) > now - settled

        until(look, FLOW_S, "batches of all terminals to be stored", self.report)

    def recovered(self, kind: str, struck_s: float, mended_s: float, *, epoch: int = 0) -> tuple[float, float]:
        """Wait for it, and remember it by the kind of fault: seconds from the stroke to the first batch stored (under that epoch), and the longest that any terminal
        waited for one of its batches to be stored.
        """
        first = self.flows(struck_s, epoch=epoch)
        self.steady(mended_s)
        waited = self.witness.longest_wait(struck_s)
        self.figures.after[kind].append((first, waited, mended_s - struck_s))
        self.tell(
            f"{kind}: first batch after {first:.1f} s; longest wait of a terminal {waited:.1f} s; mended after {mended_s - struck_s:.1f} s"
        )
        return first, waited

    def rerouted(self) -> int:
        """Acks that went over another node than the opener's own, of all openers since the last start of each."""
        return sum(each.metric("tillwatch_opener_rerouted_total") for each in self.collectors)

    def _fleet_runs(self) -> None:
        assert self.load.running, f"the fleet has ended by itself\n{self.load.tail()}\n{self.report()}"

    def tell(self, what: str) -> None:
        line = f"{time.monotonic() - self._began:8.2f}  {what}"
        self.story.append(line)
        print(line, flush=True)

    def report(self) -> str:
        logs = [f"{machine.name}:\n{machine.tail()}" for machine in self.machines.values()]
        return "\n".join(
            [
                *self.story,
                f"lease: {self.witness.lease()}",
                f"stored: {self.witness.stored()}",
                *logs,
                f"fleet:\n{self.load.tail()}",
            ]
        )

    # The end.

    def mend(self) -> None:
        """All that may still be broken."""
        for machine in self.machines.values():
            machine.mend()
            machine.resume()
        self.sink.shut(shut=False)
        for node in self.cluster.nodes:
            if not node.running:
                node.start()
        self.database.wait()
        for collector in self.collectors:
            if not collector.running and not collector.processes():
                collector.start()
        self.cluster.wait(self.cluster.nodes)

    def drain(self, sent: Callable[[], bool]) -> Account:
        """The fleet ends; return when all that it sent is stored and acknowledged, and all that was to be told is. sent: whether it is."""
        account = self.load.end()
        self.tell(f"the fleet has ended: {account.figures['sent']} batches")
        until(sent, FLOW_S, "all to be told to desk and sink", self.report)
        return account

    def stop(self) -> dict[str, int]:
        """The collectors, in order: their exit codes."""
        codes = {collector.name: collector.stop() for collector in self.collectors}
        self.tell(f"the collectors have ended: {codes}")
        return codes


@contextmanager
def installed(folder: Path, terminals: int, interval_s: float = 1.0) -> Iterator[Installation]:
    """It runs, and all of it is ended with the block, whatever happened in it."""
    with network((*NODES, SERVER, *COLLECTORS), os.getpid() % 1000) as net:
        made = Installation(net, folder, terminals, interval_s)
        try:
            made.start()
            yield made
        finally:
            made.close()
