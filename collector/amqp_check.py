"""What the doctor says of the broker and the lease of a large installation: each node, its version, what stands there, and who folds. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

from tillwatch.collector.broker_settings import amqp_settings
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.intake.amqp import AmqpSettings, TopologyError, open_link
from tillwatch.collector.intake.topology import PARTITIONS
from tillwatch.collector.intake.topology_check import check_topology
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import DOCTOR_NAME, Authority

ANSWER_S = 15.0
"""For one node: some 140 questions, each a round trip."""


def examine_amqp(config: Config, own: Authority) -> Iterator[tuple[str, str, str]]:
    """Subject, state, text."""
    try:
        settings = amqp_settings(config, own, "doctor", DOCTOR_NAME)
    except ConfigError as error:
        yield "broker", "fail", str(error)
        return
    for host, port in settings.hosts:
        yield asyncio.run(_node(settings, host, port))
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
