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
