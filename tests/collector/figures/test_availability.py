"""The figures against a plain reading of their definitions: every minute of a random history judged by itself, without intervals."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.figures.availability import DEFINITIONS, History, stretches
from tillwatch.collector.figures.intervals import total
from tillwatch.collector.records import CAUSES, STATES, Correction, LateSpan, StateChange

M = 60 * 10**9
LENGTH = 40

FUNCTIONS = ("withdraw", "deposit")

minutes = st.integers(0, 30)
lost = st.sampled_from([(), FUNCTIONS[:1], FUNCTIONS, ("receipt",)])


@st.composite
def changes(draw):
    rows, at = [StateChange("t", 0, 0, draw(st.sampled_from(["in_service", "offline"])))], 0
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.integers(0, 6))
        # Mostly known soon after it began, at times much later.
        since = (at - draw(st.sampled_from([0, 0, 0, 1, 5, 15]))) * M
        offline = [row.since for row in rows if row.state == "offline"]
        kind = draw(st.sampled_from(["state", "cause"])) if offline else "state"
        if kind == "cause":
            since = draw(st.sampled_from(offline)) + draw(st.sampled_from([0, 0, M]))
        state = draw(st.sampled_from(["offline", "maintenance", *STATES])) if kind == "state" else "offline"
        cause = draw(st.sampled_from(["", *CAUSES])) if state == "offline" else ""
        rows.append(StateChange("t", since, at * M, state, cause=cause, lost=draw(lost), kind=kind))
    return rows


spans = st.tuples(minutes, st.integers(1, 25)).map(lambda pair: (pair[0] * M, (pair[0] + pair[1]) * M))
lates = st.builds(
    lambda span, reason, gone, level: LateSpan("t", *span, 99 * M, reason, "", gone, level),
    spans, st.sampled_from(["", "rule.x"]), lost, st.sampled_from([0, 1, 2]),
)  # fmt: skip
words = st.sampled_from(["up", "down", "planned", "unmonitored", "excluded"])
functions = st.sampled_from([frozenset(), frozenset(FUNCTIONS)])


def judged(minute, rows, late, said, away, known):
    """(network, any, full) of one minute, or None where it is out of the schedule."""
    at = minute * M
    told = [one for one in said if one.since <= at < one.until]
    if told:
        word = max(told, key=lambda one: one.n).counts_as
        return None if word == "excluded" else (word,) * 3
    place = deciding(rows, at, len(rows))
    if place is None or rows[place].state in ("not_commissioned", "spare", "repair", "retired"):
        return None
    row, cause = rows[place], rows[place].cause
    for p, found in enumerate(rows):
        if found.kind == "cause" and place < p and explains(rows, p, at):
            cause = found.cause
    if row.state == "maintenance":
        return ("planned",) * 3
    gone = [span for span in away if span[0] <= at < span[1]]
    if gone and not (row.since >= gone[0][0] and row.at >= gone[0][1]):
        verdict = ("unmonitored",) * 3
    elif row.state == "offline":
        verdict = (CAUSES[cause or "unknown"],) * 3
    elif row.state in ("out_of_service", "supervisor"):
        verdict = ("down",) * 3
    elif row.state == "unmonitored":
        verdict = ("unmonitored",) * 3
    else:
        verdict = working(row.lost, known)
    filling = [one for one in late if one.since <= at < one.until]
    if verdict[0] == "unmonitored" and filling:
        one = filling[-1]
        none_works = not known - set(one.lost) if known else one.level == 1
        return ("down",) * 3 if one.reason and none_works else working(one.lost, known)
    return verdict


def deciding(rows, at, upto):
    places = [i for i in range(upto) if rows[i].kind == "state" and rows[i].since <= at]
    return places[-1] if places else None


def explains(rows, p, at):
    """Whether cause row p reaches this time: not heard from its beginning on, by what was known when it came."""
    if at < rows[p].since or deciding(rows, rows[p].since, p) is None:
        return False
    for time in [rows[p].since, *range(rows[p].since, at + 1, M)]:
        known = rows[deciding(rows, time, p)].state
        if known in ("in_service", "supply_low", "degraded", "out_of_service", "supervisor", "unmonitored"):
            return False
    return True


def working(gone, known):
    return ("up", "down" if known and known <= set(gone) else "up", "down" if gone else "up")


@settings(max_examples=1000)
@given(
    changes(),
    st.lists(lates, max_size=4),
    st.lists(st.tuples(spans, words), max_size=2),
    st.lists(spans, max_size=1),
    st.lists(spans, min_size=1, max_size=3),
    functions,
)
def test_every_minute_counts_as_its_definition_says(rows, late, said, away, hours, known):
    corrections = [
        Correction(n, "t", *span, word, "because", "", "ann", 99 * M) for n, (span, word) in enumerate(said, 1)
    ]
    found = stretches(History(rows, late, corrections, known), hours, away)
    expected, scheduled = Counter(), 0
    for minute in range(60):
        if not any(since <= minute * M < until for since, until in hours):
            continue
        verdict = judged(minute, rows, late, corrections, away, known)
        if verdict is not None:
            scheduled += M
            expected.update(dict.fromkeys(zip(DEFINITIONS, verdict, strict=True), M))
    counted = Counter()
    for one in found:
        counted.update(dict.fromkeys(zip(DEFINITIONS, one.counts, strict=True), one.length))
    assert counted == expected
    assert sum(one.length for one in found) == scheduled == total((one.since, one.until) for one in found)


@given(changes(), st.lists(lates, max_size=3), st.integers(1, LENGTH - 1))
def test_two_halves_make_the_whole(rows, late, cut):
    def counted(*hours):
        sums = Counter()
        for span in hours:
            for one in stretches(History(rows, late), [span]):
                sums[one.counts, one.reason, one.source] += one.length
        return sums

    assert counted((0, cut * M), (cut * M, LENGTH * M)) == counted((0, LENGTH * M))


def only(history, hours=((0, LENGTH * M),), away=()):
    return [
        (one.since // M, one.until // M, one.counts[0], one.reason, one.party, one.source)
        for one in stretches(history, hours, away)
    ]


def test_a_power_cut_that_is_found_out_later_is_down_with_its_party():
    rows = [
        StateChange("t", 0, 0, "in_service"),
        StateChange("t", 10 * M, 13 * M, "offline", "terminal.silent", "unknown", "unknown"),
        StateChange("t", 20 * M, 20 * M, "in_service"),
        StateChange("t", 10 * M, 21 * M, "offline", cause="power", kind="cause"),
    ]
    assert only(History(rows)) == [
        (0, 10, "up", "in_service", "unknown", "state"),
        (10, 20, "down", "offline:power", "power", "cause"),
        (20, 40, "up", "in_service", "unknown", "state"),
    ]
    assert only(History(rows[:3]))[1] == (10, 20, "unmonitored", "offline:unknown", "unknown", "state")


def test_late_readings_fill_what_nobody_saw_and_contradict_nobody():
    rows = [
        StateChange("t", 0, 0, "in_service"),
        StateChange("t", 5 * M, 8 * M, "offline", cause="network"),
        StateChange("t", 10 * M, 10 * M, "in_service"),
        StateChange("t", 20 * M, 23 * M, "offline", cause="agent"),
        StateChange("t", 35 * M, 35 * M, "in_service"),
    ]
    late = [
        LateSpan("t", 0, 25 * M, 36 * M),
        LateSpan("t", 25 * M, 30 * M, 36 * M, "atm.jam", "hardware", FUNCTIONS, 2),
    ]
    assert only(History(rows, late, functions=frozenset(FUNCTIONS))) == [
        (0, 5, "up", "in_service", "unknown", "state"),
        (5, 10, "down", "offline:network", "network", "state"),
        (10, 20, "up", "in_service", "unknown", "state"),
        (20, 25, "up", "in_service", "", "late"),
        (25, 30, "down", "atm.jam", "hardware", "late"),
        (30, 35, "unmonitored", "offline:agent", "software", "state"),
        (35, 40, "up", "in_service", "unknown", "state"),
    ]


def test_a_late_fault_that_takes_no_function_leaves_all_of_them():
    rows = [StateChange("t", 0, 0, "in_service"), StateChange("t", 20 * M, 23 * M, "offline", cause="agent")]
    late = [LateSpan("t", 20 * M, 40 * M, 50 * M, "disk.full", "software", (), 2)]
    assert only(History(rows, late, functions=frozenset(FUNCTIONS)))[1:] == [
        (20, 40, "up", "disk.full", "software", "late")
    ]


def test_who_was_lost_in_a_window_is_offline_of_the_same_cause_after_it():
    rows = [
        StateChange("t", 0, 0, "in_service"),
        StateChange("t", 10 * M, 10 * M, "maintenance"),
        StateChange("t", 20 * M, 20 * M, "offline", cause="unknown"),
        StateChange("t", 15 * M, 30 * M, "offline", cause="power", kind="cause"),
        StateChange("t", 30 * M, 30 * M, "in_service"),
    ]
    assert [row[:4] for row in only(History(rows))] == [
        (0, 10, "up", "in_service"),
        (10, 20, "planned", "maintenance"),
        (20, 30, "down", "offline:power"),
        (30, 40, "up", "in_service"),
    ]


def test_an_absence_of_the_collector_is_unmonitored_unless_something_tells_of_it():
    rows = [
        StateChange("t", 0, 0, "in_service"),
        StateChange("t", 18 * M, 20 * M, "out_of_service", "atm.jam", "hardware"),
    ]
    late = [LateSpan("t", 12 * M, 15 * M, 21 * M)]
    assert only(History(rows, late), away=[(10 * M, 20 * M)]) == [
        (0, 10, "up", "in_service", "unknown", "state"),
        (10, 12, "unmonitored", "outage", "monitoring", "outage"),
        (12, 15, "up", "in_service", "", "late"),
        (15, 18, "unmonitored", "outage", "monitoring", "outage"),
        (18, 40, "down", "atm.jam", "hardware", "state"),
    ]  # fmt: skip


def test_the_later_correction_counts_and_says_who_and_why():
    rows = [StateChange("t", 0, 0, "out_of_service", "atm.jam", "hardware")]
    said = [
        Correction(7, "t", 0, 20 * M, "up", "the sensor lied", "", "ann", 50 * M),
        Correction(9, "t", 10 * M, 15 * M, "excluded", "the branch was rebuilt", "", "bob", 60 * M),
    ]
    found = stretches(History(rows, corrections=said[::-1]), [(0, 30 * M)])
    assert [(one.since // M, one.until // M, one.counts[0], one.entry, one.by) for one in found] == [
        (0, 10, "up", 7, "ann"),
        (15, 20, "up", 7, "ann"),
        (20, 30, "down", 0, ""),
    ]


def test_before_it_is_commissioned_and_while_it_is_spare_there_is_no_schedule():
    rows = [StateChange("t", 10 * M, 10 * M, "in_service"), StateChange("t", 30 * M, 30 * M, "spare")]
    assert [row[:3] for row in only(History(rows), away=[(25 * M, 35 * M)])] == [
        (10, 25, "up"),
        (25, 30, "unmonitored"),
    ]
    assert only(History()) == []
    assert stretches(History(rows), []) == []
