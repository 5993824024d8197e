"""Lines are what their reader makes of them: by the rules of the line protocol, and by a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.collector.series.written import SIGNALS
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.agent.model import MS, Quality, State, Value
from tillwatch.agent.wire import Column
from tillwatch.collector.series import lines as module
from tillwatch.collector.series.lines import Place, Renderer, measurement, tag, text_field

AT = 1_790_000_000_000
HILL = Place("hill", "north", "atm")
SPELLED = str.maketrans({"\\": "＼"} | {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\x7f": "␡"})
names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40)
values = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=60), st.none()
)


def column(component: str, signal: str, at: list[int], said: list[Value], quality: Quality = Quality.GOOD, state: State = State.NONE) -> Column:  # fmt: skip
    return Column(component, signal, at, said, quality, state, all(isinstance(v, int | float) for v in said))


def rendered(
    *columns: Column, words: bool = True, seq: int = 7, correction_ms: int = 0, place: Place = HILL
) -> list[str]:
    return Renderer(SIGNALS, words=words).batch("atm-1", place, columns, correction_ms, seq)


def split(text: str, sign: str, *, quotes: bool = False) -> Iterator[str]:
    """At signs that are not escaped; a quote means something among fields only."""
    part, quoted, i = "", False, 0
    while i < len(text):
        c = text[i]
        if c == "\\" and i + 1 < len(text):
            part, i = part + text[i : i + 2], i + 2
            continue
        quoted ^= quotes and c == '"'
        if c == sign and not quoted:
            yield part
            part = ""
        else:
            part += c
        i += 1
    yield part


def parsed(line: str) -> tuple[str, dict[str, str], dict[str, object], int]:
    """Measurement, tags, fields, time: written from the protocol's description and by nothing of ours."""
    series = next(split(line, " "))
    fields, at = split(line[len(series) + 1 :], " ", quotes=True)
    name, *tags = split(series, ",")
    said: dict[str, object] = {}
    for one in split(fields, ",", quotes=True):
        key, _, value = one.partition("=")
        if value.startswith('"'):
            assert value.endswith('"')
            said[key] = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        else:
            said[key] = int(value[:-1]) if value.endswith("i") else float(value)

    def plain(text: str) -> str:
        for escaped in (",", "=", " "):
            text = text.replace("\\" + escaped, escaped)
        return text

    pairs = [list(split(one, "=")) for one in tags]
    assert all(len(pair) == 2 for pair in pairs), line
    return name, {plain(key): plain(value) for key, value in pairs}, said, int(at)


def test_a_reading_is_a_line() -> None:
    (line,) = rendered(column("ups", "ups.battery.charge", [AT], [99], state=State.OK))
    assert line == (
        f"till_ups_battery_charge,branch=hill,class=atm,component=ups,region=north,signal=ups.battery.charge,terminal=atm-1,unit=% value=99,state=1i {AT}000007"
    )


def test_no_two_signals_of_the_catalogue_have_one_name() -> None:
    assert len({measurement(name) for name in SIGNALS}) == len(SIGNALS)


def test_a_reading_that_could_not_be_made_says_so_and_has_no_value() -> None:
    (line,) = rendered(column("ups", "ups.temperature", [AT], [None], Quality.ERROR, State.UNKNOWN))
    assert parsed(line)[2] == {"state": 4, "quality": 3}
    assert rendered(column("ups", "ups.temperature", [AT], [None])) == []


def test_numbers_and_texts_of_one_signal_are_fields_of_their_own() -> None:
    one = rendered(column("ups", "experimental.x", [AT, AT + 1], [5, "five"]))
    assert [parsed(line)[2] for line in one] == [{"value": 5.0}, {"text": "five"}]


def test_where_only_numbers_are_kept_words_of_the_list_are_labels_and_other_text_is_left_out_and_counted() -> None:
    render = Renderer(SIGNALS, words=False)
    said = render.batch(
        "atm-1", HILL,
        [column("ups", "ups.output.source", [AT], ["battery"], state=State.WARN), column("ups", "ups.output.source", [AT], ["made up"]),
         column("ups", "identity.model", [AT], ["Model X"])],
        0, 1,
    )  # fmt: skip
    assert [parsed(line)[2] for line in said] == [{"text": 1.0}, {"state": 2}]
    assert parsed(said[0])[1]["text"] == "battery"
    assert render.count.texts == 2


def test_single_readings_may_be_graded_otherwise() -> None:
    odd = column("ups", "ups.temperature", [AT, AT + 1, AT + 2], [1, 2, 3], state=State.OK)
    odd.odd = {1: (Quality.STALE, State.CRIT)}
    assert [parsed(line)[2] for line in rendered(odd)] == [
        {"value": 1.0, "state": 1}, {"value": 2.0, "state": 3, "quality": 1}, {"value": 3.0, "state": 1},
    ]  # fmt: skip


def test_names_are_remembered_for_so_many_series_and_the_lines_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 4)
    render = Renderer(SIGNALS, words=True)
    columns = [column("ups", f"experimental.x{i}", [AT], [i]) for i in range(3)]
    for _ in range(2):
        for terminal in ("a", "b", "c"):
            assert render.batch(terminal, HILL, columns, 0, 1) == Renderer(SIGNALS, words=True).batch(
                terminal, HILL, columns, 0, 1
            )
            assert render._series <= 4 + 3
            assert render._series == sum(len(series) for _, series in render._known.values())


def test_a_terminal_that_moved_has_its_new_place() -> None:
    render = Renderer(SIGNALS, words=True)
    one = column("ups", "ups.temperature", [AT], [20])
    assert ",branch=hill," in render.batch("a", HILL, [one], 0, 1)[0]
    assert ",branch=dale," in render.batch("a", Place("dale", "north", "atm"), [one], 0, 2)[0]
    assert "branch" not in render.batch("a", Place(), [one], 0, 3)[0]


@given(
    names, names, names, st.lists(values, min_size=1, max_size=5), st.integers(0, 10**7), st.integers(-(10**6), 10**6)
)
def test_whatever_is_read_comes_back(
    component: str, signal: str, branch: str, said: list[Value], seq: int, correction: int
) -> None:
    at = [AT + i for i in range(len(said))]
    found = rendered(column(component, signal, at, said), place=Place(branch, "", "atm"), seq=seq, correction_ms=correction)  # fmt: skip
    kept = [(ms, value) for ms, value in zip(at, said, strict=True) if value is not None]
    assert len(found) == len(kept)
    for line, (ms, value) in zip(found, kept, strict=True):
        assert "\n" not in line
        name, tags, fields, time = parsed(line)
        assert name == measurement(signal)
        assert (tags["component"], tags["signal"], tags["branch"]) == tuple(each.translate(SPELLED) for each in (component, signal, branch))  # fmt: skip
        (shown,) = fields.values()
        if isinstance(value, str):
            assert "�" in str(shown) or shown == value.translate({k: v for k, v in SPELLED.items() if k != ord("\\")})
        else:
            assert shown == float(value)
        assert time == (ms + correction) * MS + seq % MS


@given(st.lists(st.integers(0, 12), min_size=1, max_size=20))
def test_readings_of_one_signal_in_a_batch_never_share_a_time_and_the_first_keeps_its_own(steps: list[int]) -> None:
    found = rendered(column("ups", "ups.temperature", [AT + step for step in steps], list(range(len(steps)))))
    times = [parsed(line)[3] // MS - AT for line in found]
    assert len(set(times)) == len(steps)
    first = {step: i for i, step in reversed(list(enumerate(steps)))}
    assert all(times[i] == step for step, i in first.items())


def test_batches_with_times_that_go_back_are_counted() -> None:
    render = Renderer(SIGNALS, words=True)
    for i, at in enumerate((AT, AT + 1, AT + 1, AT - 5, AT + 2)):
        render.batch("a", HILL, [column("ups", "ups.temperature", [at], [20])], 0, i)
    assert render.count.backwards == 2


@pytest.mark.parametrize("text", ["\ud800", "a\u2028b", "x\x85y"])
def test_what_no_store_takes_is_replaced(text: str) -> None:
    assert tag(text).encode()
    assert text_field(text).encode()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(names, names, st.floats(allow_nan=False, allow_infinity=False, width=32)),
        min_size=1,
        max_size=20,
        unique_by=lambda one: one[0],
    )
)
@example(
    [('"', '"a', 1.0), ('a"b c', 'x="1",y', 2.0), ("C:\\", "\\ ,", 3.0), ("银行，一号", "é=ü", 4.0), ("#", "_", 5.0)]
)
def test_a_real_server_reads_the_same_names(
    shared_victoria: VictoriaMetrics, said: list[tuple[str, str, float]]
) -> None:
    lines = [
        rendered(column(component, "experimental.read.back", [AT], [value]), place=Place(branch))[0]
        for component, branch, value in said
    ]
    shared_victoria.post("/api/v2/write?precision=ns", "\n".join(lines).encode())
    kept = {
        (labels["component"], labels["branch"]): at
        for series, at in shared_victoria.exported('{signal="experimental.read.back"}').items()
        for labels in [dict(series)]
    }
    for component, branch, value in said:
        found = kept[component.translate(SPELLED), branch.translate(SPELLED)]
        assert pytest.approx(value) in found[AT]
