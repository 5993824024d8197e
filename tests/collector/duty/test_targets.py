"""Targets and the steps on the way to them, as they are written and as they are known."""

from __future__ import annotations

import tomllib

import pytest

from tests.collector.duty.clocks_of_places import HOUR, MINUTE
from tillwatch.collector.duty.tables import PolicyError, Table
from tillwatch.collector.duty.targets import RESPONSE, Regulator, Step, Target, read_regulator, read_target

ROLES = ("duty", "head")


def read(text: str) -> Target:
    return read_target(1, Table("target.1", tomllib.loads(text)), ("always", "business"), ROLES)


def step(keys: str) -> str:
    return f"step = [{{ {keys} }}]"


def test_steps_come_at_a_time_or_at_a_share_of_the_target():
    target = read(
        'response = "20m"\nrepair = "2h"\nhours = "service"\nremind = "5m"\nundelivered = "2m"\nstep = [\n'
        '{ clock = "repair", after = "75%", role = "head", channels = "sms", text = "Soon" },\n'
        '{ clock = "response", after = "100%", role = "head", channels = ["phone"] },\n'
        '{ clock = "response", after = "0m", role = "duty", channels = ["phone"] },\n]'
    )
    assert target == Target(
        level=1,
        response_ns=20 * MINUTE,
        repair_ns=2 * HOUR,
        steps=(
            Step("response", 0, "duty", ("phone",)),
            Step("response", 20 * MINUTE, "head", ("phone",)),
            Step("repair", 90 * MINUTE, "head", ("sms",), "Soon"),
        ),
        remind_ns=5 * MINUTE,
        hours="service",
        undelivered_ns=2 * MINUTE,
    )


def test_a_step_is_known_by_the_turn_of_its_role():
    target = Target(
        1, HOUR, HOUR, (Step(RESPONSE, 9, "a"), Step(RESPONSE, 5, "b"), Step(RESPONSE, 7, "a"), Step("repair", 1, "a"))
    )
    assert [key for key, _ in target.keyed(RESPONSE)] == ["response:b:1", "response:a:1", "response:a:2"]


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ('response = "0m"', r"\[target.1\] response = '0m': a target is longer"),
        ('remind = "5s"', 'at least "1m"'),
        ('hours = "office"', "write one of always, business, service"),
        ('respond = "5m"', "unknown key 'respond'"),
        (step('clock = "answer", after = "0m"'), r"\[\[target.1.step\]\] number 1, clock = 'answer': write one of response"),
        (step('clock = "repair"'), "after"),
        (step('clock = "repair", after = "-5%"'), 'such as "75%"'),
        (step('clock = "repair", after = "1001%"'), 'such as "75%"'),
        (step('clock = "repair", after = "5"'), "write a duration"),
        (step('clock = "repair", after = "5m", role = "boss"'), "write one of duty, head"),
        (step('clock = "repair", after = "5m", role = "duty", channels = ["fax"]'), "one of phone, sms, mail"),
        (step('clock = "repair", after = "5m", channels = ["sms"]'), "who is to be told"),
        (step('clock = "repair", after = "5m", role = "duty", until = "6m"'), "unknown key 'until'"),
        ('step = [{ clock = "repair", after = "4h", role = "duty" }, { clock = "repair", after = "100%", role = "duty" }]', "stands there twice"),
    ],
)  # fmt: skip
def test_a_wrong_target_is_told_with_key_and_mend(text, mend):
    with pytest.raises(PolicyError, match=mend):
        read(text)


def test_the_clock_of_the_regulator():
    text = 'share = 0.4\nfor = "20m"\n[[step]]\nclock = "repair"\nafter = "50%"\nrole = "head"\nchannels = ["mail"]\n'
    regulator = read_regulator(Table("regulator", tomllib.loads(text)), ROLES)
    written = Step("repair", 6 * HOUR, "head", ("mail",))
    assert regulator == Regulator(0.4, 20 * MINUTE, Target(0, 30 * MINUTE, 12 * HOUR, (written,)))
    assert [regulator.concerns(down, 10) for down in (3, 4)] == [False, True]
    assert not regulator.concerns(0, 0)
    with pytest.raises(PolicyError, match=r"\[regulator\] share"):
        read_regulator(Table("regulator", {"share": 40}), ROLES)
