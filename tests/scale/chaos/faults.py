"""What each kind of fault does to an installation, and how it is mended: struck for a while, then as it was. What is measured is told by the installation."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.scale.chaos.collector import OPENER, Collector
from tests.scale.chaos.installation import FLOW_S, Installation
from tests.scale.chaos.machine import UP_S, Machine, until
from tests.scale.chaos.plan import Fault, Kind
from tillwatch.collector.scaled import FENCED_EXIT

NEW_HOLDER = frozenset({Kind.HOLDER_KILLED, Kind.HOLDER_STOPPED, Kind.HOLDER_CUT})
"""After them another collector folds, as soon as the lease has run out."""


@contextmanager
def struck(line: Installation, fault: Fault) -> Iterator[None]:
    """While the block runs it is struck; then it is mended."""
    match fault.kind:
        case Kind.HOLDER_KILLED:
            with _off(line.holder()):
                yield
        case Kind.STANDBY_KILLED:
            with _off(line.standby()[fault.number % 2]):
                yield
        case Kind.HOLDER_STOPPED:
            with stopped(line.holder()):
                yield
        case Kind.STANDBY_STOPPED:
            with stopped(line.standby()[fault.number % 2]):
                yield
        case Kind.HOLDER_CUT:
            with cut(line.holder()):
                yield
        case Kind.OPENER_KILLED:
            # Its collector begins it again. One that was begun a moment ago has none yet.
            collector = line.collectors[fault.number]
            until(lambda: collector.send(signal.SIGKILL, OPENER), UP_S, f"an opener of {collector.name}", line.report)
            yield
        case Kind.NODE_KILLED:
            node = line.cluster.nodes[fault.number]
            node.kill()
            yield
            node.start()
            line.cluster.wait([node])
        case Kind.NODE_STOPPED:
            with stopped(line.cluster.nodes[fault.number]):
                yield
            line.cluster.wait(line.cluster.nodes)
        case Kind.NODE_CUT:
            with cut(line.cluster.nodes[fault.number]):
                yield
            line.cluster.wait(line.cluster.nodes)
        case Kind.SERVER_KILLED:
            line.database.kill()
            yield
            line.database.start()
            line.database.wait()
        case Kind.SERVER_RESTARTED:
            line.database.restart()
            yield
        case Kind.SERVER_STOPPED:
            with stopped(line.database):
                yield
        case Kind.SERVER_CUT:
            with cut(line.database):
                yield
        case Kind.SINK_DOWN:
            line.sink.shut()
            yield
            line.sink.shut(shut=False)


@contextmanager
def stopped(machine: Machine) -> Iterator[None]:
    machine.pause()
    try:
        yield
    finally:
        machine.resume()


@contextmanager
def cut(machine: Machine) -> Iterator[None]:
    machine.cut()
    try:
        yield
    finally:
        machine.mend()


@contextmanager
def _off(collector: Collector) -> Iterator[None]:
    collector.kill()
    try:
        yield
    finally:
        collector.start()


def strike(line: Installation, fault: Fault) -> tuple[float, float]:
    """One fault from its beginning to the recovery: seconds to the first batch that was stored, by a new holder where the old one was struck, and the longest that
    a terminal waited.
    """
    line.complete()
    epoch = line.lease().epoch
    began = time.time()
    line.tell(f"strikes: {fault}")
    with struck(line, fault):
        time.sleep(fault.hold_s)
        if fault.kind in NEW_HOLDER:
            until(
                lambda: (lease := line.witness.lease()) and lease.epoch > epoch,
                FLOW_S,
                "another collector to fold",
                line.report,
            )
    return line.recovered(fault.kind.name, began, time.time(), epoch=epoch + (fault.kind in NEW_HOLDER))


def fenced(line: Installation, collector: Collector, before: int) -> None:
    """Wait until a collector, which had ended by itself so often before, has noticed that it is not the one that writes any more, and has ended as it says."""
    until(lambda: len(collector.ended) > before, FLOW_S, f"{collector.name} to notice", line.report)
    assert collector.ended[before] == FENCED_EXIT, line.report()
