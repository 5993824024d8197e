"""Places and their clocks: times for tests, written as the people there would."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SHANGHAI = "Asia/Shanghai"
BERLIN = "Europe/Berlin"


def ns(text: str, zone: str = SHANGHAI) -> int:
    """UTC ns of "2026-02-14 09:00", of the first such time where there are two."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


def said(at: int, zone: str = SHANGHAI) -> str:
    """The other way round."""
    return datetime.fromtimestamp(at // 10**9, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
