"""Huge pages under what a collector has loaded: of the running kernel, in a process whose memory is nobody else's."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tillwatch.collector import huge_pages, settling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")

LOADED = """
import json, mmap
from tillwatch.collector.huge_pages import collapse, taken
sparse = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
sparse[:: 1 << 20] = bytes(64)
kept = [[n, str(n)] for n in range(300_000)]
def figures():
    there = taken()
    return sum(each.huge for each in there), sum(each.resident for each in there)
before = figures()
collapse()
print(json.dumps([*before, *figures(), all(one == [n, str(n)] for n, one in enumerate(kept))]))
"""
MIB = 1024**2


def kernel_can() -> bool:
    major, minor, *_ = Path("/proc/sys/kernel/osrelease").read_text().split(".")
    return huge_pages._SIZE.exists() and (int(major), int(minor)) >= (6, 1)


@pytest.fixture
def collecting() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_loaded_lies_in_huge_pages_and_is_what_it_was():
    if not kernel_can():
        pytest.skip("this kernel has no MADV_COLLAPSE")
    said = subprocess.run([sys.executable, "-P", "-c", LOADED], capture_output=True, check=True, text=True).stdout
    huge, resident, huge_then, resident_then, same = json.loads(said)
    assert same
    # Of some 50 MiB. A machine whose free memory lies in pieces gives less than all of it.
    assert huge_then > huge + 16 * MIB
    # The 64 MiB of which little is used stay as empty as they were.
    assert resident_then < resident + 16 * MIB


@pytest.mark.parametrize("lacks", ["the advice", "huge pages", "Linux"])
def test_where_the_system_cannot_it_is_said_and_the_rest_is_done(lacks, monkeypatch, caplog, tmp_path, collecting):
    match lacks:
        case "the advice":
            monkeypatch.setattr(huge_pages, "_COLLAPSE", 12_345)
        case "huge pages":
            monkeypatch.setattr(huge_pages, "_SIZE", tmp_path / "hpage_pmd_size")
        case _:
            monkeypatch.setattr(sys, "platform", "win32")
    with caplog.at_level(logging.INFO):
        settling.settle()
    (line,) = caplog.messages
    assert line.startswith("no huge pages under what is loaded")
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == settling.GC_THRESHOLD
