import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.chaos.disk import Disk, mount, only_root_mounts
from tillwatch.agent import clock
from tillwatch.agent.card_numbers import REFUSED_FOR
from tillwatch.agent.model import Batch, Clock, Reading
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.spool_book import MAX_PARKED, ROW_COST
from tillwatch.agent.wire import FIRST_PREV, Refusal, Sealed, SigningKey, WireError, seal

PUBLIC = SigningKey(bytes(32)).public
NOW = 1_800_000_000_000_000_000
DAY = 86_400 * 1_000_000_000


def open_spool(folder, max_bytes=1 << 20, terminal="t", public=PUBLIC, max_age=30 * 86_400.0):
    return Spool(folder / "spool.db", terminal, public, SpoolConfig(max_bytes, max_age))


def sealing(payload, slots=None, n=1):
    def seal(slot):
        if slots is not None:
            slots.append(slot)
        return Sealed(payload, sha256(payload).digest(), n)

    return seal


def fill(spool):
    for _ in range(1000):
        spool.append(sealing(os.urandom(4000)), NOW)


class SpoolMachine(RuleBasedStateMachine):
    """The spool against a dictionary: what is acknowledged leaves, what is over the bound leaves from the front and is counted, and a
    process that ends at any point finds what was committed.
    """

    LIMIT = 4_000

    @initialize()
    def start(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.spool = open_spool(self.folder, self.LIMIT)
        self.held = OrderedDict()
        self.next, self.tail, self.lost, self.acked = 1, FIRST_PREV, 0, 0

    @rule(size=st.integers(1, 1500), n=st.integers(1, 5))
    def append(self, size, n):
        payload = os.urandom(size)
        slots = []
        assert self.spool.append(sealing(payload, slots, n), NOW) == self.next
        assert slots[0].seq == self.next
        assert slots[0].prev == self.tail
        assert slots[0].floor == self.floor
        assert slots[0].lost == self.lost
        while self.held and sum(len(p) + ROW_COST for p, _ in self.held.values()) + size + ROW_COST > self.LIMIT:
            self.lost += self.held.popitem(last=False)[1][1]
        self.held[self.next] = payload, n
        self.next, self.tail = self.next + 1, sha256(payload).digest()

    @rule()
    def seal_that_fails_changes_nothing(self):
        def broken(_):
            raise WireError(Refusal.BODY, "no")

        with pytest.raises(WireError):
            self.spool.append(broken, NOW)

    @rule(back=st.integers(0, 5))
    def ack(self, back):
        seq = max(self.next - 1 - back, 0)
        self.spool.ack(seq)
        self.acked = max(self.acked, seq)
        for held in [s for s in self.held if s <= seq]:
            del self.held[held]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def refuse(self, data):
        seq = data.draw(st.sampled_from(list(self.held)))
        parked = self.spool.parked()
        self.spool.ack(seq, [(seq, "bad"), (seq + 1, "not settled yet")])
        self.acked = max(self.acked, seq)
        for held in [s for s in self.held if s <= seq]:
            del self.held[held]
        assert self.spool.parked() == parked + 1

    @rule()
    def reopen(self):
        self.spool.close()
        self.spool = open_spool(self.folder, self.LIMIT)

    @property
    def floor(self):
        return next(iter(self.held), self.next)

    @invariant()
    def agrees(self):
        if not hasattr(self, "spool"):
            return
        spool = self.spool
        assert (spool.next_seq, spool.floor, spool.lost, spool.batches) == (
            self.next,
            self.floor,
            self.lost,
            len(self.held),
        )
        assert spool.size == sum(len(p) + ROW_COST for p, _ in self.held.values()) <= self.LIMIT
        for seq, (payload, _) in self.held.items():
            assert spool.read(seq) == payload

    def teardown(self):
        if hasattr(self, "spool"):
            self.spool.close()
            self.temporary.cleanup()


SpoolMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


TestSpoolMachine = SpoolMachine.TestCase


def test_epoch_and_place_survive_a_restart(tmp_path):
    spool = open_spool(tmp_path)
    for i in range(3):
        spool.append(sealing(b"%d" % i), NOW)
    assert spool.next_life() == 1
    spool.ack(2)
    epoch = spool.epoch
    spool.close()
    again = open_spool(tmp_path)
    assert (again.epoch, again.next_seq, again.acked, again.floor, again.next_life()) == (epoch, 4, 2, 3, 2)


def test_kill_during_commits_loses_nothing_that_was_told(tmp_path):
    """The child says each number after its commit; whatever it has said must be there, whole and without a hole."""
    script = textwrap.dedent("""
        import sys
        from hashlib import sha256
        from pathlib import Path
        from tillwatch.agent.settings import SpoolConfig
        from tillwatch.agent.spool import Spool
        from tillwatch.agent.wire import Sealed
        spool = Spool(Path(sys.argv[1]), "t", bytes(32), SpoolConfig(64 << 20))
        while True:
            seq = spool.append(lambda s: Sealed(b"%d" % s.seq * 500, sha256(b"%d" % s.seq).digest(), 1), 1)
            print(seq, flush=True)
    """)
    told = 0
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "spool.db"], stdout=subprocess.PIPE, text=True
        ) as child:
            for _ in range(20 + 15 * round_):
                told = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().splitlines()
        told = int(rest[-1]) if rest else told
        spool = open_spool(tmp_path, 64 << 20, public=bytes(32))
        assert spool.next_seq > told
        for seq in range(1, spool.next_seq):
            assert spool.read(seq) == b"%d" % seq * 500
        assert spool.book.now.tail == sha256(b"%d" % (spool.next_seq - 1)).digest()
        assert not spool.notices
        spool.close()


@pytest.mark.parametrize("damage", ["not a database at all", "middle"])
def test_damaged_file_is_moved_aside_and_told(tmp_path, damage):
    spool = open_spool(tmp_path)
    for _ in range(200):
        spool.append(sealing(os.urandom(800)), NOW)
    epoch = spool.epoch
    spool.close()
    file = tmp_path / "spool.db"
    if damage == "middle":
        with file.open("r+b") as out:
            for page in range(3, file.stat().st_size // 4096, 2):
                out.seek(page * 4096)
                out.write(os.urandom(4096))
    else:
        file.write_bytes(damage.encode() * 1000)
    before = file.read_bytes()
    again = open_spool(tmp_path)
    assert again.append(sealing(b"x"), NOW) == 1
    assert again.epoch != epoch
    (aside,) = [path for path in tmp_path.glob("spool.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]
    assert aside.read_bytes() == before
    assert len(again.notices) == 1
    assert aside.name in again.notices[0].text
    assert again.notices[0].signal == "agent.spool.set-aside"


def test_full_disk_is_said_and_passes(tmp_path):
    spool = open_spool(tmp_path, 8 << 20)
    spool.append(sealing(b"first"), NOW)
    pages = spool.book.db.execute("PRAGMA page_count").fetchone()[0]
    spool.book.db.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(SpoolFullError, match="full"):
        fill(spool)
    assert "full" in spool.trouble
    held, end = spool.batches, spool.next_seq
    assert spool.read(1) == b"first"
    spool.book.db.execute("PRAGMA max_page_count = 100000")
    assert spool.append(sealing(os.urandom(4000)), NOW) == end
    assert spool.batches == held + 1
    assert spool.trouble == ""


@only_root_mounts
def test_full_file_system(tmp_path):
    disk = Disk(tmp_path / "small", 512 << 10)
    disk.mount()
    try:
        spool = open_spool(disk.path, 8 << 20)
        with pytest.raises(SpoolFullError):
            fill(spool)
        end = spool.next_seq
        assert end > 10
        for seq in range(spool.floor, end):
            assert len(spool.read(seq)) == 4000
        mount("-o", "remount,size=2m", disk.path)
        assert spool.append(sealing(b"more"), NOW) == end
        spool.close()
    finally:
        disk.close()


def test_place_that_cannot_be_written_is_tried_again(tmp_path):
    spool = open_spool(tmp_path / "not there")
    with pytest.raises(SpoolFullError, match="not there"):
        spool.open()
    assert not spool.is_open
    (tmp_path / "not there").mkdir()
    assert spool.append(sealing(b"x"), NOW) == 1


@pytest.fixture
def up(monkeypatch):
    """The time since boot, in the test's hands."""
    now = [10**12]
    monkeypatch.setattr(clock, "uptime_ns", lambda: now[0])
    return now


def test_old_batches_expire_as_declared_loss_from_the_front(tmp_path, up):
    spool = open_spool(tmp_path, max_age=2 * 86_400.0)
    for days in (1, 3, 1):
        spool.append(sealing(b"x", n=7), NOW)
        up[0] += days * DAY
    spool.expire()
    assert (spool.floor, spool.lost, spool.batches) == (3, 14, 1)
    assert spool.oldest_age() == 86_400.0


def test_no_clock_has_a_say_in_the_age(tmp_path, up):
    """Years forth, years back, 1970: nothing expires that has not waited so long while an agent ran."""
    spool = open_spool(tmp_path, max_age=86_400.0)
    for at in (NOW, NOW + 3_650 * DAY, 0, NOW - 3_650 * DAY):
        spool.append(sealing(b"x"), at)
        spool.expire()
    assert spool.batches == 4


def test_the_age_goes_on_over_restarts_and_boots(tmp_path, up):
    spool = open_spool(tmp_path, max_age=86_400.0)
    spool.append(sealing(b"x"), NOW)
    for _ in range(3):
        up[0] += DAY // 2 - 1
        spool.append(sealing(b"y"), NOW)
        spool.close()
        up[0] = 0
        spool = open_spool(tmp_path, max_age=86_400.0)
        spool.open()
    spool.expire()
    assert spool.floor == 2


def test_new_epoch_seals_again_in_order(tmp_path):
    spool = open_spool(tmp_path)
    for i in range(120):
        spool.append(sealing(b"old %d" % i), NOW)
    spool.ack(10)
    old = spool.epoch
    spool.begin_epoch("the collector said fork")
    assert spool.epoch != old
    assert [(n.signal, n.text) for n in spool.notices] == [("agent.epoch.reason", "the collector said fork")]
    assert (spool.former, spool.next_seq, spool.floor, spool.acked) == (110, 1, 1, 0)
    slots = []

    def again(slot, payload, key):
        assert key.public == PUBLIC
        slots.append(slot)
        if payload == b"old 50":
            raise WireError(Refusal.BODY, "spoilt")
        return Sealed(payload.replace(b"old", b"new"), sha256(payload).digest(), 1)

    spool.reseal(again)
    assert 0 < spool.former < 110
    spool.close()
    spool = open_spool(tmp_path)
    while spool.former:
        spool.reseal(again)
    assert [spool.read(seq) for seq in range(1, spool.next_seq)] == [b"new %d" % i for i in range(10, 120) if i != 50]
    assert spool.parked() == 1
    assert {slot.epoch for slot in slots} == {spool.epoch}


def test_new_key_begins_an_epoch_and_another_terminal_keeps_its_hands_off(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(sealing(b"mine"), NOW)
    spool.close()
    other = SigningKey(b"\1" * 32).public
    spool = open_spool(tmp_path, public=other)
    assert (spool.former, spool.next_seq) == (1, 1)
    spool.close()
    spool = open_spool(tmp_path, terminal="another", public=other)
    spool.reseal(lambda *_: pytest.fail("another terminal's readings must not be signed"))
    assert (spool.former, spool.parked(), spool.batches) == (0, 1, 0)


def test_a_rotated_key_goes_on_in_its_epoch(tmp_path):
    new = SigningKey(b"\1" * 32).public
    spool = open_spool(tmp_path)
    spool.append(sealing(b"by the old key"), NOW)
    epoch = spool.epoch
    spool.change_key(new)
    spool.append(sealing(b"by the new key"), NOW)
    spool.close()
    spool = open_spool(tmp_path, public=new)
    assert (spool.epoch, spool.next_seq, spool.former) == (epoch, 3, 0)
    spool.close()


def test_a_rotation_that_ended_between_identity_and_spool_goes_on_in_its_epoch(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(sealing(b"by the old key"), NOW)
    epoch = spool.epoch
    spool.close()
    new = SigningKey(b"\1" * 32).public
    for _ in range(2):
        spool = Spool(tmp_path / "spool.db", "t", new, SpoolConfig(1 << 20, DAY), {PUBLIC})
        assert (spool.epoch, spool.next_seq, spool.former) == (epoch, 2, 0)
        spool.close()


def test_the_digest_of_a_batch_is_known_while_it_or_the_next_is_here(tmp_path):
    spool, prev = open_spool(tmp_path), []

    def seal_one(slot):
        prev.append(slot.prev)
        reading = Reading("dev", "n", NOW, slot.seq)
        key = SigningKey(bytes(32))
        of = {"epoch": slot.epoch, "seq": slot.seq, "prev": slot.prev, "floor": slot.floor}
        return seal(key, Batch((reading,)), terminal="t", sent=NOW, boot=bytes(8), up=1, clock=Clock("ntp", 1), **of)

    assert spool.digest(0) == b""
    for _ in range(5):
        spool.append(seal_one, NOW)
    digests = [*prev[1:], spool.digest(5)]
    assert [spool.digest(seq) for seq in range(1, 6)] == digests
    spool.ack(3)
    assert [spool.digest(seq) for seq in range(1, 6)] == [b"", b"", *digests[2:]]
    spool.ack(5)
    assert [spool.digest(seq) for seq in range(4, 7)] == [b"", digests[4], b""]
    spool.close()


def test_parked_is_bounded_and_what_goes_is_counted(tmp_path):
    spool = open_spool(tmp_path, 64 << 20)
    for _ in range(10):
        seq = spool.append(sealing(bytes(MAX_PARKED // 4), n=3), NOW)
        spool.ack(seq, [(seq, "refused")])
    assert spool.parked() == 4
    assert spool.lost == 6 * 3


def test_what_was_refused_for_a_card_number_is_not_kept(tmp_path):
    spool = open_spool(tmp_path)
    for number, why in ((1, f"{REFUSED_FOR}; update the agent"), (2, "bad")):
        spool.append(sealing(b"4111111111111111 %d" % number), NOW)
        spool.ack(number, [(number, why)])
    rows = spool.book.db.execute("SELECT seq, reason, length(bytes) FROM parked ORDER BY seq").fetchall()
    spool.close()
    assert rows == [(1, f"{REFUSED_FOR}; update the agent", 0), (2, "bad", 18)]


def test_offered_is_written_with_the_batch_while_it_goes_out_at_once(tmp_path):
    spool = open_spool(tmp_path)
    spool.append(sealing(b"1"), NOW)
    assert spool.offered == 1
    spool.offer()
    assert spool.offered == 2
    spool.offering = True
    spool.append(sealing(b"2"), NOW)
    spool.close()
    spool = open_spool(tmp_path)
    assert (spool.offered, spool.offering) == (3, False)


def test_a_new_epoch_leaves_out_what_the_collector_has(tmp_path):
    spool = open_spool(tmp_path)
    for i in range(6):
        spool.append(sealing(b"%d" % i), NOW)
    spool.begin_epoch("rolled back", stored=4)
    assert (spool.former, spool.lost, spool.offered) == (2, 0, 1)


def test_how_the_agent_ended_is_known_at_the_next_start(tmp_path, monkeypatch):
    spool = open_spool(tmp_path)
    spool.open()
    assert (spool.ended, spool.rebooted) == ("", False)
    spool.close(clean=True)
    spool = open_spool(tmp_path)
    spool.open()
    assert spool.ended == "clean"
    spool.close()
    monkeypatch.setattr(clock, "boot_id", lambda: b"another!")
    spool = open_spool(tmp_path)
    spool.open()
    assert (spool.ended, spool.rebooted) == ("killed", True)
