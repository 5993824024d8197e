from __future__ import annotations

from itertools import pairwise

from tillwatch.agent.model import MS
from tillwatch.agent.wire import FIRST_PREV, Refusal, VerifyKey, batch_topic, life_topic, open_batch, open_life
from tillwatch.collector.fleet_load.sealing import Plan, Sealer
from tillwatch.collector.fleet_load.terminals import Fleet, number

FLEET = Fleet(30, "1")
BEGIN_MS = 1_790_000_000_000


class Keys:
    def knows(self, terminal: str) -> bool:
        return number(terminal) >= 0

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        public = FLEET.key(number(terminal)).public
        return VerifyKey(public) if VerifyKey(public).key_id == key_id else Refusal.UNKNOWN_KEY


def plan(run: str = "a") -> Plan:
    return Plan(FLEET, BEGIN_MS, 60_000, BEGIN_MS + 300_000, 40, 0.0, run)


def test_batches_are_chained_and_their_times_are_those_of_the_plan() -> None:
    sealer, prev, ups = Sealer(plan(), range(10, 20)), FIRST_PREV, []
    name = FLEET.name(13)
    for k in range(3):
        one = sealer.batch(3, BEGIN_MS + k * 60_000, 60_000)
        opened = open_batch(batch_topic(name), one.payload, Keys())
        header = opened.header
        assert (header.seq, header.prev, header.sent) == (k + 1, prev, (BEGIN_MS + k * 60_000) * MS)
        assert max(reading.at for reading in opened.readings()) == header.sent
        prev = one.digest
        ups.append(header.up)
    assert [later - earlier for earlier, later in pairwise(ups)] == [60_000] * 2


def test_life_messages_count_and_belong_to_the_same_start_of_the_machine() -> None:
    sealer = Sealer(plan(), range(10, 20))
    batch = open_batch(batch_topic(FLEET.name(10)), sealer.batch(0, BEGIN_MS, 60_000).payload, Keys()).header
    lives = [
        open_life(life_topic(FLEET.name(10)), sealer.life(0, BEGIN_MS + 500, 1, 2, state), Keys())
        for state in ("online", "offline")
    ]
    assert [life.n for life in lives] == [1, 2]
    assert [life.state for life in lives] == ["online", "offline"]
    assert all((life.epoch, life.boot, life.up) == (batch.epoch, batch.boot, batch.up + 500) for life in lives)


def test_each_run_has_epochs_of_its_own_and_each_terminal_a_time() -> None:
    assert plan("a").epoch(3) != plan("b").epoch(3) != plan("b").epoch(4)
    dues = [plan().first_due(n) for n in range(30)]
    assert len(set(dues)) == 30
    assert all(BEGIN_MS <= due < BEGIN_MS + 60_000 for due in dues)
    assert plan().ends(BEGIN_MS + 300_000)
    assert not plan().ends(BEGIN_MS + 299_999)
