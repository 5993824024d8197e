"""The memory of bundles under every order of events, ends without a word among them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tillwatch.agent.bundles import machine
from tillwatch.agent.bundles.machine import MOST_STARTS, Before, Kept, Memory
from tillwatch.agent.bundles.probation import LEAST_S, MORE_RSS, MOST_S, Seen, judge
from tillwatch.agent.wire import Running

DIGESTS = [bytes([n]) * 32 for n in range(4)]


class Terminal(RuleBasedStateMachine):
    """kept: the last memory that was made lasting; runs: what the process that lives now was started with."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = Memory()
        self.alive = False
        self.runs: Kept | None = None
        self.passed: set[bytes] = set()
        self.unclean: dict[int, int] = {}
        self.marks = [0]

    def lasting(self, memory: Memory) -> None:
        self.kept = memory
        self.marks.append(memory.mark)

    @precondition(lambda self: not self.alive)
    @rule()
    def start(self) -> None:
        self.lasting(machine.start(self.kept))
        self.alive, self.runs = True, self.kept.runs

    @precondition(lambda self: self.alive)
    @rule()
    def killed(self) -> None:
        if self.runs is not None and self.kept.checked:
            self.unclean[self.runs.number] = self.unclean.get(self.runs.number, 0) + 1
        self.alive = False

    @precondition(lambda self: self.alive)
    @rule()
    def stopped(self) -> None:
        self.lasting(machine.settled(self.kept))
        self.alive = False

    @precondition(lambda self: self.alive and not self.kept.checked)
    @rule(digest=st.sampled_from([None, *DIGESTS]), more=st.integers(1, 3))
    def told(self, digest: bytes | None, more: int) -> None:
        number = self.kept.mark + more
        good = self.kept.good
        if digest is None or (good is not None and good.digest == digest):
            self.passed.add(digest or b"")
        self.lasting(machine.take(self.kept, Kept(number, "x", digest) if digest else None, number))

    @precondition(lambda self: self.alive and self.kept.candidate is not None and not self.kept.checked)
    @rule(wrong=st.sampled_from(["", "bundle.toml:1: no"]))
    def looked_at(self, wrong: str) -> None:
        self.lasting(machine.checked(self.kept, wrong, Before({"ups": 4}, 1)))
        self.alive = bool(wrong)

    @precondition(lambda self: self.alive and self.kept.checked and self.runs == self.kept.candidate)
    @rule(well=st.booleans())
    def judged(self, *, well: bool) -> None:
        if well:
            assert self.runs is not None
            self.passed.add(self.runs.digest)
            self.lasting(machine.passed(self.kept))
        else:
            self.lasting(machine.failed(self.kept, "ups gave 4 values, now 0"))
            self.alive = False

    @invariant()
    def numbers_only_rise(self) -> None:
        assert self.marks == sorted(self.marks)

    @invariant()
    def what_is_good_has_passed(self) -> None:
        assert self.kept.good is None or self.kept.good.digest in self.passed

    @invariant()
    def who_is_on_probation_has_one_start(self) -> None:
        assert all(count <= 1 for count in self.unclean.values())

    @invariant()
    def starts_are_bounded(self) -> None:
        assert self.kept.starts <= MOST_STARTS

    @invariant()
    def it_can_be_told(self) -> None:
        report = self.kept.report()
        assert report.number == self.kept.mark
        assert (report.state is Running.TRYING) == self.kept.checked


TestTerminal = Terminal.TestCase
TestTerminal.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_good_bundle_that_takes_the_agent_down_again_and_again_is_given_up() -> None:
    memory = Memory(mark=3, good=Kept(3, "x", DIGESTS[0]), outcome="good")
    for _ in range(MOST_STARTS):
        memory = machine.start(memory)
        assert memory.runs is not None
    memory = machine.start(memory)
    assert memory.runs is None
    assert memory.report().state is Running.FALLEN_BACK


def seen(seconds: float, **changes: object) -> Seen:
    known = {"sealed": True, "acked": True, "yields": {"ups": 4}, "troubles": {}, "rss": 1 << 20, **changes}
    return Seen(seconds, **known)  # type: ignore[arg-type]


BEFORE = Before({"ups": 4}, 1 << 20)


def test_a_verdict_needs_time_and_everything_that_there_was() -> None:
    assert judge(BEFORE, seen(LEAST_S - 1)) is None
    assert judge(BEFORE, seen(LEAST_S)) == ""
    for missing in ({"sealed": False}, {"acked": False}, {"yields": {}}, {"yields": {"ups": 1}}):
        assert judge(BEFORE, seen(LEAST_S, **missing)) is None
        assert judge(BEFORE, seen(MOST_S, **missing))
    said = judge(BEFORE, seen(MOST_S, yields={}, troubles={"ups": "no answer"}))
    assert said == "ups answered before: no answer"
    assert "MiB" in str(judge(BEFORE, seen(1.0, rss=(1 << 20) + MORE_RSS + 1)))


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    st.floats(0, 2 * MOST_S),
)
def test_every_probation_ends(before: dict[str, int], now: dict[str, int], seconds: float) -> None:
    verdict = judge(Before(before), seen(seconds, yields=now))
    assert verdict is not None or seconds < MOST_S
    if verdict == "":
        assert all(now.get(name, -1) * 2 >= count for name, count in before.items())
