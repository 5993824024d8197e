"""decide() and on_life() against a model that keeps every batch it ever accepted."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tillwatch.agent.model import Clock
from tillwatch.agent.wire import FIRST_PREV, Header, Life
from tillwatch.collector.sequence import UNVERIFIABLE, Stream, Verdict, decide, on_life

BASE = Header("atm-1", bytes(8), bytes(12), 1, FIRST_PREV, 1, 0, bytes(8), 0, Clock("ntp", 0), 0, 1)


def digest_of(epoch: int, seq: int, branch: int = 0) -> bytes:
    return sha256(f"{epoch}/{seq}/{branch}".encode()).digest()


def header(epoch: int, seq: int, branch: int = 0) -> Header:
    prev = digest_of(epoch, seq - 1, branch) if seq > 1 else FIRST_PREV
    return replace(BASE, epoch=bytes([epoch] * 12), seq=seq, prev=prev)


class Delivery(RuleBasedStateMachine):
    """A terminal seals batches 1, 2, 3 ... in epochs; the network repeats, drops and reorders; the terminal may drop its oldest."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: dict[bytes, Stream] = {}
        self.kept: dict[tuple[int, int], bytes] = {}
        self.lost: set[tuple[int, int]] = set()
        self.epoch, self.sealed, self.floor = 1, 0, 1

    @rule()
    def seal(self) -> None:
        self.sealed += 1

    @rule(back=st.integers(0, 6), epoch_back=st.integers(0, 2))
    def deliver(self, back: int, epoch_back: int) -> None:
        epoch, seq = max(1, self.epoch - epoch_back), self.sealed - back
        if seq < 1 or (epoch == self.epoch and seq < self.floor):
            return
        if epoch != self.epoch and (epoch, seq) not in self.kept:
            return
        decision = decide(self.streams, header(epoch, seq), digest_of(epoch, seq), self.kept.get((epoch, seq)))
        mark = self.streams.get(bytes([epoch] * 12), Stream(b"")).mark
        if (epoch, seq) in self.kept or (epoch, seq) in self.lost:
            assert decision.verdict is Verdict.DUPLICATE
        elif seq == mark + 1:
            assert decision.verdict is Verdict.ACCEPT
            self.kept[epoch, seq] = digest_of(epoch, seq)
        else:
            assert (decision.verdict, decision.want) == (Verdict.GAP, mark + 1)
        self.streams[decision.stream.epoch] = decision.stream

    @rule(back=st.integers(0, 4))
    def a_second_history(self, back: int) -> None:
        seq = self.sealed - back
        if (self.epoch, seq) not in self.kept:
            return
        other = digest_of(self.epoch, seq, branch=1)
        decision = decide(self.streams, header(self.epoch, seq, 1), other, self.kept[self.epoch, seq])
        assert decision.verdict is Verdict.FORK
        assert decision.stream == self.streams[bytes([self.epoch] * 12)]
        after = decide(self.streams, header(self.epoch, decision.stream.mark + 1, 1), other, None)
        mark_kept = (self.epoch, decision.stream.mark) in self.kept
        assert after.verdict is (Verdict.FORK if mark_kept else Verdict.ACCEPT)

    @rule(keep=st.integers(0, 5))
    def drop_oldest_and_say_so(self, keep: int) -> None:
        self.floor = max(self.floor, self.sealed - keep + 1, 1)
        name = bytes([self.epoch] * 12)
        known = self.streams.get(name)
        life = Life("atm-1", bytes(8), name, self.floor, self.sealed + 1, 0, bytes(8), 0, 0, 1)
        decision = on_life(self.streams, life)
        if known is not None and self.floor > known.mark + 1:
            assert decision.loss == (known.mark + 1, self.floor - 1)
            assert decision.stream == Stream(name, self.floor - 1, UNVERIFIABLE)
        else:
            assert decision.loss == ((1, self.floor - 1) if known is None and self.floor > 1 else None)
            if known is not None:
                assert decision.stream == known
        if known is None or decision.loss is not None:
            self.lost |= {(self.epoch, seq) for seq in range(1, self.floor) if (self.epoch, seq) not in self.kept}
        self.streams[name] = decision.stream

    @rule()
    def new_spool(self) -> None:
        if self.epoch < 200:
            self.epoch, self.sealed, self.floor = self.epoch + 1, 0, 1

    @invariant()
    def every_mark_is_settled(self) -> None:
        for name, stream in self.streams.items():
            for seq in range(1, stream.mark + 1):
                assert (name[0], seq) in self.kept or (name[0], seq) in self.lost


TestDelivery = Delivery.TestCase
