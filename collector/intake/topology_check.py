"""Whether the broker has what the collector stands on, looked at before anything is taken: RabbitMQ answers a terminal's publish with PUBACK also where no
queue is bound, and the batch is gone from the way. It is not lost, since nobody acknowledges it, but nothing arrives either, and nothing says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tillwatch.collector.intake.amqp import FullError, Link, ReturnedError, TopologyError, publish
from tillwatch.collector.intake.topology import (
    BATCH_KEYS,
    EXCHANGES,
    LIFE_KEYS,
    LIFE_QUEUE,
    MQTT_EXCHANGE,
    PART,
    PROBE,
    PROBE_KIND,
    QUEUE_ARGUMENTS,
    QUEUES,
    batch_key,
    life_key,
)

MEND = "write the definitions with `tillwatch-collector broker-config rabbitmq` and import them: rabbitmqctl import_definitions FILE"
LEAST_VERSION = (3, 10)
"""The oldest on which this was run. Before 3.8.10 quorum queues have no reject-publish."""


async def check_topology(link: Link) -> None:
    """Raises TopologyError, naming what is missing or different."""
    if _version(link.version) < LEAST_VERSION:
        raise TopologyError(f"RabbitMQ {link.version} is too old; install 3.10 or newer")
    asking = await link.asking()
    for exchange, kind in EXCHANGES.items():
        with _told(f"exchange {exchange} ({kind})"):
            await asking.exchange_declare(exchange, passive=True)
    for queue in QUEUES:
        with _told(f"queue {queue}"):
            await asking.queue_declare(queue, passive=True)
            # There it is, so this only compares: what differs is refused.
            await asking.queue_declare(queue, durable=True, arguments=dict(QUEUE_ARGUMENTS))
    try:
        for key, of, to in (
            (batch_key(PROBE), BATCH_KEYS, PART),
            (life_key(PROBE), LIFE_KEYS, LIFE_QUEUE),
        ):
            try:
                await publish(asking, MQTT_EXCHANGE, key, b"", kind=PROBE_KIND)
            except FullError:
                continue  # it is bound
            except ReturnedError:
                raise TopologyError(
                    f"a message to {key} reaches no queue: the binding of {to} to {MQTT_EXCHANGE} on {of}, or those of its queues, are missing; {MEND}"
                ) from None
    finally:
        await asking.close()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What the broker says to a question, as a TopologyError. It closes the channel with it."""
    from aiormq.exceptions import (  # noqa: PLC0415 - only where a broker is
        AMQPChannelError,
        ChannelAccessRefused,
        ChannelNotFoundEntity,
        ChannelPreconditionFailed,
    )

    try:
        yield
    except ChannelNotFoundEntity:
        raise TopologyError(f"{what} is missing; {MEND}") from None
    except ChannelPreconditionFailed as error:
        raise TopologyError(f"{what} is not as it must be ({error}); delete it once it is empty, and {MEND}") from None
    except ChannelAccessRefused as error:
        raise TopologyError(f"{what}: {error}; the collector's user lacks its rights: {MEND}") from None
    except AMQPChannelError as error:
        raise TopologyError(f"{what}: {error}; {MEND}") from None


def _version(said: str) -> tuple[int, ...]:
    digits = [word for word in said.split("-", maxsplit=1)[0].split(".")[:2] if word.isdigit()]
    return tuple(int(word) for word in digits)
