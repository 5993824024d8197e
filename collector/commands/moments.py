"""Times and lengths of the commands that look back: days and times by this machine's own clocks."""

from __future__ import annotations

from datetime import datetime

from tillwatch.collector.commands.output import NS, USAGE, CommandError
from tillwatch.collector.values import duration


def day_or_time(text: str, option: str) -> int:
    """UTC ns of an ISO 8601 day (its beginning) or time; without an offset by this machine's clocks."""
    try:
        return round(datetime.fromisoformat(text).astimezone().timestamp() * NS)
    except (ValueError, OverflowError):
        raise CommandError(
            f"{option} {text!r} is no day or time; write 2026-11-21 or 2026-11-21T14:00", USAGE
        ) from None


def length(text: str, option: str) -> int:
    """Ns."""
    try:
        return round(duration(text) * NS)
    except ValueError as error:
        raise CommandError(f"{option}: {error}", USAGE) from None
