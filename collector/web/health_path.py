"""The way from a device to the collector, and which part of it is guilty now: each terminal's five hops judged from what is known of it, of the
other terminals of its branch and of the branch's network devices, and counted for a terminal, a branch, a region or the fleet. Pure.

What lies behind a broken hop cannot be seen and is `unknown`, not well. A hop that no device watches says so (`watched`): then it is known only
by the terminals that speak through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tillwatch.collector.read import TerminalView
from tillwatch.collector.records import LIFE_CYCLE, PLANNED
from tillwatch.collector.terminal.component_groups import CRIT, NONE, OK, UNKNOWN, WARN
from tillwatch.collector.web.overview import counts_as, state_of

HOPS = ("device", "lan", "wan", "broker", "collector")
"""From the machine to the store."""
HEALTH = ("works", "weak", "guilty", "unknown", "planned")
"""weak: it works in part, or by its reserve; unknown: nothing can be said of it now; planned: somebody works on it."""

STANDS_STILL_NS = 60 * 10**9
"""By which the collector's time may be behind: it moves every second, and a busy machine needs some of them to store."""


@dataclass(frozen=True, slots=True)
class Network:
    """What a branch's own devices say of its network. lan, wan: a letter of component_groups, NONE where no device of that kind is read; speaking:
    terminals of the branch that are heard now.
    """

    lan: str = NONE
    wan: str = NONE
    speaking: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """A terminal's five hops, by HOPS: each a word of HEALTH and the reason, a key of the catalogue's [path_why] or empty."""

    terminal: str
    health: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(slots=True)
class Hop:
    """One hop of many terminals. watched: of how many of them a device tells how it is (of the network hops; the others watch themselves); why:
    reasons of what does not work, with their numbers; examples: terminals that it is guilty of, some of them.
    """

    hop: str
    health: Counter[str] = field(default_factory=Counter)
    watched: int = 0
    why: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Of those of which anything is known, how many pass this hop. None where nothing is known of any."""
        known = self.health["works"] + self.health["weak"] + self.health["guilty"]
        return (known - self.health["guilty"]) / known if known else None


EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Path:
    """guilty: the hop that keeps most terminals away from their customers or from the collector, empty where none does. unheard: enrolled
    terminals that never spoke: nothing is known of their way.
    """

    terminals: int
    hops: tuple[Hop, ...]
    guilty: str
    unheard: int


def networks(terminals: Iterable[TerminalView], letters: Mapping[str, tuple[str, str]]) -> dict[str, Network]:
    """By branch. letters: terminal -> (lan, wan), of terminals that read network devices."""
    found: dict[str, Network] = {}
    for view in terminals:
        before = found.get(view.branch, Network())
        lan, wan = letters.get(view.id, (NONE, NONE))
        found[view.branch] = Network(
            _worse(before.lan, lan), _worse(before.wan, wan), before.speaking + (view.connection == "online")
        )
    return found


def judge(view: TerminalView, network: Network, *, stands_still: bool) -> Judged:
    """network: of its branch. stands_still: the collector's own time does not move."""
    if stands_still:
        return _judged(view, ("unknown",) * 4 + ("guilty",), collector="stands_still")
    if view.connection == "online":
        device, why = _device(view)
        lan, wan = _of_letter(network.lan), _of_letter(network.wan)
        return _judged(
            view, (device, lan, wan, "works", "works"), device=why,
            lan="limited" if lan == "weak" else "", wan="limited" if wan == "weak" else "",
        )  # fmt: skip
    cause = view.state.cause if view.state is not None else ""
    if state_of(view) == PLANNED:
        return _judged(view, ("planned", "unknown", "unknown", "works", "works"), device="planned")
    if cause == "monitoring":
        return _judged(view, ("unknown", "unknown", "unknown", "guilty", "works"), broker="monitoring")
    seen = "works" if network.speaking else "unknown"
    if cause in ("power", "terminal", "agent"):
        return _judged(view, ("guilty", seen, seen, "works", "works"), device=cause)
    if cause == "network":
        return _network(view, network)
    return _judged(view, ("unknown", "unknown", seen, "works", "works"), device="no_cause")


def _network(view: TerminalView, network: Network) -> Judged:
    """Which of the two: what the branch's devices say of themselves goes first, then whether its neighbours speak through the line."""
    if network.wan == CRIT or (not network.speaking and network.lan != CRIT):
        why = "device_says" if network.wan == CRIT else "branch_gone"
        return _judged(view, ("unknown", "unknown", "guilty", "works", "works"), wan=why)
    wan = "works" if network.speaking else "unknown"
    why = "device_says" if network.lan == CRIT else "neighbours_speak"
    return _judged(view, ("unknown", "guilty", wan, "works", "works"), lan=why)


def _device(view: TerminalView) -> tuple[str, str]:
    counts = counts_as(view)
    if counts == "down":
        return "guilty", "out_of_service"
    if counts == "planned":
        return "planned", "planned"
    if counts == "unmonitored":
        return "unknown", "not_seen"
    return ("weak", "limited") if state_of(view) == "degraded" else ("works", "")


def _of_letter(letter: str) -> str:
    """Of a hop through which somebody is heard: it works at least in part, whatever its devices say."""
    return "weak" if letter in (WARN, CRIT) else "works"


_RANK = (NONE, OK, WARN, UNKNOWN, CRIT)


def _worse(one: str, other: str) -> str:
    return max(one, other, key=_RANK.index)


def _judged(view: TerminalView, health: tuple[str, ...], **why: str) -> Judged:
    return Judged(view.id, health, tuple(why.get(hop, "") for hop in HOPS))


def path(terminals: Iterable[TerminalView], by_branch: Mapping[str, Network], *, stands_still: bool) -> Path:
    """Of all these terminals but those out of use. by_branch: of all terminals of their branches, also those that are not among these."""
    hops = tuple(Hop(name) for name in HOPS)
    count = unheard = 0
    for view in terminals:
        if view.life_cycle in LIFE_CYCLE or state_of(view) in LIFE_CYCLE or view.connection == "revoked":
            continue
        if view.connection == "new":
            unheard += 1
            continue
        count += 1
        network = by_branch.get(view.branch, Network())
        found = judge(view, network, stands_still=stands_still)
        watched = (True, network.lan != NONE, network.wan != NONE, True, True)
        for hop, health, why, seen in zip(hops, found.health, found.why, watched, strict=True):
            hop.health[health] += 1
            hop.watched += seen
            if why:
                hop.why[why] += 1
            if health == "guilty" and len(hop.examples) < EXAMPLES:
                hop.examples.append(view.id)
    worst = max(hops, key=lambda hop: hop.health["guilty"])
    return Path(count, hops, worst.hop if worst.health["guilty"] else "", unheard)
