"""What the console and the command line ask of bundles, rollouts and rings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tillwatch.collector.rollout.rings import Tally
from tillwatch.collector.rollout.states import Bundle, Member, Rollout


@dataclass(frozen=True, slots=True)
class RolloutView:
    """name: of its bundle, empty for the terminals' own configuration. tallies: of each ring, as it is now or was at its end."""

    rollout: Rollout
    name: str
    tallies: tuple[Tally, ...]


@dataclass(frozen=True, slots=True)
class MemberView:
    """bundle: name of what it is to run, empty for none; version: of its agent, empty where it never said one."""

    member: Member
    bundle: str
    version: str
    branch: str
    region: str


class RolloutReader(Protocol):
    """Part of ConsoleReader: every call sees one consistent state of the store. What is not known raises KeyError with its name."""

    def rollouts_enabled(self) -> bool:
        """Whether this collector brings bundles out at all."""
        ...

    def config_bundles(self) -> Sequence[Bundle]:
        """The newest first, without their contents."""
        ...

    def config_bundle(self, n: int) -> Bundle:
        """With its content."""
        ...

    def rollouts(self, limit: int = 50) -> Sequence[RolloutView]:
        """The newest first."""
        ...

    def rollout(self, n: int) -> RolloutView: ...

    def members(self, terminals: Sequence[str] = ()) -> Sequence[MemberView]:
        """By terminal; all, or those named that there are."""
        ...
