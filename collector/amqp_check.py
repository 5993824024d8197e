"""What the doctor says of the broker and the lease of a large installation: each node, its version, what stands there, whether the nodes are one cluster, and who
folds. It changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING

from tillwatch.collector.broker_settings import amqp_settings
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.intake.amqp import AmqpSettings, ReturnedError, TopologyError, open_link, publish
from tillwatch.collector.intake.topology import PARTITIONS, PROBE_KIND
from tillwatch.collector.intake.topology_check import check_topology
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import DOCTOR_NAME, Authority

if TYPE_CHECKING:
    from aiormq import Channel

ANSWER_S = 15.0
"""For one node: some 140 questions, each a round trip. As long for what they say of each other."""


def examine_amqp(config: Config, own: Authority) -> Iterator[tuple[str, str, str]]:
    """Subject, state, text."""
    try:
        settings = amqp_settings(config, own, "doctor", DOCTOR_NAME)
    except ConfigError as error:
        yield "broker", "fail", str(error)
        return
    there = []
    for host, port in settings.hosts:
        found = asyncio.run(_node(settings, host, port))
        yield found
        if found[1] == "ok":
            there.append((host, port))
    if len(there) > 1:
        yield asyncio.run(_one_cluster(settings, there))
    yield _folding(config)


async def _node(settings: AmqpSettings, host: str, port: int) -> tuple[str, str, str]:
    subject = f"broker {host} port {port}"
    try:
        async with asyncio.timeout(ANSWER_S):
            link = await open_link(settings, host, port)
            try:
                await check_topology(link)
            finally:
                await link.close()
    except TopologyError as error:
        return subject, "fail", str(error)
    except Exception as error:  # the libraries have some forty kinds
        said = str(error) or type(error).__name__
        return (
            subject,
            "fail",
            f"does not let the collector in ({said}); see its log, the user and password of [amqp], and its certificate",
        )
    return subject, "ok", f"RabbitMQ {link.version}, {PARTITIONS} partitions, all that belongs to them is there"


async def _one_cluster(settings: AmqpSettings, nodes: Sequence[tuple[str, int]]) -> tuple[str, str, str]:
    """Nodes that were apart for a moment go on without each other where nothing heals them, and each looks well by itself: partitions, topology and confirms are
    fine, but what a terminal subscribes to at one of them is not known at the others: acks go by the detour of intake/outgoing.py.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            apart = await _apart(settings, nodes)
    except Exception as error:  # as above
        return (
            "broker cluster",
            "fail",
            f"the nodes cannot be asked about each other ({str(error) or type(error).__name__})",
        )
    if not apart:
        return "broker cluster", "ok", f"{len(nodes)} nodes know each other's queues"
    told = ", ".join(f"{host} port {port}" for host, port in apart)
    return (
        "broker cluster",
        "fail",
        f"{told} and the other nodes have lost sight of each other, and terminals there hear only what goes over it: restart it, and see cluster_partition_handling in packaging/rabbitmq/cluster.conf",
    )


async def _apart(settings: AmqpSettings, nodes: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those outside of the largest group whose members know a queue that was made at any other: each has one made there, and is sent a message from everywhere."""
    async with AsyncExitStack() as stack:
        channels, queues = [], []
        for host, port in nodes:
            link = await open_link(settings, host, port)
            stack.push_async_callback(link.close)
            channel = await link.channel(confirms=True)
            channels.append(channel)
            queues.append(str((await channel.queue_declare(exclusive=True, auto_delete=True)).queue))
        known = [{at for at, queue in enumerate(queues) if await _reaches(channel, queue)} for channel in channels]
    groups = [{other for other in seen if at in known[other]} for at, seen in enumerate(known)]
    largest = max(groups, key=len)
    return [node for at, node in enumerate(nodes) if at not in largest]


async def _reaches(channel: Channel, queue: str) -> bool:
    try:
        await publish(channel, "", queue, b"", kind=PROBE_KIND)
    except ReturnedError:
        return False
    return True


def _folding(config: Config) -> tuple[str, str, str]:
    if not isinstance(config.store, Postgres):
        return "fold", "fail", '[amqp] needs postgres = "postgresql://..." in [store]'
    from tillwatch.collector.store.postgres.lease import Lease  # noqa: PLC0415 - its library is an extra

    try:
        with closing(Lease(config.store)) as lease:
            holder = lease.held_by()
    except StoreError as error:
        return "fold", "fail", str(error)
    if not holder:
        return "fold", "fail", "no collector folds: nothing that terminals say is stored; start one, and see its log"
    return "fold", "ok", f"at {holder}"
