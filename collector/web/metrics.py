"""The monitoring's own health in the text format of Prometheus (0.0.4), for a monitoring system of the bank. Every name is documented in packaging/docs/metrics.md; a
value that is not known is not there, and `tillwatch_part_state` says so. A registry of its own: nothing of the process, its paths or its libraries is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tillwatch.collector.read import TerminalView
from tillwatch.collector.web.monitoring import WORST_FIRST, Check, Seen, sink_lag

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
S = 10**9


class _Once(Collector):
    """What is known at one moment."""

    def __init__(self, seen: Seen, checks: Iterable[Check], alarms: Counter[int], release: str) -> None:
        self._seen, self._checks, self._alarms, self._release = seen, list(checks), alarms, release

    def collect(self) -> Iterator[Metric]:
        yield from _parts(self._checks)
        yield from _fleet(self._seen.terminals)
        alarms = GaugeMetricFamily("tillwatch_open_alarms", "Open alarms by level", labels=["level"])
        for level in (1, 2, 3):
            alarms.add_metric([str(level)], self._alarms[level])
        yield alarms
        yield from _health(self._seen)
        yield from _facts(self._seen)
        build = GaugeMetricFamily("tillwatch_build_info", "The release that runs; always 1", labels=["version"])
        build.add_metric([self._release], 1)
        yield build


def exposition(seen: Seen, checks: Iterable[Check], alarms: Counter[int], release: str) -> bytes:
    """alarms: open ones by level."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(seen, checks, alarms, release))
    return generate_latest(registry)


def _parts(checks: list[Check]) -> Iterator[Metric]:
    states = GaugeMetricFamily("tillwatch_part_state", "Parts of the monitoring: 1 for the state that each is in, 0 for the others", labels=["part", "state"])  # fmt: skip
    for check in checks:
        for state in WORST_FIRST:
            states.add_metric([check.key, state], float(check.state == state))
    yield states


def _fleet(terminals: Iterable[TerminalView]) -> Iterator[Metric]:
    listed = list(terminals)
    connections = GaugeMetricFamily("tillwatch_terminals", "Terminals by connection and life cycle", labels=["connection", "life_cycle"])  # fmt: skip
    for (connection, life_cycle), count in sorted(Counter((v.connection, v.life_cycle) for v in listed).items()):
        connections.add_metric([connection, life_cycle], count)
    yield connections
    states = GaugeMetricFamily("tillwatch_terminal_states", "Terminals by their state for customers", labels=["state"])
    for state, count in sorted(Counter(v.state.state for v in listed if v.state is not None).items()):
        states.add_metric([state], count)
    yield states
    skews = [abs(v.skew_ms) for v in listed if v.skew_ms is not None]
    if skews:
        yield GaugeMetricFamily("tillwatch_clock_skew_seconds_max", "The greatest deviation of a terminal's clock", max(skews) / 1000)  # fmt: skip
    yield GaugeMetricFamily("tillwatch_batches_missing", "Batches that will never come, of all terminals", sum(v.holes for v in listed))  # fmt: skip
    yield GaugeMetricFamily("tillwatch_readings_lost", "Readings that terminals declared lost", sum(v.lost for v in listed))  # fmt: skip


def _health(seen: Seen) -> Iterator[Metric]:
    health = seen.health
    if health is None:
        return
    yield GaugeMetricFamily("tillwatch_journal_entries", "Entries of the journal", health.journal_entries)
    for name, text, at in (
        ("tillwatch_journal_last_entry_seconds", "When the journal last grew, seconds since 1970", health.last_entry_at),
        ("tillwatch_collector_start_seconds", "When the collector started, seconds since 1970", health.started_at),
        ("tillwatch_collector_advanced_seconds", "How far the collector's time has come, seconds since 1970", health.advanced_to),
    ):  # fmt: skip
        if at:
            yield GaugeMetricFamily(name, text, at / S)
    refused = GaugeMetricFamily("tillwatch_messages_refused", "Messages not taken since the collector's start, by reason", labels=["reason"])  # fmt: skip
    for reason, count in health.refused:
        refused.add_metric([reason], count)
    yield refused
    yield GaugeMetricFamily("tillwatch_outbox_waiting", "Messages to ticket systems and people that wait", health.outbox_pending)  # fmt: skip
    yield GaugeMetricFamily("tillwatch_outbox_given_up", "Messages that were given up", health.outbox_dead)
    late = GaugeMetricFamily("tillwatch_outbox_late_seconds", "Age of the oldest message that waits longer than the policy allows", labels=["receiver", "level"])  # fmt: skip
    for each in health.waiting:
        if each.late(seen.now):
            late.add_metric([each.connector, str(each.level)], (seen.now - each.oldest_at) / S)
    yield late


def _sinks(seen: Seen) -> Iterator[Metric]:
    lags = GaugeMetricFamily("tillwatch_sink_lag_seconds", "By how much a sink is behind the journal", labels=["sink"])
    down = GaugeMetricFamily("tillwatch_sink_down", "1: nothing can be written to a sink now", labels=["sink"])
    points = GaugeMetricFamily("tillwatch_sink_points", "Points that were written to a sink, what was written again included", labels=["sink"])  # fmt: skip
    refused = GaugeMetricFamily("tillwatch_sink_refused", "Points that a sink would not take", labels=["sink"])
    for each in seen.facts.sinks if seen.facts is not None else ():
        lag = sink_lag(seen, each)
        if lag is not None:
            lags.add_metric([each.name], lag)
        down.add_metric([each.name], float(bool(each.trouble)))
        points.add_metric([each.name], each.points)
        refused.add_metric([each.name], each.refused)
    yield from (lags, down, points, refused)


def _facts(seen: Seen) -> Iterator[Metric]:
    facts = seen.facts
    if facts is None:
        return
    for name, text, value in (
        ("tillwatch_store_bytes", "Size of the store", facts.store_bytes),
        ("tillwatch_disk_free_bytes", "Free on the store's disk", facts.disk_free),
        ("tillwatch_acts_waiting", "Acts of people that the collector has not journaled", facts.acts_waiting),
        ("tillwatch_backup_seconds", "When the last backup was made, seconds since 1970", facts.backup.at / S or None),
        ("tillwatch_verified_seconds", "When all of the log was last verified, seconds since 1970", facts.verified.at / S or None),
        ("tillwatch_spool_oldest_seconds_max", "Age of the oldest batch that waits on any terminal", max((s.oldest_s for s in facts.spools), default=None)),
        ("tillwatch_spool_batches", "Batches that wait on terminals, as they told last", sum(s.batches for s in facts.spools) if facts.spools else None),
        ("tillwatch_clock_synchronised", "1: the collector's clock is synchronised", None if facts.synchronised is None else int(facts.synchronised)),
    ):  # fmt: skip
        if value is not None:
            yield GaugeMetricFamily(name, text, value)
    ends = GaugeMetricFamily("tillwatch_certificate_end_seconds", "When a certificate of the collector ends, seconds since 1970", labels=["certificate"])  # fmt: skip
    for each in facts.certificates:
        if each.ends:
            ends.add_metric([each.name], each.ends / S)
    yield ends
    yield from _sinks(seen)
    if seen.far is not None:
        yield GaugeMetricFamily("tillwatch_predictions_lag_seconds", "By how much the predictions are behind the journal", seen.far.lag_ns / S)  # fmt: skip
