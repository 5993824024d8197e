from __future__ import annotations

import json
import random

import pytest

from tillwatch.collector.fleet_load.figures import Figures, Latencies, of_plain, together


def test_quantiles_are_within_a_twentieth() -> None:
    values = [random.Random(1).lognormvariate(-4, 1) for _ in range(1)] + [0.001 * n for n in range(1, 2_001)]
    found = Latencies()
    for value in values:
        found.add(value)
    values.sort()
    for share in (0.01, 0.5, 0.95, 0.99):
        assert found.quantile(share) == pytest.approx(values[int(share * len(values))], rel=0.06)
    assert found.quantile(1.0) <= found.most == values[-1]
    assert Latencies().quantile(0.5) == 0.0


def test_what_two_processes_say_is_added_up() -> None:
    parts = []
    for n in (1, 2):
        part = Figures(sent=n, acknowledged=n, late_s=float(n), rss_kib=100)
        part.latencies.add(float(n))
        part.failed["why"] += n
        parts.append(of_plain(json.loads(json.dumps(part.plain()))))
    whole = together(parts)
    assert (whole.sent, whole.acknowledged, whole.late_s, whole.rss_kib) == (3, 3, 2.0, 200)
    assert whole.failed == {"why": 3}
    assert whole.latencies.counts.total() == 2
    assert whole.latencies.most == 2.0
