"""An hour without the sink, while those who feed it are killed, stopped and cut off: nothing waits for it, and what was read meanwhile is all there when it is back."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.scale.chaos.ending import ended
from tests.scale.chaos.faults import strike, struck
from tests.scale.chaos.installation import Installation, installed
from tests.scale.chaos.machine import until
from tests.scale.chaos.plan import LEASE_S, Fault, Kind

HOUR_S = 3600.0
TERMINALS = 20
INTERVAL_S = 4.0
"""20 terminals with a batch every 4 s are 300 with one a minute."""
PAST_THE_LEASE_S = LEASE_S + 5.0
WAIT_S = 30.0
"""Of a terminal for its next batch to be stored, where nothing but the sink is away: for a machine that is busy."""
CAUGHT_UP_S = 600.0
MEANWHILE = (
    Fault(Kind.HOLDER_KILLED, 0, 0.0),
    Fault(Kind.SERVER_RESTARTED, 0, 0.0),
    Fault(Kind.HOLDER_STOPPED, 0, PAST_THE_LEASE_S),
    Fault(Kind.NODE_KILLED, 0, 5.0),
    Fault(Kind.SERVER_KILLED, 0, 5.0),
    Fault(Kind.HOLDER_CUT, 0, PAST_THE_LEASE_S),
    Fault(Kind.OPENER_KILLED, 0, 0.0),
    Fault(Kind.SERVER_CUT, 0, PAST_THE_LEASE_S),
    Fault(Kind.HOLDER_KILLED, 0, 0.0),
)
"""The exporter belongs to who folds: its place in the journal is handed from one to the other without a single write that succeeded."""


@pytest.mark.long
@pytest.mark.timeout(2 * 3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_an_hour_without_the_sink(tmp_path: Path) -> None:
    with installed(tmp_path, TERMINALS, INTERVAL_S) as line:
        line.steady(time.time())
        line.tell(f"the sink is down for {HOUR_S:g} s")
        down = time.time()
        with struck(line, Fault(Kind.SINK_DOWN, 0, HOUR_S)):
            for number, fault in enumerate(MEANWHILE, 1):
                _undisturbed(line, down + number * HOUR_S / (len(MEANWHILE) + 1))
                strike(line, fault)
            _undisturbed(line, down + HOUR_S)
        back = time.time()
        caught_up = until(lambda: _newest_s(line) > back, CAUGHT_UP_S, "the sink to have the hour", line.report)
        line.tell(f"the sink has the hour {caught_up:.0f} s after it is back")
        line.figures.facts["sink_caught_up_s"] = round(caught_up, 1)
        line.recovered(Kind.SINK_DOWN.name, down, back)
        ended(line)


def _newest_s(line: Installation) -> float:
    """When the newest reading that the sink has was taken, UTC s: the exporter writes in the order of the journal."""
    return max((at for samples in line.victoria.exported().values() for at in samples), default=0) / 1000


def _undisturbed(line: Installation, until_s: float) -> None:
    """Until that time, UTC s, nothing but the sink is away: no terminal waits."""
    since = time.time()
    time.sleep(max(until_s - since, 0.0))
    waited = line.witness.longest_wait(since)
    line.tell(f"{time.time() - since:.0f} s without a sink: longest wait of a terminal {waited:.1f} s")
    assert waited < WAIT_S
