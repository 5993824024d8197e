"""The policy that ships, a site's own laid over it, and what a replay makes of old ones."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.duty.clocks_of_places import HOUR, MINUTE, ns, said
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.duty.policy import IncidentSettings, PolicyError, parse_policy, resolve, shipped_policy
from tillwatch.collector.trust.registry import CLASSES

SITE = """
[site]
time_zone = "Europe/Berlin"
[calendar.late]
hours = "10:00-22:00"
[branch."airport-*"]
time_zone = "Europe/London"
[branch.airport-2]
calendars = { opening = "late" }
"""


def test_the_shipped_targets_are_those_of_the_table():
    """To be agreed with the bank; written down in the reference of alarms, escalation."""
    targets = parse_policy().targets
    assert {level: (t.response_ns, t.repair_ns, t.remind_ns, t.hours) for level, t in targets.items()} == {
        1: (30 * MINUTE, 4 * HOUR, 5 * MINUTE, "always"),
        2: (30 * MINUTE, 4 * HOUR, 10 * MINUTE, "service"),
        3: (30 * MINUTE, 4 * HOUR, 24 * HOUR, "business"),
    }
    assert {
        level: [(s.kind, s.after_ns // MINUTE, s.role, *s.channels) for s in target.steps]
        for level, target in targets.items()
    } == {
        1: [
            ("response", 0, "duty engineer", "phone", "sms"),
            ("response", 5, "backup engineer", "phone", "sms"),
            ("response", 10, "section head", "phone", "sms"),
            ("response", 20, "department manager", "phone", "sms"),
            ("response", 30, "director", "phone", "sms"),
            ("repair", 120, "department manager", "sms"),
            ("repair", 180, "department manager", "phone", "sms"),
            ("repair", 240, "director", "phone", "sms"),
        ],
        2: [
            ("response", 0, "duty engineer", "phone", "sms"),
            ("response", 10, "backup engineer", "phone", "sms"),
            ("response", 20, "section head", "phone", "sms"),
            ("response", 30, "department manager", "phone", "sms"),
            ("repair", 180, "section head", "sms"),
            ("repair", 240, "department manager", "sms"),
        ],
        3: [
            ("response", 0, "queue"),
            ("response", 25, "duty engineer", "mail"),
            ("response", 30, ""),
            ("repair", 240, "duty engineer", "mail"),
        ],
    }


def test_the_shipped_policy_says_what_the_code_says_without_it():
    shipped, bare = parse_policy(), parse_policy(shipped="")
    assert shipped.incident == bare.incident == IncidentSettings()
    assert shipped.interruption == bare.interruption == 0.005
    assert {level: (t.response_ns, t.repair_ns) for level, t in bare.targets.items()} == {
        level: (t.response_ns, t.repair_ns) for level, t in shipped.targets.items()
    }
    assert set(shipped.hold_reasons) == {"parts", "access", "customer", "police", "maintenance"}
    assert (shipped.links, shipped.windows, shipped.branches, shipped.regulator) == ((), (), (), None)


def test_the_shipped_policy_names_rules_and_classes_that_there_are():
    policy = parse_policy()
    assert policy.strangers(parse_rules().by_id) == []
    assert {"default", "atm", "pos", "server"} == set(policy.classes) <= {"default", *CLASSES}
    own = parse_policy('[class.pos]\nlevels = { "disk.ful" = 2 }\nfunctions = { payment = ["till.*@usb*"] }\n')
    assert own.strangers(parse_rules().by_id) == [
        "[class.pos.levels] disk.ful: there is no such rule",
        "[class.pos.functions] payment: 'till.*@usb*' fits no rule",
    ]


def test_a_class_says_what_an_alarm_takes_away():
    atm, other = (parse_policy().classes.of(name) for name in ("atm", "kiosk"))
    assert atm.lost("atm.pin-pad", "atm/PIN1") == ("withdrawal", "deposit")
    assert atm.lost("atm.cash", "atm/CRM1 dispenser") == ("withdrawal",)
    assert atm.lost("atm.cash", "atm/CRM1 acceptor") == ("deposit",)
    assert atm.lost("atm.paper", "atm/Printer1 paper:upper") == ()
    assert other.name == "default"
    assert (parse_policy().classes.of("server").level("terminal.silent", 2), other.level("terminal.silent", 2)) == (
        1,
        2,
    )


def test_a_function_without_rules_is_none():
    functions = parse_policy("[class.atm.functions]\ndeposit = []\n").classes.of("atm").functions
    assert set(functions) == {"withdrawal"}


@pytest.mark.parametrize(
    ("level", "terminal_class", "branch", "name", "zone"),
    [
        (1, "pos", "market", "always", "Europe/Berlin"),
        (2, "pos", "market", "opening", "Europe/Berlin"),
        (2, "atm", "market", "always", "Europe/Berlin"),
        (2, "pos", "airport-1", "opening", "Europe/London"),
        (2, "pos", "airport-2", "late", "Europe/Berlin"),  # its own table, not that of the pattern
        (3, "atm", "market", "business", "Europe/Berlin"),
    ],
)
def test_clocks_run_in_the_hours_of_the_level_by_the_clocks_of_the_branch(level, terminal_class, branch, name, zone):
    policy = parse_policy(SITE)
    calendar = policy.calendar(level, terminal_class, branch)
    assert (calendar.name, calendar.zone) == (name, zone)
    assert policy.calendar(level, terminal_class, branch) is calendar  # days once worked out stay


def test_the_schedule_is_that_of_the_class():
    policy = parse_policy(SITE)
    assert policy.schedule("server", "airport-2").name == "late"
    assert policy.schedule("atm", "airport-2").name == "always"


def test_holidays_are_in_the_text_and_their_absence_is_noted():
    unresolved = parse_policy()
    assert (
        "[calendar.business] holidays: the days of CN are not known; its weekly hours hold on them, too"
        in unresolved.notes
    )
    resolved = parse_policy(shipped=resolve(shipped_policy(), (2026,)))
    assert not any("holidays" in note for note in resolved.notes)
    friday = ns("2026-09-30 17:00")  # a Wednesday; the National Day week follows, and Saturday 10 October is made up
    assert said(resolved.calendar(3, "atm", "b").add(friday, HOUR)) == "2026-10-08 09:30"
    assert said(unresolved.calendar(3, "atm", "b").add(friday, HOUR)) == "2026-10-01 09:30"
    assert resolved.calendar(3, "atm", "b").is_open(ns("2026-10-10 10:00"))


def test_a_role_that_nobody_has_is_noted():
    people = '[person.li]\nname = "Li Na"\nphone = "+86 10 5550 0102"\n'
    shift = '[[shift]]\nrole = "duty engineer"\npeople = "li"\nhours = "24x7"\n'
    noted = [note for note in parse_policy(people + shift).notes if note.startswith("[[shift]]")]
    assert [note.split("'")[1] for note in noted] == [
        "backup engineer",
        "section head",
        "department manager",
        "director",
    ]
    assert [note for note in parse_policy().notes if note.startswith("[[shift]]")] == [
        "[[shift]]: there is none; calls name the role, and nobody's number"
    ]


def test_a_site_changes_key_by_key():
    policy = parse_policy(
        '[incident]\nverify = "2h"\n[target.1]\nrepair = "2h"\n[calendar.business]\nhours = { mon = "09:00-10:00" }\n'
        '[hold]\nweather = "The road is closed"\n[figures]\ninterruption = 0.01\n'
    )
    assert policy.incident == IncidentSettings(verify_ns=2 * HOUR)
    assert (policy.targets[1].response_ns, policy.targets[1].repair_ns) == (30 * MINUTE, 2 * HOUR)
    assert [step.after_ns // MINUTE for step in policy.targets[1].steps if step.kind == "repair"] == [60, 90, 120]
    assert policy.calendars["business"].week[1:] == ((),) * 6  # hours are replaced, not mixed
    assert {"parts", "weather"} <= set(policy.hold_reasons)
    assert policy.interruption == 0.01


def test_links_and_windows():
    policy = parse_policy(
        '[[link]]\nparent = "srv-1/switch"\nchild = ["branch:harbour", "atm-7"]\nkind = "network"\n'
        '[[window]]\nid = "w"\nscope = "srv-1/switch"\nfrom = 2026-10-01\nto = 2026-10-01\nreason = "r"\napproved_by = "a"\n'
    )
    assert [(link.parent, link.child, link.kind) for link in policy.links] == [
        ("srv-1/switch", "branch:harbour", "network"),
        ("srv-1/switch", "atm-7", "network"),
    ]
    [window] = policy.windows
    assert (said(window.since), said(window.until)) == ("2026-10-01 00:00", "2026-10-02 00:00")


def test_the_regulator_is_there_when_it_is_written():
    policy = parse_policy(
        '[regulator]\nshare = 0.5\nstep = [{ clock = "response", after = "0m", role = "director", channels = ["phone"] }]\n'
    )
    assert policy.regulator is not None
    assert [step.role for step in policy.regulator.target.steps] == ["director"]


def test_an_older_or_newer_policy_is_read_in_a_replay():
    newer = "[[forecast]]\nx = 1\n[incident]\nmerge = 3\n[target.2]\nresponse = '10m'\nhints = ['a']\n[target.4]\nresponse = '1h'\n"
    policy = parse_policy(newer, shipped="", replay=True)
    assert policy.targets[2].response_ns == 10 * MINUTE
    assert set(policy.targets) == {1, 2, 3}
    assert policy.calendar(3, "atm", "b").name == "always"
    assert (policy.text, policy.shipped) == (newer, "")


def test_reading_a_policy_does_not_ask_the_library_for_holidays():
    program = (
        "import sys; from tillwatch.collector.duty.policy import parse_policy; parse_policy(replay=True);"
        "print([name for name in sys.modules if name.partition('.')[0] == 'holidays'])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("[site", "site policy: "),
        ("[rules]\n", "the policy: unknown table 'rules'"),
        ("site = 3\n", r"\[site\] is a table"),
        ('[site]\ntime_zone = "Beijing"\n', r"\[site\] time_zone = 'Beijing': write a time zone"),
        ('[calendar.service]\nhours = "24x7"\n', "a meaning of its own"),
        ("calendar.x = 3\n", r"\[calendar.x\] is a table"),
        ('[class.atm]\nservice = "nights"\n', "write one of always, opening, business"),
        ('[class.atm]\nlevels = { "atm.jam" = 0 }\n', r"\[class.atm.levels\] atm.jam = '0': write a whole number from 1 to 3"),
        ("[class.atm]\nfunctions = { deposit = 3 }\n", r"\[class.atm.functions\] deposit"),
        ("[class.atm]\nlevel = 3\n", "unknown key 'level'"),
        ('[target.4]\nresponse = "1h"\n', "levels are 1, 2 and 3"),
        ('[branch.x]\ncalendars = { opening = "never" }\n', r"\[branch.x.calendars\] opening = 'never'"),
        ('[branch.x]\ncalendars = { evenings = "opening" }\n', "there is no such calendar"),
        ("[branch.x]\ntime_zone = 8\n", r"\[branch.x\] time_zone"),
        ('[[link]]\nparent = "a b"\nchild = "t"\nkind = "power"\n', r"\[\[link\]\] number 1, parent"),
        ('[[link]]\nparent = "a"\nchild = ["all"]\nkind = "power"\n'.replace("all", "branch:"), "child"),
        ('[[link]]\nparent = "a"\nchild = "a"\nkind = "power"\n', "hangs on itself"),
        ('[[link]]\nparent = "a"\nchild = []\nkind = "power"\n', "what hangs on it"),
        ('[[link]]\nparent = "a"\nchild = "b"\nkind = "water"\n', "one of power, network, host"),
        (2 * '[[window]]\nid = "w"\nscope = "all"\nfrom = 2026-10-01\nto = 2026-10-02\nreason = "r"\napproved_by = "a"\n', "'w' stands there twice"),
        ("[incident]\ninfer_least = 1\n", "from 2 to"),
        ("[hold]\nparts = 3\n", r"\[hold\] parts"),
        ("[figures]\ninterruption = 5\n", "above 0 and at most 1"),
        ('[holidays.CN]\ndays = ["May Day"]\n', r"\[holidays.CN\] days.*no date"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_told_with_table_key_and_mend(text, mend):
    with pytest.raises(PolicyError, match=mend):
        parse_policy(text)


VALUES = st.recursive(
    st.one_of(
        st.integers(-5, 5),
        st.booleans(),
        st.text(max_size=6),
        st.sampled_from(["24x7", "1h", "2026-10-01", "always", "75%"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["hours", "days", "role", "step"]), inner, max_size=3),
    ),
    max_leaves=4,
)
TABLES = [
    "site",
    "calendar",
    "holidays",
    "class",
    "role",
    "person",
    "shift",
    "target",
    "branch",
    "link",
    "window",
    "incident",
    "hold",
    "figures",
    "regulator",
]
KEYS = [
    "hours",
    "holidays",
    "days",
    "role",
    "people",
    "from",
    "to",
    "step",
    "after",
    "clock",
    "id",
    "scope",
    "parent",
    "child",
    "kind",
    "levels",
    "functions",
    "service",
    "name",
    "phone",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TABLES), st.sampled_from(["1", "x", *KEYS]), st.sampled_from(KEYS), VALUES, st.booleans())
def test_whatever_stands_there_is_read_or_told(table, name, key, value, rows):
    """Never another error, and never without the table."""
    text = f"[[{table}]]\n{key} = {_toml(value)}\n" if rows else f"[{table}.{name}]\n{key} = {_toml(value)}\n"
    try:
        parse_policy(text)
    except PolicyError as error:
        assert f"[{table}" in str(error) or "unknown table" in str(error)  # noqa: PT017 - either way is right


def _toml(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    escaped = (
        "".join(
            c
            if c.isalnum() or c in ":- x%"
            else f"\\u{ord(c):04x}"
            if ord(c) < 65536 and not 0xD800 <= ord(c) < 0xE000
            else "?"
            for c in value
        )
        if isinstance(value, str)
        else ""
    )
    return f'"{escaped}"' if isinstance(value, str) else str(value)
