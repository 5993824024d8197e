"""The logic of agent and collector, joined in memory by a wire that loses, doubles, turns round and delays, against an account that knows every
reading made. After every step: what is stored was made, is stored once and follows its order; what the spool has no room for is declared to the
last reading; only what is known to be late is history, and history raises no alarm. Once wire, disk and keys are good again: stored is made
less what was declared lost, nothing waits for ever, the log proves itself and makes the same state again.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.chaos.in_memory import TERMINAL, Agent, Collector, Copy, enrolled
from tests.chaos.machine import KINDS, Killed, Machine, Times
from tests.collector.sending import S
from tillwatch.agent import identity
from tillwatch.agent.enrolment.renewal import waiting
from tillwatch.agent.model import MS
from tillwatch.agent.window import ACK_TIMEOUT
from tillwatch.agent.wire import MAX_ROTATIONS, SigningKey, claim_of
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.terminal.fleet import HISTORICAL_MS

YEAR = 365 * 86_400 * S
LATE = HISTORICAL_MS * MS
FIRST = 1_000
"""Number of the first reading: as a percentage it is beyond every limit, and what is as far below zero is well."""
SQLITE_READONLY, SQLITE_FULL = 8, 13
FEW = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)


class Line(RuleBasedStateMachine):
    """The account: `unsealed` is what a kill took with it, of which nobody can tell; `wiped`, what was in a spool that is no more; `refused`, what
    the collector does not take and the agent keeps aside; `forgotten`, what a restored collector had; `again`, what a spool that went back in
    time may bring a second time. What was dropped or thinned stands in the ledger.
    """

    @initialize()
    def start(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.loop = asyncio.new_event_loop()
        self.times = Times()
        self.machine = Machine(self.times)
        self.ledger = self.machine.ledger
        self.to_collector: deque[tuple[str, bytes, int]] = deque()
        self.to_agent: deque[bytes] = deque()
        self.keys = 0
        enrolled(self.folder / "agent", self._seed())
        self.collector = Collector(self.folder / "collector.db", self.times, self.loop)
        self.agent = Agent(self.folder / "agent", self.machine, self.loop, self._publish)
        self.collector.enrol(self.agent.key.public)
        self.made: set[int] = set()
        self.pending: set[int] = set()
        """Handed to the agent and perhaps not in its file yet."""
        self.unsealed: set[int] = set()
        self.wiped: set[int] = set()
        self.refused: set[int] = set()
        self.forgotten: set[int] = set()
        self.again: set[int] = set()
        self.highest = 0
        self.aside = 0
        self.late: dict[bytes, int] = {}
        """By how much too small the collector may take the uptime of a boot, ns: its life message was under way for as long."""
        self.copies: list[Path] = []
        self.agent_copies: list[Copy] = []

    def _seed(self) -> bytes:
        self.keys += 1
        return sha256(b"seed %d" % self.keys).digest()

    def _publish(self, topic: str, payload: bytes) -> None:
        self.to_collector.append((topic, payload, self.times.real))

    # The agent.

    def _agent(self, act: Callable[[], object]) -> None:
        """The agent does something, and perhaps ends in the midst of it."""
        try:
            act()
        except Killed:
            self._restart(clean=False)

    @rule(kinds=FEW)
    def read(self, kinds: list[str]) -> None:
        self._read(kinds)

    def _read(self, kinds: list[str]) -> None:
        numbers = range(FIRST + len(self.made), FIRST + len(self.made) + len(kinds))
        self.made |= set(numbers)
        self.pending |= set(numbers)
        self.agent.read([KINDS[kind](n, self.times.up) for kind, n in zip(kinds, numbers, strict=True)])

    @rule()
    def seal(self) -> None:
        self._seal()

    def _seal(self) -> None:
        def sealing() -> None:
            self.agent.seal()
            self.pending = set(self.agent.buffer.numbers)

        self._agent(sealing)

    @rule(n=st.integers(5, 30), kind=st.sampled_from(sorted(KINDS)))
    def read_and_seal_often(self, n: int, kind: str) -> None:
        """The spool fills up: readings are thinned, then the oldest batches go."""
        for _ in range(n):
            self._read([kind])
            self._seal()

    @rule()
    def read_what_cannot_be_opened(self) -> None:
        """Of a newer agent, say: genuine, and no body that this collector knows."""
        self._seal()
        self._read(["state"])
        number = max(self.made)
        self.agent.spoil = True
        self._seal()
        self.refused.add(number)

    @rule(clean=st.booleans(), boot=st.booleans())
    def restart_agent(self, clean: bool, boot: bool) -> None:
        self._agent(lambda: self._restart(clean=clean))
        if boot:
            self._reboot()

    @rule(steps=st.integers(1, 25))
    def kill_agent_soon(self, steps: int) -> None:
        self.machine.kill_in = steps

    def _restart(self, *, clean: bool, change: Callable[[], object] = lambda: None) -> None:
        if self.agent.link is not None and not clean:
            self._publish(f"tw/1/{TERMINAL}/life", self.agent.will)
        if clean:
            self.agent.stop(clean=True)
            self.pending = set(self.agent.buffer.numbers)
        self.machine.kill_in = 0
        self.agent.stop(clean=False)
        self.to_agent.clear()
        self.unsealed |= {n for n in self.pending if n not in self._kept()} | set(self.ledger.thinned)
        self.pending.clear()
        self.ledger.thinned.clear()
        change()
        self.agent.start()
        self.aside += sum(notice.signal == "agent.spool.set-aside" for notice in self.agent.spool.notices)

    def _kept(self) -> set[int]:
        return self.agent.held() | self.agent.held("parked") | self.collector.stored | self.ledger.gone

    def _reboot(self) -> None:
        self._restart(clean=False, change=self.times.reboot)

    @rule()
    def spoil_the_spool(self) -> None:
        """The file cannot be read any more: it is moved aside, and a new epoch begins."""
        aside = self.aside

        def damage() -> None:
            for left in self.agent.folder.glob(f"{identity.SPOOL}-*"):
                left.unlink()
            self.agent.file.write_bytes(b"no database".ljust(8_192, b"\xff"))
            self.ledger.lost = 0

        self.machine.fault = 0
        held = self.agent.held() | self.agent.held("parked")
        self._restart(clean=False, change=damage)
        self.wiped |= held
        assert self.aside == aside + 1
        assert any(self.agent.folder.glob("spool.corrupt-*")), "what is damaged is kept"

    @rule()
    def copy_the_terminal(self) -> None:
        to = self.folder / f"agent-copy-{len(self.agent_copies)}"
        self.machine.fault = 0
        self._restart(clean=False, change=lambda: shutil.copytree(self.agent.folder, to))
        # What was sealed and not offered yet may go out after this, and may not: of it nobody can tell who has the only copy.
        held, offered = self.agent.held(), self.agent.spool.offered
        former = self.agent.held("sealed", "gen < (SELECT max(gen) FROM epochs)")
        self.agent_copies.append(
            Copy(to, held, self.agent.held("sealed", f"seq >= {offered}") | former, self.ledger.lost)
        )

    @precondition(lambda self: self.agent_copies)
    @rule(data=st.data())
    def restore_the_terminal(self, data: st.DataObject) -> None:
        """As a write filter does at every start of the machine."""
        copy = data.draw(st.sampled_from(self.agent_copies))

        def back() -> None:
            shutil.rmtree(self.agent.folder)
            shutil.copytree(copy.folder, self.agent.folder)
            self.times.reboot()

        held = self.agent.held() | self.agent.held("parked")
        self._restart(clean=False, change=back)
        self.wiped |= held - copy.held
        self.again |= copy.open
        self.ledger.lost = copy.lost

    @rule(code=st.sampled_from([0, SQLITE_READONLY, SQLITE_FULL]))
    def trouble_the_disk(self, code: int) -> None:
        self.machine.fault = code

    # Keys.

    @precondition(lambda self: self.keys < MAX_ROTATIONS)
    @rule(told=st.booleans())
    def rotate(self, told: bool) -> None:
        """told: the collector has heard of the next key; one that was restored since has not."""
        self._rotate(told)

    def _rotate(self, told: bool) -> None:
        if not waiting(self.agent.folder):
            seed = self._seed()
            known = self.collector.terminal.keys.get(self.agent.key.key_id)
            if told and known is not None and known.state == "active":
                self.collector.operate(action="certify", public=SigningKey(seed).public)
            self.agent.prepare_rotation(seed)
        self._agent(self.agent.renewal.take_up)
        self._agent(self.agent.turn)

    @rule()
    def revoke(self) -> None:
        self.collector.operate(action="revoke", reason="stolen")

    @rule()
    def enrol_again(self) -> None:
        seed = self._seed()
        key = SigningKey(seed)
        # Another key begins another epoch: what was stored and not acknowledged is sealed and sent once more.
        self.again |= self.agent.held() & self.collector.stored
        self._restart(clean=False, change=lambda: enrolled(self.agent.folder, seed))
        self.collector.enrol(key.public)

    # The wire.

    @precondition(lambda self: self.agent.link is None)
    @rule()
    def connect(self) -> None:
        self._agent(self.agent.connect)

    @precondition(lambda self: self.agent.link is not None)
    @rule()
    def cut(self) -> None:
        self._cut()

    def _cut(self) -> None:
        self._publish(f"tw/1/{TERMINAL}/life", self.agent.will)
        self.agent.disconnect()
        self.to_agent.clear()

    @precondition(lambda self: self.to_collector)
    @rule(n=st.integers(1, 12), slow=st.booleans(), refuse=st.booleans())
    def deliver(self, n: int, slow: bool, refuse: bool) -> None:
        self._deliver(n, slow=slow, refuse=refuse)

    def _deliver(self, n: int, *, slow: bool = False, refuse: bool = False) -> None:
        group = [self.to_collector.popleft() for _ in range(min(n, len(self.to_collector)))]
        raised = self.collector.raised()
        acks = self.collector.take([(topic, payload) for topic, payload, _ in group], slow=slow, refuse=refuse)
        assert all(map(self.collector.has_stored, acks)), "nothing is acknowledged before it is stored"
        self.to_agent += acks
        if not refuse:
            self._lives(group)
        assert self._new() or self.collector.raised() == raised, "history raises nothing"

    def _lives(self, group: list[tuple[str, bytes, int]]) -> None:
        """Which boot's uptime the collector knows now, and since when it was on its way."""
        terminal = self.collector.terminal
        for topic, payload, at in group:
            if (
                topic.endswith("/life")
                and terminal.boot == self.times.boot
                and claim_of(payload).epoch == terminal.epoch
            ):
                self.late[terminal.boot] = max(self.late.get(terminal.boot, 0), self.times.real - at)

    def _new(self) -> bool:
        """Look at the batches that were stored just now; whether one of them is live."""
        fresh = self.collector.news()
        for batch in fresh:
            assert batch.numbers <= self.made
            once = sorted(batch.numbers - self.again)
            if once:
                assert self.highest < once[0], f"entry {batch.n}: each once, in the order in which it was read"
                self.highest = once[-1]
            if batch.boot == self.collector.terminal.boot and batch.boot in self.late:
                age = self.times.real - self.times.booted[batch.boot] - batch.up
                least, most = (LATE, float("inf")) if batch.historical else (0, LATE + self.late[batch.boot])
                assert least - S <= age <= most + S, "by the uptime, whatever the clocks say"
        return not all(batch.historical for batch in fresh)

    @rule(rounds=st.integers(1, 6), kinds=FEW)
    def flow(self, rounds: int, kinds: list[str]) -> None:
        """All is well for a while."""
        self._flow(rounds, kinds)

    def _flow(self, rounds: int, kinds: list[str]) -> None:
        self._read(kinds)
        self._seal()
        if self.agent.link is None:
            self._agent(self.agent.connect)
        for _ in range(rounds):
            self._deliver(8)
            while self.to_agent:
                ack = self.to_agent.popleft()
                self._agent(lambda ack=ack: self.agent.hear(ack))  # type: ignore[misc]

    @rule(n=st.integers(2, 6), kinds=FEW)
    def work(self, n: int, kinds: list[str]) -> None:
        for _ in range(n):
            self._wait(60)
            self._flow(3, kinds)

    @rule(n=st.integers(2, 8), kinds=FEW)
    def be_cut_off_for_long(self, n: int, kinds: list[str]) -> None:
        """What is read meanwhile comes late."""
        if self.agent.link is not None:
            self._cut()
        for _ in range(n):
            self._read(kinds)
            self._seal()
            self._wait(600)
        self._flow(4, kinds)

    @precondition(lambda self: self.to_collector)
    @rule(data=st.data(), what=st.sampled_from(["lose", "double", "turn"]))
    def meddle(self, data: st.DataObject, what: str) -> None:
        at = data.draw(st.integers(0, len(self.to_collector) - 1))
        if what != "lose":
            self.to_collector.append(self.to_collector[at])
        if what != "double":
            del self.to_collector[at]

    @precondition(lambda self: self.to_agent)
    @rule(data=st.data(), lost=st.booleans())
    def answer(self, data: st.DataObject, lost: bool) -> None:
        at = data.draw(st.integers(0, len(self.to_agent) - 1))
        ack = self.to_agent[at]
        del self.to_agent[at]
        if not lost:
            self._agent(lambda: self.agent.hear(ack))

    # The collector.

    @rule()
    def restart_collector(self) -> None:
        self._new_collector()
        self.collector.stop()
        self.collector.start()

    def _new_collector(self) -> None:
        """What was on its way is lost, and ages are known again once the terminal has told its uptime."""
        self.to_collector.clear()
        self.late.clear()

    @rule()
    def copy_the_collector(self) -> None:
        to = self.folder / f"copy-{len(self.copies)}.db"
        self.collector.copy(to)
        self.copies.append(to)

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def restore_the_collector(self, data: st.DataObject) -> None:
        before = self.collector.stored
        self._new_collector()
        self.collector.restore(data.draw(st.sampled_from(self.copies)))
        self.forgotten |= before - self.collector.stored
        self.highest = max(self.collector.stored - self.again, default=0)

    # Time.

    @rule(seconds=st.sampled_from([1, 60, int(ACK_TIMEOUT), 3_000]))
    def wait(self, seconds: int) -> None:
        self._wait(seconds)

    def _wait(self, seconds: int) -> None:
        self.times.real += seconds * S
        self._agent(self.agent.turn)
        self.collector.take([])

    @rule(years=st.integers(-12, 12), whose=st.sampled_from(["agent", "collector"]))
    def set_a_clock(self, years: int, whose: str) -> None:
        if whose == "agent":
            self.times.agent_off = max(self.times.agent_off + years * YEAR, -self.times.real)
        else:
            self.times.collector_off = max(self.times.collector_off + years * YEAR, -self.times.real)

    # What holds.

    @invariant()
    def no_reading_is_nowhere(self) -> None:
        if hasattr(self, "agent_copies"):
            # The collector's journal has what it refused, also where the ack that said so was lost.
            told = self.unsealed | self.wiped | self.forgotten | self.ledger.gone | self.refused
            underway = self.pending | self.agent.held() | self.agent.held("parked") | set(self.ledger.thinned)
            missing = self.made - self.collector.stored - told - underway
            assert not missing

    @invariant()
    def what_is_dropped_is_declared(self) -> None:
        if hasattr(self, "agent_copies"):
            if self.agent.spool.is_open:
                assert self.agent.spool.lost == self.ledger.lost
            assert self.agent.buffer.lost == len(self.ledger.thinned)

    def teardown(self) -> None:
        if not hasattr(self, "agent_copies"):
            return
        try:
            self._settle()
            self._account()
        finally:
            self.agent.stop(clean=False)
            self.collector.stop()
            self.machine.close()
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.temporary.cleanup()

    def _settle(self) -> None:
        """All is good from now on: how long may it take? The last batch tells of what was lost before it."""
        self.machine.kill_in = self.machine.fault = 0
        self._go_on()
        self._read(["state"])
        self._go_on()

    def _go_on(self) -> None:
        for _ in range(60):
            self._seal()
            if self.agent.link is None:
                self.agent.connect()
            while self.to_collector or self.to_agent:
                while self.to_agent:
                    self.agent.hear(self.to_agent.popleft())
                self._deliver(12)
            if self.agent.idle:
                return
            if self._is_out():
                self.enrol_again()
            self._wait(int(ACK_TIMEOUT))
        window = self.agent.uplink._window
        raise AssertionError(f"it waits for ever: {self.agent.sealer.trouble.text}, {window and vars(window)}")

    def _is_out(self) -> bool:
        """Whether only an operator can take the terminal in again, who is told so."""
        terminal = self.collector.terminal
        key = terminal.keys.get(self.agent.key.key_id)
        window = self.agent.uplink._window
        gone = key is not None and key.state in {"retiring", "revoked"}
        # One that no rotation leads to is told `enrol`; one of two that a key handed over to is an alarm and hears nothing.
        unheard = window is not None and (window.halted or window.overdue)
        return terminal.state == "revoked" or gone or (unheard and (key is None or key.state == "pending"))

    def _account(self) -> None:
        self.no_reading_is_nowhere()
        assert self.agent.held("parked") <= self.refused, "nothing else is put aside"
        terminal = self.collector.terminal
        assert (terminal.epoch, terminal.lost) == (self.agent.epoch, self.agent.spool.lost), "what it lost it has told"
        assert verify_log(self.collector.store.conn, None).faults == []
        rebuild(self.collector.file, self.folder / "rebuilt.db")
        with closing(SqliteStore(self.folder / "rebuilt.db")) as again:
            assert tables(again.conn) == tables(self.collector.store.conn)


BOUNDS: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
Line.TestCase.settings = settings(max_examples=35, stateful_step_count=40, derandomize=True, **BOUNDS)
TestLine = pytest.mark.timeout(300)(Line.TestCase)


class LongLine(Line):
    """The same, for longer, and never the same."""


LongLine.TestCase.settings = settings(max_examples=1_000, stateful_step_count=80, **BOUNDS)
TestLongLine = pytest.mark.long(pytest.mark.timeout(3_600)(LongLine.TestCase))
