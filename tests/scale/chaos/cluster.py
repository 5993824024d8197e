"""Three RabbitMQ nodes on machines of their own as one cluster, under the configuration that `tillwatch-collector broker-config rabbitmq` writes and the file that
is shipped beside it for clusters.
"""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.scale.chaos.machine import UP_S, Machine, until
from tests.scale.chaos.network import Network
from tests.scale.servers.rabbitmq import COOKIE, HOMES
from tillwatch.collector.intake.rabbitmq import DEFINITIONS, PASSWORD, write_rabbitmq
from tillwatch.collector.trust.authority import Authority

VHOST, USER = "tillwatch", "tillwatch"
AMQP, MQTT, ACCESS = 5671, 8883, 8846
SHIPPED = Path(__file__).parents[3] / "packaging/rabbitmq/cluster.conf"
TICK_S = 15
"""net_ticktime: after it a node that is cut off counts as gone, and a node that sees no majority pauses. RabbitMQ's own is 60 s, which makes a test four times
as long and shows nothing more.
"""
REMEMBERED_MS = 600_000
"""For so long a node remembers what a collector said of a terminal. One question without an answer costs a terminal its connection, and the MQTT plugin of 3.10 does
not tell it where it was a question of a publish: its channel is gone, its pings are answered, and nothing that it sends arrives any more.
"""


class Node(Machine):
    def __init__(
        self, net: Network, name: str, folder: Path, authority: Authority, access: str, nodes: Sequence[str]
    ) -> None:
        assert HOMES, "rabbitmq-server is missing: make packages"
        base = folder / name
        self.etc = base / "etc"
        self.etc.mkdir(parents=True)
        (base / ".erlang.cookie").write_text(COOKIE)
        (base / ".erlang.cookie").chmod(0o400)
        (base / "log").mkdir()
        self._home = HOMES[-1]
        self._name = f"tw@{name}"
        config = write_rabbitmq(
            self.etc, authority, {},
            hosts=(name, *nodes, net.own), vhost=VHOST, broker_user=USER, access=f"https://{access}:{ACCESS}", ports=(AMQP, MQTT),
            user=getpass.getuser(),
        )  # fmt: skip
        lines = [line for line in config.read_text().splitlines() if not line.startswith("load_definitions")]
        lines = [line for line in lines if not line.startswith("auth_cache.cache_ttl")] + [
            f"auth_cache.cache_ttl = {REMEMBERED_MS}"
        ]
        config.write_text("\n".join([*lines, *_clustered(nodes)]) + "\n")
        environment = {
            "HOME": str(base),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_MNESIA_BASE": str(base / "mnesia"),
            "RABBITMQ_LOG_BASE": str(base / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.etc / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.etc / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.etc / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(base / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Two processors carry all of it: no busy waiting of idle schedulers.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2 -kernel net_ticktime {TICK_S}",
        }
        super().__init__(net, name, folder, [str(self._home / "sbin/rabbitmq-server")], environment)

    @property
    def password(self) -> str:
        return (self.etc / PASSWORD).read_text().strip()

    def listens(self) -> bool:
        for port in (AMQP, MQTT):
            try:
                socket.create_connection((self.address, port), 1).close()
            except OSError:
                return False
        return True

    def control(self, *words: str) -> str:
        """`rabbitmqctl`, which takes some seconds."""
        told = [*self.net.inside(self.name), str(self._home / "sbin/rabbitmqctl"), "-n", self._name, *words]
        done = subprocess.run(told, env=self._environment, capture_output=True, text=True, timeout=UP_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def words(self) -> str:
        return "".join(
            path.read_text(errors="replace")[-2000:] for path in sorted((self.folder / self.name / "log").glob("*.log"))
        )


def _clustered(nodes: Sequence[str]) -> list[str]:
    """The file that is shipped for a node of a cluster, with these names."""
    text = SHIPPED.read_text()
    for at, node in enumerate(nodes, 1):
        text = text.replace(f"rabbit@mq{at}", f"tw@{node}")
    return text.splitlines()


class Cluster:
    """One password for all nodes: the first one's files are the others', too. access: where they ask about terminals, the balancer before all collectors."""

    def __init__(self, net: Network, names: Sequence[str], folder: Path, authority: Authority, access: str) -> None:
        self.nodes = [Node(net, name, folder, authority, access, names) for name in names]

    @property
    def password(self) -> str:
        return self.nodes[0].password

    def start(self) -> None:
        """The first one alone: two that begin at once would have to agree who is."""
        self.nodes[0].start()
        self.wait(self.nodes[:1])
        for node in self.nodes[1:]:
            node.start()
        self.wait(self.nodes)
        first = self.nodes[0]
        until(lambda: len(self.running()) == len(self.nodes), UP_S, "one cluster of all nodes", first.words)
        first.control("import_definitions", str(first.etc / DEFINITIONS))

    def wait(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            until(node.listens, UP_S, f"{node.name} to listen", node.words)

    @contextmanager
    def unhealed(self) -> Iterator[None]:
        """While the block runs nodes that were apart stay so, as everywhere where nothing was said about it. Whoever is started within has it as the file says."""
        asked = "application:get_env(rabbit, cluster_partition_handling)."
        before = {node: node.control("eval", asked).strip() for node in self.nodes}
        for node in self.nodes:
            node.control("eval", "application:set_env(rabbit, cluster_partition_handling, ignore).")
        try:
            yield
        finally:
            for node, said in before.items():
                node.control(
                    "eval", f"{{ok, Said}} = {said}, application:set_env(rabbit, cluster_partition_handling, Said)."
                )

    def running(self) -> list[str]:
        said: dict[str, list[str]] = json.loads(self.nodes[0].control("cluster_status", "--formatter", "json"))
        return said["running_nodes"]
