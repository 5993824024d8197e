"""One machine's boots and epochs follow each other; what comes back is a second machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tillwatch.agent.wire import Life
from tillwatch.collector.trust.clones import MAX_SPEAKERS, against, copied, heard

S = 10**9
T0 = 1_790_000_000 * S
A, B, C = b"AAAAAAAA", b"BBBBBBBB", b"CCCCCCCC"
E, F = b"epoch-e-....", b"epoch-f-...."


class Story:
    def __init__(self):
        self.speakers, self.at, self.n = [], T0, 0

    def life(self, boot, epoch=E, *, up=None, n=None, after=60):
        """The evidence of the next life message; uptimes go on as time does, unless said otherwise."""
        self.at += after * S
        self.n += 1
        up = (self.at - T0) // 10**6 + (0 if boot == A else 10**7) if up is None else up
        life = Life("t", bytes(8), epoch, 1, 1, 0, boot, up, self.at, self.n if n is None else n)
        self.speakers, evidence = heard(self.speakers, life, self.at)
        return evidence


def test_a_machine_that_reboots_and_begins_epochs_is_one():
    story = Story()
    for boot, epoch in ((A, E), (A, E), (B, E), (B, E), (B, F), (C, F), (C, F)):
        assert story.life(boot, epoch) == {}


def test_a_boot_that_comes_back_is_a_second_machine_and_both_are_named():
    story = Story()
    story.life(A)
    assert story.life(B) == {}  # as yet a reboot
    evidence = story.life(A)
    assert set(evidence) == {"alternation"}
    assert "boot 41414141 (up 3 min, epoch 65706f63" in evidence["alternation"]
    assert "boot 42424242 (up 2 h, epoch 65706f63" in evidence["alternation"]
    assert {speaker.boot for speaker in story.speakers} == {A, B}


def test_an_epoch_that_comes_back_is_a_second_machine_too():
    story = Story()
    story.life(A, E)
    story.life(A, F)
    assert set(story.life(A, E)) == {"alternation"}


def test_a_copy_of_an_older_message_is_no_evidence():
    story = Story()
    story.life(A, n=7)
    story.life(B, n=8)
    assert story.life(A, n=7) == {}
    assert story.life(A, n=6) == {}
    assert set(story.life(A, n=9)) == {"alternation"}


def test_an_uptime_that_goes_back_within_a_boot_is_a_copied_machine():
    story = Story()
    story.life(A, up=10_000_000)
    assert story.life(A, up=9_999_500) == {}
    assert set(story.life(A, up=500_000)) == {"uptime"}


def minutes(number):
    return number.to_bytes(8, "big")


@pytest.mark.parametrize(("off_ms", "expected"), [(0, set()), (3_600_000, {"alternation"})])
def test_a_boot_id_made_of_the_clock_may_change_its_name(off_ms, expected):
    story = Story()
    up = [1_000_000 + 60_000 * k for k in range(3)]
    story.life(minutes(29_833_333), up=up[0])
    story.life(minutes(29_833_335), up=up[1] + off_ms)
    assert set(story.life(minutes(29_833_333), up=up[2])) == expected


def test_what_is_remembered_is_bounded():
    story = Story()
    for number in range(50):
        story.life(bytes([200, number] * 4))
    assert len(story.speakers) == MAX_SPEAKERS


def test_a_second_history_names_its_teller():
    story = Story()
    story.life(A)
    text = against(story.speakers, B, 90_000, T0)
    assert text.startswith("told by boot 42424242 (up 1 min, at 2026-")
    assert "while there is boot 41414141" in text
    assert "the only boot that is known" in against(story.speakers, A, 90_000, T0)


@pytest.mark.parametrize(
    ("changed", "is_copy"),
    [
        ({}, True),
        ({"n": 4}, False),
        ({"n": 2, "up": 500}, True),
        ({"n": 2, "up": 1001}, False),  # a spool that was put back while the machine went on
        ({"boot": B}, False),
        ({"epoch": F}, False),
        ({"state": "offline"}, False),  # the will carries the number of its birth
    ],
)
def test_a_birth_that_was_heard_before_is_a_copy(changed, is_copy):
    birth = Life("t", bytes(8), E, 1, 1, 0, A, 1000, T0, 3)
    speakers, _ = heard([], birth, T0)
    assert copied(speakers, replace(birth, **changed)) is is_copy
    assert not copied([], birth)
