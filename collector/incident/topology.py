"""What depends on what: which terminals and devices an open alarm may explain. Known from explicit links, and without them from where a
device is read: what a branch server reads serves its branch, what an ATM or a POS reads serves that terminal. Pure; indexed once, a terminal
is added in constant time. `explains` walks upwards from the one that is asked about and is what the fold asks; `explained_by` lists.

A node is `TERMINAL`, `TERMINAL/device`, `branch:NAME` or `region:NAME`. A link says: without its parent its child has no power, no network
or no host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from tillwatch.agent.model import AGENT, device_of
from tillwatch.collector.alarm.rules import LINKS

SERVER = "server"
"""The class of terminals whose devices serve their whole branch."""
HOST = "host"
"""The kind of dependence on a machine; and the device by which a terminal reads itself."""
ITSELF = ("", HOST, AGENT)
"""Devices that are the terminal itself."""
MAX_DEPTH = 12
"""Nodes on one path. Region, hub, branch, distributor, supply, switch, server and terminal are eight: more is a slip in the links."""
_BRANCH, _REGION = "branch:", "region:"


class Link(Protocol):
    """One line of the site's dependences: a plain value that policy.py reads and never changes."""

    @property
    def parent(self) -> str: ...
    @property
    def child(self) -> str: ...
    @property
    def kind(self) -> str: ...


class TopologyError(ValueError):
    """The links cannot be used. The text names the link or the path, and the mend."""


@dataclass(frozen=True, slots=True)
class Below:
    """What a node explains. terminals: with all that they read; devices: nodes of single devices on terminals that are not among these."""

    terminals: tuple[str, ...]
    devices: tuple[str, ...]


def node_of(terminal: str, component: str) -> str:
    """The node of a component; that of the terminal for what is the terminal itself. terminal: may be the node of a branch or region."""
    device = device_of(component)
    return terminal if device in ITSELF else f"{terminal}/{device}"


class Topology:
    """terminals: name -> (branch, region, class). Never raises: links were checked (`check`) when somebody wrote them, and the fleet goes on
    changing after that, so walks end by themselves even where the links run in a circle now.

    A terminal that a link names as a child has that parent instead of the default ones of its branch, for the kind of the link; a device that
    a link names as a parent serves what its links say and nothing else; one that it names as a child passes on what it serves. What a terminal
    reads itself always serves that terminal, and two devices of one terminal may explain each other: of two open alarms the caller takes the
    earlier one as the cause.
    """

    def __init__(self, links: Iterable[Link] = (), terminals: Mapping[str, tuple[str, str, str]] | None = None) -> None:
        self._place: dict[str, tuple[str, str, str]] = {}
        self._members: dict[str, dict[str, None]] = {}
        self._servers: dict[str, dict[str, None]] = {}
        self._regions: dict[str, dict[str, int]] = {}
        self._branches: dict[str, dict[str, int]] = {}
        self._children: dict[tuple[str, str], dict[str, None]] = {}
        self._parents: dict[tuple[str, str], dict[str, None]] = {}
        self._named: dict[str, dict[str, None]] = {}
        for link in links:
            self._children.setdefault((link.kind, link.parent), {})[link.child] = None
            self._parents.setdefault((link.kind, link.child), {})[link.parent] = None
            for node in (link.parent, link.child):
                if (owner := _owner(node)) != node:
                    self._named.setdefault(owner, {})[node] = None
        for name, (branch, region, terminal_class) in (terminals or {}).items():
            self.place(name, branch, region, terminal_class)

    def place(self, terminal: str, branch: str, region: str, terminal_class: str) -> None:
        """A terminal is new, or has moved."""
        before = self._place.get(terminal)
        if before is not None:
            self._members[before[0]].pop(terminal)
            self._servers.get(before[0], {}).pop(terminal, None)
            self._count(before[0], before[1], -1)
        self._place[terminal] = branch, region, terminal_class
        self._members.setdefault(branch, {})[terminal] = None
        self._count(branch, region, 1)
        if terminal_class == SERVER:
            self._servers.setdefault(branch, {})[terminal] = None

    def _count(self, branch: str, region: str, by: int) -> None:
        """A branch lies in every region that one of its terminals names."""
        for index, key, value in ((self._regions, branch, region), (self._branches, region, branch)):
            counts = index.setdefault(key, {})
            counts[value] = counts.get(value, 0) + by
            if not counts[value]:
                del counts[value]

    # What one asks.

    def explains(self, root: tuple[str, str], kind: str, terminal: str, component: str = "") -> bool:
        """Whether an alarm on root (terminal, component) that explains over this kind of dependence may explain one on a component."""
        wanted, target = node_of(*root), node_of(terminal, component)
        if wanted == target:
            return False
        waiting = [target] if target == terminal else [target, terminal]
        seen = set(waiting)
        while waiting:
            for node in self._above(kind, waiting.pop(), wanted):
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
        return wanted in seen

    def explained_by(self, root: tuple[str, str], kind: str) -> Below:
        """Everything that such an alarm may explain, in the order of names."""
        wanted = node_of(*root)
        seen, waiting = {wanted}, [wanted]
        while waiting:
            for node in self._below(kind, waiting.pop()):
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
        terminals = {node for node in seen if node in self._place}
        devices = {node for node in seen - {wanted} if _owner(node) not in (node, *terminals)}
        return Below(tuple(sorted(terminals)), tuple(sorted(devices)))

    def parents(self, terminal: str, component: str, kind: str) -> tuple[str, ...]:
        """What it depends on directly, as far as links name it: its own parents, those of its branch where it has none, that branch itself."""
        return tuple(self._above(kind, node_of(terminal, component), ""))

    def children(self, terminal: str, component: str, kind: str) -> tuple[str, ...]:
        """What depends on it directly."""
        return tuple(self._below(kind, node_of(terminal, component)))

    def steps(self, kind: str, node: str) -> Iterator[str]:
        """Directly below, but for the members of a branch or region that serve it: that is no circle."""
        linked = self._children.get((kind, node), {})
        serving = self._parents.get((kind, node), {}) if node.startswith((_BRANCH, _REGION)) else {}
        return (each for each in self._below(kind, node) if each in linked or each not in serving)

    def servers(self, branch: str) -> tuple[str, ...]:
        """The terminals of a branch whose devices serve all of it: where to look for what a UPS or a switch says."""
        return tuple(self._servers.get(branch, ()))

    def terminals_of(self, branch: str) -> tuple[str, ...]:
        """The terminals of a branch."""
        return tuple(self._members.get(branch, ()))

    def strangers(self) -> tuple[str, ...]:
        """Nodes of the links that name no terminal, branch or region that there is: not enrolled yet, or misspelt."""
        nodes = {node for _, node in (*self._children, *self._parents)}
        return tuple(sorted(node for node in nodes if not self._knows(node)))

    def _knows(self, node: str) -> bool:
        if node.startswith(_BRANCH):
            return bool(self._members.get(node.removeprefix(_BRANCH)))
        if node.startswith(_REGION):
            return bool(self._branches.get(node.removeprefix(_REGION)))
        return _owner(node) in self._place

    # One step down, one step up: the same relation from both ends.

    def _below(self, kind: str, node: str) -> Iterator[str]:
        children = self._children.get((kind, node), {})
        yield from children
        if node.startswith(_BRANCH):
            yield from self._members.get(node.removeprefix(_BRANCH), ())
        elif node.startswith(_REGION):
            yield from (_BRANCH + each for each in self._branches.get(node.removeprefix(_REGION), ()))
        elif not children:
            owner = _owner(node)
            if owner != node:
                yield owner
            place = self._place.get(owner)
            if place is not None and place[2] == SERVER:
                yield from (one for one in self._members[place[0]] if self._serves(kind, node, one))

    def _above(self, kind: str, node: str, asked: str) -> Iterator[str]:
        """asked: a node that links need not name, to be found among the default parents."""
        parents = self._parents.get((kind, node), {})
        yield from parents
        if node.startswith(_BRANCH):
            yield from (_REGION + each for each in self._regions.get(node.removeprefix(_BRANCH), ()))
        if node.startswith((_BRANCH, _REGION)):
            return
        yield from self._devices(kind, node, asked)
        place = self._place.get(node)
        if place is None:
            return
        yield _BRANCH + place[0]
        for server in self._servers.get(place[0], ()):
            candidates = (*self._devices(kind, server, asked), server)
            yield from (one for one in candidates if self._serves(kind, one, node))

    def _devices(self, kind: str, terminal: str, asked: str) -> Iterator[str]:
        """Devices of a terminal that somebody named and that serve by default."""
        named = dict(self._named.get(terminal, {}))
        if asked != terminal and _owner(asked) == terminal:
            named[asked] = None
        yield from (each for each in named if (kind, each) not in self._children)

    def _serves(self, kind: str, node: str, terminal: str) -> bool:
        """Whether by default a server, or a device that it reads, serves another terminal of its branch."""
        owner = _owner(node)
        if owner == terminal or (kind, node) in self._children or (kind, terminal) in self._parents:
            return False
        return owner != node or (kind == HOST and self._place[terminal][2] != SERVER)


def check(links: Iterable[Link], terminals: Mapping[str, tuple[str, str, str]]) -> None:
    """Refuse what cannot be meant, before it is taken on. Raises TopologyError."""
    links = tuple(links)
    for link in links:
        where = f"link {link.parent!r} -> {link.child!r}"
        if link.kind not in LINKS:
            raise TopologyError(f"{where}: kind is one of {', '.join(LINKS)}, not {link.kind!r}")
        for node in (link.parent, link.child):
            if not _well_formed(node):
                raise TopologyError(
                    f"{where}: {node!r} is no node; write TERMINAL, TERMINAL/device, branch:NAME or region:NAME"
                )
    topology = Topology(links, terminals)
    for kind in LINKS:
        depths: dict[str, int] = {}
        for link in links:
            if link.kind == kind:
                _descend(topology, kind, link.parent, depths)


def _descend(topology: Topology, kind: str, start: str, depths: dict[str, int]) -> None:
    """Depth first, without recursion. depths: of the nodes that are done, 1 for one without anything below."""
    if start in depths:
        return
    path = [start]
    waiting = [topology.steps(kind, start)]
    while path:
        following = next((each for each in waiting[-1] if each not in depths), "")
        if following in path:
            circle = " -> ".join([*path[path.index(following) :], following])
            raise TopologyError(f"{kind}: these depend on each other: {circle}; take one of the links between them out")
        if following:
            path.append(following)
            waiting.append(topology.steps(kind, following))
            continue
        node = path[-1]
        depths[node] = 1 + max((depths[each] for each in topology.steps(kind, node)), default=0)
        if depths[node] + len(path) - 1 > MAX_DEPTH:
            raise TopologyError(
                f"{kind}: more than {MAX_DEPTH} nodes below each other at {' -> '.join(path)}; leave out those that never fail alone"
            )
        path.pop()
        waiting.pop()


def _owner(node: str) -> str:
    """The terminal of a device's node; another node itself."""
    return node if node.startswith((_BRANCH, _REGION)) else node.partition("/")[0]


def _well_formed(node: str) -> bool:
    for group in (_BRANCH, _REGION):
        if node.startswith(group):
            return node != group
    terminal, slash, device = node.partition("/")
    return bool(terminal) and bool(device) == bool(slash) and "/" not in device and ":" not in terminal
