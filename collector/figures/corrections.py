"""Whether what a person wants to correct makes sense, before it becomes an entry of the journal: the record takes everything, and an entry is there
for ever.
"""

from __future__ import annotations

from tillwatch.collector.alarm.rules import PARTIES
from tillwatch.collector.figures.availability import COUNTS, EXCLUDED

COUNTS_AS = (*COUNTS, EXCLUDED)
MAX_REASON = 200
"""Characters: one line of the report."""
MAX_LENGTH_NS = 366 * 86_400 * 10**9
"""A longer one is a slip in the year; what is meant to hold for longer is a life-cycle state."""


class CorrectionError(ValueError):
    """The text says what is wrong and what to write."""


def check_correction(since: int, until: int, counts_as: str, reason: str, party: str, now: int) -> None:
    """since, until: UTC ns, in the past; party: of rules.PARTIES, or empty where nobody answers for it, as for what is up. Raises CorrectionError."""
    if counts_as not in COUNTS_AS:
        raise CorrectionError(f"{counts_as!r} is nothing that time counts as; write one of {', '.join(COUNTS_AS)}")
    if until <= since:
        raise CorrectionError("the stretch ends before it begins; write its beginning first")
    if until > now:
        raise CorrectionError(
            "the stretch is not over; correct it when it is, or make a maintenance window for what is planned"
        )
    if until - since > MAX_LENGTH_NS:
        raise CorrectionError(
            "the stretch is longer than a year; set the terminal's life-cycle state for what lasts so long"
        )
    if party and party not in PARTIES:
        raise CorrectionError(f"{party!r} is no party; write one of {', '.join(PARTIES)}")
    if counts_as == "down" and not party:
        raise CorrectionError(f"who answers for it? Name a party: {', '.join(PARTIES)}")
    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise CorrectionError(
            f"write the reason in 1 to {MAX_REASON} printable characters: it stands in every report of this time"
        )
