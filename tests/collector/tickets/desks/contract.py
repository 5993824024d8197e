"""What every connector promises, tested against its ticket system: a real one, or a strict fake of one.

A test file has a fixture `system` and a subclass:

    @pytest.fixture(scope="module")
    def system(tmp_path_factory):
        with running(tmp_path_factory.mktemp("roundup")) as server:
            yield server

    class TestRoundup(Contract):
        etags = True

Systems that are only told things, and cannot be asked, subclass `PushContract`. One system may serve all tests: each has incidents of its own.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from tests.collector.tickets.desks.proxy import FaultProxy, is_write
from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.message import Op, TicketMessage, TicketState
from tillwatch.collector.tickets.port import Barred, Done, Leg, Link, Outcome, Problem, Receiver, Retry, Uncertain

MOST_WRITES = 8
MOST_TURNS = 8
"""More requests that change something than one message needs anywhere."""


class NotSupportedError(Exception):
    """The product has nothing like it."""


@dataclass(frozen=True)
class Seen:
    """A ticket as people see it. notes: without the body, the oldest first; those that the product writes by itself may be among them."""

    id: str
    key: str
    title: str
    body: str
    state: TicketState
    owner: str
    notes: list[str]


class SystemUnderTest(Protocol):
    """A ticket system that a test can look into, and act in behind the connector's back. secrets: texts that must never show."""

    @property
    def address(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    def receiver(self, address: str, **settings: Any) -> Receiver:
        """Connected through that address with valid settings, except for those given, which are named as the connector's Settings names them."""
        ...

    def tickets(self, key: str) -> list[Seen]:
        """All that were not deleted, the oldest first."""
        ...

    def person(self, ticket: str, act: str, text: str = "") -> None:
        """own | work | hold | resolve | close | reopen | note (text) | delete | merge (text: id of the ticket that goes on). Raises NotSupportedError."""
        ...


class PushContract:
    """What holds for everything that is told of incidents."""

    slow_timeout_s: ClassVar[float] = 1.0
    """Time-out against a server that hangs. It must suffice for every single request that does not, on a machine that is busy with other tests."""

    wrong_secret: ClassVar[str] = "wrong-secret-0123456789"

    truncated_is_refused: ClassVar[bool] = True
    """Whether an answer that is cut off counts as none. Not where the status alone says it all."""

    @staticmethod
    def writing(method: str, path: str) -> bool:
        """Whether a request changes something that people see."""
        return is_write(method, path)

    def settle(self, system: Any) -> None:
        """Let the settle time pass: for fakes whose index lags by a clock of their own."""

    @pytest.fixture
    def proxy(self, system: SystemUnderTest) -> Iterator[FaultProxy]:
        with FaultProxy(system.address, self.writing) as proxy:
            yield proxy

    @pytest.fixture
    async def connected(self, system: SystemUnderTest, proxy: FaultProxy) -> AsyncIterator[Callable[..., Receiver]]:
        made: list[Receiver] = []

        def connect(**settings: Any) -> Receiver:
            made.append(system.receiver(proxy.address, **settings))
            return made[-1]

        yield connect
        for each in made:
            await each.close()

    @pytest.fixture
    def receiver(self, connected: Callable[..., Receiver]) -> Receiver:
        return connected()

    @pytest.fixture
    def key(self, request: pytest.FixtureRequest) -> str:
        return f"HWM-{zlib.crc32(request.node.nodeid.encode()):08x}-1"

    @pytest.fixture
    def tell(
        self, system: SystemUnderTest, proxy: FaultProxy, receiver: Receiver, message: Callable[..., TicketMessage]
    ) -> Callable[..., Any]:
        """Deliver one message: the incident, and what is different from an opening."""

        async def deliver(
            key: str,
            op: Op = Op.OPEN,
            seq: int = 1,
            *,
            link: str = "",
            doubtful: bool = False,
            by: Receiver | None = None,
            **fields: Any,
        ) -> Outcome:
            if doubtful:
                await asyncio.to_thread(proxy.wait_idle)
                self.settle(system)
            told = message(key, op, seq, **({"what": "UPS runs on battery 电池供电", "action": "检查市电"} | fields))
            known = Link(link, "", "") if link else None
            outcome = await (by or receiver).deliver(told, known, doubtful=doubtful, leg=Leg())
            assert not [secret for secret in system.secrets if secret in repr(outcome)]
            return outcome

        return deliver

    @pytest.fixture(autouse=True)
    def _nothing_secret_is_logged(self, system: SystemUnderTest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        caplog.set_level("INFO")
        yield
        assert not [secret for secret in system.secrets if secret in caplog.text]

    async def test_an_incident_becomes_a_ticket(self, system, tell, key) -> None:
        outcome = await tell(key)
        assert isinstance(outcome, Done), outcome
        [seen] = system.tickets(key)
        assert "电池供电" in seen.title
        assert "检查市电" in seen.body
        assert seen.state is TicketState.OPEN

    async def test_told_again_in_doubt_it_stays_one(self, system, tell, key) -> None:
        assert isinstance(await tell(key), Done)
        assert isinstance(await tell(key, doubtful=True), Done)
        assert len(system.tickets(key)) == 1

    async def test_lost_answer_to_any_write_leaves_one_ticket(self, system, proxy, tell, key) -> None:
        for at in range(MOST_WRITES):
            proxy.writes = ["pass"] * at + ["drop after commit"]
            outcome = await tell(f"{key}{at}")
            if proxy.writes:
                break
            assert isinstance(outcome, Uncertain | Retry | Done), outcome
            if not isinstance(outcome, Done):
                assert isinstance(await tell(f"{key}{at}", doubtful=isinstance(outcome, Uncertain)), Done)
            assert len(system.tickets(f"{key}{at}")) == 1, at
        assert at > 0, "nothing was written"
        assert proxy.writes, "more writes than anybody needs"
        proxy.writes = []

    async def test_server_slower_than_the_timeout_leaves_one_ticket(self, system, proxy, connected, tell, key) -> None:
        hasty = connected(timeout=self.slow_timeout_s)
        proxy.hold_s = 30.0
        proxy.writes = ["hang"] * MOST_WRITES
        assert isinstance(await tell(key, by=hasty), Uncertain)
        proxy.writes = []
        assert isinstance(await tell(key, doubtful=True), Done)
        assert len(system.tickets(key)) == 1

    @pytest.mark.parametrize("fault", ["429", "503", "503 bare", "500", "502", "drop", "garbled", "login"])
    async def test_fault_before_anything_happened_leaves_nothing(self, system, proxy, tell, key, fault) -> None:
        proxy.always = fault if fault != "garbled" else "200"
        outcome = await tell(key)
        match fault:
            case "429" | "503":
                assert outcome == Retry(outcome.reason, after_s=1.0)
            case "login":
                assert isinstance(outcome, Barred) or outcome == Retry(outcome.reason, refused=True)
            case "garbled" if not self.truncated_is_refused:
                pass
            case _:
                assert isinstance(outcome, Retry | Uncertain), outcome
        assert system.tickets(key) == []
        proxy.always = "pass"
        assert isinstance(await tell(key, doubtful=isinstance(outcome, Uncertain)), Done)
        assert len(system.tickets(key)) == 1

    async def test_answers_cut_in_half_leave_one_ticket(self, system, proxy, tell, key) -> None:
        proxy.writes = ["truncated"] * MOST_WRITES
        outcome = await tell(key)
        if self.truncated_is_refused:
            assert isinstance(outcome, Uncertain | Retry), outcome
        proxy.writes = []
        assert isinstance(await tell(key, doubtful=isinstance(outcome, Uncertain)), Done)
        assert len(system.tickets(key)) == 1

    async def test_wrong_secret_is_not_let_in(self, system, connected, tell, key, tmp_path: Path) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text(self.wrong_secret)
        stranger = connected(secret_file=wrong)
        outcome = await tell(key, by=stranger)
        assert isinstance(outcome, Barred) or outcome == Retry(outcome.reason, refused=True)
        assert self.wrong_secret not in repr(outcome)
        assert system.tickets(key) == []

    async def test_resolving_ends_the_ticket(self, system, tell, key) -> None:
        made = await tell(key)
        outcome = await tell(
            key,
            Op.RESOLVE,
            2,
            link=made.external_id,
            state="resolved",
            note="mains are back",
            wish=TicketState.RESOLVED,
        )
        assert isinstance(outcome, Done), outcome
        [seen] = system.tickets(key)
        assert seen.state.over

    async def test_preflight_of_a_system_that_is_well_finds_nothing(self, receiver) -> None:
        assert await receiver.preflight() == []


class Contract(PushContract):
    """What holds beyond that for ticket systems that can be asked and followed."""

    keyless: ClassVar[dict[str, Any] | None] = {"key_field": "no_such_field"}
    """Settings that name a key field which is not there; None where the key needs no field."""

    queueless: ClassVar[dict[str, Any] | None] = {"queue": "No such queue"}

    untaken: ClassVar[dict[str, Any] | None] = {"states": {"no-such-status": "resolved"}}
    """Settings under which resolving is asked for and does not happen; None where the words of states cannot be chosen."""

    etags: ClassVar[bool] = False
    """Whether 412 is the answer to a change of what somebody else has changed meanwhile."""

    changes: ClassVar[dict[str, TicketState]] = {
        "work": TicketState.WORKING,
        "hold": TicketState.ON_HOLD,
        "resolve": TicketState.RESOLVED,
        "close": TicketState.CLOSED,
    }
    """What people do -> what the connector has to make of it."""

    def acted(self, system: SystemUnderTest, ticket: str, act: str, text: str = "") -> None:
        try:
            system.person(ticket, act, text)
        except NotSupportedError:
            pytest.skip(f"the product has no {act!r}")
        self.settle(system)

    async def made(self, tell: Callable[..., Any], key: str) -> str:
        outcome = await tell(key)
        assert isinstance(outcome, Done), outcome
        return outcome.external_id

    async def test_what_was_made_reads_back(self, system, receiver, tell, key) -> None:
        outcome = await tell(key)
        [seen] = system.tickets(key)
        assert (outcome.external_id, outcome.state, seen.key) == (seen.id, "open", key)
        assert outcome.url.startswith("http")
        assert "check the field" not in outcome.also
        remote = await receiver.port.read(seen.id)
        assert (remote.id, remote.key, remote.state, remote.owner) == (seen.id, key, TicketState.OPEN, "")
        self.settle(system)
        assert [each.id for each in await receiver.port.find(key)] == [seen.id]
        assert await receiver.port.find(key[:-1]) == []

    async def test_an_update_is_one_note(self, system, tell, message, key) -> None:
        ticket = await self.made(tell, key)
        for seq in (2, 3):
            outcome = await tell(key, Op.UPDATE, seq, link=ticket, note=f"电量 {seq} %")
            assert isinstance(outcome, Done), outcome
        assert outcome.state == "open"
        for seq in (2, 3):
            mark = text.mark(message(key, Op.UPDATE, seq))
            assert [
                f"电量 {seq} %" in note for [seen] in [system.tickets(key)] for note in seen.notes if mark in note
            ] == [True]

    async def test_an_update_in_doubt_is_still_one_note(self, system, tell, message, key) -> None:
        ticket = await self.made(tell, key)
        for doubtful in (False, True, True):
            assert isinstance(await tell(key, Op.UPDATE, 2, link=ticket, doubtful=doubtful), Done)
        assert self.marked(system, message, key) == 1

    async def test_lost_answer_to_any_write_of_a_note_leaves_one_note(self, system, proxy, tell, message, key) -> None:
        for at in range(MOST_WRITES):
            own = f"{key}{at}"
            ticket = await self.made(tell, own)
            proxy.writes = ["pass"] * at + ["drop after commit"]
            outcome = await tell(own, Op.RESOLVE, 2, link=ticket, wish=TicketState.RESOLVED)
            if proxy.writes:
                break
            assert isinstance(outcome, Uncertain | Retry), outcome
            again = await tell(
                own, Op.RESOLVE, 2, link=ticket, wish=TicketState.RESOLVED, doubtful=isinstance(outcome, Uncertain)
            )
            assert isinstance(again, Done), again
            assert self.marked(system, message, own) == 1, at
            [seen] = system.tickets(own)
            assert seen.state.over
        assert at > 0, "nothing was written"
        assert proxy.writes, "more writes than anybody needs"
        proxy.writes = []

    def marked(self, system: SystemUnderTest, message: Callable[..., TicketMessage], key: str) -> int:
        mark = text.mark(message(key, Op.UPDATE, 2))
        [seen] = system.tickets(key)
        return sum(mark in note for note in seen.notes)

    async def test_of_several_with_one_key_the_oldest_stays(self, system, tell, key) -> None:
        made = await asyncio.gather(*(tell(key) for _ in range(4)))
        # Two that set aside the same double at once: one of them may find it changed (412) or locked and is told to come again.
        assert any(isinstance(each, Done) for each in made), made
        assert all(isinstance(each, Done | Retry | Uncertain) for each in made), made
        outcome = await self.until_done(tell, key)
        oldest, *others = system.tickets(key)
        assert (outcome.external_id, oldest.state.over) == (oldest.id, False)
        assert [other for other in others if not other.state.over] == []

    async def until_done(self, tell, key) -> Done:
        """As the sender does with what is to be tried again or is in doubt."""
        for _ in range(MOST_TURNS):
            if isinstance(outcome := await tell(key, doubtful=True), Done):
                return outcome
        raise AssertionError(outcome)

    async def test_resolve_of_what_people_closed_changes_nothing(self, system, tell, key) -> None:
        ticket = await self.made(tell, key)
        self.acted(system, ticket, "close")
        [closed] = system.tickets(key)
        outcome = await tell(key, Op.RESOLVE, 2, link=ticket, wish=TicketState.RESOLVED)
        assert isinstance(outcome, Done), outcome
        [seen] = system.tickets(key)
        assert seen.state is closed.state

    async def test_a_note_leaves_the_state_to_people(self, system, tell, key) -> None:
        ticket = await self.made(tell, key)
        self.acted(system, ticket, "close")
        [closed] = system.tickets(key)
        assert isinstance(await tell(key, Op.UPDATE, 2, link=ticket), Done)
        [seen] = system.tickets(key)
        assert seen.state is closed.state

    async def test_a_wish_that_is_not_taken_is_refused(self, system, connected, tell, key) -> None:
        if self.untaken is None:
            pytest.skip("the words of its states cannot be chosen")
        ticket = await self.made(tell, key)
        other = connected(**self.untaken)
        outcome = await tell(key, Op.RESOLVE, 2, link=ticket, by=other, wish=TicketState.RESOLVED)
        # The note was written before: the next attempt must look for it.
        assert isinstance(outcome, Uncertain) or outcome == Retry(outcome.reason, refused=True)
        [seen] = system.tickets(key)
        assert not seen.state.over

    async def test_what_comes_back_is_opened_again_or_made_anew(self, system, tell, key) -> None:
        ticket = await self.made(tell, key)
        await tell(key, Op.RESOLVE, 2, link=ticket, wish=TicketState.RESOLVED)
        outcome = await tell(key, Op.UPDATE, 3, link=ticket, wish=TicketState.OPEN)
        assert isinstance(outcome, Done), outcome
        assert [each.id for each in system.tickets(key) if not each.state.over] == [outcome.external_id]

    async def test_two_edits_at_the_same_time(self, system, proxy, tell, key) -> None:
        if not self.etags:
            pytest.skip("the product knows no 412")
        ticket = await self.made(tell, key)
        for at in range(MOST_WRITES):
            proxy.writes = ["pass"] * at + ["412"]
            outcome = await tell(key, Op.UPDATE, 2 + at, link=ticket, note="once more", wish=TicketState.WORKING)
            if proxy.writes:
                break
            assert isinstance(outcome, Done | Uncertain | Retry), outcome
            if not isinstance(outcome, Done):
                assert not getattr(outcome, "refused", False)
        proxy.writes = []
        assert isinstance(outcome, Done), outcome
        [seen] = system.tickets(key)
        assert seen.state is TicketState.WORKING

    @pytest.mark.parametrize("act", ["own", "work", "hold", "resolve", "close", "reopen", "note"])
    async def test_what_people_do_is_seen(self, system, receiver, tell, key, act) -> None:
        ticket = await self.made(tell, key)
        await tell(key, Op.UPDATE, 2, link=ticket)
        if act == "reopen":
            self.acted(system, ticket, "close")
        before = await receiver.port.read(ticket)
        assert before.said == ()
        nothing, cursor = await receiver.port.changed_since("")
        assert nothing == []
        assert cursor
        self.acted(system, ticket, act, "换了电池")
        changed, after = await receiver.port.changed_since(cursor)
        [remote] = [each for each in changed if each.id == ticket]
        assert remote.key == key
        match act:
            case "own":
                assert remote.owner
            case "note":
                assert ["换了电池" in said.text for said in remote.said] == [True]
                assert remote.said[0].by
            case "reopen":
                assert remote.state is not None
                assert not remote.state.over
            case _:
                assert remote.state is self.changes[act]
        assert remote.updated_at > 0
        assert after
        # Only what was changed again comes again, or what is within the overlap: each ticket once.
        again, _ = await receiver.port.changed_since(after)
        assert len([each for each in again if each.id == ticket]) <= 1

    async def test_one_that_was_deleted_is_made_anew(self, system, tell, key) -> None:
        ticket = await self.made(tell, key)
        await self.made(tell, f"{key}9")  # some databases give the highest number again when its row is deleted
        self.acted(system, ticket, "delete")
        outcome = await tell(key, Op.UPDATE, 2, link=ticket)
        assert isinstance(outcome, Done), outcome
        assert outcome.external_id != ticket
        assert ticket in outcome.also
        assert [each.id for each in system.tickets(key) if not each.state.over] == [outcome.external_id]

    async def test_a_number_that_belongs_to_another_incident_now_is_left_alone(self, system, tell, key) -> None:
        ticket, other = await self.made(tell, key), await self.made(tell, f"{key}9")
        self.settle(system)
        outcome = await tell(key, Op.UPDATE, 2, link=other, note="第二句")
        assert isinstance(outcome, Done), outcome
        assert outcome.external_id == ticket
        assert other in outcome.also
        assert ["第二句" in note for note in system.tickets(key)[0].notes].count(True) == 1
        assert not any("第二句" in note for note in system.tickets(f"{key}9")[0].notes)

    async def test_one_that_was_merged_is_followed(self, system, tell, key) -> None:
        ticket, other = await self.made(tell, key), await self.made(tell, f"{key}9")
        self.acted(system, ticket, "merge", other)
        outcome = await tell(key, Op.UPDATE, 2, link=ticket, note="合并后")
        assert isinstance(outcome, Done), outcome
        assert outcome.external_id == other
        [seen] = system.tickets(f"{key}9")
        assert ["合并后" in note for note in seen.notes].count(True) == 1

    def named(self, settings: dict[str, Any], found: list[Problem]) -> bool:
        return any(str(wrong) in problem.what and problem.mend for wrong in settings.values() for problem in found)

    async def test_preflight_names_a_queue_that_is_not_there(self, connected) -> None:
        if self.queueless is None:
            pytest.skip("the product has no queues")
        found = await connected(**self.queueless).preflight()
        assert self.named(self.queueless, found)

    async def test_preflight_names_a_wrong_secret(self, connected, tmp_path: Path) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text(self.wrong_secret)
        found = await connected(secret_file=wrong).preflight()
        assert found
        assert not any(problem.passing for problem in found)
        assert self.wrong_secret not in repr(found)

    async def test_preflight_names_a_key_field_that_is_not_there(self, connected) -> None:
        if self.keyless is None:
            pytest.skip("its key needs no field")
        found = await connected(**self.keyless).preflight()
        assert self.named(self.keyless, found)

    async def test_preflight_of_a_system_that_is_down_is_passing(self, proxy, receiver) -> None:
        proxy.always = "503"
        found = await receiver.preflight()
        assert found
        assert all(problem.passing for problem in found)

    def test_it_is_a_desk(self, receiver) -> None:
        assert isinstance(receiver, Desk)
