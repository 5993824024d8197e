"""The parts of the monitoring judged by themselves: each limit from both sides, and never well where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.collector.fake_fleet import FakeFleet
from tillwatch.collector.oversight import CertificateView, DoneView, MonitoringFacts, SinkView, SpoolView
from tillwatch.collector.read import Culprit, Health, WaitingView
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.monitoring import (
    BACKUP_FAIL,
    BACKUP_WARN,
    CA_WARN,
    DAY,
    DISK_FAIL,
    DISK_WARN,
    FAIL,
    HOUR,
    OK,
    PARTS,
    SERVER_WARN,
    SKEW_WARN,
    SPOOL_FAIL_S,
    SPOOL_WARN_S,
    STANDS_FAIL_S,
    STANDS_WARN_S,
    SWITCHED_OFF,
    UNKNOWN,
    VERIFIED_WARN,
    WARN,
    Check,
    S,
    Seen,
    Watched,
    judge,
    worst_of,
)
from tillwatch.collector.web.predicting import BEHIND, NEW, OFF, STOPPED, STUCK, TROUBLE, WELL, HowFar
from tillwatch.collector.web.rest.monitoring_schema import HealthPart

NOW = 1_790_000_000 * S
ATM = replace(FakeFleet(1).terminals()[0], id="atm-1", connection="online", skew_ms=0, life_cycle="in_service", holes=0, lost=0)  # fmt: skip
HEALTH = Health(100, NOW, 0, 0, (), NOW - DAY, NOW)
SINK = SinkView("analysts", 100, NOW, NOW, 1000, 0, running=True)
FACTS = MonitoringFacts(
    sinks=(SINK,),
    store_bytes=10**9, disk_free=DISK_WARN, disk_total=10**12, acts_waiting=0, spools=(SpoolView("atm-1", NOW, 0, 0, 0, "ok"),),
    certificates=(CertificateView("ca.pem", NOW + CA_WARN), CertificateView("server.pem", NOW + SERVER_WARN)),
    backup=DoneView(NOW - HOUR, ok=True), verified=DoneView(NOW - HOUR, ok=True), synchronised=True,
)  # fmt: skip
SEEN = Seen(NOW, (ATM,), HEALTH, FACTS, HowFar(WELL), Watched(there=True, ok=True))


def check(key: str, seen: Seen = SEEN) -> Check:
    return next(each for each in judge(seen) if each.key == key)


def terminal(**more: Any) -> Seen:
    return replace(SEEN, terminals=(replace(ATM, **more), *(replace(ATM, id=f"atm-{n}") for n in range(2, 41))))


def facts(**more: Any) -> Seen:
    return replace(SEEN, facts=replace(FACTS, **more))


def health(**more: Any) -> Seen:
    return replace(SEEN, health=replace(HEALTH, **more))


def test_a_monitoring_that_is_well_is_well_in_every_part() -> None:
    found = judge(SEEN)
    assert {each.key: each.state for each in found if each.state != OK} == {}
    assert worst_of(found) == OK


def test_nothing_known_is_never_well() -> None:
    found = judge(Seen(NOW, (), None, None, None))
    assert {each.state for each in found} == {UNKNOWN}
    assert all(each.value is None or each.key == "clock" for each in found)
    assert worst_of(found) == UNKNOWN
    assert worst_of([]) == UNKNOWN


@pytest.mark.parametrize(
    ("key", "seen", "state"),
    [
        ("silent", terminal(connection="silent"), WARN),
        ("silent", terminal(connection="silent", life_cycle="repair"), OK),
        ("silent", replace(SEEN, terminals=(replace(ATM, connection="offline"),)), FAIL),
        ("skew", terminal(skew_ms=-SKEW_WARN), OK),
        ("skew", terminal(skew_ms=-SKEW_WARN - 1), WARN),
        ("skew", replace(SEEN, terminals=(replace(ATM, skew_ms=None),)), UNKNOWN),
        ("holes", terminal(holes=1), WARN),
        ("holes", terminal(lost=1), WARN),
        ("spool", facts(spools=(SpoolView("a", NOW, 9, 9, SPOOL_WARN_S, "ok"),)), OK),
        ("spool", facts(spools=(SpoolView("a", NOW, 9, 9, SPOOL_WARN_S + 1, "ok"),)), WARN),
        ("spool", facts(spools=(SpoolView("a", NOW, 9, 9, SPOOL_FAIL_S + 1, "ok"),)), FAIL),
        ("spool", facts(spools=(SpoolView("a", NOW, 9, 9, 0, "thinning"),)), WARN),
        ("spool", facts(spools=(SpoolView("a", NOW - HOUR, 0, 0, 0, "ok"),)), UNKNOWN),
        ("terminal_certificates", facts(aged=("atm-1",)), WARN),
        ("refused", health(culprits=(Culprit("a", NOW - 2 * HOUR, (("signature", 3),)),)), OK),
        ("refused", health(culprits=(Culprit("a", NOW, (("flood", 3),)),)), WARN),
        ("refused", health(culprits=(Culprit("", NOW, (("signature", 3),)),)), FAIL),
        ("outbox", health(outbox_pending=5), OK),
        ("outbox", health(outbox_dead=1), WARN),
        ("outbox", health(waiting=(WaitingView("desk", 1, 2, NOW - 3 * S, 2 * S, "no"),)), FAIL),
        ("predictions", replace(SEEN, far=HowFar(BEHIND)), WARN),
        ("sinks", facts(sinks=()), SWITCHED_OFF),
        ("sinks", replace(SEEN, facts=None), UNKNOWN),
        ("sinks", health(journal_entries=101, last_entry_at=NOW + HOUR), OK),
        ("sinks", health(journal_entries=101, last_entry_at=NOW + HOUR + S), WARN),
        ("sinks", facts(sinks=(replace(SINK, written=99, at=NOW - 301 * S, trouble="it does not answer"),)), FAIL),
        ("sinks", facts(sinks=(replace(SINK, written=99, at=NOW - 300 * S, trouble="it does not answer"),)), OK),
        ("sinks", facts(sinks=(replace(SINK, written=99, at=NOW - 301 * S, running=False),)), FAIL),
        ("sinks", facts(sinks=(replace(SINK, trouble="it does not answer"), SINK)), OK),
        ("predictions", replace(SEEN, far=HowFar(NEW)), OK),
        ("predictions", replace(SEEN, far=HowFar(OFF)), SWITCHED_OFF),
        *(("predictions", replace(SEEN, far=HowFar(state)), FAIL) for state in (TROUBLE, STOPPED, STUCK)),
        ("advance", health(advanced_to=NOW - STANDS_WARN_S * S, last_entry_at=0), OK),
        ("advance", health(advanced_to=NOW - STANDS_WARN_S * S - 1, last_entry_at=0), WARN),
        ("advance", health(advanced_to=NOW - STANDS_FAIL_S * S - S, last_entry_at=0), FAIL),
        ("watchdog", replace(SEEN, watched=Watched(there=False)), SWITCHED_OFF),
        ("watchdog", replace(SEEN, watched=Watched(there=True, ok=True, said="its certificate ends")), WARN),
        ("watchdog", replace(SEEN, watched=Watched(there=True, said="the ticket is missing")), FAIL),
        ("watchdog", replace(SEEN, watched=Watched(there=True, known=False, said="cannot be read")), UNKNOWN),
        ("watchdog", replace(SEEN, watched=None), UNKNOWN),
        ("advance", facts(stopped_at=NOW), FAIL),
        ("acts", facts(acts_waiting=1), WARN),
        ("away", facts(away=((NOW - 30 * HOUR, NOW - 25 * HOUR),)), OK),
        ("away", facts(away=((NOW - 30 * HOUR, NOW - HOUR),)), WARN),
        ("clock", facts(synchronised=False), WARN),
        ("clock", facts(synchronised=None), UNKNOWN),
        ("clock", health(last_entry_at=NOW + 2 * S), FAIL),
        ("store", facts(keep_bytes=10**9 - 1), WARN),
        ("disk", facts(disk_free=DISK_WARN - 1), WARN),
        ("disk", facts(disk_free=DISK_FAIL - 1), FAIL),
        ("backup", facts(backup=DoneView(NOW - BACKUP_WARN - S, ok=True)), WARN),
        ("backup", facts(backup=DoneView(NOW - BACKUP_FAIL - S, ok=True)), FAIL),
        ("backup", facts(backup=DoneView(NOW, ok=False, text="hole")), FAIL),
        ("verified", facts(verified=DoneView(NOW - VERIFIED_WARN - S, ok=True)), WARN),
        ("verified", facts(verified=DoneView(NOW, ok=False)), FAIL),
        ("certificates", facts(certificates=(CertificateView("server.pem", NOW + SERVER_WARN - S),)), WARN),
        ("certificates", facts(certificates=(CertificateView("ca.pem", NOW + CA_WARN - S),)), WARN),
        ("certificates", facts(certificates=(CertificateView("server.pem", NOW - S),)), FAIL),
        ("certificates", facts(certificates=(CertificateView("server.pem", 0, "unreadable"),)), UNKNOWN),
    ],
)  # fmt: skip
def test_a_part_is_held_to_its_limits(key: str, seen: Seen, state: str) -> None:
    assert check(key, seen).state == state


def test_the_worst_of_a_part_are_named_and_the_rest_counted() -> None:
    many = tuple(replace(ATM, id=f"atm-{n}", connection="silent", last_received=n) for n in range(25))
    found = check("silent", replace(SEEN, terminals=many))
    assert (found.count, found.of, len(found.worst)) == (25, 25, 10)
    assert [each.name for each in found.worst[:2]] == ["atm-0", "atm-1"], "the longest away first"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_part_says_what_it_is_and_what_to_do(language: str) -> None:
    for found in judge(Seen(NOW, (), None, None, None)):
        part = HealthPart.of(found, TEXTS[language])
        assert part.title
        assert part.means
        assert part.mend
    assert all(HealthPart.of(each, TEXTS[language]).mend == "" for each in judge(SEEN))


def test_no_part_is_there_twice() -> None:
    keys = [each.key for each in judge(SEEN)]
    assert len(keys) == len(set(keys)) == len(PARTS)
