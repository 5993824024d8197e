from __future__ import annotations

from tillwatch.agent.mib_groups import NEVER_ASKED, NEVER_STORED, WALKED, Group, holding
from tillwatch.agent.sources.snmp import columns_of, scalars_of
from tillwatch.device_profiles.loader import load_yaml
from tillwatch.device_profiles.recognise import beneath

IF_ALIAS = "1.3.6.1.2.1.31.1.1.1.18"
"""Read as one of several labels; a recording without it has the next one."""


def test_a_walk_asks_for_all_that_a_shipped_profile_reads() -> None:
    profiles = load_yaml()
    read = {*scalars_of(profiles), *columns_of(profiles)}
    read |= {oid for profile in profiles for rule in profile.recognition.matches for oid in rule.present}
    assert {oid for oid in read if not holding(oid, WALKED)} == set()
    assert {oid for oid in read if holding(oid, (*NEVER_ASKED, *NEVER_STORED))} == {IF_ALIAS}


def test_nothing_that_is_never_asked_lies_in_what_is_asked() -> None:
    assert [
        (a.name, b.name) for a in WALKED for b in NEVER_ASKED if beneath(a.oid, b.oid) or beneath(b.oid, a.oid)
    ] == []


def test_every_rule_of_what_is_never_stored_is_needed() -> None:
    assert [group.name for group in NEVER_STORED if not holding(group.oid, WALKED)] == []


def test_whole_numbers_decide() -> None:
    assert holding("1.3.6.1.2.1.25.3.1", WALKED) == Group(
        "1.3.6.1.2.1.25.3", "HOST-RESOURCES-MIB (devices)", "processors, printers, disks"
    )
    assert holding("1.3.6.1.2.1.250.1", WALKED) is None
