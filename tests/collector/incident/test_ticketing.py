"""What ticket changes do to incidents: told as stories, and as whatever may happen between a ticket system, terminals and people."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.collector.sending import T0
from tests.collector.stories.stage import DAY, HOUR, MINUTE, PATIENT, S, Stage
from tillwatch.agent.model import State
from tillwatch.collector.incident.incidents import (
    ACKNOWLEDGED,
    CLOSED,
    OPEN,
    PLANNED,
    RESOLVED,
    RESTORED,
    Incident,
)
from tillwatch.collector.tickets.message import Op, TicketMessage, TicketState

RULES = PATIENT + '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'
DISK = ("disk.full", "atm-1", "host/disk:/")
RT = "ticket rt rt-1"
GRACE = 15 * MINUTE


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, rules=RULES)
    stage.terminal("atm-1")
    yield stage
    stage.restart()
    stage.rebuilt()
    stage.store.close()


def broken(stage: Stage, percent: float = 99) -> str:
    """A fault whose ticket was made."""
    stage.players["atm-1"].disk(percent)
    stage.wait(MINUTE)
    corr_id = stage.incident("disk.full").corr_id
    stage.delivered(corr_id, "open")
    return corr_id


def now(stage: Stage, corr_id: str) -> Incident:
    return next(each for each in stage.incidents() if each.corr_id == corr_id)


def wishes(stage: Stage, corr_id: str) -> list[TicketState | None]:
    return [each.wish for each in stage.told if each.incident == corr_id]


# Who has it.


def test_the_first_hand_on_the_ticket_is_the_response(stage: Stage) -> None:
    """It counts from then, is said of its alarms too, and is not told to the ticket that says it."""
    corr_id = broken(stage)
    with stage.quiet():
        stage.ticket(corr_id, "working", owner="chen")
    taken = now(stage, corr_id)
    assert (taken.state, taken.owner, taken.responded_at) == (ACKNOWLEDGED, "chen", stage.fold.advanced_to)
    assert stage.alarm(*DISK).acked_by == "chen"
    event = stage.log(corr_id)[-1]
    assert (event.kind, event.detail["by"], event.detail["source"]) == ("acknowledged", "chen", RT)
    stage.wait(5 * MINUTE)
    with stage.quiet():
        stage.ticket(corr_id, "working", owner="zhou", by="chen")
    handed = now(stage, corr_id)
    assert (handed.owner, handed.responded_at) == ("zhou", taken.responded_at)
    assert stage.log(corr_id)[-1].detail == {"by": "chen", "to": "zhou", "source": RT}


def test_who_answered_in_the_console_was_first(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.act("acknowledge", incident=corr_id)
    taken = now(stage, corr_id)
    stage.delivered(corr_id, "working")
    stage.wait(MINUTE)
    stage.ticket(corr_id, "working")
    after = now(stage, corr_id)
    assert (after.responded_at, after.owner) == (taken.responded_at, "li.wei")


def test_a_ticket_that_waits_holds_the_repair(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.ticket(corr_id, "on_hold", status="Waiting for vendor")
    held = now(stage, corr_id)
    assert (held.on_hold, held.state) == ("Waiting for vendor", ACKNOWLEDGED)
    stage.wait(HOUR)
    stage.restart()
    stage.ticket(corr_id, "working")
    assert now(stage, corr_id).on_hold == ""
    assert [each.detail.get("source") for each in stage.log(corr_id) if each.kind in ("held", "resumed")] == [RT, RT]


@pytest.mark.parametrize("word", [PLANNED, "working again"])
def test_a_status_in_the_policys_own_words_is_a_persons_hold(stage: Stage, word: str) -> None:
    corr_id = broken(stage)
    stage.ticket(corr_id, "on_hold", status=word)
    assert now(stage, corr_id).on_hold == "on_hold"


def test_what_the_ticket_was_asked_for_is_no_act_of_a_person(stage: Stage) -> None:
    """The echo of a hold that was ended meanwhile does not hold again, and the state of before it does not end it."""
    corr_id = broken(stage)
    stage.act("acknowledge", incident=corr_id)
    stage.delivered(corr_id, "working")
    stage.act("hold", incident=corr_id, reason="parts")
    stage.ticket(corr_id, "working")
    assert now(stage, corr_id).on_hold == "parts", "read before the ticket was asked"
    stage.act("resume", incident=corr_id)
    stage.ticket(corr_id, "on_hold")
    assert now(stage, corr_id).on_hold == "", "the echo of what is over"
    stage.delivered(corr_id, "working")
    stage.ticket(corr_id, "on_hold")
    assert now(stage, corr_id).on_hold == "on_hold", "a person"


# That it is over.


def test_closed_when_it_is_over_is_resolved(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.players["atm-1"].disk(10)
    with stage.quiet():
        stage.ticket(corr_id, "resolved", owner="chen", by="chen", verdict="part_changed", part="disk")
    done = now(stage, corr_id)
    assert (done.state, done.verdict, done.part) == (RESOLVED, "part_changed", "disk")
    (label,) = [each for each in stage.log(corr_id) if each.kind == "verdict"]
    assert label.detail == {"by": "chen", "verdict": "part_changed", "part": "disk", "source": RT}
    stage.ticket(corr_id, "closed", verdict="part_changed", part="disk")
    assert stage.kinds(corr_id).count("verdict") == 1, "it was said before"


def test_a_verdict_that_comes_late_is_a_label_all_the_same(stage: Stage) -> None:
    """Also where the incident is closed, and where nothing can come of it any more."""
    corr_id = broken(stage)
    stage.players["atm-1"].disk(10)
    stage.ticket(corr_id, "resolved")
    stage.wait(5 * HOUR)
    assert now(stage, corr_id).state == CLOSED
    stage.ticket(corr_id, "closed", verdict="no_fault_found")
    assert now(stage, corr_id).verdict == "no_fault_found"
    stage.wait(DAY)
    assert corr_id not in stage.fold.book.incidents
    stage.ticket(corr_id, "closed", verdict="false_alarm")
    labels = [each.detail["verdict"] for each in stage.log(corr_id) if each.kind == "verdict"]
    assert labels == ["no_fault_found", "false_alarm"]


@pytest.mark.parametrize(
    ("state", "verdict"), [("resolved", ""), ("closed", ""), ("rejected", "false_alarm"), ("duplicate", "")]
)
def test_closed_while_it_lasts_is_opened_again(stage: Stage, state: str, verdict: str) -> None:
    """A note at once, and after the grace the ticket is opened, once, across a restart."""
    corr_id = broken(stage)
    stage.ticket(corr_id, state, verdict=verdict)
    note = stage.told[-1]
    assert (note.op, note.wish, "is opened again at" in note.note) == (Op.UPDATE, None, True)
    stage.delivered(corr_id, state)
    assert now(stage, corr_id).living
    with stage.quiet():
        stage.wait(GRACE - MINUTE)
    stage.restart()
    stage.wait(2 * MINUTE)
    back = next(each for each in reversed(stage.told) if each.op is Op.OPEN)
    assert (back.wish, back.note.startswith("wang closed it, but the fault is still there")) == (TicketState.OPEN, True)
    assert stage.ops(corr_id).count(Op.OPEN) == 2
    assert (now(stage, corr_id).state, now(stage, corr_id).reopened) == (OPEN, 1)
    stage.ticket(corr_id, state)  # the sender has not been there yet
    stage.ticket(corr_id, "closed")
    stage.wait(2 * GRACE)
    assert stage.ops(corr_id).count(Op.OPEN) == 2
    stage.delivered(corr_id, "open")
    stage.ticket(corr_id, state)
    stage.wait(2 * GRACE)
    assert stage.ops(corr_id).count(Op.OPEN) == 3, "a person again"


def test_the_readings_come_round_within_the_grace(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.ticket(corr_id, "resolved", by="chen", verdict="true_fault")
    stage.wait(10 * MINUTE)
    stage.players["atm-1"].disk(10)
    done = now(stage, corr_id)
    assert (done.state, done.verdict) == (RESOLVED, "true_fault")
    (event,) = [each for each in stage.log(corr_id) if each.kind == "resolved"]
    assert (event.detail["by"], event.detail["source"]) == ("chen", RT)
    with stage.quiet():
        stage.wait(HOUR)
    assert stage.ops(corr_id).count(Op.OPEN) == 1


def test_a_small_fault_that_ends_within_the_grace_keeps_the_verdict(stage: Stage) -> None:
    corr_id = broken(stage, percent=93)
    stage.ticket(corr_id, "resolved", verdict="true_fault")
    stage.players["atm-1"].disk(10)
    assert (now(stage, corr_id).state, now(stage, corr_id).verdict) == (RESOLVED, "true_fault")
    stage.wait(HOUR)
    assert stage.ops(corr_id).count(Op.OPEN) == 1


def test_who_opens_it_again_himself_is_not_corrected(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.ticket(corr_id, "resolved")
    stage.wait(5 * MINUTE)
    stage.ticket(corr_id, "working")
    stage.wait(HOUR)
    assert stage.ops(corr_id).count(Op.OPEN) == 1
    assert now(stage, corr_id).claim is None


def test_a_ticket_that_is_opened_again_opens_its_incident(stage: Stage) -> None:
    """Only a person ends it then: the readings had nothing to say."""
    corr_id = broken(stage)
    stage.players["atm-1"].disk(10)
    stage.ticket(corr_id, "resolved")
    stage.wait(HOUR)
    stage.ticket(corr_id, "open")
    assert (now(stage, corr_id).state, now(stage, corr_id).reopened) == (OPEN, 1)
    stage.wait(HOUR)
    stage.ticket(corr_id, "resolved")
    assert now(stage, corr_id).state == RESOLVED
    stage.wait(5 * HOUR)
    stage.ticket(corr_id, "open")
    assert now(stage, corr_id).state == CLOSED


def test_nothing_that_a_ticket_says_ends_an_alarm(stage: Stage) -> None:
    """A skimmer that is gone waits for somebody who is known here."""
    atm = stage.players["atm-1"]
    atm.says("atm/IDC1", "atm.antifraud", "deviceDetected", State.CRIT)
    stage.wait(MINUTE)
    atm.says("atm/IDC1", "atm.antifraud", "ok", State.OK)
    (incident,) = [each for each in stage.incidents() if each.tamper]
    stage.delivered(incident.corr_id, "open")
    before = [each for each in stage.alarms() if each.open]
    assert before
    stage.ticket(incident.corr_id, "working", owner="chen")
    stage.ticket(incident.corr_id, "closed", verdict="false_alarm")
    stage.wait(HOUR)
    assert [each.id for each in stage.alarms() if each.open] == [each.id for each in before]
    assert now(stage, incident.corr_id).living
    assert stage.ops(incident.corr_id).count(Op.OPEN) == 2


# The ticket itself.


def test_a_deleted_ticket_is_made_anew(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.ticket(corr_id, "", gone=True)
    assert [(each.op, each.wish) for each in stage.told if each.incident == corr_id][-1] == (Op.OPEN, TicketState.OPEN)
    assert stage.store.conn.execute("SELECT external_id FROM ticket_link WHERE incident = ?", (corr_id,)).fetchone() == ("",)  # fmt: skip
    gone = stage.incident("tickets.gone")
    assert (gone.state, gone.component, corr_id in gone.cause) == (RESOLVED, "rt", True)
    stage.delivered(corr_id, "open", external_id="rt-2")
    stage.ticket(corr_id, "", gone=True)
    assert stage.ops(corr_id).count(Op.OPEN) == 2, "that was the old one"
    stage.ticket(corr_id, "", gone=True, external_id="rt-2")
    assert [each.fault for each in stage.incidents()].count("tickets.gone") == 1, "one for a connector and a day"
    stage.wait(2 * DAY)
    stage.delivered(corr_id, "open", external_id="rt-3")
    stage.ticket(corr_id, "", gone=True, external_id="rt-3")
    assert [each.fault for each in stage.incidents()].count("tickets.gone") == 2


def test_a_merged_ticket_is_followed(stage: Stage) -> None:
    corr_id = broken(stage)
    with stage.quiet():
        stage.ticket(corr_id, "duplicate", merged_into="rt-9")
    assert stage.store.conn.execute("SELECT external_id FROM ticket_link WHERE incident = ?", (corr_id,)).fetchone() == ("rt-9",)  # fmt: skip
    stage.ticket(corr_id, "working", external_id="rt-9", owner="chen")
    assert now(stage, corr_id).owner == "chen"


def test_a_ticket_that_a_person_links_is_the_one_from_then_on(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.delivered(corr_id, "open", connector="jira", origin="linked")
    stage.ticket(corr_id, "working", connector="jira", owner="chen")
    assert (now(stage, corr_id).owner, [each.connector for each in now(stage, corr_id).tickets]) == ("chen", ["jira"])


def test_another_ticket_of_the_same_key_says_nothing(stage: Stage) -> None:
    """Two were made at once, one of them was closed as the duplicate."""
    corr_id = broken(stage)
    with stage.quiet():
        stage.ticket(corr_id, "duplicate", external_id="rt-2", owner="wang")
        stage.wait(2 * MINUTE)
    assert now(stage, corr_id).responded_at == 0


def test_what_people_write_is_history(stage: Stage) -> None:
    corr_id = broken(stage)
    with stage.quiet():
        stage.ticket(
            corr_id, "open", said=[["7", "chen", stage.now, "盘已订"], ["8", "wang", stage.now, "arrives at 3"]]
        )
    notes = [each.detail for each in stage.log(corr_id) if each.kind == "note"]
    assert [(each["by"], each["text"], each["source"]) for each in notes] == [("chen", "盘已订", RT), ("wang", "arrives at 3", RT)]  # fmt: skip


def test_another_ticket_system_is_told_what_the_first_one_says(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.delivered(corr_id, "open", connector="jira")
    stage.ticket(corr_id, "working", owner="chen")
    message = stage.told[-1]
    assert (message.wish, message.source, message.note) == (TicketState.WORKING, "rt", "chen has taken it on")
    with stage.quiet():
        stage.delivered(corr_id, "working", connector="jira")
        stage.ticket(corr_id, "working", connector="jira", by="")


# What people and the policy ask of a ticket.


def test_each_act_says_how_the_ticket_is_to_stand(stage: Stage) -> None:
    corr_id = broken(stage)
    asked = (("acknowledge", "working"), ("hold", "on_hold"), ("assign", None), ("resume", "working"), ("in-repair", "working"), ("note", None), ("resolve", "open"))  # fmt: skip
    for act, wish in asked:
        stage.act(act, incident=corr_id, reason="parts", to="chen", text="x", verdict="true_fault")
        assert wish in wishes(stage, corr_id)[-2:], act  # who is called then comes behind it
    stage.players["atm-1"].disk(10)
    assert (stage.told[-1].op, stage.told[-1].wish) == (Op.RESOLVE, None), "people have not settled it"
    stage.act("resolve", incident=corr_id, verdict="true_fault")
    stage.act("close", incident=corr_id)
    assert wishes(stage, corr_id)[-2:] == [TicketState.RESOLVED, TicketState.CLOSED]
    assert (stage.told[-1].fault, stage.told[-1].terminal_class) == ("disk.full", "atm")


def test_a_small_fault_that_is_over_resolves_its_ticket(stage: Stage) -> None:
    corr_id = broken(stage, percent=93)
    stage.players["atm-1"].disk(10)
    assert wishes(stage, corr_id) == [TicketState.OPEN, TicketState.RESOLVED]


def test_what_nobody_confirms_is_said(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.players["atm-1"].disk(10)
    stage.wait(7 * DAY + MINUTE)
    assert (stage.told[-1].incident, stage.told[-1].op, stage.told[-1].wish) == (
        corr_id,
        Op.UPDATE,
        TicketState.RESOLVED,
    )
    assert "nobody has said anything against it" in stage.told[-1].note


def test_a_ticket_waits_with_the_maintenance(stage: Stage) -> None:
    corr_id = broken(stage)
    words = {"reason": "new disk", "approved_by": "chen", "change_ref": "C-1"}
    stage.act("window", id="w-1", scope="atm-1", **{"from": stage.now, "to": stage.now + HOUR}, **words)
    assert stage.told[-1].wish is TicketState.ON_HOLD
    stage.wait(HOUR)
    assert TicketState.OPEN in wishes(stage, corr_id)[-2:]


def test_what_is_back_is_with_whoever_had_it(stage: Stage) -> None:
    corr_id = broken(stage)
    stage.act("in-repair", incident=corr_id)
    stage.players["atm-1"].disk(10)
    stage.wait(MINUTE)
    stage.players["atm-1"].disk(99)
    assert (stage.told[-1].op, stage.told[-1].wish, now(stage, corr_id).state) == (
        Op.OPEN,
        TicketState.WORKING,
        ACKNOWLEDGED,
    )


# Between a ticket system, a terminal and people, in any order.


@dataclass
class Remote:
    """A ticket as its system has it. changed: by its clock."""

    id: str
    state: str
    owner: str
    changed: int
    seen: int = 0
    seen_at: int = 0


OVER = ("resolved", "closed", "rejected", "duplicate")
ACTS = ("own", "work", "hold", "resolve", "close", "reject", "reopen", "note", "delete", "work", "resolve", "reopen")
TO = {
    "work": "working",
    "hold": "on_hold",
    "resolve": "resolved",
    "close": "closed",
    "reject": "rejected",
    "reopen": "open",
}


class TwoSides(RuleBasedStateMachine):
    """The ticket system says of every change who-knows-who made it: echoes are not filtered. Its answers may be old when they are kept."""

    @initialize()
    def start(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.stage = Stage(Path(self.temporary.name), rules=RULES)
        self.stage.terminal("atm-1")
        self.remotes: dict[str, Remote] = {}
        self.clock, self.made, self.sent = T0, 0, 0
        self.gone: list[tuple[str, str]] = []
        self.acts: dict[str, Counter[str]] = {}
        self.read: list[tuple[str, Remote]] = []
        self.responded: dict[str, int] = {}
        self.say(99)
        self.stage.wait(MINUTE)
        self.deliver(2)

    def _tick(self) -> int:
        self.clock += S
        return self.clock

    @property
    def waiting(self) -> list[TicketMessage]:
        return self.stage.told[self.sent :]

    # What a terminal says, and what time does.

    @rule(percent=st.sampled_from((10, 10, 93, 99, 99)))
    def say(self, percent: float) -> None:
        self.stage.players["atm-1"].disk(percent)

    @rule(ns=st.sampled_from((S, MINUTE, 5 * MINUTE, 14 * MINUTE, 16 * MINUTE, HOUR, 5 * HOUR)))
    def wait(self, ns: int) -> None:
        self.stage.wait(ns)

    @rule(away=st.sampled_from((0, 20 * MINUTE)))
    def restart(self, away: int) -> None:
        self.stage.restart(away=away)

    # What the sender does.

    @rule(n=st.integers(1, 4))
    def deliver(self, n: int) -> None:
        for message in self.waiting[:n]:
            self.sent += 1
            remote = self.remotes.get(message.incident)
            if remote is None:
                self.made += 1
                remote = Remote(f"rt-{self.made}", "open", "", 0)
                self.remotes[message.incident] = remote
            if message.wish is not None and message.source != "rt":
                remote.state = message.wish.value
            remote.changed = self._tick()
            self.stage.delivered(
                message.incident, remote.state, external_id=remote.id, updated_at=remote.changed, owner=remote.owner
            )

    # What people do at the ticket, and when it is seen.

    @rule(act=st.sampled_from(ACTS), who=st.sampled_from(("chen", "zhou")), seen=st.booleans())
    def person(self, act: str, who: str, seen: bool) -> None:
        """At the ticket of the last incident; seen: at once."""
        name = max(self.remotes, key=lambda each: int(self.remotes[each].id[3:]), default="")
        if name:
            self._person(name, act, who)
            if seen:
                self.poll(fresh=True)

    def _person(self, name: str, act: str, who: str) -> None:
        remote, before = self.remotes[name], self.remotes[name].state
        if act == "delete":
            self.gone.append((name, self.remotes.pop(name).id))
            return
        if act == "own":
            remote.owner = who
        remote.state = TO.get(act, remote.state)
        if act in ("own", "note") or remote.state != before:
            self.acts.setdefault(name, Counter())[act] += 1
            if remote.state in OVER and before not in OVER:
                self.acts[name]["over"] += 1
            if before == "on_hold" and remote.state != before:
                self.acts[name]["unheld"] += 1
        remote.changed = self._tick()

    @rule()
    def ask(self) -> None:
        """What is read now is kept later."""
        self.read = [
            (name, Remote(**vars(remote))) for name, remote in self.remotes.items() if remote.seen != remote.changed
        ]

    @rule(fresh=st.booleans())
    def poll(self, fresh: bool) -> None:
        if fresh:
            self.ask()
        for name, was in self.read:
            self.stage.ticket(
                name, was.state, external_id=was.id, owner=was.owner, updated_at=was.changed, by=was.owner or "somebody"
            )
            remote = self.remotes.get(name)
            if remote is not None and remote.id == was.id:
                remote.seen, remote.seen_at = was.changed, self.stage.fold.advanced_to
        self.read = []
        for name, ticket_id in self.gone:
            self.stage.ticket(name, "", external_id=ticket_id, gone=True)
        self.gone = []

    # What people do in the console.

    @rule(act=st.sampled_from(("acknowledge", "assign", "in-repair", "hold", "resume", "resolve", "close", "note")))
    def operate(self, act: str) -> None:
        living = [each for each in self.stage.fold.book.incidents.values() if each.fault == "disk.full"]
        if living:
            words = {"to": "chen", "reason": "parts", "text": "x", "verdict": "true_fault"}
            self.stage.act(act, incident=max(living, key=lambda each: each.opened_at).corr_id, **words)

    # What holds at every moment.

    @invariant()
    def the_promises_hold(self) -> None:
        for incident in list(self.stage.fold.book.incidents.values()):
            if incident.fault == "disk.full":
                self._nothing_happens_without_a_person(incident)
                self._the_response_stays(incident)
                self._no_fault_has_a_closed_ticket(incident)

    def _nothing_happens_without_a_person(self, incident: Incident) -> None:
        """As many acts as people have done at the ticket, and no more: an echo would be one more each time it comes."""
        log, acts = self.stage.log(incident.corr_id), self.acts.get(incident.corr_id, Counter[str]())
        from_tickets = Counter(each.kind for each in log if each.detail.get("source"))
        claims = sum("closed it, but" in str(each.detail.get("text", "")) for each in log)
        assert claims <= acts["over"]
        assert from_tickets["held"] <= acts["hold"]
        assert from_tickets["resumed"] <= acts["unheld"]
        assert from_tickets["acknowledged"] <= acts.total()
        overruled = [each for each in log if each.kind == "reopened" and each.detail.get("by") == "policy"]
        assert len(overruled) <= claims
        by_people = [each for each in log if each.kind == "reopened" and each.detail.get("source")]
        assert len(by_people) - len(overruled) <= acts.total()
        gone = sum("it is made anew" in str(each.detail.get("text", "")) for each in log)
        causes = sum(each.kind in ("announced", "reopened") for each in log) + gone
        assert self.stage.ops(incident.corr_id).count(Op.OPEN) <= causes

    def _the_response_stays(self, incident: Incident) -> None:
        before = self.responded.get(incident.corr_id, 0)
        log = self.stage.log(incident.corr_id)
        anew = max((each.at for each in log if each.kind in ("reopened", "level")), default=0)
        if before and before >= anew:
            assert incident.responded_at == before
        self.responded[incident.corr_id] = incident.responded_at

    def _no_fault_has_a_closed_ticket(self, incident: Incident) -> None:
        remote = self.remotes.get(incident.corr_id)
        if remote is None or incident.level > 2 or not incident.living or incident.state == RESTORED:
            return
        if not any(each.open for each in self.stage.fold.book.of(incident.corr_id, "root", "consequence")):
            return
        if remote.state in OVER and remote.seen == remote.changed and self.stage.now > remote.seen_at + GRACE:
            back = [each for each in self.waiting if each.incident == incident.corr_id and each.wish is not None]
            assert any(each.wish in (TicketState.OPEN, TicketState.WORKING) for each in back), (
                "closed, and nobody opens it"
            )

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            self.stage.restart()
            self.stage.rebuilt()
        finally:
            self.stage.store.close()
            self.temporary.cleanup()


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
