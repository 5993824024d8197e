"""What the doctor says of a policy before it is taken on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, Sender
from tillwatch.collector.config import Config
from tillwatch.collector.policy_check import examine_policy
from tillwatch.collector.sections import CollectorSection, PolicySection

ROSTER = """
[person.wang]
name = "Wang Fang"
phone = "+86 10 5550 0101"
[[shift]]
role = "duty engineer"
people = "wang"
hours = "24x7"
"""


class Site:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "policy.toml"
        self.config = Config(collector=CollectorSection(data_dir=folder), policy=PolicySection(file=self.file))

    def said(self, policy: str, now: int = T0) -> dict[str, list[tuple[str, str]]]:
        self.file.write_text(policy, encoding="utf-8")
        found: dict[str, list[tuple[str, str]]] = {}
        for subject, state, text in examine_policy(self.config, now):
            found.setdefault(subject, []).append((state, text))
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_roster_that_is_not_in_use(site: Site):
    assert site.said("")["roster"][0][0] == "warn"
    assert "write [person.NAME] and [[shift]]" in site.said("")["roster"][0][1]
    found = site.said(ROSTER)
    assert found["roster"] == [("ok", "1 shifts of 1 people")]
    assert any("nobody ever has the role 'director'" in text for _, text in found["policy"])


def test_a_policy_that_cannot_be_used(site: Site):
    ((state, text),) = site.said("[calender]\n")["policy"]
    assert state == "fail"
    assert "calender" in text
    assert text.endswith("the collector will not start with it")


def test_holidays_of_this_year_and_the_next_one(site: Site):
    known = '[holidays.CN]\ndays = ["2026-10-01"]\nworking_days = []\n'
    assert site.said("")["holidays CN"][0][0] == "ok"
    state, text = site.said(known)["holidays CN"][0]
    assert (state, text) == (
        "warn",
        "no holidays of 2027 are known; update the package `holidays`, or write them into [holidays.CN]",
    )
    text = site.said('[holidays.CN]\ndays = ["2026-10-01", "2027-01-01"]\nworking_days = ["2025-01-26"]\n')[
        "holidays CN"
    ][0][1]
    assert text.startswith("no make-up working days of 2026 are known")


async def test_names_that_fit_nothing(site: Site):
    policy = """
[class.atm]
levels = { "atm.jammed" = 1 }
[[link]]
parent = "branch:hill"
child = ["atm-1", "atm-2"]
kind = "network"
"""
    world = World(site.config.database)
    await world.start()
    await Sender("atm-1").enrol(world.pipeline)
    await world.pipeline.stop()
    world.store.close()
    found = site.said(policy)
    assert found["policy classes"][0][1].startswith("[class.atm.levels] atm.jammed: there is no such rule")
    assert found["policy links"] == [
        ("warn", "atm-2: no terminal, branch or region of that name; enrol it, or correct the link")
    ]
    assert site.said(policy.replace(', "atm-2"', ""))["policy links"][0][0] == "ok"


def test_a_regulator_that_calls_nobody(site: Site):
    assert site.said("[regulator]\n")["regulator"][0][0] == "warn"
    step = 'step = [{ clock = "response", after = "0m", role = "director", channels = ["phone"] }]'
    assert "regulator" not in site.said(f"[regulator]\n{step}\n")
