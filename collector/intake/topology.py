"""What stands in the broker between terminals and collectors, by name: exchanges, partitions and their arguments. A batch goes to the partition of its
terminal. A life message must follow the batches that its terminal sent before it, but its topic hashes to another partition, and RabbitMQ's MQTT plugin
sets no property that both could be hashed by: so life messages have a queue of their own, and an opener sends each on into the terminal's partition. It
can only come later than it was sent, never before a batch in front of it: late, it is what a lost and repeated one would be, which `want` mends.
"""

from __future__ import annotations

from typing import Any

from tillwatch.agent.wire import TOPIC_ROOT

PARTITIONS = 64
"""For ever: another number sends terminals to other partitions. It bounds the openers that have something to do."""
MQTT_EXCHANGE = "amq.topic"
PART, FOLD, HELLO = "tw.part", "tw.fold", "tw.hello"
LIFE_QUEUE = "tw.life"
PARTITION_QUEUES = tuple(f"tw.p{n}" for n in range(PARTITIONS))
QUEUES = (*PARTITION_QUEUES, LIFE_QUEUE)
EXCHANGES = {PART: "x-consistent-hash", FOLD: "direct", HELLO: "fanout"}
FOLD_KEY = "fold"
BATCH_KEYS, LIFE_KEYS = "*.*.*.batch", "*.*.*.life"
"""What terminals publish, and they may publish nothing but `tw.1.` and so on. A topic exchange keeps its bindings as a tree of words, and counts at each branch how many
there are: what nodes that missed each other counted differently ends with a branch that is cut off while bindings hang on it (measured with 3.10.8, and
issues 5075 and 13029 of RabbitMQ). Terminals' own bindings come and go below `tw.1.`, and must not take these along: then nothing arrives on any node, for good.
"""
DOWN = ("ack", "command", "bundle")
"""Last words of the topics that terminals hear."""
PROBE = "tillwatch-probe"
"""In the place of a terminal: what the check sends through the topology. Openers drop it by its kind."""
PROBE_KIND, LIFE_KIND = "probe", "life"
"""Types of messages in the partitions that no terminal sent there: MQTT cannot set them."""

MAX_RETURNS = 1_000_000_000
"""Times that a message may come back from an opener that died, before the broker drops it: never. RabbitMQ 4 drops at 20 where none is set. 4 takes -1 for no
limit, but 3.10 takes the argument and drops at the first return: measured, what an opener had in hand was gone with it.
"""

QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    # Without it the oldest readings would go when a queue is full.
    "x-overflow": "reject-publish",
    "x-delivery-limit": MAX_RETURNS,
}


def batch_key(terminal: str) -> str:
    return f"tw.1.{terminal}.batch"


def life_key(terminal: str) -> str:
    return f"tw.1.{terminal}.life"


def down_key(terminal: str, what: str) -> str:
    return f"tw.1.{terminal}.{what}"


def down_queue(key: str) -> str:
    """Behind the topics that a terminal hears: as the MQTT plugin of RabbitMQ 3.10 names the queue of a client that subscribes with QoS 0."""
    return f"mqtt-subscription-{terminal_of(key)}qos0"


def terminal_of(key: str) -> str | None:
    """Of a routing key of these topics; None for any other."""
    words = key.split(".")
    return words[2] if len(words) == 4 and "/".join(words[:2]) == TOPIC_ROOT and words[2] else None
