"""How the monitoring itself is: each of its parts with a figure, the limits that it is held to, and a state. Pure. What is not known is `unknown`, and never well; a part
that nobody has set up is `off`, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tillwatch.collector.fold import SUSPECT_SKEW_MS
from tillwatch.collector.oversight import MonitoringFacts, SinkView
from tillwatch.collector.read import Health, TerminalView
from tillwatch.collector.series.check import QUIET_NS
from tillwatch.collector.terminal.fleet import IN_SERVICE
from tillwatch.collector.web.predicting import BEHIND, NEW, OFF, STOPPED, STUCK, TROUBLE, WELL, HowFar

S = 10**9
HOUR, DAY = 3600 * S, 86_400 * S
GIB = 1024**3

OK, WARN, FAIL, UNKNOWN, SWITCHED_OFF = "ok", "warn", "fail", "unknown", "off"
WORST_FIRST = (FAIL, UNKNOWN, WARN, OK, SWITCHED_OFF)
MAX_WORST = 10
"""Terminals, receivers or certificates that a part names; all are counted."""
STANDS_WARN_S, STANDS_FAIL_S = 60, 180
"""Without an entry or a look at the clock: the collector writes down how far it is with every group, and terminals speak every minute."""
SILENT_FAIL_SHARE = 0.05
"""Of the terminals in service that are not heard: beyond it the cause is hardly theirs."""
SKEW_WARN = SUSPECT_SKEW_MS
"""ms; from there on a terminal's times are corrected and marked."""
SPOOL_WARN_S, SPOOL_FAIL_S = 900, 86_400
"""Age of the oldest batch that waits on a terminal: a quarter of an hour is a line that was cut for a moment; a day fills the smallest spools."""
SPOOL_TOLD = HOUR
"""How old an agent's word on its spool may be: it says it every minute, and what waits longer ago says nothing of now."""
REFUSED_LATELY = HOUR
DISK_FAIL, DISK_WARN = 1 * GIB, 5 * GIB
"""Below the first the collector of a large fleet has days left (doctor.py has the same)."""
BACKUP_WARN, BACKUP_FAIL = 26 * HOUR, 7 * DAY
"""A nightly backup that was missed once, and one that nobody misses any more."""
VERIFIED_WARN = 31 * DAY
"""The whole log, once a month."""
SERVER_WARN, CA_WARN = 30 * DAY, 180 * DAY
"""A server certificate is renewed at a start; a new authority means that every terminal enrols again, which a bank plans months ahead."""
CLOCK_FAIL_S = 1
AWAY_WITHIN = DAY
LAG_WARN_S = 3600
SINK_GRACE_S = 300
SIGNED = frozenset({"signature", "unknown_key", "revoked_key", "retired_key", "terminal_mismatch", "unknown_terminal", "rotation"})  # fmt: skip
"""Reasons for a refusal that say who somebody is not."""


@dataclass(frozen=True, slots=True)
class Worst:
    """One that stands out. name: a terminal, a receiver, a reason; at: UTC ns, 0 for none; href: its page, empty for none."""

    name: str
    value: float | None
    unit: str
    at: int = 0
    href: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One part. key: of the catalogue, `health.KEY_title`, `_means`, `_mend`; value: None where nothing is known; warn, fail: limits in the same unit, None for
    none; at: what the value is of, UTC ns; count: how many are concerned, of how many.
    """

    key: str
    group: str
    state: str
    value: float | None = None
    unit: str = ""
    warn: float | None = None
    fail: float | None = None
    at: int = 0
    count: int = 0
    of: int = 0
    worst: tuple[Worst, ...] = field(default=())
    said: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """The watchdog. there: it is configured; known: it could be asked; said: what it complains of, or warns of."""

    there: bool
    ok: bool = False
    known: bool = True
    said: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the parts are judged by. now: UTC ns; facts, health: None where the store could not be asked; watched: None where nobody knows the configuration."""

    now: int
    terminals: Sequence[TerminalView]
    health: Health | None
    facts: MonitoringFacts | None
    far: HowFar | None
    watched: Watched | None = None


def judge(seen: Seen) -> list[Check]:
    """All parts, in the order of the way of the data."""
    return [part(seen) for part in PARTS]


def worst_of(checks: Iterable[Check]) -> str:
    """The gravest state of all; `unknown` without any."""
    states = {each.state for each in checks}
    return next((state for state in WORST_FIRST if state in states), UNKNOWN)


def _beyond(value: float, warn: float | None, fail: float | None) -> str:
    if fail is not None and value > fail:
        return FAIL
    return WARN if warn is not None and value > warn else OK


def _page(terminal: str) -> str:
    return f"/terminal/{terminal}"


# On the terminals.


def _silent(seen: Seen) -> Check:
    meant = [each for each in seen.terminals if each.life_cycle == IN_SERVICE and each.connection != "revoked"]
    gone = sorted((each for each in meant if each.connection != "online"), key=lambda each: each.last_received)
    if not meant:
        return Check("silent", "agents", UNKNOWN)
    share = len(gone) / len(meant)
    state = FAIL if share > SILENT_FAIL_SHARE else WARN if gone else OK
    worst = tuple(Worst(each.id, None, "", each.last_received, _page(each.id), each.branch) for each in gone[:MAX_WORST])  # fmt: skip
    return Check("silent", "agents", state, len(gone), "1", 0, len(meant) * SILENT_FAIL_SHARE, 0, len(gone), len(meant), worst)  # fmt: skip


def _skew(seen: Seen) -> Check:
    known = [(each, each.skew_ms) for each in seen.terminals if each.skew_ms is not None]
    if not known:
        return Check("skew", "agents", UNKNOWN, None, "s", SKEW_WARN / 1000)
    known.sort(key=lambda pair: -abs(pair[1]))
    off = sum(abs(skew) > SKEW_WARN for _, skew in known)
    worst = tuple(Worst(view.id, skew / 1000, "s", 0, _page(view.id), view.branch) for view, skew in known[:MAX_WORST])
    most = abs(known[0][1]) / 1000
    return Check("skew", "agents", WARN if off else OK, most, "s", SKEW_WARN / 1000, None, 0, off, len(known), worst)


def _spool(seen: Seen) -> Check:
    told = seen.facts.spools if seen.facts is not None else ()
    spools = sorted((each for each in told if each.at > seen.now - SPOOL_TOLD), key=lambda each: -each.oldest_s)
    if not spools:
        last = max((each.at for each in told), default=0)
        return Check("spool", "agents", UNKNOWN, None, "s", SPOOL_WARN_S, SPOOL_FAIL_S, last, 0, len(told))
    late = sum(each.oldest_s > SPOOL_WARN_S for each in spools)
    sick = sum(each.state not in ("", "ok") for each in spools)
    state = max(_beyond(spools[0].oldest_s, SPOOL_WARN_S, SPOOL_FAIL_S), WARN if sick else OK, key=_gravity)
    worst = tuple(Worst(each.terminal, each.oldest_s, "s", each.at, _page(each.terminal), each.state) for each in spools[:MAX_WORST])  # fmt: skip
    return Check("spool", "agents", state, spools[0].oldest_s, "s", SPOOL_WARN_S, SPOOL_FAIL_S, spools[0].at, late, len(spools), worst)  # fmt: skip


def _gravity(state: str) -> int:
    return -WORST_FIRST.index(state)


def _holes(seen: Seen) -> Check:
    if not seen.terminals:
        return Check("holes", "agents", UNKNOWN)
    lost = sorted((each for each in seen.terminals if each.holes or each.lost), key=lambda v: (-v.holes, -v.lost))
    total = sum(each.holes for each in lost)
    worst = tuple(Worst(each.id, each.holes, "1", 0, _page(each.id), f"{each.lost}") for each in lost[:MAX_WORST])
    return Check("holes", "agents", WARN if lost else OK, total, "1", 0, None, 0, len(lost), len(seen.terminals), worst)


# The way in.


def _refused(seen: Seen) -> Check:
    if seen.health is None:
        return Check("refused", "ways", UNKNOWN)
    late = [each for each in seen.health.culprits if each.last_at > seen.now - REFUSED_LATELY]
    strangers = [each for each in late if any(reason in SIGNED for reason, _ in each.reasons)]
    total = sum(n for _, n in seen.health.refused)
    state = FAIL if strangers else WARN if late else OK
    worst = tuple(
        Worst(each.terminal, each.refused, "1", each.last_at, _page(each.terminal) if each.terminal else "", ", ".join(f"{reason} {n}" for reason, n in each.reasons))
        for each in seen.health.culprits[:MAX_WORST]
    )  # fmt: skip
    return Check("refused", "ways", state, total, "1", None, None, seen.health.started_at, len(late), len(seen.health.culprits), worst)  # fmt: skip


def _advance(seen: Seen) -> Check:
    if seen.health is None or not seen.health.advanced_to:
        return Check("advance", "collector", UNKNOWN, None, "s", STANDS_WARN_S, STANDS_FAIL_S)
    behind = max(seen.now - max(seen.health.advanced_to, seen.health.last_entry_at), 0) / S
    stopped = seen.facts is not None and seen.facts.stopped_at > 0
    state = FAIL if stopped else _beyond(behind, STANDS_WARN_S, STANDS_FAIL_S)
    return Check("advance", "collector", state, behind, "s", STANDS_WARN_S, STANDS_FAIL_S, seen.health.advanced_to)


def _acts(seen: Seen) -> Check:
    count = seen.facts.acts_waiting if seen.facts is not None else None
    if count is None:
        return Check("acts", "collector", UNKNOWN, None, "1", 0)
    return Check("acts", "collector", WARN if count else OK, count, "1", 0)


def _away(seen: Seen) -> Check:
    if seen.facts is None:
        return Check("away", "collector", UNKNOWN, None, "s", 0)
    late = [(since, until) for since, until in seen.facts.away if until > seen.now - 30 * DAY]
    lately = sum(until > seen.now - AWAY_WITHIN for _, until in late)
    total = sum(until - since for since, until in late) / S
    worst = tuple(Worst("", (until - since) / S, "s", since) for since, until in sorted(late, reverse=True)[:MAX_WORST])
    return Check("away", "collector", WARN if lately else OK, total, "s", None, None, 0, lately, len(late), worst)


def _clock(seen: Seen) -> Check:
    ahead = max((seen.health.last_entry_at - seen.now) / S, 0.0) if seen.health is not None else 0.0
    if ahead > CLOCK_FAIL_S:
        return Check("clock", "collector", FAIL, ahead, "s", None, CLOCK_FAIL_S)
    known = seen.facts.synchronised if seen.facts is not None else None
    return Check("clock", "collector", {True: OK, False: WARN}.get(known, UNKNOWN) if known is not None else UNKNOWN, ahead, "s", None, CLOCK_FAIL_S)  # fmt: skip


def _store(seen: Seen) -> Check:
    size = seen.facts.store_bytes if seen.facts is not None else None
    if size is None or seen.facts is None:
        return Check("store", "store", UNKNOWN, None, "B")
    limit = seen.facts.keep_bytes or None
    return Check("store", "store", _beyond(size, limit, None), size, "B", limit, None)


def _disk(seen: Seen) -> Check:
    free = seen.facts.disk_free if seen.facts is not None else None
    if free is None:
        return Check("disk", "store", UNKNOWN, None, "B", DISK_WARN, DISK_FAIL)
    return Check("disk", "store", FAIL if free < DISK_FAIL else WARN if free < DISK_WARN else OK, free, "B", DISK_WARN, DISK_FAIL)  # fmt: skip


def _backup(seen: Seen) -> Check:
    if seen.facts is None or not seen.facts.backup.at:
        return Check("backup", "store", UNKNOWN, None, "s", BACKUP_WARN / S, BACKUP_FAIL / S)
    kept = seen.facts.backup
    age = max(seen.now - kept.at, 0) / S
    state = _beyond(age, BACKUP_WARN / S, BACKUP_FAIL / S) if kept.ok else FAIL
    return Check("backup", "store", state, age, "s", BACKUP_WARN / S, BACKUP_FAIL / S, kept.at, said=kept.text)


def _verified(seen: Seen) -> Check:
    if seen.facts is None or not seen.facts.verified.at:
        return Check("verified", "store", UNKNOWN, None, "s", VERIFIED_WARN / S)
    kept = seen.facts.verified
    age = max(seen.now - kept.at, 0) / S
    state = _beyond(age, VERIFIED_WARN / S, None) if kept.ok else FAIL
    return Check("verified", "store", state, age, "s", VERIFIED_WARN / S, None, kept.at, said=kept.text)


def _certificates(seen: Seen) -> Check:
    if seen.facts is None or not seen.facts.certificates:
        return Check("certificates", "store", UNKNOWN, None, "s", SERVER_WARN / S, 0)
    states, worst = [], []
    for each in seen.facts.certificates:
        left = (each.ends - seen.now) / S if each.ends else None
        limit = (CA_WARN if each.name.startswith("ca") else SERVER_WARN) / S
        states.append(UNKNOWN if left is None else FAIL if left <= 0 else WARN if left < limit else OK)
        worst.append(Worst(each.name, left, "s", each.ends, "", each.problem))
    worst.sort(key=lambda each: each.value if each.value is not None else -1.0)
    return Check("certificates", "store", max(states, key=_gravity), worst[0].value, "s", SERVER_WARN / S, 0, worst[0].at, worst=tuple(worst))  # fmt: skip


def _terminal_certificates(seen: Seen) -> Check:
    if seen.facts is None:
        return Check("terminal_certificates", "agents", UNKNOWN)
    aged = seen.facts.aged
    worst = tuple(Worst(name, None, "", 0, _page(name)) for name in aged[:MAX_WORST])
    return Check("terminal_certificates", "agents", WARN if aged else OK, len(aged), "1", 0, None, 0, len(aged), len(seen.terminals), worst)  # fmt: skip


# The way out.


def _outbox(seen: Seen) -> Check:
    if seen.health is None:
        return Check("outbox", "ways", UNKNOWN)
    late = [each for each in seen.health.waiting if each.late(seen.now)]
    worst = tuple(
        Worst(each.connector, each.count, "1", each.oldest_at, "/deliveries", each.answer)
        for each in (late or seen.health.waiting)[:MAX_WORST]
    )
    state = FAIL if late else WARN if seen.health.outbox_dead else OK
    return Check("outbox", "ways", state, seen.health.outbox_pending, "1", None, None, 0, seen.health.outbox_dead, sum(each.count for each in late), worst)  # fmt: skip


_PREDICTING = {WELL: OK, NEW: OK, OFF: SWITCHED_OFF, BEHIND: WARN, TROUBLE: FAIL, STOPPED: FAIL, STUCK: FAIL}


def _predictions(seen: Seen) -> Check:
    if seen.far is None:
        return Check("predictions", "ways", UNKNOWN, None, "s", LAG_WARN_S)
    state = _PREDICTING.get(seen.far.state, UNKNOWN)
    return Check("predictions", "ways", state, seen.far.lag_ns / S, "s", LAG_WARN_S, None, seen.far.at, seen.far.entries, said=seen.far.trouble)  # fmt: skip


def sink_lag(seen: Seen, sink: SinkView) -> float | None:
    """Seconds of the journal that are to be written yet; None where nobody knows the journal's end."""
    if seen.health is None:
        return None
    return max(seen.health.last_entry_at - sink.at, 0) / S if seen.health.journal_entries > sink.written else 0.0


def _sinks(seen: Seen) -> Check:
    sinks = seen.facts.sinks if seen.facts is not None else None
    if not sinks:
        return Check("sinks", "ways", SWITCHED_OFF if sinks is not None else UNKNOWN)
    lags = [(each, lag) for each in sinks if (lag := sink_lag(seen, each)) is not None]
    if not lags:
        return Check("sinks", "ways", UNKNOWN, None, "s", LAG_WARN_S)
    lags.sort(key=lambda pair: -pair[1])
    # One write that failed is nothing: the next one is tried within a minute.
    down = [
        each
        for each, lag in lags
        if lag > SINK_GRACE_S and (each.trouble or not each.running or seen.now - each.looked_at > QUIET_NS)
    ]
    most = lags[0][1]
    state = FAIL if down else _beyond(most, LAG_WARN_S, None)
    worst = tuple(Worst(each.name, lag, "s", each.at, "", each.trouble) for each, lag in lags[:MAX_WORST])
    return Check("sinks", "ways", state, most, "s", LAG_WARN_S, None, lags[0][0].at, len(down), len(lags), worst)


def _watchdog(seen: Seen) -> Check:
    watched = seen.watched
    if watched is None or (watched.there and not watched.known):
        return Check("watchdog", "ways", UNKNOWN, said=watched.said if watched is not None else "")
    if not watched.there:
        return Check("watchdog", "ways", SWITCHED_OFF)
    return Check("watchdog", "ways", FAIL if not watched.ok else WARN if watched.said else OK, said=watched.said)


PARTS: tuple[Callable[[Seen], Check], ...] = (
    _silent, _skew, _spool, _holes, _terminal_certificates, _refused, _outbox, _predictions, _sinks, _watchdog, _advance, _acts, _away, _clock, _store, _disk, _backup, _verified,
    _certificates,
)  # fmt: skip


def by_state(checks: Iterable[Check]) -> Iterator[tuple[str, int]]:
    """How many parts are in each state, the gravest first; without those that none is in."""
    listed = list(checks)
    for state in WORST_FIRST:
        if count := sum(each.state == state for each in listed):
            yield state, count
