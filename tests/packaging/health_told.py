"""What /metrics says of a monitoring that is well and of one that is ill in all parts, brought to a real store as a scrape each minute would."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.collector.web.test_monitoring import ATM, FACTS, HEALTH, SEEN, SINK
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.collector.opening.figures import Figures
from tillwatch.collector.opening.listening import exposition as of_opener
from tillwatch.collector.oversight import CertificateView, DoneView, SpoolView
from tillwatch.collector.read import WaitingView
from tillwatch.collector.web.metrics import exposition
from tillwatch.collector.web.monitoring import DAY, HOUR, S, Seen, judge
from tillwatch.collector.web.predicting import STOPPED, WELL, HowFar

T0 = SEEN.now
MINUTE = 60 * S


def well(now: int) -> Seen:
    return replace(
        SEEN,
        now=now,
        health=replace(HEALTH, last_entry_at=now, advanced_to=now, started_at=T0 - 9 * DAY, refused=(("signature", 1), ("body", 2)), journal_entries=100 + (now - T0) // S),
        facts=replace(
            FACTS, backup=DoneView(now - HOUR, ok=True), verified=DoneView(now - HOUR, ok=True),
            sinks=(replace(SINK, written=100 + (now - T0) // S, at=now, points=10_000 + (now - T0) // S),), certificates=(CertificateView("ca.pem", now + 400 * DAY), CertificateView("server.pem", now + 90 * DAY)),
        ),
        far=HowFar(WELL),
    )  # fmt: skip


def ill(now: int) -> Seen:
    gone = (replace(ATM, id="atm-2", connection="offline"), replace(ATM, holes=3, lost=9, skew_ms=600_000))
    seen = well(now)
    assert seen.health is not None
    assert seen.facts is not None
    return replace(
        seen,
        terminals=gone,
        health=replace(
            seen.health, advanced_to=T0, refused=(("signature", 5), ("body", 9)), outbox_dead=2,
            waiting=(WaitingView("rt", 1, 4, now - HOUR, MINUTE, "500"),),
        ),
        facts=replace(
            seen.facts, acts_waiting=2, disk_free=10**8, synchronised=False, spools=(SpoolView("atm-1", now, 9, 9, 4000, "ok"),),
            backup=DoneView(now - 3 * DAY, ok=True), verified=DoneView(now - 40 * DAY, ok=True),
            certificates=(CertificateView("ca.pem", now + 100 * DAY), CertificateView("server.pem", now + 10 * DAY)),
            sinks=(replace(SINK, written=90, at=now - 2 * HOUR, trouble="it does not answer", refused=7),),
        ),
        far=HowFar(STOPPED, 10, now - 2 * HOUR, 2 * HOUR),
        watched=None,
    )  # fmt: skip


def opener_well(now: int) -> tuple[Figures, int]:
    """What it has counted, and the epoch of the fold."""
    after = (now - T0) // S + 10_000
    return Figures(messages=40 * after, groups=after, answered=after, acks=40 * after, waiting=3, connected=True), 7


def opener_ill(now: int) -> tuple[Figures, int]:
    figures, _ = opener_well(T0)
    return replace(figures, waiting=5_000, rerouted=(now - T0) // S, connected=False), 0


def tell(server: VictoriaMetrics, seen: Seen, opener: tuple[Figures, int]) -> None:
    console = exposition(seen, judge(seen), Counter({1: 1, 2: 2, 3: 3}), "1.0")
    for instance, said in (("console", console), ("opener", of_opener(*opener).encode())):
        server.post(
            f"/api/v1/import/prometheus?timestamp={seen.now // 10**6}&extra_label=job=tillwatch&extra_label=instance={instance}",
            said,
        )


def told(server: VictoriaMetrics, *, minutes: int) -> None:
    """Well for so long until T0."""
    for i in range(-minutes, 1):
        tell(server, well(T0 + i * MINUTE), opener_well(T0 + i * MINUTE))
    server.get("/internal/force_flush")
