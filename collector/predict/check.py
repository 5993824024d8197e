"""What the doctor says of the predictions: whether their settings can be used, whether they run, and how far behind they are."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.predict.checkpoint import Status, read_status

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""

LATE_NS = 3600 * 10**9
"""Behind the log by more, predictions come later than what they are for."""
QUIET_NS = 600 * 10**9
"""A process that runs says how far it is every few seconds while there is anything to read."""
SUBJECT = "predictions"
ORDINARY = ("readings ahead", "readings late")
"""Left out, too, and of no concern: a terminal whose clock was wrong, or whose line was cut for days."""
DRIFTED = {"look": "warn", "retrain": "warn"}
"""Levels of learn/drift.py. A model of another fleet is no failure: the record of the detector says whether it is still right."""


def examine_predictions(config: Config, now: int) -> Iterator[Said]:
    """now: UTC ns."""
    if not config.predictions.enabled:
        yield SUBJECT, "ok", "switched off: enabled = false in [predictions]"
        return
    if find_spec("numpy") is None:
        yield SUBJECT, "fail", "numpy is not installed; pip install 'tillwatch[collector]'"
        return
    from tillwatch.collector.predict.__main__ import tables_of  # noqa: PLC0415 - it reads the tables

    try:
        tables_of(config)
    except ConfigError as error:
        yield SUBJECT, "fail", f"{error}; they will not start with it"
        return
    status = read_status(config.database)
    if status is None:
        yield SUBJECT, "ok", "nothing was read yet; they begin with the collector"
        return
    yield _how_far(status, now)
    level, reason = status.drift
    if level in DRIFTED:
        mend = "; train it again: tillwatch-collector train" if level == "retrain" else ""
        yield SUBJECT, DRIFTED[level], f"the model: {reason}{mend}"
    for name, times in sorted(status.limits.items()):
        if name not in ORDINARY:
            yield SUBJECT, "warn", f"{name}: more than is followed, {times} times; look at what sends so many"


def _how_far(status: Status, now: int) -> Said:
    where = f"at entry {status.position} of {status.head}, {status.series} series"
    if not status.process:
        return SUBJECT, "ok", f"not running; {where}"
    if status.behind and now - status.looked_at > QUIET_NS:
        return SUBJECT, "fail", f"they do not move any more, {where}; see the collector's log, and restart it"
    if status.behind and now - status.at > LATE_NS:
        return SUBJECT, "warn", f"they catch up, {where}"
    return SUBJECT, "ok", where
