"""Real file systems that fill up, turn read-only under the running agent, and come back."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.chaos.disk import mount, only_root_mounts
from tests.variants import long_after
from tillwatch.agent import identity
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.wire import Sealed

pytestmark = only_root_mounts

TOML = """
[terminal]
state_dir = "{state}"
[sampling]
fast = "0.5s"
normal = "0.5s"
seal = "0.5s"
[system]
name = "host"
"""


class Disk:
    """A file system of its own that can be filled, and made read-only while files on it are open for writing."""

    def __init__(self, folder):
        self.image, self.path = folder / "disk.img", folder / "disk"
        self.path.mkdir()
        with self.image.open("wb") as image:
            image.truncate(16 << 20)
        mkfs = shutil.which("mkfs.ext4", path="/usr/sbin:/sbin")
        assert mkfs, "mkfs.ext4 is missing: make packages"
        subprocess.run([mkfs, "-q", "-F", self.image], check=True)
        self.mount()

    def mount(self):
        mount("-o", "loop", self.image, self.path)

    def fail(self):
        """As the kernel does on an I/O error: read-only from now on, whoever writes."""
        subprocess.run(["mount", "-o", "remount,abort", self.path], check=True)

    def repair(self):
        """The disk is exchanged: the same files, on another device. Whoever holds the old one open still holds a dead one."""
        subprocess.run(["umount", "-l", self.path], check=True)
        self.image = shutil.copy(self.image, self.image.with_suffix(".copy"))
        self.mount()

    def fill(self):
        with contextlib.suppress(OSError), (self.path / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(1 << 16))
        with contextlib.suppress(OSError), (self.path / "ballast2").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(512))

    def free(self):
        for each in self.path.glob("ballast*"):
            each.unlink()

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path)
    yield disk
    disk.close()


class Running:
    def __init__(self, folder):
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "tillwatch.agent", "run", "--config", folder / "agent.toml"], stderr=log
            )

    @property
    def text(self):
        return self.log.read_text()


@pytest.fixture
def agent(disk, terminal, tmp_path):
    """Its state on the disk that fails; started by the test."""
    shutil.copytree(terminal.state_dir, disk.path / "state")
    (disk.path / "state").chmod(0o700)
    (tmp_path / "agent.toml").write_text(TOML.format(state=disk.path / "state"))
    running = []

    def start():
        running.append(Running(tmp_path))
        return running[-1]

    yield start
    for one in running:
        if one.child.poll() is None:
            one.child.kill()
            one.child.wait()


def told(collector, signal_name):
    return [reading.value for reading in collector.readings if reading.signal == signal_name]


def lost_of(collector):
    return max([life.lost for life in collector.lives] + [header.lost for header, _ in collector.stored])


@pytest.mark.parametrize("trouble", long_after(1, ["full", "read-only"]))
async def test_the_agent_says_so_keeps_the_newest_and_recovers(agent, disk, collector, until, trouble):
    running = agent()
    await until(lambda: len(collector.stored) >= 3, 60)
    if trouble == "full":
        disk.fill()
    else:
        disk.fail()
    await until(lambda: "waits in memory" in running.text, 60)
    assert running.child.poll() is None
    stored = len(collector.stored)
    await asyncio.sleep(2.0)  # not to wait for anything: so long the disk is away
    disk.free() if trouble == "full" else disk.repair()
    await until(lambda: "the spool can be written again" in running.text, 60)
    await until(lambda: len(collector.stored) >= stored + 3, 60)
    await until(lambda: "unwritable" in told(collector, "agent.spool.state"), 60)
    await until(lambda: told(collector, "agent.spool.state")[-1] == "ok", 60)
    running.child.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(running.child.wait, 10) == 0, running.text
    assert "Traceback" not in running.text
    assert running.text.count("waits in memory") == running.text.count("can be written again")
    seqs = [(header.epoch, header.seq) for header, _ in collector.stored]
    assert len(set(seqs)) == len(seqs)
    # Nothing was read and not told of: what was read while the disk was away came when it was back.
    ups = [reading.at for reading in collector.readings if reading.signal == "host.cpu.percent"]
    assert max(b - a for a, b in pairwise(ups)) < 3_000_000_000
    assert lost_of(collector) == 0


async def test_a_start_on_a_read_only_disk_waits_for_it(agent, disk, collector, until, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    running = agent()
    await until(lambda: "waits in memory" in running.text or running.child.poll() is not None, 60)
    if running.child.poll() is not None:
        # The lock of the state directory is a file too: where not even that can be written the start fails with one line.
        assert "Traceback" not in running.text
        assert running.text.count("\n") <= 3
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
        running = agent()
    else:
        told_doctor = subprocess.run(
            [sys.executable, "-m", "tillwatch.agent", "doctor", "--json", "--config", tmp_path / "agent.toml"],
            capture_output=True,
            text=True,
            check=False,
        )
        found = {each["check"]: each for each in json.loads(told_doctor.stdout)}
        assert found["disk"]["result"] == "fail"
        subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
    await until(lambda: len(collector.stored) >= 3, 60)
    assert running.child.poll() is None


def sealing(payload):
    return lambda _: Sealed(payload, bytes(32), 1)


def fill(spool):
    """Until the disk takes no more."""
    with contextlib.suppress(SpoolFullError):
        for _ in range(2_000):
            spool.append(sealing(os.urandom(4_000)), 1)
        pytest.fail("the disk was never full")


def open_spool(folder):
    return Spool(folder / identity.SPOOL, "t", bytes(32), SpoolConfig(8 << 20))


def test_reading_goes_on_over_a_disk_that_turned_read_only_and_writing_when_it_is_back(disk):
    spool = open_spool(disk.path)
    for number in range(5):
        spool.append(sealing(b"%d" % number), 1)
    spool.ack(2)
    disk.fail()
    with pytest.raises(SpoolFullError):
        spool.append(sealing(b"5"), 1)
    assert [spool.read(seq) for seq in (3, 4, 5)] == [b"2", b"3", b"4"]
    with pytest.raises(SpoolFullError):
        spool.append(sealing(b"5"), 1)
    assert spool.next_life() == 1, "it counts on in memory"
    disk.repair()
    assert spool.append(sealing(b"5"), 1) == 6
    assert [spool.read(seq) for seq in (3, 6)] == [b"2", b"5"]
    assert not spool.notices
    spool.close()


def test_a_spool_on_a_full_disk_takes_what_leaves_and_keeps_what_came(disk):
    spool = open_spool(disk.path)
    for _ in range(200):
        spool.append(sealing(os.urandom(4_000)), 1)
    disk.fill()
    fill(spool)
    end = spool.next_seq
    kept = [spool.read(seq) for seq in range(1, end)]
    assert all(kept)
    disk.free()
    assert spool.append(sealing(b"again"), 1) == end
    assert [spool.read(seq) for seq in range(1, end)] == kept
    spool.close()


def test_a_damaged_spool_that_cannot_be_moved_aside_is_tried_again(disk):
    spool = open_spool(disk.path)
    spool.append(sealing(b"x"), 1)
    spool.close()
    spool.file.write_bytes(b"damaged " * 1_000)
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    with pytest.raises(SpoolFullError):
        spool.append(sealing(b"y"), 1)
    subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
    assert spool.append(sealing(b"y"), 1) == 1
    assert [notice.signal for notice in spool.notices] == ["agent.spool.set-aside"]
    spool.close()


def test_tmpfs_filled_read_only_and_back(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", folder)
    try:
        spool = open_spool(folder)
        fill(spool)
        end = spool.next_seq
        spool.close()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with pytest.raises(SpoolFullError):
            spool.append(sealing(b"y"), 1)
        subprocess.run(["mount", "-o", "remount,rw,size=4m", folder], check=True)
        assert spool.append(sealing(b"y"), 1) == end
        spool.close()
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
