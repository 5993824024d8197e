"""Truth reckoned from a list of faults that can be followed by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.simulate.fleet import DISPENSER, make_bank
from tillwatch.collector.simulate.reckon import reckon, scheduled, summed
from tillwatch.collector.simulate.site import RULES, site_policy
from tillwatch.collector.simulate.times import DAY, HOUR
from tillwatch.collector.simulate.truth import AGENT, MONITORING, NETWORK, PART, Ledger

POLICY = parse_policy(site_policy())
BANK = make_bank(5)
ATM_NAME, POS_NAME = "atm-01-1", "pos-01-2"
END = 10 * DAY


def truth(*effects, windows=(), parked=(), corrected=()):
    """terminal, component, told, why, from, until in hours -> hours of (up, down, planned, unmonitored) under each definition."""
    ledger = Ledger()
    for terminal, component, told, why, since, until in effects:
        fault = ledger.add("m", "terminal", terminal, "b", "r", since * HOUR)
        fault.effect(terminal, component, told, why).on.append([since * HOUR, until * HOUR])
    ledger.windows += [("branch-01", since * HOUR, until * HOUR) for since, until in windows]
    for terminal, since, until in parked:
        ledger.parked[terminal] = [[since * HOUR, until * HOUR]]
    ledger.corrected += [(terminal, since * HOUR, until * HOUR) for terminal, since, until in corrected]
    book = SimpleNamespace(policy=POLICY, rules=parse_rules(RULES))
    outcome = SimpleNamespace(ledger=ledger, bank=BANK, end=END, fold=SimpleNamespace(book=book))
    return {
        name: {of: tuple(ns / HOUR for ns in shares.values()) for of, shares in times.items()}
        for name, times in reckon(outcome, 0, END).items()
    }


@pytest.mark.parametrize(("kind", "level"), [("atm", 2), ("pos", 2), ("server", 2)])
def test_the_schedule_is_that_of_the_policy(kind, level):
    calendar = POLICY.calendar(level, kind, "branch-01")
    assert scheduled(kind, HOUR, 9 * DAY + 5 * HOUR) == list(calendar.spans(HOUR, 9 * DAY + 5 * HOUR))


def test_a_terminal_without_faults_is_up():
    assert truth()[ATM_NAME] == dict.fromkeys(("network", "any", "full"), (240, 0, 0, 0))
    assert truth()[POS_NAME]["full"] == (90, 0, 0, 0)


def test_who_is_cut_off_serves_nobody_and_without_an_agent_nobody_knows():
    away = (ATM_NAME, "", (("terminal.silent", 2),), NETWORK, 10, 14)
    unseen = (ATM_NAME, "", (("terminal.silent", 2),), AGENT, 20, 21)
    centre = (ATM_NAME, "", (("terminal.silent", 2),), MONITORING, 30, 40)
    assert truth(away, unseen, centre)[ATM_NAME] == dict.fromkeys(("network", "any", "full"), (235, 4, 0, 1))


def test_of_its_functions_one_or_all_may_be_lost():
    cash = (ATM_NAME, f"{DISPENSER} dispenser", (("atm.cash", 2),), PART, 10, 13)
    notes = (ATM_NAME, "acceptor", (("acceptor.fault", 2),), PART, 12, 14)
    found = truth(cash, notes)[ATM_NAME]
    assert found == {"network": (239, 1, 0, 0), "any": (239, 1, 0, 0), "full": (236, 4, 0, 0)}


def test_what_is_mild_or_of_security_takes_nothing():
    mild = (ATM_NAME, f"{DISPENSER} unit:2", (("atm.cassette", 3),), PART, 10, 13)
    shaken = (ATM_NAME, "atm/Auxiliaries seismicSensor", (("env.intrusion", 2),), PART, 10, 13)
    assert truth(mild, shaken)[ATM_NAME]["full"] == (240, 0, 0, 0)


def test_windows_are_planned_what_is_parked_is_not_scheduled_and_a_person_has_the_last_word():
    away = (ATM_NAME, "", (("terminal.silent", 2),), NETWORK, 10, 20)
    agent = (ATM_NAME, "", (("terminal.silent", 2),), AGENT, 50, 60)
    found = truth(away, agent, windows=[(18, 22)], parked=[(ATM_NAME, 30, 40)], corrected=[(ATM_NAME, 49, 58)])
    assert found[ATM_NAME]["network"] == (216, 8, 4, 2)


def test_somebody_who_serves_it_keeps_customers_away():
    by_hand = (ATM_NAME, "atm/Auxiliaries", (("terminal.supervisor", 2),), PART, 10, 11)
    assert truth(by_hand)[ATM_NAME]["network"] == (239, 1, 0, 0)


def test_sums_are_of_all():
    one = {name: {"up": 1, "down": 2, "planned": 3, "unmonitored": 4} for name in ("network", "any", "full")}
    assert summed([one, one])["any"] == {"up": 2, "down": 4, "planned": 6, "unmonitored": 8}
