"""What the doctor says of the sinks: whether each can be reached, and how far behind it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tillwatch.collector.config import Config
from tillwatch.collector.series.kept import Standing, read_all
from tillwatch.collector.series.port import SinkDownError
from tillwatch.collector.series.process import MISSING, installed
from tillwatch.collector.series.settings import SinkSettings, connect

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""

LATE_NS = 3600 * 10**9
"""Behind the log by more, a report over yesterday may miss an hour of it."""
QUIET_NS = 600 * 10**9
"""A process that runs says how far it is every few seconds."""
NOTED_NS = 7 * 86_400 * 10**9
"""How long what happened is told: a week has a working day in it."""
ANSWER_S = 5.0


def examine_sinks(config: Config, now: int) -> Iterator[Said]:
    """now: UTC ns. Asks each sink whether it is there."""
    if not config.sinks:
        return
    if not installed():
        yield "sinks", "fail", MISSING
        return
    known = read_all(config.database)
    for name, settings in config.sinks.items():
        subject = f"sink {name}"
        yield _reached(subject, settings)
        stands = known.get(name)
        if stands is None:
            yield subject, "ok", "nothing was written yet; it begins with the collector"
            continue
        yield _how_far(subject, stands, now)
        if stands.note and stands.note_at > now - NOTED_NS:
            yield subject, "warn", stands.note


def _reached(subject: str, settings: SinkSettings) -> Said:
    sink = connect(replace(settings, timeout=ANSWER_S))
    try:
        wrong = sink.check()
    except SinkDownError as error:
        return subject, "fail", f"{error}; what is read meanwhile is written later"
    finally:
        sink.close()
    return (subject, "warn", wrong) if wrong else (subject, "ok", "it answers")


def _how_far(subject: str, stands: Standing, now: int) -> Said:
    where = f"at entry {stands.written.n} of {stands.head}, {stands.points} points written"
    if stands.trouble:
        return subject, "fail", f"{stands.trouble}; {where}"
    if not stands.process:
        return subject, "ok", f"not running; {where}"
    if now - stands.looked_at > QUIET_NS:
        return subject, "fail", f"it does not move any more, {where}; see the collector's log, and restart it"
    if stands.behind and now - stands.written.at > LATE_NS:
        return subject, "warn", f"it catches up, {where}"
    return subject, "ok", where
