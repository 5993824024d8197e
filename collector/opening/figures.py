"""What an opener counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Figures:
    """What an opener has done since its start, for its metrics."""

    messages: int = 0
    opened: int = 0
    forwarded: int = 0
    groups: int = 0
    answered: int = 0
    resent: int = 0
    acks: int = 0
    rerouted: int = 0
    unsent: int = 0
    relayed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    queues: int = 0
    own_queues: int = 0
    members: int = 0
    waiting: int = 0
    keys: int = 0
    connected: bool = False
