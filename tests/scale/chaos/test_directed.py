"""One fault after the other, each under load, on one installation of three broker nodes, three collectors and PostgreSQL: what it must not do is looked at at once, and
at the end nothing is lost, doubled or out of order.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.scale.chaos.cluster import AMQP
from tests.scale.chaos.ending import ended
from tests.scale.chaos.faults import cut, fenced, stopped, strike
from tests.scale.chaos.installation import FLOW_S, Installation, installed
from tests.scale.chaos.machine import until
from tests.scale.chaos.plan import LEASE_S, Fault, Kind

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
]
TERMINALS = 20
MISSED_S = 25.0
"""Longer than nodes wait before they miss each other, and than collectors wait for a node."""
HEARD_S = 120.0
"""For a terminal that what was struck has left with a connection that carries nothing: it gives it up after three time-outs of 30 s and connects again within 30 s."""
CLUSTER = "broker cluster"
APART_S = 40.0
"""Longer than nodes wait before they miss each other, and openers before they leave a node that knows of no fold."""
TAKEOVER_S = 60.0
"""From the end of a holder to the first batch stored by the next one: the lease, the load of the fold and a heartbeat take 15 s; a bound for a busy machine."""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("chaos"), TERMINALS) as made:
        yield made


def test_the_next_one_takes_over_from_a_holder_that_is_killed(line: Installation) -> None:
    first, _ = strike(line, Fault(Kind.HOLDER_KILLED, 0, 0.0))
    assert first < TAKEOVER_S


def test_a_holder_that_was_stopped_past_its_lease_writes_nothing_and_ends(line: Installation) -> None:
    line.complete()
    holder, epoch = line.holder(), line.lease().epoch
    before = len(holder.ended)
    began = time.time()
    holder.pause()
    until(
        lambda: (lease := line.witness.lease()) and lease.epoch > epoch,
        FLOW_S,
        "another collector to fold",
        line.report,
    )
    first = line.flows(began, epoch=epoch + 1)
    goes_on = time.time()
    holder.resume()
    fenced(line, holder, before)
    assert not line.witness.wrote(holder.address, goes_on), line.witness.findings()
    line.recovered(Kind.HOLDER_STOPPED.name, began, goes_on, epoch=epoch + 1)
    assert not line.witness.findings()
    assert first < LEASE_S + TAKEOVER_S


def test_a_holder_that_is_cut_off_writes_nothing_when_it_comes_back(line: Installation) -> None:
    line.complete()
    holder, epoch = line.holder(), line.lease().epoch
    before = len(holder.ended)
    began = time.time()
    with cut(holder):
        until(
            lambda: (lease := line.witness.lease()) and lease.epoch > epoch,
            FLOW_S,
            "another collector to fold",
            line.report,
        )
        line.flows(began, epoch=epoch + 1)
        back = time.time()
    fenced(line, holder, before)
    assert not line.witness.wrote(holder.address, back), line.witness.findings()
    line.recovered(Kind.HOLDER_CUT.name, began, back, epoch=epoch + 1)


@pytest.mark.parametrize("number", range(3))
def test_what_a_killed_opener_held_is_the_next_ones(line: Installation, number: int) -> None:
    strike(line, Fault(Kind.OPENER_KILLED, number, 0.0))


def test_each_says_whether_it_folds_or_stands_by(line: Installation) -> None:
    line.complete()
    holder = line.holder()
    said = {each.name: each.doctor()["collector"] for each in line.collectors}
    assert said.pop(holder.name) == ("ok", "running")
    assert set(said.values()) == {("ok", "running, it stands by")}


@pytest.mark.parametrize("kind", [Kind.STANDBY_KILLED, Kind.STANDBY_STOPPED])
def test_a_standby_is_not_missed_for_long(line: Installation, kind: Kind) -> None:
    epoch = line.lease().epoch
    strike(line, Fault(kind, 0, LEASE_S))
    assert line.lease().epoch == epoch, "nothing happened to who folds"


@pytest.mark.parametrize(
    ("kind", "number"), [(Kind.NODE_KILLED, 0), (Kind.NODE_STOPPED, 0), (Kind.NODE_STOPPED, 1), (Kind.NODE_CUT, 2)]
)
def test_two_nodes_go_on_without_the_third(line: Installation, kind: Kind, number: int) -> None:
    first, waited = strike(line, Fault(kind, number, MISSED_S))
    assert first < TAKEOVER_S
    assert waited < MISSED_S + HEARD_S


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (0, 2)])
def test_two_nodes_that_miss_each_other_while_both_see_the_third(line: Installation, pair: tuple[int, int]) -> None:
    line.complete()
    one, other = (line.cluster.nodes[at] for at in pair)
    began = time.time()
    line.tell(f"apart: {one.name} and {other.name}")
    with line.net.apart(one.name, other.name):
        time.sleep(APART_S)
        back = time.time()
    _, waited = line.recovered("NODES_APART", began, back)
    pause = line.witness.longest_pause(began)
    line.tell(f"nothing stored for {pause:.1f} s; all steady {time.time() - back:.1f} s after the line was back")
    assert pause < TAKEOVER_S
    assert waited < HEARD_S
    made_whole(line)


def made_whole(line: Installation) -> None:
    """As the doctor says: restart what it names, until it names nothing."""
    named: list[str] = []
    while True:
        state, text = line.collectors[0].doctor()[CLUSTER]
        if state == "ok":
            break
        there = [node for node in line.cluster.nodes if f"{node.name} port" in text]
        assert there, text
        assert len(named) < len(line.cluster.nodes), text
        for node in there:
            named.append(node.name)
            line.tell(f"the doctor names {node.name}")
            node.kill()
            node.start()
            line.cluster.wait([node])
    if named:
        line.steady(time.time())


@pytest.mark.parametrize("aside", [1, 0])
def test_terminals_at_either_side_of_a_split_that_nothing_heals_are_answered(line: Installation, aside: int) -> None:
    """What pause_minority and the default make of a node that was stopped: its terminals publish and are stored, and no other node knows what they subscribed to. The
    doctor names it; it need not be restarted for them to go on. aside: 0 for the node that the holder of the lease calls first.
    """
    line.complete()
    at = line.collectors.index(line.holder()) + aside
    node, asked = line.cluster.nodes[at % len(line.cluster.nodes)], line.collectors[0]
    began = time.time()
    assert asked.doctor()[CLUSTER][0] == "ok"
    with line.cluster.unhealed():
        with stopped(node):
            time.sleep(MISSED_S)
        until(lambda: asked.doctor()[CLUSTER][0] == "fail", FLOW_S, "the doctor to notice", line.report)
        before = line.rerouted()
        # Those of the stopped node had left it. Now a third of all is there again.
        line.mqtt.shut()
        goes_on = time.time()
        line.mqtt.shut(shut=False)
        line.recovered("SPLIT_UNHEALED", began, goes_on)
        assert line.rerouted() > before
        state, text = asked.doctor()[CLUSTER]
        assert (state, text.split(" port ", 1)[0]) == ("fail", node.name), text
        assert asked.doctor()[f"broker {node.name} port {AMQP}"][0] == "ok", "by itself it looks well"
        node.kill()
        node.start()
        line.cluster.wait([node])
        back = time.time()
        line.steady(back)
    line.recovered("NODE_RESTARTED", back, time.time())
    assert asked.doctor()[CLUSTER][0] == "ok"


@pytest.mark.parametrize("kind", [Kind.SERVER_KILLED, Kind.SERVER_RESTARTED, Kind.SERVER_STOPPED, Kind.SERVER_CUT])
def test_without_the_database_everything_waits(line: Installation, kind: Kind) -> None:
    strike(line, Fault(kind, 0, 5.0))


@pytest.mark.parametrize("kind", [Kind.SERVER_STOPPED, Kind.SERVER_CUT])
def test_without_the_database_for_longer_than_a_lease(line: Installation, kind: Kind) -> None:
    """A server that is stopped still takes what it is sent, as far as its machine tells: nothing but its silence says so."""
    first, _ = strike(line, Fault(kind, 0, 2 * LEASE_S))
    assert first < 2 * LEASE_S + TAKEOVER_S


def test_one_that_reaches_the_database_is_enough(line: Installation) -> None:
    """The two who cannot are the one that folds and one that stands by."""
    line.complete()
    holder, epoch = line.holder(), line.lease().epoch
    other = line.standby()[0]
    before = len(holder.ended)
    began = time.time()
    with ExitStack() as stack:
        for each in (holder, other):
            stack.enter_context(line.net.apart(each.name, line.database.name))
        until(
            lambda: (lease := line.witness.lease()) and lease.epoch > epoch,
            FLOW_S,
            "another collector to fold",
            line.report,
        )
        line.flows(began, epoch=epoch + 1)
        back = time.time()
    fenced(line, holder, before)
    line.recovered("TWO_WITHOUT_THE_SERVER", began, back, epoch=epoch + 1)
    assert not line.witness.findings()


def test_a_holder_that_alone_cannot_reach_the_database_gives_way(line: Installation) -> None:
    line.complete()
    holder, epoch = line.holder(), line.lease().epoch
    before = len(holder.ended)
    began = time.time()
    with line.net.apart(holder.name, line.database.name):
        line.flows(began, epoch=epoch + 1)
        back = time.time()
    fenced(line, holder, before)
    assert not line.witness.wrote(holder.address, back)
    line.recovered("HOLDER_WITHOUT_THE_SERVER", began, back, epoch=epoch + 1)


def test_a_sink_that_is_down_holds_up_nothing(line: Installation) -> None:
    """A batch a second stands for one a minute: after a minute an hour of data waits for it."""
    _, waited = strike(line, Fault(Kind.SINK_DOWN, 0, 60.0))
    assert waited < LEASE_S


def test_a_collector_ends_in_order_and_the_next_one_folds_at_once(line: Installation) -> None:
    line.complete()
    holder, epoch = line.holder(), line.lease().epoch
    began = time.time()
    assert holder.stop(signal.SIGTERM) == 0
    first, _ = line.recovered("HOLDER_ENDED", began, time.time(), epoch=epoch + 1)
    holder.start()
    assert first < TAKEOVER_S


def test_at_the_end_nothing_was_lost_doubled_or_out_of_order(line: Installation) -> None:
    ended(line)
