"""Rollouts in the fold: rings pass, halt and are taken back by what terminals say and by time; a rebuild gives the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import CONFIG, Report, Running
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.rollout.reading import MemberView, RolloutView
from tillwatch.collector.rollout.states import Member
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.device_profiles.bundle import Content, pack

MINUTE = 60 * S
RINGS = [
    {"name": "pilot", "share": 0, "terminals": ["t-1", "t-2"]},
    {"name": "rest", "share": 1_000_000, "terminals": []},
]
OF_ROLLOUTS = ("config_bundle", "rollout", "terminal_ring")


class Story:
    """Four terminals that take bundles."""

    def __init__(self, world: World, many: int = 4) -> None:
        self.world = world
        self.tills = {f"t-{n}": Sender(f"t-{n}") for n in range(1, many + 1)}

    async def begin(self) -> None:
        await self.world.start()
        for till in self.tills.values():
            await till.enrol(self.world.pipeline)
        for name in self.tills:
            await self.report(name, Report(0, Running.NONE))

    async def say(self, name: str, component: str, signal: str, value: Any) -> None:
        self.world.now += S
        batch = self.tills[name].batch([reading(component, signal, self.world.now, value)], self.world.now)
        await self.world.pipeline.take([batch])

    async def report(self, name: str, report: Report) -> None:
        await self.say(name, AGENT, CONFIG, report.text())

    async def answers(self, name: str, state: Running, words: str = "") -> None:
        """To what it is told now."""
        member = self.member(name)
        await self.report(name, Report(member.number, state, "", "", words))

    async def good(self, *names: str) -> None:
        for name in names:
            await self.answers(name, Running.GOOD)

    async def minutes(self, count: int, but: Sequence[str] = ()) -> None:
        """Everybody but those says something each minute, so that nobody is silent."""
        for _ in range(count):
            self.world.now += MINUTE - len(self.tills) * S
            await self.world.pipeline.take([])
            for name in self.tills:
                if name in but:
                    self.world.now += S
                else:
                    await self.say(name, "host", "host.cpu.percent", 5.0)

    async def act(self, action: str, **facts: Any) -> None:
        self.world.now += S
        await self.world.pipeline.operate({"action": action, "actor": "li.na", "reason": "colder rooms", **facts})

    async def publish(self, name: str, seal: str = "60s") -> int:
        await self.act("bundle", name=name, content=pack(Content({"seal": seal})), files={"bundle.toml": 5})
        with closing(SqliteReader(self.world.path)) as reader:
            return next(each.n for each in reader.config_bundles() if each.name == name)

    async def start(self, bundle: int, rings: Any = None, **gate: Any) -> RolloutView:
        members = {"good": 950_000, "bad": 20_000, "minutes": 10, "returns": True, **gate}
        await self.act("rollout", bundle=bundle, rings=rings or RINGS, gate=members)
        return self.rollout

    @property
    def rollout(self) -> RolloutView:
        with closing(SqliteReader(self.world.path)) as reader:
            return reader.rollouts()[0]

    @property
    def views(self) -> dict[str, MemberView]:
        with closing(SqliteReader(self.world.path)) as reader:
            return {view.member.terminal: view for view in reader.members()}

    def member(self, name: str) -> Member:
        return self.views[name].member

    def same_again(self, folder: Path) -> None:
        copy = folder / "again.db"
        rebuild(self.world.path, copy)
        with closing(SqliteStore(copy)) as again, closing(SqliteStore(self.world.path)) as kept:
            for name in OF_ROLLOUTS:
                assert tables(kept.conn)[name] == tables(again.conn)[name], name
        copy.unlink()


@pytest.fixture
async def story(world: World) -> Story:
    made = Story(world)
    await made.begin()
    return made


async def test_ring_after_ring_to_the_end_and_a_restart_in_the_middle(story: Story, tmp_path: Path) -> None:
    bundle = await story.publish("winter")
    view = await story.start(bundle)
    assert (view.rollout.state, view.rollout.begun, view.name) == ("running", ("pilot",), "winter")
    rolling = story.world.pipeline.fold.rolling
    assert rolling.waiting == {"t-1", "t-2"}
    assert story.member("t-3").number == 0
    await story.answers("t-1", Running.TRYING)
    await story.good("t-1", "t-2")
    assert story.rollout.rollout.begun == ("pilot",), "it is watched to the end of its time"
    story.world = story.world.restart()
    await story.minutes(10)
    assert story.rollout.rollout.begun == ("pilot", "rest")
    assert story.world.pipeline.fold.rolling.waiting == {"t-3", "t-4"}
    await story.good("t-3", "t-4")
    await story.minutes(11)
    done = story.rollout.rollout
    assert (done.state, [event.what for event in done.history]) == (
        "done",
        ["started", "ring", "passed", "ring", "passed", "done"],
    )
    assert [tally.good for tally in story.rollout.tallies] == [2, 2]
    assert {view.bundle for view in story.views.values()} == {"winter"}
    story.same_again(tmp_path)


async def test_one_that_falls_back_halts_it_and_all_go_back(story: Story, tmp_path: Path) -> None:
    first = await story.publish("autumn")
    await story.start(first, [{"name": "rest", "share": 1_000_000, "terminals": []}])
    await story.good(*story.tills)
    await story.minutes(11)
    second = await story.publish("winter", "90s")
    told = (await story.start(second)).rollout.number
    await story.good("t-1")
    await story.answers("t-2", Running.FALLEN_BACK, "ups answered before: no answer")
    over = story.rollout.rollout
    assert (over.state, over.history[-1].by, over.history[-1].why) == ("returned", "collector", "too-many-bad")
    assert [(loss.terminal, loss.why, loss.words) for loss in over.losses] == [
        ("t-2", "fallen-back", "ups answered before: no answer")
    ]
    for name in ("t-1", "t-2"):
        member = story.member(name)
        assert (member.bundle, member.state) == (first, "waiting")
        assert member.number > told
    assert story.member("t-3").bundle == first
    assert story.member("t-3").state == "good"
    await story.good("t-1", "t-2")
    assert story.member("t-1").good == first
    story.same_again(tmp_path)


async def test_it_may_wait_for_a_person_instead(story: Story, tmp_path: Path) -> None:
    bundle = await story.publish("winter")
    await story.start(bundle, returns=False)
    await story.answers("t-1", Running.REFUSED, "bundle.toml:1: no")
    assert story.rollout.rollout.state == "halted"
    assert story.member("t-2").bundle == bundle
    await story.act("rollout-return", rollout=story.rollout.rollout.n)
    assert story.rollout.rollout.state == "returned"
    assert story.rollout.rollout.history[-1].by == "li.na"
    assert (story.member("t-2").bundle, story.member("t-2").state) == (0, "waiting")
    story.same_again(tmp_path)


async def test_too_few_are_good_in_time(story: Story) -> None:
    await story.start(await story.publish("winter"))
    await story.good("t-1")
    await story.minutes(11)
    assert story.rollout.rollout.history[-2].why == "too-few-good"
    assert story.rollout.rollout.state == "returned"


async def test_a_source_that_fails_since_counts_and_one_that_failed_before_does_not(
    story: Story, tmp_path: Path
) -> None:
    await story.say("t-1", "ups", "monitor.source", "failed")
    await story.start(await story.publish("winter"))
    await story.good("t-1", "t-2")
    await story.say("t-1", "ups", "monitor.source", "failed")
    assert story.rollout.rollout.state == "running"
    await story.say("t-2", "printer", "monitor.source", "failed")
    over = story.rollout.rollout
    assert over.state == "returned"
    assert [(loss.terminal, loss.why, loss.words) for loss in over.losses] == [("t-2", "source", "printer")]
    story.same_again(tmp_path)


async def test_who_goes_silent_counts_and_who_was_away_is_told_the_newest(story: Story, tmp_path: Path) -> None:
    rings = [{"name": "rest", "share": 1_000_000, "terminals": []}]
    await story.start(await story.publish("winter"), rings, bad=900_000, good=500_000, minutes=30)
    await story.good("t-1", "t-2", "t-3")
    await story.minutes(31, but=["t-3"])
    assert story.rollout.rollout.state == "done"
    assert [(loss.terminal, loss.why) for loss in story.rollout.rollout.losses] == [("t-3", "silent")]
    # It was away; two rollouts later it hears of the last one only.
    before = story.member("t-4").number
    newest = await story.publish("spring", "90s")
    await story.start(newest, rings, bad=900_000, good=250_000, minutes=5)
    await story.good("t-1")
    await story.minutes(6, but=["t-4"])
    member = story.member("t-4")
    assert (member.bundle, member.state) == (newest, "waiting")
    assert member.number > before
    story.same_again(tmp_path)


async def test_a_terminal_that_is_new_is_told_what_its_ring_runs_and_one_that_takes_none_is_left_alone(
    story: Story, tmp_path: Path
) -> None:
    bundle = await story.publish("winter")
    await story.start(bundle, [{"name": "rest", "share": 1_000_000, "terminals": []}])
    await story.good(*story.tills)
    await story.minutes(11)
    late = story.tills["t-9"] = Sender("t-9")
    await late.enrol(story.world.pipeline)
    await story.report("t-9", Report(0, Running.OFF))
    assert story.world.pipeline.fold.rolling.waiting == set()
    await story.report("t-9", Report(0, Running.NONE))
    assert (story.member("t-9").bundle, story.member("t-9").state) == (bundle, "waiting")
    # One whose disk was replaced says that it knows nothing.
    await story.report("t-1", Report(0, Running.NONE))
    assert story.member("t-1").state == "waiting"
    # A collector that was restored from a backup learns what number is high enough.
    far = story.member("t-2").number + 5_000_000
    await story.report("t-2", Report(far, Running.GOOD))
    assert story.member("t-2").number == far + 1
    story.same_again(tmp_path)


async def test_what_does_not_apply_changes_nothing(story: Story, tmp_path: Path) -> None:
    bundle = await story.publish("winter")
    assert await story.publish("winter") == bundle
    with closing(SqliteReader(story.world.path)) as reader:
        assert len(reader.config_bundles()) == 1
    await story.act("rollout", bundle=4711, rings=RINGS, gate={})
    await story.act("rollout", bundle=bundle, rings="nonsense", gate={})
    await story.act("rollout-halt", rollout=1)
    await story.act("bundle", name="No Name", content=b"x", files={})
    await story.act("terminal-ring", terminal="t-1", ring="No Ring")
    with closing(SqliteReader(story.world.path)) as reader:
        assert not reader.rollouts()
    view = await story.start(bundle)
    await story.act("rollout", bundle=bundle, rings=RINGS, gate={})
    assert story.rollout.rollout.n == view.rollout.n
    await story.act("rollout-halt", rollout=view.rollout.n)
    assert story.rollout.rollout.state == "halted"
    await story.act("terminal-ring", terminal="t-3", ring="pilot")
    assert story.member("t-3").fixed
    again = await story.start(bundle)
    assert again.tallies[0].told == 3
    story.same_again(tmp_path)


async def test_the_collectors_own_absence_is_no_fault_of_the_bundle(story: Story, tmp_path: Path) -> None:
    await story.start(await story.publish("winter"))
    await story.world.pipeline.stop()
    story.world.now += 60 * MINUTE
    await story.world.start()
    assert story.rollout.rollout.state == "running"
    await story.good("t-1", "t-2")
    await story.minutes(11)
    assert story.rollout.rollout.begun == ("pilot", "rest")
    story.same_again(tmp_path)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("word"), st.sampled_from(["t-1", "t-2", "t-3"]), st.sampled_from([str(state) for state in Running])
        ),
        st.tuples(st.just("wait"), st.integers(1, 7), st.just("")),
        st.tuples(st.just("start"), st.just(0), st.just("")),
        st.tuples(st.just("halt"), st.just(0), st.just("")),
        st.tuples(st.just("return"), st.just(0), st.just("")),
        st.tuples(st.just("restart"), st.just(0), st.just("")),
        st.tuples(st.just("source"), st.sampled_from(["t-1", "t-2"]), st.sampled_from(["failed", "ok"])),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_whatever_happens_a_rebuild_says_the_same_and_numbers_only_rise(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    story = Story(World(folder / "collector.db"), 3)
    await story.begin()
    bundles = [await story.publish("a"), await story.publish("b", "90s")]
    numbers: dict[str, int] = {}
    for count, (what, who, how) in enumerate([("start", 0, ""), *steps]):
        if what == "start":
            await story.start(bundles[count % 2], minutes=5)
        elif what in ("halt", "return"):
            await story.act(f"rollout-{what}", rollout=story.rollout.rollout.n)
        elif what == "word":
            await story.answers(who, Running(how), "because")
        elif what == "wait":
            await story.minutes(who, but=["t-3"])
        elif what == "source":
            await story.say(who, "ups", "monitor.source", how)
        else:
            story.world = story.world.restart()
        rolling = story.world.pipeline.fold.rolling
        for member in rolling.members.values():
            assert member.number >= numbers.get(member.terminal, 0)
            numbers[member.terminal] = member.number
            # Nobody is told anything of a ring that has not begun.
            assert not member.number or member.told_at
        assert sum(each.state == "running" for each in rolling.rollouts) <= 1
        if (running := rolling.running) is not None:
            assert story.rollout.tallies[running.ring] == rolling.tally(running.rings[running.ring].name)
    story.same_again(folder)
    story.world.store.close()
