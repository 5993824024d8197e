"""On a loop whose time is jumped over, not waited for."""

import asyncio
import contextlib
import logging
import math
import sys
from itertools import pairwise

import pytest

from tillwatch.agent import sampler as module
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.hint import Hint
from tillwatch.agent.model import AGENT, PollClass, Quality, Sample, State
from tillwatch.agent.sampler import MAX_COMPONENTS, Sampler, Schedule
from tillwatch.agent.settings import Intervals
from tillwatch.agent.sources import SourceError, serial
from tillwatch.agent.sources.ipmi import IpmiSource
from tillwatch.agent.sources.nut import NutSource
from tillwatch.agent.sources.smart import SmartSource
from tillwatch.agent.sources.xfs4iot import XfsSource

NAMES = frozenset({"cpu.load", "monitor.source", "monitor.reason", "monitor.interval", "disk.used"})


class JumpingLoop(asyncio.SelectorEventLoop):
    """Where nothing is ready, time is at the next timer."""

    def __init__(self):
        super().__init__()
        self.offset = 0.0

    def time(self):
        return super().time() + self.offset

    def _run_once(self):
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if not self._ready and timers:
            self.offset += max(0.0, min(timers) - self.time())
        super()._run_once()


@pytest.fixture
def loop_run():
    loop = JumpingLoop()
    yield loop.run_until_complete
    loop.close()


class Device:
    name = "dev"

    def __init__(self, *classes, name="dev"):
        self.name = name
        self.classes = frozenset(classes or {PollClass.FAST})
        self.polls = []
        self.fail = None
        self.samples = [Sample("dev/cpu", "cpu.load", 1.0)]
        self.takes = 0.0
        self.closed = False

    async def poll(self, wanted):
        self.polls.append((asyncio.get_running_loop().time(), wanted))
        await asyncio.sleep(self.takes)
        if self.fail is not None:
            raise self.fail
        return list(self.samples)

    async def close(self):
        self.closed = True


def sample(run, sources, seconds, intervals=None, change=None, told_every=60.0, hints=None, pace=lambda: 1.0):
    """Run the sampler for so many seconds; what it buffered."""
    buffer = Buffer()

    async def go():
        sampler = Sampler(buffer, NAMES, told_every, hints, pace)
        task = asyncio.create_task(
            sampler.run([(source, intervals or Intervals(10.0, 60.0, 3600.0)) for source in sources])
        )
        await asyncio.sleep(seconds)
        if change:
            change()
            await asyncio.sleep(seconds)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    run(go())
    return buffer


def of(buffer, signal):
    return [item for item in buffer._items if item.signal == signal]


def test_classes_have_their_own_fixed_rate(loop_run):
    device = Device(PollClass.FAST, PollClass.NORMAL)
    sample(loop_run, [device], 605)
    fast = [at for at, wanted in device.polls if wanted is PollClass.FAST]
    normal = [at for at, wanted in device.polls if wanted is PollClass.NORMAL]
    assert len(fast) in (60, 61)
    assert len(normal) in (10, 11)
    assert all(math.isclose(b - a, 10.0, abs_tol=0.2) for a, b in pairwise(fast))
    assert device.closed


def test_missed_polls_are_left_out(loop_run):
    device = Device()
    device.takes = 25.0
    sample(loop_run, [device], 300)
    assert len(device.polls) in (10, 11)


def test_a_hint_is_answered_at_once_and_a_flood_of_them_seldom(loop_run):
    """FAST and NORMAL are read, SLOW is not; the other source goes on as before."""
    device, other = Device(*PollClass), Device(PollClass.NORMAL, name="other")
    hint = Hint(spacing=20.0)
    slow = Intervals(3_600.0, 3_600.0, 3_600.0)
    times = []

    def flood():
        device.polls.clear()
        loop = asyncio.get_running_loop()
        times.append(loop.time())
        for second in range(100):
            loop.call_later(second, hint.give)

    sample(loop_run, [device, other], 100, slow, flood, hints={"dev": hint})
    after = [(round(at - times[0]), wanted) for at, wanted in device.polls]
    pair = [PollClass.FAST, PollClass.NORMAL]
    assert after == [(at, wanted) for at in (0, 20, 40, 60, 80) for wanted in pair]
    assert len(other.polls) == 1


def test_hints_are_not_starved_by_a_class_as_fast_as_their_spacing(loop_run):
    device, hint = Device(PollClass.FAST, PollClass.NORMAL), Hint(spacing=10.0)
    device.takes = 0.5

    def flood():
        device.polls.clear()
        for second in range(0, 300, 2):
            asyncio.get_running_loop().call_later(second, hint.give)

    sample(loop_run, [device], 300, Intervals(10.0, 3_600.0), flood, hints={"dev": hint})
    assert len([at for at, wanted in device.polls if wanted is PollClass.NORMAL]) > 20


def test_schedule_spreads_the_first_polls():
    firsts = {Schedule({PollClass.SLOW}, Intervals(), 100.0).next()[0] for _ in range(20)}
    assert len(firsts) > 10
    assert all(100.0 <= first <= 105.0 for first in firsts)


def test_one_poll_has_one_time_and_intervals_are_told_once_a_day(loop_run):
    device = Device(PollClass.FAST)
    device.samples = [Sample("dev/cpu", "cpu.load", 1), Sample("dev/disk", "disk.used", 2)]
    buffer = sample(loop_run, [device], 25)
    times = {item.up for item in of(buffer, "cpu.load")}
    assert times == {item.up for item in of(buffer, "disk.used")}
    told = of(buffer, "monitor.interval")
    assert [(item.component, item.value) for item in told] == [("dev", 60.0), ("dev/cpu", 10.0), ("dev/disk", 10.0)]
    buffer = sample(loop_run, [Device()], 86_400 + 3_700, Intervals(3_600.0))
    assert len([item for item in of(buffer, "monitor.interval") if item.component == "dev/cpu"]) == 2


def test_shortest_class_is_the_components_interval(loop_run):
    buffer = sample(loop_run, [Device(PollClass.FAST, PollClass.SLOW)], 30)
    told = [item.value for item in of(buffer, "monitor.interval") if item.component == "dev/cpu"]
    assert told[-1] == 10.0


def test_risk_sets_the_pace_of_the_ordinary_class_alone_and_it_is_told(loop_run):
    device, paces = Device(PollClass.FAST, PollClass.NORMAL), {"now": 2.0}
    other = Device(PollClass.NORMAL, name="other")
    other.samples = [Sample("other/cpu", "cpu.load", 1.0)]

    def riskier():
        paces["now"] = 0.5

    buffer = sample(loop_run, [device, other], 1_205, change=riskier, pace=lambda: paces["now"])
    ordinary = [at for at, wanted in other.polls]
    assert len(ordinary) in range(10 + 40 - 2, 10 + 40 + 3)
    fast = [at for at, wanted in device.polls if wanted is PollClass.FAST]
    assert all(math.isclose(b - a, 10.0, abs_tol=0.2) for a, b in pairwise(fast))
    told = [(item.component, item.value) for item in of(buffer, "monitor.interval")]
    assert [value for name, value in told if name == "other/cpu"] == [120.0, 30.0]
    assert {value for name, value in told if name == "dev/cpu"} <= {10.0, 120.0}
    assert [value for name, value in told if name == "dev/cpu"][-1] == 10.0


def test_failure_is_told_on_the_transition_and_at_each_interval(loop_run, caplog):
    caplog.set_level(logging.INFO)
    device = Device()
    device.fail = SourceError("no answer from 192.0.2.1")

    def recover():
        device.fail = None

    buffer = sample(loop_run, [device], 300, change=recover)
    states = [(item.value, item.quality, item.state) for item in of(buffer, "monitor.source")]
    failed = [state for state in states if state[0] == "failed"]
    assert failed[0] == ("failed", Quality.ERROR, State.UNKNOWN)
    assert len(failed) in (5, 6)
    assert states[len(failed)] == ("ok", Quality.GOOD, State.OK)
    reasons = [item.value for item in of(buffer, "monitor.reason")]
    assert reasons[0] == "no answer from 192.0.2.1"
    assert reasons[-1] == ""
    assert caplog.text.count("no answer from 192.0.2.1") == 1
    assert caplog.text.count("can be read again") == 1


@pytest.mark.parametrize("fault", [ValueError("a fault"), TimeoutError()])
def test_a_source_that_fails_stops_no_other(loop_run, fault, caplog):
    broken, well = Device(name="broken"), Device()
    broken.fail = fault
    buffer = sample(loop_run, [broken, well], 100)
    assert len(well.polls) >= 9
    assert of(buffer, "monitor.source")
    assert caplog.text.count("Traceback") <= 1


FAILING = {
    "smart": lambda: SmartSource("zz9", program="no-smartctl"),
    "a drive": lambda: SmartSource("zz9", drives=[("/dev/null", "")]),
    "ipmi": lambda: IpmiSource("zz9", program="no-ipmitool"),
    "serial": lambda: serial.source("zz9", "/dev/ttyNONE", "megatec_q1"),
    "tap": lambda: serial.source("zz9", "/dev/ttyNONE", "ebds", mode="tap"),
    "nut": lambda: NutSource("zz9", "127.0.0.1", 1),
    "xfs4iot": lambda: XfsSource("zz9", "127.0.0.1", port=1),
}


@pytest.mark.skipif(sys.platform == "win32", reason="the paths of the test are POSIX's")
@pytest.mark.parametrize("kind", FAILING)
async def test_a_source_that_fails_is_named_once_in_a_line_and_not_in_the_reading(kind, caplog):
    source, buffer = FAILING[kind](), Buffer()
    watched = module._Watched(source, Sampler(buffer, NAMES, 60.0), 60.0)
    assert await watched.poll(max(source.classes), 10.0)
    await source.close()
    (reason,) = of(buffer, "monitor.reason")
    assert reason.value
    assert "zz9" not in reason.value
    assert f"zz9: {reason.value}" in [record.getMessage() for record in caplog.records]
    assert {record.getMessage().count("zz9") for record in caplog.records} == {1}


def test_a_source_that_hangs_is_given_up(loop_run):
    device = Device()
    device.takes = 1e6
    buffer = sample(loop_run, [device], 2 * module.POLL_TIMEOUT)
    assert "no answer in" in of(buffer, "monitor.reason")[0].value


def test_a_source_that_swallows_the_end_is_not_asked_again(loop_run):
    """wait_for, which SNMP clients use, does that before Python 3.12 when the answer and the cancellation come together."""

    class Deaf(Device):
        async def poll(self, wanted):
            with contextlib.suppress(asyncio.CancelledError):
                await super().poll(wanted)
            return list(self.samples)

    device = Deaf()
    device.takes = 3_600.0

    async def go():
        task = asyncio.create_task(Sampler(Buffer(), NAMES, 60.0).run([(device, Intervals(10.0, 60.0, 3600.0))]))
        await asyncio.sleep(30.0)
        task.cancel()
        await asyncio.wait([task], timeout=60.0)
        assert task.done()
        assert (len(device.polls), device.closed) == (1, True)

    loop_run(go())


def test_names_outside_the_catalogue_are_marked_and_told_once(loop_run, caplog):
    device = Device()
    device.samples = [Sample("dev", "flux.level", 1), Sample("dev", "experimental.x", 1)]
    buffer = sample(loop_run, [device], 60)
    assert {item.signal for item in buffer._items} >= {"unmapped.flux.level", "experimental.x"}
    assert caplog.text.count("not in the catalogue") == 1


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (math.nan, (None, Quality.ERROR)),
        (math.inf, (None, Quality.ERROR)),
        (None, (None, Quality.ERROR)),
        (2**70, (None, Quality.ERROR)),
        (True, (1, Quality.GOOD)),
        ("é" * 400, ("é" * 256, Quality.GOOD)),
        ("\ud800", ("?", Quality.GOOD)),
        (2**64 - 1, (2**64 - 1, Quality.GOOD)),
    ],
)
def test_values_are_made_fit(loop_run, value, sent):
    device = Device()
    device.samples = [Sample("dev", "cpu.load", value)]
    (first, *_) = of(sample(loop_run, [device], 8), "cpu.load")
    assert (first.value, first.quality) == sent


def test_component_names_that_the_wire_refuses_are_left_out_and_counted(loop_run, caplog):
    device = Device()
    device.samples = [
        Sample("dev/" + "x" * 100, "cpu.load", 1),
        Sample("dev\n", "cpu.load", 1),
        Sample("dev", "cpu.load", 1),
    ]
    buffer = sample(loop_run, [device], 25)
    assert {item.component for item in buffer._items} == {"dev"}
    assert buffer.lost == 2 * len(device.polls)
    assert caplog.text.count("left out") == 2


def test_runaway_table_is_bounded(loop_run):
    device = Device()
    device.samples = [Sample(f"dev/{i}", "cpu.load", i) for i in range(MAX_COMPONENTS + 100)]
    buffer = sample(loop_run, [device], 8)
    assert len({item.component for item in of(buffer, "cpu.load")}) <= MAX_COMPONENTS
    assert buffer.lost > 0


def test_the_agents_own_interval_may_grow(loop_run):
    buffer = Buffer()

    async def go():
        sampler = Sampler(buffer, NAMES, 60.0)
        for interval in (60.0, 120.0, 120.0):
            sampler.take([Sample(AGENT, "cpu.load", 1)], 1, interval)

    loop_run(go())
    assert [item.value for item in of(buffer, "monitor.interval")] == [60.0, 120.0]


class Tired(Device):
    """A device that wants to be left alone after each poll."""

    rest = 0.0


def test_a_device_that_does_not_answer_is_left_alone_in_all_classes_and_a_hint_ends_it(loop_run):
    device, hint = Tired(PollClass.FAST, PollClass.NORMAL), Hint(spacing=1.0)
    device.fail, device.rest = SourceError("no answer"), 200.0
    times = []

    def woken():
        times.append(asyncio.get_running_loop().time())
        hint.give()

    sample(loop_run, [device], 410, change=woken, hints={"dev": hint})
    at = [at for at, _ in device.polls]
    assert all(b - a >= 199.9 for a, b in pairwise([t for t in at if t < times[0]]))
    assert len([t for t in at if t < times[0]]) == 3
    assert any(0 <= t - times[0] < 1 for t in at)


def test_what_rests_is_read_in_every_class_and_says_how_seldom(loop_run):
    device = Tired(PollClass.FAST, PollClass.NORMAL)
    other = Device(name="device")
    other.samples = [Sample("device/cpu", "cpu.load", 1.0)]
    device.rest = 900.0
    buffer = sample(loop_run, [device, other], 4_000, change=lambda: setattr(device, "rest", 0.0))
    rested = device.polls[:10]
    assert {wanted for _, wanted in rested} == {PollClass.FAST, PollClass.NORMAL}
    waits = [b - a for (a, _), (b, _) in pairwise(rested)]
    assert all(wait < 0.1 or math.isclose(wait, 900.0, abs_tol=70.0) for wait in waits)
    told = [item.value for item in of(buffer, "monitor.interval") if item.component == "dev/cpu"]
    assert told == [900.0, 10.0]
    assert [item.value for item in of(buffer, "monitor.interval") if item.component == "dev"] == [900.0, 60.0]
    assert [item.value for item in of(buffer, "monitor.interval") if item.component == "device/cpu"] == [10.0]


def test_parts_that_another_class_reads_rest_with_their_device(loop_run):
    device = Tired(PollClass.FAST, PollClass.NORMAL)
    each = {PollClass.FAST: "dev/cpu", PollClass.NORMAL: "dev/disk"}

    async def poll(wanted):
        device.polls.append((asyncio.get_running_loop().time(), wanted))
        device.rest = 900.0 if wanted is PollClass.FAST and len(device.polls) > 5 else 0.0
        return [Sample(each[wanted], "cpu.load", 1.0)]

    device.poll = poll
    buffer = sample(loop_run, [device], 200)
    assert [item.value for item in of(buffer, "monitor.interval") if item.component == "dev/disk"] == [60.0, 900.0]
