from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.loader import load_yaml
from tillwatch.device_profiles.model import DeviceProfile
from tillwatch.device_profiles.yaml_nodes import ProfileError

CATALOGUE = load_catalogue()
HEAD = "title: A device\nmatch: [{sysObjectID: 1.3.6.1.4.1.99999.1}]\n"


def load(folder: Path, **files: str) -> tuple[DeviceProfile, ...]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return load_yaml(folder, CATALOGUE)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            HEAD + "scalars: [{signal: ups.battery.charg, oid: 1.3.6.1}]",
            3,
            "no signal 'ups.battery.charg' in the catalogue; did you mean ups.battery.charge?",
        ),
        (HEAD + "scalar: []", 3, "unknown key 'scalar'; did you mean scalars?"),
        (
            HEAD + "scalars:\n  - signal: host.uptime\n    oid: 1.3.6.1.2.0\n    divisr: 10",
            6,
            "unknown key 'divisr'; did you mean divisor?",
        ),
        (HEAD + "scalars: [{signal: host.uptime}]", 3, "'oid' is missing"),
        (HEAD + "scalars: [{oid: 1.3.6.1}]", 3, "'signal' is missing"),
        (
            HEAD + "scalars: [{signal: host.uptime, oid: .1.3.6.1}]",
            3,
            "'.1.3.6.1' is not an OID; write numbers with dots, without a leading dot",
        ),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, divisor: ten}]", 3, "'ten' is not a number"),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, divisor: 0}]", 3, "nothing can be divided by 0"),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, multiplier: .nan}]", 3, "'.nan' is not a"),
        (
            HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, unit: ms}]",
            3,
            "the catalogue says unit s for host.uptime",
        ),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, kind: counter}]", 3, "the catalogue says kind gauge"),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, optional: yes}]", 3, "'yes' is neither true nor false"),
        (
            HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, poll: hourly}]",
            3,
            "'hourly' is no polling class; it must be one of fast, normal, slow",
        ),
        (
            HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, words: {1: up}}]",
            3,
            "host.uptime is a gauge, which has no words",
        ),
        (
            HEAD + "scalars: [{signal: net.oper, oid: 1.3.6}]",
            3,
            "net.oper is a state; say which value means which word",
        ),
        (
            HEAD + "scalars: [{signal: net.oper, oid: 1.3.6, words: {1: upp}}]",
            3,
            "'upp' is no word of net.oper; did you mean up?",
        ),
        (
            HEAD + "scalars: [{signal: net.oper, oid: 1.3.6, words: {1: up}, limits: {warn_above: 1}}]",
            3,
            "its words say what is wrong",
        ),
        (
            HEAD + "scalars: [{signal: identity.name, oid: 1.3.6, divisor: 10}]",
            3,
            "identity.name is a text; leave 'divisor' out",
        ),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, pattern: '(a)(b)'}]", 3, "the expression has 2 groups"),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, pattern: '(a'}]", 3, "not a regular expression"),
        (
            HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, limits: {warn_below: 5, crit_below: 10}}]",
            3,
            "crit_below is higher than warn_below",
        ),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, limits: {}}]", 3, "no limit"),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, when: [{oid: 1.3.7}]}]", 3, "a condition asks one thing"),
        (
            HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6}, {signal: host.uptime, oid: 1.3.7}]",
            3,
            "host.uptime stands here a second time",
        ),
        (HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6, oid: 1.3.7}]", 3, "'oid' stands here a second time"),
        (
            HEAD + "tables: [{group: x, items: [{signal: net.oper, column: 8, words: {1: up}}]}]",
            3,
            "no column '8' in `columns`; write its number under `entry`",
        ),
        (
            HEAD
            + "tables: [{group: x, entry: 1.3.6, columns: {oper: 8}, items: [{signal: net.oper, column: opr, words: {1: up}}]}]",
            3,
            "did you mean oper?",
        ),
        (HEAD + "extends: rfc9999\nscalars: []", 3, "'rfc9999' is no profile or mixin"),
        (HEAD, 1, "the profile reads nothing"),
        ("match: [{sysObjectID: 1.3}]", 1, "'title' is missing"),
        ("title: x\nmatch: [{}]\n", 2, "an empty rule would match every device"),
        ("title: x\nmatch: [{present: 1.3.6}]\n", 2, "a specific profile needs sysObjectID or sysDescr"),
        ("title: x\ngeneric: true\nmatch: [{sysObjectID: 1.3.6}]\n", 3, "it matches by `present` only"),
        ("title: x\nmatch: [", 2, "not YAML"),
        ("# nothing\n", 1, "the file is empty"),
        ("- a\n- b\n", 1, "here a mapping is needed"),
        (HEAD + "scalars: [{signal: experimental.x, oid: 1.3.6}]", 3, "experimental.x needs its kind"),
        (
            HEAD + "scalars: [{signal: experimental.x, oid: 1.3.6, kind: gauge, unit: furlong, meaning: y}]",
            3,
            "'furlong' is no unit",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_mend(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        load(tmp_path, acme=text)
    assert str(caught.value).startswith(f"acme.yaml:{line}: ")
    assert said in str(caught.value)


def test_an_experimental_signal_says_its_own_kind_and_unit(tmp_path: Path) -> None:
    (profile,) = load(
        tmp_path,
        acme=HEAD + "scalars: [{signal: experimental.ink.ph, oid: 1.3.6, kind: gauge, unit: V, meaning: acidity}]",
    )
    assert (profile.scalars[0].signal.kind, profile.scalars[0].signal.unit) == ("gauge", "V")


def test_a_child_takes_and_replaces_what_its_parents_have(tmp_path: Path) -> None:
    base = "scalars: [{signal: host.uptime, oid: 1.3.1}, {signal: host.users, oid: 1.3.2}]\n"
    parent = "title: p\nextends: _base\nmatch: [{sysDescr: p}]\ntables: [{group: net, entry: 1.4, items: [{signal: net.speed, column: 5}]}]\n"
    child = "title: c\nextends: [parent]\nmatch: [{sysDescr: c}]\nscalars: [{signal: host.users, oid: 1.3.9}]\n"
    found, _ = load(tmp_path, _base=base, parent=parent, child=child)
    assert [(item.signal.name, item.fields[0].oid) for item in found.scalars] == [
        ("host.uptime", "1.3.1"),
        ("host.users", "1.3.9"),
    ]
    assert [table.group for table in found.tables] == ["net"]
    assert [rule.description for rule in found.recognition.matches] == ["c"]


def test_profiles_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    one, two = (f"title: x\nextends: {other}\nmatch: [{{sysDescr: {other}}}]\n" for other in ("two", "one"))
    with pytest.raises(ProfileError, match="extend each other; move what they share into a mixin"):
        load(tmp_path, one=one, two=two)


def test_two_profiles_with_one_rule_are_refused(tmp_path: Path) -> None:
    text = HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6}]"
    with pytest.raises(ProfileError, match=r"two.yaml:2: the same rule as one.yaml:2"):
        load(tmp_path, one=text, two=text)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    text = HEAD + "scalars: [{signal: host.uptime, oid: 1.3.6}]"
    (tmp_path / "ups").mkdir()
    (tmp_path / "ups/acme.yaml").write_text(text)
    with pytest.raises(ProfileError, match=r"ups/acme.yaml:1: acme.yaml has the same name"):
        load(tmp_path, acme=text)


def test_a_mixin_matches_no_device(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"_base.yaml:1: a mixin matches no device"):
        load(tmp_path, _base="generic: true\n")
    (tmp_path / "_base.yaml").write_text("scalars: [{signal: host.uptime, oid: 1.3.6}]")
    assert load_yaml(tmp_path, CATALOGUE) == ()
