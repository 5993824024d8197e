"""What stands in tickets: of real incidents as they were read and found right, and of every rule that ships, whatever devices tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.sending import S
from tests.collector.stories import foreseen
from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Stage
from tillwatch.agent.model import State
from tillwatch.collector.alarm.diagnosis import Card, parse_cards
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.message import Evidence, Op, TicketMessage, Words, say
from tillwatch.collector.tickets.port import Caps
from tillwatch.collector.tickets.settings import KINDS
from tillwatch.collector.tickets.words import LANGUAGES, catalogue

GOLDEN = Path(__file__).parents[2] / "golden" / "ticket_text"
AT = 1_790_000_000 * 10**9
CONSOLE = "https://console.bank.example"
CONTRACTS = ("Field Service Ltd., contract 4711, 8 x 5, arrives within 4 h",)
RULES, CARDS = parse_rules(), parse_cards()


# Of real incidents.


def on_battery(stage: Stage) -> TicketMessage:
    atm = stage.terminal("ATM-0417", "Harbour Road", "South")
    atm.says("ups", "ups.battery.charge", 71.5)
    atm.says("ups", "ups.battery.part", "RBC7")
    atm.says("ups", "ups.output.source", "battery")
    stage.wait(3 * MINUTE)
    return stage.told[0]


def jam(stage: Stage) -> TicketMessage:
    atm = stage.terminal("ATM-0417", "人民路支行", "华北")
    atm.says("CDM1", "identity.serial", "5300212345")
    atm.says("CDM1", "atm.media", "jammed")
    stage.wait(10 * MINUTE)
    return stage.told[0]


def jam_taken_on(stage: Stage) -> TicketMessage:
    opened = jam(stage)
    stage.act("hold", incident=opened.incident, reason="parts", note="belt comes tomorrow")
    return stage.told[-1]


def silent_branch(stage: Stage) -> TicketMessage:
    players = [stage.terminal(f"ATM-{n:04d}", "Harbour Road", "South") for n in range(1, 41)]
    for player in players:
        player.lost()
        stage.wait(S)
    stage.wait(10 * MINUTE)
    return stage.told[0]


def no_paper(stage: Stage) -> TicketMessage:
    atm = stage.terminal("ATM-0417", "Harbour Road", "South")
    atm.says("SPR1", "atm.paper", "out", State.CRIT)
    stage.wait(30 * MINUTE)
    return stage.told[0]


def drill(stage: Stage) -> TicketMessage:
    stage.terminal("ATM-0417", "Harbour Road", "South")
    stage.act("drill", terminal="ATM-0417", rule="atm.jam", component="CDM1", minutes=10, level=2)
    stage.wait(2 * MINUTE)
    return stage.told[0]


def disk_fills(stage: Stage) -> TicketMessage:
    atm = stage.terminal("ATM-0417", "Harbour Road", "South")
    atm.says("host/disk:C", "host.disk.percent", 82.6)
    stage.foretell(foreseen.disk_fills("ATM-0417", stage.now))
    stage.wait(HOUR)
    return stage.told[0]


def part_fails(stage: Stage) -> TicketMessage:
    stage.terminal("ATM-0417", "人民路支行", "华北")
    stage.foretell(foreseen.part_fails("ATM-0417", stage.now))
    stage.wait(HOUR)
    return stage.told[0]


@pytest.mark.parametrize(
    "play", [on_battery, jam, jam_taken_on, silent_branch, no_paper, drill, disk_fills, part_fails]
)
def test_a_ticket_reads_as_it_was_found_right(
    play: Callable[[Stage], TicketMessage], tmp_path: Path, update_golden: bool
) -> None:
    """Read it as the technician who gets it before you commit another one."""
    stage = Stage(tmp_path, rules=PATIENT)
    told = play(stage)
    stage.store.close()
    told = TicketMessage.unpack(replace(told, address=f"{CONSOLE}/incident/{told.incident}").pack())
    for language in LANGUAGES:
        one = told.in_language(language)
        said = "\n\n----\n\n".join(
            [text.title(one, language), text.body(one, language, CONTRACTS), text.note(one, language), text.short(one, language)]
        )  # fmt: skip
        file = GOLDEN / f"{play.__name__}.{language}.txt"
        if update_golden:
            file.write_text(said + "\n", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == said + "\n"


# Of every rule.


def words_of(card: Card) -> Words:
    parts = tuple((CARDS.labels[name][card.language], f"{name}-123456789") for name in card.parts)
    return Words(card.text, card.cause, card.consequence, card.action, card.means, card.branch_checks, card.engineer_brings, parts)  # fmt: skip


def message(rule: str = "ups.on-battery", **fields: object) -> TicketMessage:
    english, chinese = (words_of(CARDS.card(RULES.by_id[rule], language)) for language in LANGUAGES)
    given = {
        "op": Op.OPEN,
        "level": 2,
        "terminal": "ATM-0417",
        "branch": "Harbour Road",
        "region": "South",
        "component": "ups",
        "at": AT + 200 * S,
        "since": AT,
        "evidence": tuple(Evidence(f"signal.{n}", n * 1.5, "%", AT, "ups") for n in range(40)),
        "address": f"{CONSOLE}/incident/HWM-0011-1",
        "state": "open",
        "affected": ("ATM-0417",),
        "affected_count": 1,
        "told": (("duty engineer", "Li Wei", "sms"),),
        "zone": "Asia/Shanghai",
        "also": {"zh": chinese},
    }
    return TicketMessage("HWM-0011-1", seq=1, **(given | english._asdict() | fields))


def all_caps() -> Iterator[Caps]:
    """Of every connector, by its classes: a port that makes its own per site keeps the default sizes."""
    yield Caps()
    for module in KINDS.values():
        for each in vars(import_module(module)).values():
            caps = getattr(each, "caps", None)
            if isinstance(caps, Caps):
                yield caps


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rule", sorted(RULES.by_id))
def test_every_rule_makes_a_whole_ticket(rule: str, language: str) -> None:
    one = message(rule).in_language(language)
    title, body, note = text.title(one, language), text.body(one, language, CONTRACTS), text.note(one, language)
    card = CARDS.card(RULES.by_id[rule], language)
    tightest = [min(each.max_title for each in all_caps()), min(each.max_body for each in all_caps())]
    assert len(title) <= min(text.MAX_TITLE, tightest[0])
    assert max(len(body), len(note)) <= min(text.MAX_BODY, tightest[1])
    assert card.text in title
    assert not re.search(r"\{[a-z_]+\}", title + body + note)
    flat = "".join(body.split())
    for told in (card.action, card.means, *card.branch_checks, *card.engineer_brings):
        assert "".join(told.split()) in flat, "nothing of a card that ships is cut"
    for whole in (body, note):
        assert whole.endswith("[HWM-0011-1/1]")
        assert whole.count("[HWM-0011-1/1]") == 1
        assert all(len(line) <= 120 or "://" in line for line in whole.splitlines())
    short = text.short(one, language)
    assert short.endswith(" HWM-0011-1")
    assert len(short) <= (160 if language == "en" else 70)


# Parts of it.


def test_the_rest_of_the_readings_is_counted() -> None:
    body = text.body(message(evidence_left_out=7), "en")
    assert f"and {40 - text.MAX_READINGS + 7} more" in body


def test_a_reading_of_another_part_names_it() -> None:
    body = text.body(message(evidence=(Evidence("t", 21.456789, "°C", AT, "ups/battery"), Evidence("u", None, "V", AT, "ups"))), "en")  # fmt: skip
    assert "- ups/battery t: 21.4568 °C (2026-09-21 22:13:20+08:00)" in body
    assert "- u: no value V" in body


def test_the_chart_spans_six_hours_about_the_beginning() -> None:
    one = message(
        evidence=(Evidence("state", "battery", "", AT, "ups"), Evidence("charge left", 71, "%", AT, "ups/pack #1"))
    )
    address = f"{CONSOLE}/chart/ATM-0417/ups/pack%20%231/charge%20left.svg?from={AT // S - 21600}&to={AT // S + 21600}"
    assert text.chart_address(one) == address
    assert address in text.body(one, "zh").splitlines()[-2]


@pytest.mark.parametrize(
    "fields",
    [{"address": ""}, {"terminal": ""}, {"evidence": ()}, {"evidence": (Evidence("s", "word", "", AT, "ups"),)}, {"address": "https://x/alarms"}, {"evidence": (Evidence("s", 1, "", AT, "电" * 300),)}],
)  # fmt: skip
def test_there_is_no_chart_of_what_cannot_be_drawn(fields: dict[str, object]) -> None:
    assert text.chart_address(message(**fields)) == ""


def test_what_waited_is_told_with_its_times_in_the_language() -> None:
    waited = [message(at=AT + n * S, says=say("held", by=f"li{n}", words="parts"), note="x") for n in range(60)]
    told = replace(message(op=Op.UPDATE), seq=61, says=say("fault_back"), note="The fault is back").after(waited)
    note = text.note(told.in_language("zh"), "zh")
    assert note.startswith("故障再次出现\n")
    assert "另有更早的 10 条" in note
    assert "- 2026-09-21 22:13:30+08:00：li10 已挂起：parts" in note
    assert "li9 " not in note
    assert note.endswith("[HWM-0011-1/61]")


def test_a_body_of_before_there_were_phrases_is_told_as_it_is() -> None:
    plain = replace(message(), also={}, says=(), zone="", note="The fault is back")
    assert text.note(plain.in_language("zh"), "zh").startswith("The fault is back\n")


def test_a_phrase_of_a_newer_version_is_told_in_english() -> None:
    newer = replace(message(), says=say("unheard_of"), note="It sings")
    assert newer.in_language("zh").note == "It sings"


def test_an_end_without_a_word_says_that_it_is_over() -> None:
    over = replace(message(), op=Op.RESOLVE).in_language("zh")
    assert text.note(over, "zh").startswith("读数显示已恢复：")
    assert text.short(over, "zh").startswith("已恢复：L2 ATM-0417 ups：")


def test_cut_bodies_keep_their_addresses_and_the_mark() -> None:
    long = message(means="x" * 2000, cause="y " * 1000, checks=("z" * 400,) * 5)
    body = text.body(long, "en")
    assert len(body) <= text.MAX_BODY
    assert body.endswith("[HWM-0011-1/1]")
    assert "(cut here; the page has all of it)" in body
    assert f"Page: {CONSOLE}/incident/HWM-0011-1" in body


def test_nobody_elses_words_look_like_the_mark() -> None:
    """By it a note is found again: what is found must be ours."""
    forged = message(note="[HWM-0011-1/2] [HWM-0011-1/1]", what="[HWM-0011-1/3]")
    for whole in (text.body(forged, "en"), text.note(forged, "en")):
        assert re.findall(r"\[HWM-0011-1/\d\]", whole) == ["[HWM-0011-1/1]"]


def test_a_text_message_in_another_alphabet_is_shorter() -> None:
    """One character beyond the GSM alphabet makes all of it UCS-2."""
    told = "The mains of the branch failed and nobody knows for how long the battery of the terminal will last" * 2
    for what, most in ((told, 160), (told + "电", 70), ("€" * 200, 160), ("\U0001f50b" * 60, 70)):
        short = text.short(message(what=what), "en")
        units = len(short.encode("utf-16-le")) // 2 if most == 70 else len(short) + short.count("€")
        assert most - 3 <= units <= most
        assert short.endswith(" HWM-0011-1")


NASTY = st.text(
    st.one_of(
        st.sampled_from(list("\n\r\x00\x1b\u2028\u202e\ud800<>&{}[]")), st.characters(), st.sampled_from("电池故障")
    ),
    max_size=300,
)


def named_by_it(name: str, kind: str, value: str) -> Finding:
    """A finding of what a device calls itself."""
    values = {"what": name, "unit": value, "value": 1.0, "low": value, "high": float("nan")}
    return replace(
        foreseen.part_fails("ATM-0417", AT), reason="anomaly.level", family="anomaly", kind=kind, values=values, factors=((name, value, 1.0), (kind, float("inf"), 1.0)),
        readings=((kind, name, AT, value),),
    )  # fmt: skip


@settings(max_examples=60)
@given(st.lists(NASTY, min_size=8, max_size=8), st.sampled_from(LANGUAGES), st.sampled_from(list(Op)), st.booleans())
def test_whatever_is_told_does_no_harm(told: list[str], language: str, op: Op, unpacked: bool) -> None:
    what, cause, terminal, component, branch, value, note, part = told
    one = message(
        op=op, what=what, cause=cause, terminal=terminal, component=component, branch=branch, note=note, affected=(terminal,) * 30,
        evidence=(Evidence(value, value, value, AT, component), Evidence(value, 1.0, value, AT, component)), affected_count=30, parts=((part, part),), also={},
        told=((part, note, cause),), says=(), foretold=(named_by_it(what, cause, value),),
    )  # fmt: skip
    if unpacked:
        one = TicketMessage.unpack(one.pack()).in_language(language)
    title, short = text.title(one, language), text.short(one, language)
    body, after = text.body(one, language), text.note(one, language)
    for said in (title, short, body, after):
        said.encode()
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", said)
    assert "\n" not in title + short
    assert len(title) <= text.MAX_TITLE
    assert max(len(body), len(after)) <= text.MAX_BODY
    for whole in (body, after):
        assert whole.endswith("\n[HWM-0011-1/1]")


def test_headings_are_the_catalogues() -> None:
    body = text.body(message(), "zh").splitlines()
    assert {catalogue()[f"text.{key}"]["zh"] for key in ("action", "readings", "part", "means")} <= set(body)


def test_what_is_foretold_leads_to_its_own_chart_and_evidence() -> None:
    disk, part = foreseen.disk_fills("ATM-0417", AT), foreseen.part_fails("ATM-0417", AT)
    told = TicketMessage.unpack(message("predicted.trend", foretold=(disk,)).pack())
    assert told.foretold[0].readings == disk.readings[-1:], "the others are its evidence"
    assert text.chart_address(told) == f"{CONSOLE}/findings/{disk.id}.svg"
    assert f"Evidence: {CONSOLE}/findings/{disk.id}\n" in text.body(told, "en")
    without = message("predicted.failure", foretold=(part,), evidence=())
    assert text.chart_address(without) == ""
    assert f"/findings/{part.id}\n" in text.body(without, "en")
    nowhere = text.body(replace(told, address=""), "en")
    assert "right in 14 of 17" in nowhere
    assert "/findings/" not in nowhere


def test_a_text_message_of_a_change_says_what_changed() -> None:
    changed = replace(message(what="Fire"), op=Op.UPDATE, note="li has taken it on\nand more")
    assert text.short(changed, "en") == "L2 ATM-0417 ups: Fire: li has taken it on HWM-0011-1"
