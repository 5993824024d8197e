"""Why a terminal is offline, and whether several were lost by one cause. Pure: facts that the fold collected go in, a cause of
records.CAUSES and the sentence that an engineer can check come out. Asked twice: at the loss, when much cannot be known and `unknown` is an
honest answer, and at the return, when boot, uptime and backlog tell what the machine did meanwhile. The later answer corrects the earlier.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import NamedTuple

import msgpack

from tillwatch.agent.model import MS, Value
from tillwatch.agent.wire import Life
from tillwatch.collector.incident.inference import Crowd
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.terminal.power import BATTERY, GRAVITY, MAINS, Power, Reading

S = 10**9
MINUTE = 60 * S

EVIDENCE_NS = 30 * MINUTE
"""How old the last word of a power supply may be at the loss: its reader is often lost first, and a battery lasts some minutes longer."""
START_NS = 3 * MINUTE
"""Within which machines and devices start together when their power is back: firmware differs by a minute or two, what people switch on comes later."""
DARK_NS = 5 * MINUTE
"""By which a hole may fall short of the whole silence, at both ends together, when the machine was off from the beginning."""
NOTICE_NS = 2 * MINUTE
"""How far a trap may lie from the loss to be about it: the keep-alive of a connection, and then some."""
FRESH_NS = 30 * S
"""A word that was signed longer ago than this is a will, which the broker kept since the connection began."""
CRYSTAL_PPM = 200
"""How far an uptime may run away from the collector's clock: twice what a bad quartz does."""
SLEPT_NS = MINUTE
"""By which the uptime of one boot must fall short before the machine is said to have stood still."""


class Root(NamedTuple):
    """An open alarm that explains the loss (Topology.explains). kind: of rules.LINKS; text: of its rule; at: since when it lasts."""

    kind: str
    node: str
    text: str
    at: int


class Notice(NamedTuple):
    """A trap that a device of the branch sent. name: coldStart, warmStart, linkDown."""

    node: str
    name: str
    at: int


_STARTS = ("coldStart", "warmStart")
_NOTICES = (*_STARTS, "linkDown")


def notice_of(terminal: str, component: str, value: Value, at: int) -> Notice | None:
    """The value of `trap.last`, whose component is `<source of traps>/<device>`: None for a trap that says nothing here."""
    name = str(value).partition(" ")[0]
    return Notice(f"{terminal}/{component.partition('/')[2]}", name, at) if name in _NOTICES else None


@dataclass(frozen=True, slots=True)
class Return:
    """What its return tells. All of it stands in the journal; what is not known yet keeps its default, and the question is asked again.

    at, up_ns, same_boot: of the first life message: received, its uptime, and whether its boot id is the former one (clones.py knows that
    an id that is made of the clock changes with it). told_up_ns, told_at: Terminal.up_ms and up_received before it.
    hole_ns: once the backlog is stored (the watermark has passed the `next` of that message): the longest stretch between two readings from
    the last before the loss to the first after the return, by corrected reading times; of the former boot only, with the loss and the
    return as its ends. interval_ns: how often the agent meant to read. dropped: it declared readings gone (lost rose, or its floor).
    ended: the agent.ended that came with it. events: words of windows.event.power and windows.event.crash that came with it.
    power_losses: by how much drive.shutdowns.unsafe rose. restarted: the crowd of `infer` over the starts (received minus uptime, twice as a span) of the
    branch's terminals that came back with another boot, with share and least as for losses and START_NS; complete some minutes after the return.
    """

    at: int
    up_ns: int
    same_boot: bool
    told_up_ns: int
    told_at: int
    hole_ns: int | None = None
    interval_ns: int = MINUTE
    dropped: bool = False
    ended: str = ""
    events: tuple[str, ...] = ()
    power_losses: int = 0
    restarted: Crowd | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the fold collects for one loss. It is kept with the terminal while that is offline, and asked about four times: when it is gone; when
    terminal.silent is raised, with the neighbours that fell silent meanwhile; at the first life message of the return; and when the
    backlog is stored, no sooner than 10 minutes after the return, with the neighbours that started too. An answer that differs from the
    last one is a StateChange of kind `cause`.

    heard_at: Terminal.received before the loss. farewell: of `farewell`. power: of `power_told`, over the terminal and the servers of its branch, as it
    was at the loss (taken again at the raise, and per device replaced by the last word of the former boot that the backlog brings).
    roots: open alarms that explain it, also those that came later. notices: the traps that devices of the branch sent since NOTICE_NS
    before the loss. branch: the crowd of `infer`; speaking: other terminals of the branch that speak on; fleet: the crowd of `infer_fleet`.
    """

    heard_at: int
    farewell: str = ""
    power: tuple[Power, ...] = ()
    roots: tuple[Root, ...] = ()
    notices: tuple[Notice, ...] = ()
    branch: Crowd | None = None
    speaking: int = 0
    fleet: Crowd | None = None
    back: Return | None = None

    def pack(self) -> bytes:
        packed: bytes = msgpack.packb(astuple(self))
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> Facts:
        heard_at, said, power, roots, notices, branch, speaking, fleet, back = msgpack.unpackb(packed, use_list=False)
        return cls(
            heard_at,
            said,
            tuple(Power(*(*each[:7], tuple(Reading(*one) for one in each[7]))) for each in power),
            tuple(Root(*each) for each in roots),
            tuple(Notice(*each) for each in notices),
            Crowd(*branch) if branch else None,
            speaking,
            Crowd(*fleet) if fleet else None,
            Return(*(*back[:-1], Crowd(*back[-1]) if back[-1] else None)) if back else None,
        )


class Cause(NamedTuple):
    """cause: of records.CAUSES; evidence: a sentence without its full stop; readings: those of them that are readings."""

    cause: str
    evidence: str
    readings: tuple[Reading, ...] = ()


def farewell(terminal: Terminal, life: Life, at: int) -> str:
    """What an `offline` message is, before the fold takes it in: `clean`, the agent's own goodbye at an orderly stop; or `will`, which the broker sent
    since the connection broke.

    The will carries the number of the birth, a goodbye a later one. A birth that was never heard leaves a will with a later number, too, but it
    was signed when the connection began.
    """
    if life.epoch != terminal.epoch or life.boot != terminal.boot or life.n <= terminal.life_n:
        return "will"
    elapsed = at - terminal.up_received
    late = terminal.up_ms * MS + elapsed - life.up * MS
    return "clean" if abs(late) <= FRESH_NS + elapsed * CRYSTAL_PPM // 1_000_000 else "will"


def offline_cause(facts: Facts) -> Cause:
    """By the gravest that is certain: what it said itself, then whoever lost everybody, power, line, and what it did until its return."""
    loss = _at_loss(facts)
    if facts.back is None:
        return loss
    ran_on = facts.back.same_boot or facts.back.up_ns > facts.back.at - facts.heard_at + MINUTE
    return _ran_on(facts, facts.back, loss) if ran_on else _restarted(facts, facts.back, loss)


def _at_loss(facts: Facts) -> Cause:
    near = [each for each in facts.power if each.at >= facts.heard_at - EVIDENCE_NS]
    gone = [each for each in near if each.said != MAINS and not _outlived(each, facts.heard_at)]
    power = max(gone, key=lambda each: (GRAVITY.index(each.said), each.own, each.at), default=None)
    if facts.farewell == "clean":
        if power is not None:
            return _powerless(power, facts, "; the terminal was stopped in order")
        return Cause("agent", "the agent said goodbye: it was stopped, or the machine was shut down in order")
    if facts.fleet is not None:
        them = _crowd(facts.fleet, f"terminals in {facts.fleet.branches} branches fell silent")
        return Cause("monitoring", f"{them}: the collector, its broker or its own line lost them all")
    if power is not None:
        return _powerless(power, facts)
    for kind, cause in (("power", "power"), ("network", "network"), ("host", "network")):
        root = min((each for each in facts.roots if each.kind == kind), key=lambda each: each.at, default=None)
        if root is not None:
            return Cause(
                cause, f"an open alarm explains it: {root.text} ({root.node}, {_when(root.at, facts.heard_at)})"
            )
    mains = max((each for each in near if each.said == MAINS), key=lambda each: each.at, default=None)
    supply = f"{mains} ({_when(mains.at, facts.heard_at)})" if mains else "nothing there tells of the power"
    if facts.branch is not None:
        # Nobody is served either way, and it cannot be reached: without a word on the power that is what is known.
        readings = mains.readings if mains else ()
        return Cause("network", f"{_crowd(facts.branch, 'terminals of the branch fell silent')}; {supply}", readings)
    if started := _started(facts):
        names = sorted({each.node for each in started})
        what = f"{', '.join(names[:-1])} and {names[-1]} of the branch started anew together"
        return Cause("power", f"{what}, {_when(started[0].at, facts.heard_at)}")
    return Cause("unknown", "; ".join([_last_word(facts), *_hints(facts), supply]))


def _outlived(power: Power, heard_at: int) -> bool:
    """A breaker that fell last week does not feed the terminal that spoke until now. Batteries last, so being on one is no such case."""
    return power.said != BATTERY and 0 < power.since < heard_at - EVIDENCE_NS


def _ran_on(facts: Facts, back: Return, loss: Cause) -> Cause:
    """The machine did not start anew."""
    silent = back.at - facts.heard_at
    if back.same_boot:
        short = (back.at - back.told_at) - (back.up_ns - back.told_up_ns)
        if short > SLEPT_NS + (back.at - back.told_at) * CRYSTAL_PPM // 1_000_000:
            return Cause(
                "terminal", f"same boot, but its uptime lacks {spoken(short)}: the machine slept or stood still"
            )
    if back.hole_ns is None and not back.dropped:
        if facts.farewell == "clean" and loss.cause == "agent":
            return Cause("agent", "the agent said goodbye, and it is the same boot: the machine ran on without it")
        return Cause(loss.cause, f"{loss.evidence}; same boot: the machine ran on", loss.readings)
    hole = back.hole_ns or 0
    idle = hole > max(silent // 2, 2 * back.interval_ns) or (hole > silent // 2 and back.ended != "")
    if back.dropped or not idle:
        line = "same boot, readings went on meanwhile: the machine ran, the line was down"
        if loss.cause in ("monitoring", "power"):
            return Cause(loss.cause, f"{line}; {loss.evidence}", loss.readings)
        return Cause("network", line + (f"; {loss.evidence}" if loss.cause == "network" else ""), loss.readings)
    done = {"clean": "was stopped", "killed": "was killed"}.get(back.ended)
    if done is None and facts.farewell == "clean":
        done = "was stopped"
    what = f"{done} and started again" if done else "neither read nor sent"
    return Cause("agent", f"same boot, nothing was read for {spoken(hole)}: the machine ran on, the agent {what}")


def _restarted(facts: Facts, back: Return, loss: Cause) -> Cause:
    """It came back with another boot."""
    silent, started = back.at - facts.heard_at, back.at - back.up_ns
    anew = f"it started anew {_when(started, facts.heard_at)}" if started > facts.heard_at else "it started anew"
    if back.hole_ns is not None and back.hole_ns <= min(silent // 2, silent - 2 * back.interval_ns):
        line = f"readings went on for most of the time: the line was down; {anew}"
        cause = loss.cause if loss.cause in ("monitoring", "power") else "network"
        return Cause(cause, f"{line}; {loss.evidence}" if cause == loss.cause else line, loss.readings)
    if loss.cause == "power" or (loss.cause == "monitoring" and back.hole_ns is None):
        return Cause(loss.cause, f"{loss.evidence}; {anew}", loss.readings)
    if facts.farewell == "clean" or back.ended == "clean":
        return Cause("terminal", f"the machine was shut down in order; {anew}")
    if back.restarted is not None:
        return Cause("power", f"{anew}; {_crowd(back.restarted, 'terminals of the branch started')}: power was away")
    for word, what in (("crashed", "Windows logged a crash"), ("overheated", "it was switched off by heat")):
        if word in back.events:
            return Cause("terminal", f"{anew}; {what}")
    if back.power_losses > 0:
        return Cause("power", f"{anew}; its drive counted a loss of power without warning")
    if loss.cause == "network":
        if back.hole_ns is None:
            return Cause(loss.cause, f"{loss.evidence}; {anew}", loss.readings)
        if back.hole_ns >= silent - DARK_NS:
            return Cause("power", f"{loss.evidence}; {anew}: line and machine went at one moment", loss.readings)
    how = "without an orderly shutdown" if "unclean" in back.events else "and nothing tells why"
    return Cause("terminal", f"{anew} {how}")


# Words.


def spoken(ns: int) -> str:
    """A stretch of time as people say it, rounded down."""
    seconds = max(ns, 0) // S
    for unit, of, least in (("d", 86_400, 172_800), ("h", 3_600, 7_200), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds // of} {unit}"
    return f"{seconds} s"


def _when(at: int, heard_at: int) -> str:
    """Relative to the terminal's last word: no time zone to get wrong."""
    if at == heard_at:
        return "with its last word"
    return f"{spoken(abs(at - heard_at))} {'before' if at < heard_at else 'after'} its last word"


def _crowd(them: Crowd, what: str) -> str:
    within = f"within {spoken(them.spread_ns)}" if them.spread_ns >= S else "at the same moment"
    return f"{them.number} of {them.of} {what} {within}"


def _powerless(power: Power, facts: Facts, more: str = "") -> Cause:
    return Cause("power", f"{power}, {_when(power.at, facts.heard_at)}{more}", power.readings)


def _started(facts: Facts) -> list[Notice]:
    """Starts of several devices together, at about the loss or later: one alone was restarted by somebody."""
    starts = sorted(
        (each for each in facts.notices if each.name in _STARTS and each.at >= facts.heard_at - NOTICE_NS),
        key=lambda each: (each.at, each.node),
    )
    return [
        each
        for each in starts
        if any(other.node != each.node and abs(other.at - each.at) <= START_NS for other in starts)
    ]


def _last_word(facts: Facts) -> str:
    said = "the broker lost its connection" if facts.farewell == "will" else "it fell silent without a word"
    if not facts.speaking:
        return f"{said}; no other terminal of the branch speaks that could tell more"
    others = "another terminal" if facts.speaking == 1 else f"{facts.speaking} other terminals"
    return f"{said}, while {others} of the branch spoke on: its machine, its cable or its agent"


def _hints(facts: Facts) -> list[str]:
    """Traps that decide nothing by themselves: a port goes down with the machine as with the cable."""
    near = [each for each in facts.notices if abs(each.at - facts.heard_at) <= NOTICE_NS]
    return [
        f"{each.node} told {each.name} {_when(each.at, facts.heard_at)}"
        for each in sorted(near, key=lambda each: each.at)[:3]
    ]
