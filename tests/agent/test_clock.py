import sys
import time

import pytest

from tillwatch.agent import clock
from tillwatch.agent.model import MS


def test_now_is_on_a_whole_millisecond_and_now():
    before = time.time_ns()
    now = clock.now()
    assert now % MS == 0
    assert before - MS < now <= time.time_ns()


def test_boot_is_one_and_uptime_goes_on():
    assert clock.boot_id() == clock.boot_id()
    assert len(clock.boot_id()) == 8
    first = clock.uptime_ns()
    assert 0 < first <= clock.uptime_ns()


def test_boot_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(clock, "_PROC_BOOT_ID", str(tmp_path / "none"))
    clock.boot_id.cache_clear()
    assert len(clock.boot_id()) == 8
    clock.boot_id.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex is Linux's")
def test_kernel_says_who_keeps_the_clock():
    source = clock.source()
    assert source.src in ("ntp", "unsync")
    assert source.err_ms >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex is Linux's")
@pytest.mark.parametrize(("status", "said"), [(0x0040, "unsync"), (0x2001, "ntp")])
def test_status_bits(monkeypatch, status, said):
    monkeypatch.setattr(clock, "_adjtimex", lambda: (status, 16_000_000))
    assert clock.source() == clock.Clock(said, 16_000)


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex is Linux's")
def test_kernel_that_does_not_say(monkeypatch):
    def refused():
        raise OSError("adjtimex")

    monkeypatch.setattr(clock, "_adjtimex", refused)
    assert clock.source() == clock.Clock("rtc", 0)


@pytest.fixture
def times(monkeypatch):
    """UTC and uptime in the test's hands, ns."""
    now = {"utc": 1_800_000_000 * 10**9, "up": 10**12}
    monkeypatch.setattr(clock.time, "time_ns", lambda: now["utc"])
    monkeypatch.setattr(clock, "uptime_ns", lambda: now["up"])
    return now


UNSYNC, RTC, NTP = clock.Clock("unsync", 16_000), clock.Clock("rtc", 0), clock.Clock("ntp", 3)


@pytest.mark.parametrize(
    ("off_s", "said", "suspect"),
    [
        (None, UNSYNC, True),
        (None, clock.Clock("unsync", 500), False),
        (None, RTC, False),
        (None, NTP, False),
        (0.3, UNSYNC, False),
        (-29, UNSYNC, False),
        (31, UNSYNC, True),
        (31, RTC, False),
        (-61, RTC, True),
        (3_650 * 86_400, RTC, True),
        (3_650 * 86_400, NTP, False),
    ],
)
def test_who_is_believed(times, off_s, said, suspect):
    reference = clock.Reference()
    if off_s is not None:
        reference.heard(times["utc"] - int(off_s * 10**9))
    assert reference.suspects(said) is suspect


def test_what_the_collector_said_is_void_once_the_clock_is_set(times):
    reference = clock.Reference()
    reference.heard(times["utc"])
    times["utc"] += 3_600 * 10**9
    times["up"] += 3_600 * 10**9
    assert reference.off_ms() == 0
    times["utc"] -= 10 * 365 * 86_400 * 10**9
    assert reference.off_ms() is None
    assert reference.suspects(UNSYNC)
    reference.heard(times["utc"] + 10 * 365 * 86_400 * 10**9)
    assert reference.off_ms() == -10 * 365 * 86_400 * 1000


def test_what_the_collector_said_grows_old(times):
    reference = clock.Reference()
    reference.heard(times["utc"])
    for name in times:
        times[name] += clock.REFERENCE_FOR_NS + 1
    assert reference.suspects(UNSYNC)
