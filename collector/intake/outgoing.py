"""What goes to terminals and openers over one connection, and over the other nodes where this one's node has no queue for it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from tillwatch.collector.intake.amqp import AmqpSettings, Link, ReturnedError, open_link, publish, tell
from tillwatch.collector.intake.detour import PACE_S, Detour, Letter
from tillwatch.collector.intake.topology import MQTT_EXCHANGE, down_queue

if TYPE_CHECKING:
    from aiormq import Channel

log = logging.getLogger(__name__)

MAX_UNCONFIRMED = 2000
"""Messages of which the node has not said whether it has a queue for them. It keeps this to itself while a node that it has not missed yet does not answer; what is too
much is sent without being asked about.
"""
CONFIRM_S = 5.0
"""A node that does not reach another one any more, and has not missed it yet, says nothing of what is for a queue there: after this long it goes over the others too."""

TOLD_FROM = 20
"""Messages of one connection that another node took, when it is said: single ones are for terminals that were going from one node to the other."""


class Counted(Protocol):
    """rerouted: messages that went another way than by the exchange of the link's node; unsent: that were to go over another node and did not, for the bound of what
    waits, or as it did not answer.
    """

    rerouted: int
    unsent: int


class Outgoing:
    """Of one link. counted: where it counts."""

    def __init__(self, settings: AmqpSettings, link: Link, counted: Counted) -> None:
        self._settings, self._link, self._counted = settings, link, counted
        self._sending: set[asyncio.Task[None]] = set()
        self._ways = {node: Detour() for node in dict.fromkeys(settings.hosts) if node != link.node}
        self._work = {node: asyncio.Event() for node in self._ways}
        self._taken = 0

    async def start(self) -> None:
        self._asking = await self._link.channel(confirms=True)
        self._plain = await self._link.channel()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for node in self._ways:
                    group.create_task(self._keep(node), name=f"detour {node[0]}")
        finally:
            for task in self._sending:
                task.cancel()

    async def send(self, exchange: str, key: str, body: bytes, kind: str = "") -> None:
        """In the order of the calls; returns before anybody has it."""
        if not self._ways or len(self._sending) >= MAX_UNCONFIRMED:
            await tell(self._plain, exchange, key, body, kind)
            return
        task = asyncio.create_task(self._ask(Letter(kind, exchange, key, body)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _ask(self, letter: Letter) -> None:
        loop = asyncio.get_running_loop()
        late = loop.call_later(CONFIRM_S, self._reroute, letter)
        try:
            if await _taken(self._asking, letter):
                return
            if await _taken_past_the_tree(self._asking, letter):
                self._counted.rerouted += 1
            elif loop.time() < late.when():
                self._reroute(letter)
        except Exception as error:  # as below: the link is lost with its channel, and says why
            log.debug("not sent: %s", error)
        finally:
            late.cancel()

    def _reroute(self, letter: Letter) -> None:
        now = time.monotonic()
        for node, way in self._ways.items():
            self._counted.unsent += way.add(letter, now)
            self._work[node].set()

    async def _keep(self, node: tuple[str, int]) -> None:
        way, work, failing = self._ways[node], self._work[node], False
        while True:
            while not len(way):
                work.clear()
                await work.wait()
            link = None
            try:
                link = await open_link(self._settings, *node)
                failing = False
                await self._carry(node, link)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the libraries have some forty kinds
                if not failing:
                    log.info("nothing goes over %s port %d instead: %s", *node, str(error) or type(error).__name__)
                failing = True
                self._counted.unsent += way.failed(time.monotonic())
            finally:
                if link is not None:
                    await link.close()

    async def _carry(self, node: tuple[str, int], link: Link) -> None:
        """Until nothing has been due for a while, or the connection is lost while nothing is."""
        way, work = self._ways[node], self._work[node]
        channel = await link.channel(confirms=True)
        while not link.lost.done():
            work.clear()
            if letters := way.take(time.monotonic()):
                async with asyncio.timeout(CONFIRM_S):
                    taken = await asyncio.gather(*(_taken_anyhow(channel, letter) for letter in letters))
                way.answered()
                self._count(node, sum(taken))
                await asyncio.sleep(PACE_S)
            elif spare_s := way.spare_s(time.monotonic()):
                more = asyncio.create_task(work.wait())
                either: set[asyncio.Future[Any]] = {more, link.lost}
                await asyncio.wait(either, timeout=spare_s, return_when=asyncio.FIRST_COMPLETED)
                more.cancel()
            else:
                return

    def _count(self, node: tuple[str, int], taken: int) -> None:
        before, self._taken = self._taken, self._taken + taken
        if before < TOLD_FROM <= self._taken:
            log.warning(
                "the broker's node %s port %d has no queue for some whom %s port %d reaches: they are sent to over the latter; "
                "the nodes have lost sight of each other, and if that lasts the doctor says which one to restart",
                *self._link.node, *node,
            )  # fmt: skip
        self._counted.rerouted += taken


async def _taken(channel: Channel, letter: Letter) -> bool:
    try:
        await publish(channel, letter.exchange, letter.key, letter.body, kind=letter.kind)
    except ReturnedError:
        return False
    return True


async def _taken_past_the_tree(channel: Channel, letter: Letter) -> bool:
    """A terminal whose binding the topic exchange has lost, while its queue is there: by the name of that, and with the topic as the key that the plugin goes by."""
    if letter.exchange != MQTT_EXCHANGE:
        return False
    try:
        await publish(channel, "", letter.key, letter.body, also=[down_queue(letter.key)])
    except ReturnedError:
        return False
    return True


async def _taken_anyhow(channel: Channel, letter: Letter) -> bool:
    return await _taken(channel, letter) or await _taken_past_the_tree(channel, letter)
