"""The pages of the report about time: availability, where it went, what nobody saw, which scopes it concerns, and what was corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from tillwatch.collector.duty.calendars import instant
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.figures.availability import COUNTS, DEFINITIONS
from tillwatch.collector.figures.blocks import (
    Bar,
    Block,
    Cell,
    Column,
    Day,
    Days,
    Marked,
    Note,
    Piece,
    Section,
    Table,
)
from tillwatch.collector.figures.intervals import intersect, union
from tillwatch.collector.figures.rollup import Computed, Figures, daily
from tillwatch.collector.figures.shares import Shares
from tillwatch.collector.figures.tally import share
from tillwatch.collector.figures.wording import Wording

LISTED = 30
"""Rows of a list on the page: a printed page; all of them are in the CSV files."""
MAX_DAYS = 366
"""Columns of the chart of days: past a year they are thinner than a pixel."""
NOT_UP = ("down", "unmonitored", "planned")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is reported. files: kind of CSV file -> its name."""

    computed: Computed
    policy: Policy
    say: Wording
    files: Mapping[str, str]

    @property
    def whole(self) -> Figures:
        return self.computed.whole


def availability(subject: Subject) -> Section:
    say, whole = subject.say, subject.whole
    most = max(not_up(part.shares) for part in whole.availability.parts.values())
    rows = [_definition_row(say, subject.policy, whole, name, most) for name in DEFINITIONS]
    columns = (
        Column(say("availability.definition"), keep=True),
        Column(say("availability.not_up")),
        *(Column(say(f"counts.{word}"), numeric=True) for word in COUNTS),
        Column(say("availability.worst_best"), numeric=True),
        Column(say("availability.net"), numeric=True),
        Column(say("availability.gross"), numeric=True),
        Column(say("availability.operating"), numeric=True),
        Column(say("availability.interruptions"), numeric=True),
        Column(say("availability.impact"), numeric=True),
    )
    scheduled = whole.availability.parts["network"].shares.scheduled
    blocks: list[Block] = [
        Note(say("availability.note", scheduled=say.span(scheduled))),
        Table("", columns, rows, legend_note(say, most)),
    ]
    over = say("summary.over", n=whole.over, terminals=whole.availability.terminals)
    return Section("availability", say("availability.title"), (*blocks, Note(over), *_days(subject)))


def _definition_row(say: Wording, policy: Policy, whole: Figures, name: str, most: float) -> tuple[Cell, ...]:
    part = whole.availability.parts[name]
    shares = part.shares
    return (
        say(f"definition.{name}"),
        not_up_bar(say, shares, most),
        *(say.percent(share(getattr(shares, word), shares.scheduled)) for word in COUNTS),
        say.range(shares.availability_worst, shares.availability_best),
        against(say, shares.interruption_net, policy.interruption),
        say.percent(shares.interruption_gross),
        say.percent(shares.operating_ratio),
        str(part.interruptions),
        say.percent(whole.availability.impact(name)),
    )


def against(say: Wording, ratio: float | None, limit: float) -> Cell:
    """A ratio with its verdict: over the limit it stands out."""
    text = say.percent(ratio)
    return Marked(text, "bad") if ratio is not None and ratio > limit else text


def not_up(shares: Shares) -> float:
    return share(shares.scheduled - shares.up, shares.scheduled) or 0.0


def not_up_bar(say: Wording, shares: Shares, most: float) -> Bar:
    """What was not up, beside others of which the greatest share is `most`: of 99 % up nobody sees the rest."""
    parts = {word: share(getattr(shares, word), shares.scheduled) or 0.0 for word in NOT_UP}
    pieces = [
        Piece(word, part / most, say(f"counts.{word}"), say.percent(part)) for word, part in parts.items() if part
    ]
    return Bar(pieces, say("unit.comma").join(f"{piece.name} {piece.value}" for piece in pieces) or say.percent(0.0))


def legend_note(say: Wording, most: float) -> str:
    return say("availability.not_up_note", most=say.percent(most)) if most else ""


def edges_of_days(start: int, end: int, zone: str) -> list[int]:
    """The local midnights within the period, with its ends."""
    local = ZoneInfo(zone)
    first, last = (datetime.fromtimestamp(at // 10**9, UTC).astimezone(local).toordinal() for at in (start, end))
    midnights = (instant(local, day, 0) for day in range(first + 1, last + 1))
    return [start, *(at for at in midnights if start < at < end), end]


def _days(subject: Subject) -> Iterator[Block]:
    say, computed = subject.say, subject.computed
    edges = edges_of_days(computed.start, computed.end, say.zone_name)
    if not 2 <= len(edges) - 1 <= MAX_DAYS:
        return
    days = daily(computed.stretches.values(), edges)
    parts = [{word: share(getattr(day, word), day.scheduled) or 0.0 for word in NOT_UP} for day in days]
    heights = [sum(each.values()) for each in parts]
    most = max(heights)
    if not most:
        yield Note(say("availability.daily_none"))
        return
    every = max(1, round(len(days) / 10))
    columns = []
    for i, (since, each, height) in enumerate(zip(edges, parts, heights, strict=False)):
        pieces = [
            Piece(word, each[word] / most, say(f"counts.{word}"), say.percent(each[word]))
            for word in NOT_UP
            if each[word]
        ]
        said = f"{say.day(since)}: " + (
            say("unit.comma").join(f"{p.name} {p.value}" for p in pieces) or say.percent(height)
        )
        columns.append(Day(say.day(since)[8:] if i % every == 0 else "", pieces, said))
    worst = heights.index(most)
    note = say("availability.daily_most", most=say.percent(most), day=say.day(edges[worst]), share=say.percent(most))
    legend = [Piece(word, 0, say(f"counts.{word}"), "") for word in NOT_UP]
    yield Days(say("availability.daily"), columns, legend, note)


def where(subject: Subject) -> Section:
    """What took the time: by reason and by party, for the narrowest and the widest definition."""
    say, it = subject.say, subject.whole.availability
    network, full = it.parts["network"], it.parts["full"]
    blocks = [
        _sums(say, say("where.reasons"), say("where.reason"), say.reason, network.reasons, full.reasons),
        _sums(
            say, say("where.parties"), say("where.party"), lambda p: say.one("party", p), network.parties, full.parties
        ),
    ]
    if it.planned:
        rows = [(say.reason(name), say.span(ns)) for name, ns in list(it.planned.items())[:LISTED]]
        columns = (Column(say("where.reason")), Column(say("where.time"), numeric=True))
        blocks.append(Table(say("where.planned"), columns, rows))
    return Section("where", say("where.title"), blocks)


def _sums(
    say: Wording,
    title: str,
    label: str,
    named: Callable[[str], str],
    network: Mapping[str, int],
    full: Mapping[str, int],
) -> Table:
    total = sum(full.values())
    names = sorted(full.keys() | network.keys(), key=lambda name: (-full.get(name, 0), name))
    rows = []
    for name in names[:LISTED]:
        part = share(full.get(name, 0), total) or 0.0
        bar = Bar([Piece("down", part, named(name), say.percent(part, 1))], say.percent(part, 1))
        rows.append(
            (named(name), say.span(network.get(name, 0)), say.span(full.get(name, 0)), say.percent(part, 1), bar)
        )
    columns = (
        Column(label),
        Column(say("where.network"), numeric=True),
        Column(say("where.full"), numeric=True),
        Column(say("where.share"), numeric=True),
        Column(""),
    )
    note = say("report.left_out", n=len(names) - LISTED) if len(names) > LISTED else ""
    return Table(title, columns, rows, note if rows else say("report.none"))


def unmonitored(subject: Subject) -> Section:
    say, it, computed = subject.say, subject.whole.availability, subject.computed
    shares = it.parts["network"].shares
    part = share(shares.unmonitored, shares.scheduled)
    rows = [
        (say.reason(name), say.span(ns), say.percent(share(ns, shares.scheduled)))
        for name, ns in it.unmonitored.items()
    ]
    columns = (
        Column(say("where.reason")),
        Column(say("where.time"), numeric=True),
        Column(say("where.share"), numeric=True),
    )
    away = intersect(union(computed.outages), [(computed.start, computed.end)])
    lengths = [until - since for since, until in away]
    absent = say("unmonitored.no_outage")
    if lengths:
        times = {"total": say.span(sum(lengths)), "longest": say.span(max(lengths))}
        absent = say("unmonitored.outages", n=len(lengths), **times)
    blocks: list[Block] = [Note(say("unmonitored.note", share=say.percent(part))), Note(absent)]
    if rows:
        blocks.insert(1, Table("", columns, rows))
    return Section("unmonitored", say("unmonitored.title"), blocks)


def scopes(subject: Subject) -> Section:
    """The scopes inside the one that is reported: none where there is only one of a kind."""
    say, computed = subject.say, subject.computed
    blocks: list[Block] = []
    for kind, title in (
        ("region", "regions"),
        ("branch", "branches"),
        ("vendor", "vendors"),
        ("terminal", "terminals"),
    ):
        them = sorted(computed.of_kind(kind), key=_worst_first)
        them = [one for one in them if one.availability.terminals or one.kpi.incidents]
        if len(them) < 2 and kind != "terminal":
            continue
        most = max((not_up(one.availability.parts["network"].shares) for one in them[:LISTED]), default=0.0)
        rows = [_scope_row(subject, one, most) for one in them[:LISTED]]
        counts = (Column(say("report.terminals"), numeric=True), Column(say("scopes.over"), numeric=True))
        columns = (
            Column(say(f"scope.{kind}")),
            *(counts if kind != "terminal" else (Column(say("scope.branch")),)),
            Column(say("availability.net"), numeric=True),
            Column(say("availability.gross"), numeric=True),
            Column(say("availability.not_up")),
            Column(say("scopes.availability"), numeric=True),
            Column(say("scopes.full"), numeric=True),
            Column(say("counts.unmonitored"), numeric=True),
            Column(say("scopes.incidents"), numeric=True),
            Column(say("scopes.mttr"), numeric=True),
            Column(say("scopes.mtbf"), numeric=True),
        )
        file = subject.files["availability" if kind == "terminal" else "kpi"]
        rest = say("report.rest", n=len(them) - LISTED, file=file) if len(them) > LISTED else ""
        note = f"{legend_note(say, most)} {rest}".strip()
        blocks.append(Table(say(f"scopes.{title}"), columns, rows, note, wide=True))
    return Section("scopes", say("scopes.title"), blocks)


def _worst_first(one: Figures) -> tuple[float, str]:
    return -(one.availability.parts["network"].shares.interruption_net or 0.0), one.scope.name


def _scope_row(subject: Subject, one: Figures, most: float) -> tuple[Cell, ...]:
    say, limit = subject.say, subject.policy.interruption
    network, full = (one.availability.parts[name].shares for name in ("network", "full"))
    if one.scope.kind == "terminal":
        beside: tuple[Cell, ...] = (subject.computed.places[one.scope.name].branch,)
    else:
        beside = (str(one.availability.terminals), str(one.over))
    return (
        one.scope.name or say("report.unknown"),
        *beside,
        against(say, network.interruption_net, limit),
        say.percent(network.interruption_gross),
        not_up_bar(say, network, most),
        say.percent(network.availability_worst),
        say.percent(full.availability_worst),
        say.percent(share(network.unmonitored, network.scheduled)),
        str(one.kpi.incidents),
        say.mean(one.kpi.restore),
        say.span(one.mtbf),
    )


def changes(subject: Subject) -> Section:
    """What people and late readings changed of the figures, with who and why."""
    say, computed, it = subject.say, subject.computed, subject.whole.availability
    scheduled = it.parts["network"].shares.scheduled
    said = computed.corrections
    rows = [
        (
            str(each.n),
            each.terminal,
            say.at(each.since),
            say.at(each.until),
            say.one("counts", each.counts_as),
            each.by,
            say.at(each.at),
            each.reason + (f" ({say.one('party', each.party)})" if each.party else ""),
        )
        for each in said[:LISTED]
    ]
    heads = ("entry", "terminal", "from", "to", "counts_as", "by", "made", "why")
    columns = [
        Column(
            say("scope.terminal") if key == "terminal" else say(f"changes.{key}"), keep=key in ("from", "to", "made")
        )
        for key in heads
    ]
    rest = say("report.rest", n=len(said) - LISTED, file=subject.files["intervals"]) if len(said) > LISTED else ""
    note = Note(say("changes.note", share=say.percent(share(it.corrected, scheduled))))
    late = Note(say("changes.late_note", total=say.span(it.late)))
    return Section(
        "changes",
        say("changes.title"),
        (
            note,
            Table(say("changes.corrections"), columns, rows, rest or ("" if rows else say("report.none"))),
            late,
            *_late(subject),
        ),
    )


def _late(subject: Subject) -> Sequence[Table]:
    say, computed = subject.say, subject.computed
    sums = {name: sum(one.length for one in them if one.source == "late") for name, them in computed.stretches.items()}
    ranked = sorted(((ns, name) for name, ns in sums.items() if ns), key=lambda pair: (-pair[0], pair[1]))
    if not ranked:
        return ()
    rest = say("report.rest", n=len(ranked) - LISTED, file=subject.files["intervals"]) if len(ranked) > LISTED else ""
    columns = (Column(say("scope.terminal")), Column(say("where.time"), numeric=True))
    return (Table(say("changes.late"), columns, [(name, say.span(ns)) for ns, name in ranked[:LISTED]], rest),)
