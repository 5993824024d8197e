"""The running watchdog: the pure path and stream, between a broker, a receiver of tickets and a file that remembers. Nothing of it depends on the
collector: when that is gone, it complains.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from tillwatch.agent.model import AGENT, MS, Reading, State
from tillwatch.agent.wire import WireError, batch_topic, life_topic, open_ack
from tillwatch.collector.alarm import drills
from tillwatch.collector.notify import READY, STOPPING, WATCHDOG, notify
from tillwatch.collector.sections import WatchdogSection
from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.signature import Secret
from tillwatch.collector.watch import path, stream
from tillwatch.collector.watch.complaints import MISSING, Complaints, message
from tillwatch.collector.watch.delays import Sample, kept
from tillwatch.collector.watch.identity import Identity
from tillwatch.collector.watch.link import Link
from tillwatch.collector.watch.memory import Grievance, Memory, write_down
from tillwatch.collector.watch.path import Path as Way
from tillwatch.collector.watch.path import Stage, Times
from tillwatch.collector.watch.receiver import Receiver, Ticket

log = logging.getLogger(__name__)

SLOTS = 60
"""Components that take turns. An alarm that comes back soon is taken for the same one; with one round every five minutes each has five hours of rest,
more than the four in which an incident is reopened."""
TURN_S = 10.0
"""The longest sleep: systemd hears that the watchdog lives."""
WRITE_S = 60.0
"""The memory is written at least so often: `status` sees that the watchdog runs."""
AGAIN_S = 10.0
"""What the collector has not stored is sent again so often, sooner where the limit is short: acks may get lost, and batches in a broker, too."""
AGAIN_LEAST_S = 1.0
"""Between two sendings that the collector asks for."""
MAX_EVENTS = 256
"""What was seen and is not looked at yet. Nothing is lost beyond it: batches are sent again, and so are acks."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class _Event:
    """Something that was seen, and when (ns, steady): the broker took the batch of this number, an ack as it came, or a ticket; None: the
    connection was lost.
    """

    at: int
    what: int | bytes | Ticket | None


class Watchdog:
    """settings: every, late and the state directory; secrets: of the drills; complaints: None where they are only logged and shown."""

    def __init__(
        self,
        settings: WatchdogSection,
        who: Identity,
        memory: Memory,
        secrets: Sequence[Secret],
        complaints: Complaints | None = None,
    ) -> None:
        self._settings, self._who, self._memory, self._complaints = settings, who, memory, complaints
        self._times = Times(int(settings.every * 1e9), int(settings.late * 1e9))
        self._again_s = min(AGAIN_S, settings.late / 4)
        self._way = path.resume(memory.way, time.monotonic_ns(), self._times)
        self._events: deque[_Event] = deque(maxlen=MAX_EVENTS)
        self._woken = asyncio.Event()
        self._sent = 0.0
        self._trouble = ""
        self._doubtful = self._unmarked = self._warned = False
        self._receiver = Receiver(settings.receiver, secrets, self._took)
        self._link = Link(
            who.host,
            who.port,
            who.terminal,
            who.context(),
            will=self._will,
            connected=self._speak,
            lost=lambda: self._note(None),
            heard=self._heard,
        )

    async def run(self, ended: asyncio.Event) -> int:
        """Until `ended` is set; the exit code. Raises ReceiverError before anything is sent."""
        await self._receiver.start()
        tasks = {
            asyncio.create_task(self._link.run(), name="link"),
            asyncio.create_task(self._watch(), name="watch"),
            asyncio.create_task(ended.wait(), name="signal"),
        }
        if self._complaints is not None:
            tasks.add(asyncio.create_task(self._complaints.run(), name="complaints"))
        notify(READY)
        log.info(
            "watchdog %s runs: a fault every %g s, late after %g s",
            self._who.terminal,
            self._settings.every,
            self._settings.late,
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code = 0
            for task in tasks:
                if task.done() and task.get_name() != "signal":
                    failure = task.exception()
                    log.critical("%s has ended: %s", task.get_name(), failure, exc_info=failure)
                    code = 1
        finally:
            notify(STOPPING)
            self._say("offline")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._receiver.stop()
        return code

    async def _watch(self) -> None:
        wake = time.monotonic_ns()
        while True:
            self._woken.clear()
            at = time.monotonic_ns()
            if at - wake > self._times.late // 2:
                log.warning("the watchdog was not let run for %.1f s: its limits begin anew", (at - wake) / 1e9)
                self._way = path.resume(self._way, at, self._times)
            while self._events:
                self._see(self._events.popleft())
            self._do(*path.tick(self._way, at, self._times))
            self._send_again()
            if time.time_ns() - self._memory.written_at > WRITE_S * 1e9:
                self._write()
            notify(WATCHDOG, f"STATUS={self._status()}")
            due = path.next_at(self._way, self._times)
            wait_s = min(TURN_S, self._again_s if self._memory.stream.payload else TURN_S)
            if due is not None:
                wait_s = min(wait_s, max(due - time.monotonic_ns(), 0) / 1e9)
            wake = time.monotonic_ns() + int(wait_s * 1e9)
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                continue
            wake = time.monotonic_ns()

    # What is seen: noted at once, looked at in the next turn.

    def _note(self, what: int | bytes | Ticket | None) -> None:
        self._events.append(_Event(time.monotonic_ns(), what))
        self._woken.set()

    def _took(self, ticket: Ticket) -> None:
        if ticket.terminal == self._who.terminal:
            self._note(ticket)
        elif ticket.drill:
            word = "is over" if ticket.resolved else "has arrived"
            log.info("the drill %s on %s %s %s", ticket.incident, ticket.terminal, ticket.component, word)

    def _heard(self, payload: bytes) -> None:
        self._note(payload)

    def _see(self, event: _Event) -> None:
        match event.what:
            case int(seq):
                if seq == self._memory.stream.seq:
                    self._pass(Stage.BROKER, Stage.END_BROKER, event.at)
            case bytes(payload):
                self._answered(payload, event.at)
            case Ticket() as ticket:
                self._ticket(ticket, event.at)
            case None:
                self._way = path.cut_off(self._way)

    def _pass(self, fault: Stage, end: Stage, at: int) -> None:
        one = self._way.round
        if one is not None:
            self._do(*path.saw(self._way, one.n, end if one.ended else fault, at))

    def _answered(self, payload: bytes, at: int) -> None:
        try:
            ack = open_ack(self._who.terminal, payload, self._who.ack_keys.get)
        except WireError as error:
            if not self._doubtful:
                log.warning("an ack that is not the collector's was ignored: %s", error)
            self._doubtful = True
            return
        self._doubtful = False
        after, heard = stream.heard(self._memory.stream, ack)
        match heard:
            case stream.Heard.STORED:
                self._trouble = ""
                self._memory = replace(self._memory, stream=after)
                # What is stored was taken, whether or not the broker's own word for it got lost.
                self._pass(Stage.BROKER, Stage.END_BROKER, at)
                self._pass(Stage.STORED, Stage.END_STORED, at)
                self._write()
            case stream.Heard.REFUSED:
                self._memory = replace(self._memory, stream=after)
                self._worry(f"the collector refuses the batch: {ack.refused[0][1]}")
                self._way = path.settle(self._way, self._way.n)
                self._write()
            case stream.Heard.STRANGER:
                self._worry("the collector does not know the watchdog's key; enrol it again, and start it again")
            case stream.Heard.FORKED:
                self._worry(
                    "the collector has another history under this key: an old copy of the state, or a second watchdog; a new epoch begins"
                )
                self._memory = replace(self._memory, stream=stream.begin(time.time_ns(), os.urandom(8)))
                self._way = path.settle(self._way, self._way.n)
                self._write()
                self._say("online")
            case stream.Heard.AGAIN if time.monotonic() - self._sent > AGAIN_LEAST_S:
                self._speak()

    def _ticket(self, ticket: Ticket, at: int) -> None:
        one = self._way.round
        if one is None:
            return
        if not ticket.drill:
            if not self._unmarked:
                log.error(
                    "a drill has arrived without its flag: is %s enrolled with --class watchdog?", self._who.terminal
                )
            self._unmarked = True
            return
        about = abs(ticket.since - self._memory.fault_at) < self._times.every * SLOTS // 2
        if ticket.resolved:
            if ticket.incident == self._memory.incident:
                self._do(*path.saw(self._way, one.n, Stage.RESOLVE, at))
        elif ticket.component == _component(one.n) and about:
            self._memory = replace(self._memory, incident=ticket.incident)
            self._do(*path.saw(self._way, one.n, Stage.TICKET, at))
            self._write()

    def _worry(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble

    # What the path asks for.

    def _do(self, way: Way, actions: Sequence[path.Action]) -> None:
        self._way = way
        for action in actions:
            match action:
                case path.Send(n, fault):
                    self._seal(n, fault=fault)
                case path.Complain(complaint):
                    self._complain(complaint)
                case path.Relieve(complaint):
                    self._relieve(complaint)
                case path.Completed(one):
                    now = time.time_ns()
                    late = self._memory.grievance is not None
                    sample = Sample(now, late, one.delays() if one.measured else {})
                    samples = kept((*self._memory.samples, sample), now)
                    self._memory = replace(self._memory, whole_at=now, whole=one.n, samples=samples)
                    self._warn_of_certificate()
                case path.GivenUp():
                    now = time.time_ns()
                    samples = kept((*self._memory.samples, Sample(now, late=True, delays={})), now)
                    self._memory = replace(self._memory, samples=samples)
        if actions:
            self._write()

    def _seal(self, n: int, *, fault: bool) -> None:
        """Every batch says of all components how they are: whatever was lost before, the next one puts it right."""
        now = _now()
        broken = _component(n) if fault else ""
        readings = [Reading(AGENT, "monitor.interval", now.utc, self._settings.every)]
        for slot in range(SLOTS):
            name = _component(slot)
            word, state = (drills.FAULT, State.CRIT) if name == broken else (drills.NONE, State.OK)
            readings.append(Reading(name, drills.SIGNAL, now.utc, word, state=state))
        sealed = stream.sealed(self._memory.stream, self._who.key, self._who.terminal, readings, now)
        self._memory = replace(self._memory, stream=sealed)
        if fault:
            self._memory = replace(self._memory, fault_at=now.utc, incident="")
        # Written down before it leaves: a crash between the two sends the same bytes again.
        self._write()
        self._publish()

    def _complain(self, complaint: path.Complaint) -> None:
        now = time.time_ns()
        text = "; ".join(filter(None, (MISSING[complaint.stage], self._trouble)))
        before = self._memory.grievance
        if before is None:
            name = f"WATCH-{datetime.fromtimestamp(now / 1e9, UTC):%Y%m%d-%H%M%S}-{complaint.n}"
            grievance, op = Grievance(name, now, 1, text), Op.OPEN
        else:
            grievance, op = replace(before, told=before.told + 1, text=text), Op.UPDATE
        log.error("round %d is late at the stage %s: %s", complaint.n, complaint.stage, text)
        self._tell(grievance, complaint.stage, op, now)
        self._memory = replace(self._memory, grievance=grievance)

    def _relieve(self, complaint: path.Complaint) -> None:
        grievance = self._memory.grievance
        assert grievance is not None
        now = time.time_ns()
        log.warning("a round has gone the whole way again, after %.0f s", (now - grievance.since) / 1e9)
        self._tell(replace(grievance, told=grievance.told + 1), complaint.stage, Op.RESOLVE, now)
        self._memory = replace(self._memory, grievance=None)
        self._unmarked = False

    def _tell(self, grievance: Grievance, stage: Stage, op: Op, now: int) -> None:
        if self._complaints is not None:
            self._complaints.tell(message(self._who.terminal, grievance, stage, op, now))

    # What leaves.

    def _will(self) -> bytes:
        """Of the connection to come; its birth has the same number."""
        self._memory = replace(self._memory, stream=replace(self._memory.stream, life=self._memory.stream.life + 1))
        self._write()
        return stream.life(self._memory.stream, self._who.key, self._who.terminal, "offline", _now())

    def _speak(self) -> None:
        """Where the stream stands, then what waits."""
        self._say("online")
        self._publish()

    def _say(self, state: str) -> None:
        self._link.publish(
            life_topic(self._who.terminal),
            stream.life(self._memory.stream, self._who.key, self._who.terminal, state, _now()),
        )

    def _publish(self) -> None:
        waiting = self._memory.stream
        self._sent = time.monotonic()
        if waiting.payload:
            self._link.publish(batch_topic(self._who.terminal), waiting.payload, lambda: self._note(waiting.seq))

    def _send_again(self) -> None:
        if self._memory.stream.payload and time.monotonic() - self._sent >= self._again_s:
            self._speak()

    def _write(self) -> None:
        """Raises OSError: a watchdog that cannot remember must not go on."""
        self._memory = write_down(self._settings.state_dir, replace(self._memory, way=self._way), time.time_ns())

    def _status(self) -> str:
        grievance = self._memory.grievance
        if grievance is not None:
            return f"complains: {grievance.text}"
        return (
            f"round {self._memory.whole} has gone the whole way"
            if self._memory.whole
            else "the first round is under way"
        )

    def _warn_of_certificate(self) -> None:
        warning = self._who.warning(datetime.now(UTC))
        if warning and not self._warned:
            log.warning("%s", warning)
        self._warned = bool(warning)


def _component(n: int) -> str:
    return f"{drills.DEVICE}/{n % SLOTS:02}"


def _now() -> stream.Moment:
    if sys.platform == "linux":
        up = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    else:
        up = time.monotonic_ns()
    return stream.Moment(time.time_ns() // MS * MS, _boot(), up // MS)


@cache
def _boot() -> bytes:
    """8 bytes that change with every boot; where the kernel has no such name, with every start."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text("ascii").strip().replace("-", ""))[:8]
    except (OSError, ValueError):
        return os.urandom(8)
