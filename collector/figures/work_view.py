"""The pages of the report about people: answer and repair, the load of alarms, incidents and drills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tillwatch.collector.figures.blocks import Bar, Block, Cell, Column, Marked, Note, Piece, Section, Split, Table
from tillwatch.collector.figures.course import PHASES, Course
from tillwatch.collector.figures.kpi import GRAVE
from tillwatch.collector.figures.load import FLOOD, MIX, Frequent, Load
from tillwatch.collector.figures.tally import Ratio
from tillwatch.collector.figures.time_view import LISTED, Subject
from tillwatch.collector.figures.wording import DASH, Wording

RATIOS = ("response", "restored_net", "restored_gross", "resolved_net", "resolved_gross")
QUALITY = ("reopened", "first_fix_7", "first_fix_30", "repeated", "no_fault_found", "false_alarms", "duplicates", "undelivered")  # fmt: skip
ADVISED_RATE, ADVISED_PEAK, ADVISED_FLOODS, ADVISED_TOP, ADVISED_STANDING = 6, 15, 0.01, 0.05, 5
"""EEMUA 191 and ISA-18.2, see load.py: alarms an hour, at the peak, share of steps, share of all, alarms at a time."""


def service(subject: Subject) -> Section:
    say, it = subject.say, subject.whole.kpi
    rows = [_ratio_row(say, say(f"service.{name}"), getattr(it, name)) for name in RATIOS]
    heads = (
        Column(say("service.target")),
        Column(say("service.met"), numeric=True),
        Column(""),
        Column(say("service.number"), numeric=True),
        Column(say("service.open"), numeric=True),
    )
    return Section(
        "service",
        say("service.title"),
        (Table(say("service.targets"), heads, rows), *_phases(subject), _quality(subject)),
    )


def _ratio_row(say: Wording, name: str, ratio: Ratio) -> tuple[Cell, ...]:
    met = ratio.share or 0.0
    bar = Bar([Piece("up", met, name, say.met(ratio))], say.met(ratio))
    return name, say.met(ratio), bar, f"{ratio.part} / {ratio.base}", str(ratio.open)


def _phases(subject: Subject) -> Iterator[Block]:
    say, it = subject.say, subject.whole.kpi
    if not it.restore.total:
        yield Note(say("service.no_phases"))
        return
    pieces = [
        Piece(phase, it.phases[phase].total / it.restore.total, say(f"service.{phase}"), say.mean(it.phases[phase]))
        for phase in PHASES[:4]
    ]
    verify = it.phases["verify"]
    note = say("service.verify_note", mean=say.mean(verify), n=verify.n) if verify.n else ""
    said = ", ".join(f"{piece.name} {piece.value}" for piece in pieces)
    yield Split(say("service.phases", mean=say.mean(it.restore)), Bar(pieces, said), note)


def _quality(subject: Subject) -> Table:
    say, it = subject.say, subject.whole.kpi
    rows: list[tuple[Cell, ...]] = [
        (say("service.acknowledge"), say.mean(it.acknowledge), str(it.acknowledge.n)),
        (say("service.mtbf"), say.span(subject.whole.mtbf), say("service.mtbf_base", n=it.failures)),
    ]
    rows += [(say(f"service.{name}"), say.met(getattr(it, name)), say.of(getattr(it, name))) for name in QUALITY]
    rows += [
        (say("service.still_open"), str(it.open), str(it.incidents)),
        (say("service.not_told"), str(it.not_told), str(it.incidents + it.not_told)),
    ]
    columns = (
        Column(say("service.figure")),
        Column(say("service.value"), numeric=True),
        Column(say("service.base"), numeric=True),
    )
    return Table(say("service.quality"), columns, rows)


def load(subject: Subject) -> Section:
    say, it = subject.say, subject.whole.load
    columns = (
        Column(say("load.figure")),
        Column(say("load.value"), numeric=True),
        Column(say("load.advised"), numeric=True),
    )
    blocks: list[Block] = [
        Note(say("load.note", operators=it.operators)),
        Table("", columns, list(_load_rows(say, it))),
    ]
    blocks.append(_frequent(say, say("load.top"), say("load.n"), it.top))
    if it.chattering:
        blocks.append(
            _frequent(say, say("load.chattering"), say("load.turns"), it.chattering, _more(subject, "chattering"))
        )
    if it.standing:
        end = subject.computed.end
        rows: list[Sequence[Cell]] = [
            (
                say.rule(one.rule),
                one.terminal,
                one.component or DASH,
                str(one.level),
                say.at(one.since),
                say.span(min(one.until or end, end) - one.since),
            )
            for one in it.standing[:LISTED]
        ]
        heads = (
            *_source_columns(say),
            Column(say("load.level"), numeric=True),
            Column(say("load.since"), keep=True),
            Column(say("load.lasting"), numeric=True),
        )
        blocks.append(Table(say("load.standing"), heads, rows, _more(subject, "standing")))
    if it.shelved:
        rows = [
            (
                say.rule(one.rule),
                one.terminal,
                one.component or DASH,
                say.at(one.since),
                say.at(one.until),
                one.by,
                one.reason,
            )
            for one in it.shelved[:LISTED]
        ]
        heads = (
            *_source_columns(say),
            *(Column(say(f"load.{key}"), keep=key in ("since", "until")) for key in ("since", "until", "by", "reason")),
        )
        blocks.append(Table(say("load.shelved"), heads, rows, _more(subject, "shelved")))
    return Section("load", say("load.title"), blocks)


def _more(subject: Subject, name: str) -> str:
    it = subject.whole.load
    n = len(getattr(it, name)) + it.left_out.get(name, 0)
    return subject.say("report.left_out", n=n - LISTED) if n > LISTED else ""


def _load_rows(say: Wording, it: Load) -> Iterator[tuple[Cell, ...]]:
    rate, standing = it.per_operator_hour, len(it.standing) + it.left_out.get("standing", 0)
    chattering = len(it.chattering) + it.left_out.get("chattering", 0)
    levels = " / ".join(say.percent(it.mix[level], 0) for level in MIX)

    def cell(text: str, *, bad: bool) -> Cell:
        return Marked(text, "bad") if bad else text

    yield say("load.alarms"), str(it.alarms), ""
    yield say("load.muted"), str(it.muted), ""
    yield (
        say("load.rate"),
        cell(DASH if rate is None else f"{rate:.2f}", bad=(rate or 0) > ADVISED_RATE),
        say("load.rate_advised"),
    )
    yield (
        say("load.peak_hour"),
        cell(str(it.peak_hour), bad=it.peak_hour > ADVISED_PEAK * it.operators),
        say("load.peak_advised"),
    )
    yield (
        say("load.peak_step"),
        cell(str(it.peak_step), bad=it.peak_step >= FLOOD * it.operators),
        say("load.step_advised"),
    )
    floods = f"{say.percent(it.floods.share, 2)} ({it.floods.part} / {it.floods.base})"
    yield say("load.floods"), cell(floods, bad=(it.floods.share or 0) > ADVISED_FLOODS), say("load.floods_advised")
    yield say("load.mix"), levels, say("load.mix_advised")
    yield (
        say("load.top_share"),
        cell(say.percent(it.top_share, 1), bad=(it.top_share or 0) > ADVISED_TOP),
        say("load.top_advised"),
    )
    yield (
        say("load.without_action"),
        f"{say.percent(it.without_action.share, 1)} ({it.without_action.part} / {it.without_action.base})",
        "",
    )
    yield say("load.standing_n"), cell(str(standing), bad=standing >= ADVISED_STANDING), say("load.standing_advised")
    yield say("load.chattering_n"), cell(str(chattering), bad=chattering > 0), say("load.chattering_advised")


def _source_columns(say: Wording) -> tuple[Column, ...]:
    return Column(say("load.rule")), Column(say("scope.terminal")), Column(say("load.component"))


def _frequent(say: Wording, title: str, label: str, them: Sequence[Frequent], note: str = "") -> Table:
    rows = [(say.rule(one.rule), one.terminal, one.component or DASH, str(one.n)) for one in them[:LISTED]]
    note = say("report.left_out", n=len(them) - LISTED) if len(them) > LISTED else ""
    return Table(
        title, (*_source_columns(say), Column(label, numeric=True)), rows, note if rows else say("report.none")
    )


def incidents(subject: Subject) -> Section:
    """Those of level 1 and 2 that took the longest; one that is still open is the longest of all."""
    say, known = subject.say, subject.computed.known
    courses = [each.course for each in subject.computed.judged]
    grave = [each for each in courses if each.told and not each.incident.drill and each.level <= GRAVE]
    grave.sort(key=lambda each: (each.failed - (each.restored or known), each.incident.corr_id))
    columns = (
        Column(say("incidents.what")),
        Column(say("load.level"), numeric=True),
        Column(say("scope.terminal")),
        Column(say("scope.branch")),
        Column(say("incidents.failed"), keep=True),
        Column(say("incidents.answered"), numeric=True),
        Column(say("incidents.restored"), numeric=True),
        Column(say("incidents.verdict")),
        Column(say("incidents.incident"), keep=True),
    )
    rest = say("report.rest", n=len(grave) - LISTED, file=subject.files["incidents"]) if len(grave) > LISTED else ""
    rows = [_incident_row(say, each) for each in grave[:LISTED]]
    table = Table("", columns, rows, rest or ("" if rows else say("report.none")))
    return Section("incidents", say("incidents.title"), (table,))


def _incident_row(say: Wording, course: Course) -> tuple[Cell, ...]:
    incident = course.incident
    where = f"{incident.terminal} {incident.component}".strip() or DASH
    return (
        say.rule(incident.fault) or DASH,
        str(course.level),
        where,
        incident.branch or incident.region or DASH,
        say.at(course.failed),
        say.span(course.responded - course.opened) if course.responded else DASH,
        say.span(course.restored - course.failed) if course.restored else Marked(say("report.open"), "bad"),
        say.one("verdict", course.verdict) if course.verdict else DASH,
        incident.corr_id,
    )


def drills(subject: Subject) -> Section | None:
    say, it = subject.say, subject.whole.kpi.drills
    if not it.n:
        return None
    rows: list[tuple[Cell, ...]] = [
        (say("drills.n"), str(it.n), ""),
        (say("drills.detect"), say.mean(it.detect), str(it.detect.n)),
        (say("drills.respond"), say.mean(it.respond), str(it.respond.n)),
        (say("drills.response"), say.met(it.response), say.of(it.response)),
    ]
    columns = (
        Column(say("service.figure")),
        Column(say("service.value"), numeric=True),
        Column(say("service.base"), numeric=True),
    )
    return Section("drills", say("drills.title"), (Note(say("drills.note")), Table("", columns, rows)))
