"""Every shipped card as a person reads it, a bank's own laid over them, and what the device told in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tillwatch.collector import service
from tillwatch.collector.alarm.diagnosis import (
    LANGUAGES,
    MAX_ITEMS,
    MAX_TEXT,
    Card,
    CardsError,
    load_cards,
    parse_cards,
)
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.config import ConfigError, parse_config
from tillwatch.device_profiles.catalogue import load_catalogue

RULES = parse_rules()
CARDS = parse_cards()
ALL = [
    pytest.param(CARDS.card(rule, language), id=f"{rule.id} {language}")
    for rule in RULES.by_id.values()
    for language in LANGUAGES
]
FOLDER = Path(__file__).parents[2] / "collector"

CHINESE = r"[\u4e00-\u9fff]"
FULL_MARK = "[，。；：？！、（）“”]"
MESS = {
    "half-width mark beside Chinese": re.compile(rf"{CHINESE}\s*[,;:!?()\"]|[,;:!?()\"]\s*{CHINESE}|{CHINESE}\."),
    "full-width letter or digit": re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\u3000]"),
    "no blank between Chinese and Latin": re.compile(rf"{CHINESE}[A-Za-z0-9`]|[A-Za-z0-9`%]{CHINESE}"),
    "blank beside a full-width mark": re.compile(rf"\s{FULL_MARK}|{FULL_MARK}\s"),
    "blanks": re.compile(r"  |^\s|\s$|\n|\t"),
}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("断电,断网", "half-width mark beside Chinese"),
        ("断电(市电)", "half-width mark beside Chinese"),
        ("停机.", "half-width mark beside Chinese"),
        ("等待 １０ 分钟", "full-width letter or digit"),
        ("等待10分钟", "no blank between Chinese and Latin"),
        ("由UPS供电", "no blank between Chinese and Latin"),
        ("断电， 断网", "blank beside a full-width mark"),
        ("断电 ", "blanks"),
    ],
)
def test_what_is_badly_set_is_found(text, what):
    assert MESS[what].search(text)


def texts(card: Card) -> Iterator[str]:
    yield from (card.text, card.cause, card.consequence, card.action, card.means)
    yield from (*card.branch_checks, *card.engineer_brings)


@pytest.mark.parametrize("card", ALL)
def test_a_card_is_whole_and_short(card):
    assert card.means
    assert 1 <= len(card.branch_checks) <= MAX_ITEMS
    assert 1 <= len(card.engineer_brings) <= MAX_ITEMS
    assert all(0 < len(text) <= MAX_TEXT for text in texts(card))
    assert len(card.text) <= 80, "the line of a list"
    assert all(len(each) <= 160 for each in (*card.branch_checks, *card.engineer_brings)), "a line of a list"
    assert len(set(card.branch_checks)) == len(card.branch_checks)


@pytest.mark.parametrize("card", [each for each in ALL if each.values[0].language == "zh"])
def test_chinese_is_chinese_and_evenly_set(card):
    for text in texts(card):
        assert re.search(CHINESE, text), text
        found = [what for what, pattern in MESS.items() if pattern.search(text)]
        assert not found, f"{text}: {found}"
    assert card.means.endswith("。")
    assert not card.text.endswith("。")
    assert all(check[-1] in "？。" for check in card.branch_checks)
    assert not any(each.endswith("。") for each in card.engineer_brings)


@pytest.mark.parametrize("card", [each for each in ALL if each.values[0].language == "en"])
def test_english_is_english(card):
    for text in texts(card):
        assert text.isascii(), text
        assert not re.search(r"  |^\s|\s$|\n", text)
    assert card.means.endswith(".")
    assert all(check[-1] in "?." for check in card.branch_checks)
    assert not any(each.endswith(".") for each in card.engineer_brings)


def test_both_languages_ask_for_as_much():
    for rule in RULES.by_id.values():
        english, chinese = (CARDS.card(rule, language) for language in LANGUAGES)
        assert len(english.branch_checks) == len(chinese.branch_checks), rule.id
        assert len(english.engineer_brings) == len(chinese.engineer_brings), rule.id
        assert english.parts == chinese.parts
        words = {getattr(english, key) for key in ("text", "cause", "consequence", "action")}
        assert not words & {chinese.text, chinese.cause, chinese.consequence, chinese.action}


def test_every_card_is_of_a_rule_and_stands_beside_it():
    """A family's cards are found where its rules are."""
    for rules in sorted((FOLDER / "rules").glob("*.toml")):
        ids = re.findall(r'^id = "(.+)"', rules.read_text("utf-8"), re.MULTILINE)
        beside = FOLDER / "cards" / rules.name
        cards = re.findall(r'^\["(.+)"\.zh\]', beside.read_text("utf-8"), re.MULTILINE) if ids else []
        assert cards == ids, rules.name
    assert {path.name for path in (FOLDER / "cards").glob("*.toml")} - {"_labels.toml"} <= {
        path.name for path in (FOLDER / "rules").glob("*.toml")
    }


def test_what_gives_part_numbers_is_a_signal_with_a_label_in_both_languages():
    signals = load_catalogue().signals
    assert {name for name in CARDS.labels if name != "component"} <= set(signals)
    assert {name for param in ALL for name in param.values[0].parts} == set(CARDS.labels)
    assert all(set(label) == set(LANGUAGES) for label in CARDS.labels.values())


def test_no_card_sends_branch_staff_to_the_mains_or_into_the_safe():
    """Words that ask them to do it; 'look only', 'do not' and the like are what should be there."""
    dangerous = re.compile(
        r"^(Open the safe|Close the breaker|Reset|Pull|Measure|Unscrew|Short)|^(打开保险柜|合上|合闸|拔出|测量|拆)",
        re.MULTILINE,
    )
    for param in ALL:
        card = param.values[0]
        for check in card.branch_checks:
            assert not dangerous.search(check), f"{card.rule}: {check}"
            if re.search("breaker|断路器", check):
                assert re.search("Look only|Do not|只看不动|请勿", check), f"{card.rule}: {check}"


def test_tampering_tells_staff_to_keep_hands_off():
    for rule in RULES.by_id.values():
        if rule.latched:
            english, chinese = (" ".join(CARDS.card(rule, language).branch_checks) for language in LANGUAGES)
            assert re.search(r"[Dd]o not|[Tt]ouch nothing|Keep away", english), rule.id
            assert re.search("请勿|远离|先拍照", chinese), rule.id


def test_a_bank_changes_a_card_key_by_key():
    own = parse_cards(
        '["ups.on-battery"]\nparts = ["identity.model"]\n["ups.on-battery".zh]\nbranch = ["看 UPS 屏幕。"]\n',
        RULES.by_id,
    )
    rule = RULES.by_id["ups.on-battery"]
    card, shipped = own.card(rule, "zh"), CARDS.card(rule, "zh")
    assert card.branch_checks == ("看 UPS 屏幕。",)
    assert card.parts == ("identity.model",)
    assert (card.means, card.text) == (shipped.means, shipped.text)
    assert own.card(rule, "en").branch_checks == CARDS.card(rule, "en").branch_checks


def test_a_text_that_the_bank_changed_is_shown_as_it_wrote_it():
    rules = parse_rules('[[rule]]\nid = "net.wan"\naction = "拨打网络值班 8001"\n')
    card = CARDS.card(rules.by_id["net.wan"], "zh")
    assert card.action == "拨打网络值班 8001"
    assert card.cause == CARDS.card(RULES.by_id["net.wan"], "zh").cause
    assert CARDS.card(rules.by_id["net.wan"], "en").action == "拨打网络值班 8001"
    translated = parse_cards('["net.wan".en]\naction = "Call the network desk, 8001"\n', rules.by_id)
    assert translated.card(rules.by_id["net.wan"], "en").action == "Call the network desk, 8001"


def test_a_rule_of_the_bank_without_a_card_shows_its_own_words():
    rule = replace(RULES.by_id["net.wan"], id="uplink.down", text="The uplink is down")
    card = CARDS.card(rule, "zh")
    assert (card.text, card.means, card.branch_checks) == ("The uplink is down", "", ())


def test_a_language_that_there_is_not_is_english():
    assert CARDS.card(RULES.by_id["net.wan"], "fr").language == "en"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "cards: Invalid initial character"),
        ('["no.rule".zh]\ntext = "x"', "card no.rule: there is no such rule"),
        ('["net.wan".fr]\ntext = "x"', "card net.wan: holds parts, and a table for each language: en, zh"),
        ('["net.wan".zh]\ntitle = "x"', "card net.wan: zh holds text"),
        ('["net.wan"]\nparts = ["identity.colour"]', "card net.wan: parts is a list of .*identity.model"),
        ('["net.wan".zh]\nbranch = "x"', "zh, branch is a list of at most 5"),
        ('["net.wan".zh]\nengineer = ["1", "2", "3", "4", "5", "6"]', "zh, engineer is a list of at most 5"),
        (f'["net.wan".en]\nmeans = "{"x" * 401}"', "en, means: a text has 1 to 400"),
        ('["net.wan".en]\nmeans = " "', "en, means: a text has 1 to 400"),
        ('"net.wan" = "x"', "card net.wan: holds parts"),
    ],
)
def test_a_wrong_card_is_told_with_its_mend(text, said):
    with pytest.raises(CardsError, match=said):
        parse_cards(text, RULES.by_id)


def test_what_the_device_told_stands_on_the_card_the_nearest_first():
    latest = {
        "bmc": {"identity.maker": "Dell", "identity.model": "PowerEdge T350", "identity.serial": "TAG-7"},
        "bmc/disk:0:1": {"identity.model": "MZ7L3", "server.disk.state": "failed"},
        "bmc/disk:0:2": {"identity.serial": "SISTER"},
    }
    card = CARDS.fill(CARDS.card(RULES.by_id["server.disk"], "en"), "bmc/disk:0:1", latest)
    assert [(each.label, each.value, each.component) for each in card.told] == [
        ("Part", "disk 0:1", "bmc/disk:0:1"),
        ("Maker", "Dell", "bmc"),
        ("Model", "MZ7L3", "bmc/disk:0:1"),
        ("Serial number", "TAG-7", "bmc"),
    ]
    assert card.missing == ()


def test_what_the_device_did_not_tell_is_named_as_missing():
    latest = {
        "ups": {"identity.model": "Sentinel 3000", "ups.battery.part": None},
        "ups2": {"ups.battery.part": "RB-1"},
    }
    card = CARDS.fill(CARDS.card(RULES.by_id["ups.battery-replace"], "zh"), "ups", latest)
    assert [(each.label, each.value) for each in card.told] == [("型号", "Sentinel 3000")]
    assert card.missing == ("电池部件号", "电池上次更换日期")


def test_a_part_number_that_sister_parts_tell_is_taken_and_bounded():
    latest = {f"ups/pack:{n}": {"ups.battery.part": f"RB-{n % 4}"} for n in range(8)}
    card = CARDS.fill(CARDS.card(RULES.by_id["ups.battery-replace"], "en"), "ups/output:1", latest)
    assert [(each.value, each.component) for each in card.told] == [("RB-0, RB-1, RB-2", "ups")]


def test_the_parts_of_a_service_of_the_atm_are_of_its_unit():
    latest = {"atm": {"identity.model": "ATM 7"}, "atm/Printer1": {"identity.model": "TP-90"}}
    card = CARDS.fill(CARDS.card(RULES.by_id["atm.paper"], "en"), "atm/Printer1 paper:upper", latest)
    assert {each.label: each.value for each in card.told} == {"Part": "Printer1 paper upper", "Model": "TP-90"}
    assert card.missing == ("Maker",)


def test_a_mistake_in_a_banks_file_is_told_with_the_file(tmp_path):
    own = tmp_path / "cards.toml"
    with pytest.raises(CardsError, match=r"\[cards\] file: cannot read .*cards\.toml: No such file"):
        load_cards(own, RULES.by_id)
    own.write_text('["net.wan".zh]\ntext = "外线中断"\n', encoding="utf-8")
    assert load_cards(own, RULES.by_id).card(RULES.by_id["net.wan"], "zh").text == "外线中断"
    own.write_text('["net.van".zh]\ntext = "外线中断"\n', encoding="utf-8")
    with pytest.raises(CardsError, match=r"cards\.toml: card net\.van: there is no such rule"):
        load_cards(own, RULES.by_id)
    own.write_bytes(b"\xff\xfe")
    with pytest.raises(CardsError, match=r"cards\.toml: .*utf-8"):
        load_cards(own, RULES.by_id)
    assert load_cards(None).card(RULES.by_id["net.wan"], "zh") == CARDS.card(RULES.by_id["net.wan"], "zh")


def test_a_collector_whose_cards_are_wrong_does_not_start_and_says_why(tmp_path):
    (tmp_path / "cards.toml").write_text('["net.van".zh]\ntext = "外线中断"\n', encoding="utf-8")
    data = tmp_path / "data"
    config = parse_config(
        f'[collector]\ndata_dir = "{data}"\n[cards]\nfile = "cards.toml"\n', tmp_path / "collector.toml"
    )
    with pytest.raises(ConfigError, match=r"cards\.toml: card net\.van"):
        service.main(config)
    assert not data.exists()
