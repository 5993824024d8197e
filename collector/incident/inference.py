"""Whether several were lost by one cause, as far as the moment tells: terminals that fell silent, power supplies that lost the mains, machines that
started. Pure, no state: spans of time in, those that share a moment out.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple

_ROUNDING = 1e-9
"""30 % of 10 are 3 and not a little more."""

Span = tuple[int, int]
"""Between which two UTC ns something happened to one of them. A terminal was lost after its last word (Terminal.received) and before the
next one was due, or the will came: the moments at which the collector noticed lie further apart than those, by its patience with each.
"""


class Crowd(NamedTuple):
    """number: to how many it happened, of those to which it could have; spread_ns: between the beginnings of their spans; branches: in which they are."""

    number: int
    of: int
    spread_ns: int
    branches: int = 1


class Together(NamedTuple):
    """who: those that share the moment, by name; span: from the first beginning to the last one, UTC ns."""

    who: tuple[str, ...]
    span: Span
    crowd: Crowd


def infer(
    about: str, spans: Mapping[str, Span], others: int, *, share: float, least: int, within_ns: int
) -> Together | None:
    """Whether what happened to one happened to several of its branch by one cause: to at least `share` of them and at least `least`, within_ns
    of each other; of fewer than `least` to all, and at least two.

    about: the one that is asked about. spans: of all to which it happened, itself among them; those of long ago share no moment with it. Of
    lost terminals not those that said goodbye: who can speak has a line. others: those to which it did not happen, that still speak.
    """
    found = _moment(about, spans, within_ns)
    of = len(found) + others
    need = max(least, ceil(share * of - _ROUNDING)) if of >= least else max(of, 2)
    return _together(spans, found, of) if len(found) >= need else None


def infer_fleet(
    about: str,
    spans: Mapping[str, Span],
    branch_of: Mapping[str, str],
    others: int,
    *,
    share: float,
    branches: int,
    within_ns: int,
) -> Together | None:
    """Whether the monitoring lost the fleet: `share` of all that spoke, of at least so many branches.

    One or two branches that are lost whole cannot be told from a cut of their own line, which is far more frequent and counts as down; the
    other way round an outage of customers would be called nobody's. From three on one cause lies on the collector's side, or above all
    regions. Looks at all that are lost: to be asked once in some seconds of a flood and, once it has said yes, no more.
    """
    found = _moment(about, spans, within_ns)
    of = len(found) + others
    where = len({branch_of[name] for name in found})
    if where < branches or len(found) < ceil(share * of - _ROUNDING):
        return None
    return _together(spans, found, of, where)


def _moment(about: str, spans: Mapping[str, Span], within_ns: int) -> list[str]:
    """The most to which it may have happened within that time of the one that is asked about: spans, widened by half of it, that share a point.
    Of several such points the latest.
    """
    half = within_ns // 2
    wide = {name: (first - half, max(first, last) + half) for name, (first, last) in spans.items()}
    begin, end = wide[about]
    near = {name: span for name, span in wide.items() if span[0] <= end and span[1] >= begin}
    # Where most overlap one of them begins; begun by then and not ended before it.
    starts = sorted(max(first, begin) for first, _ in near.values())
    ends = sorted(last for _, last in near.values())
    point = max(starts, key=lambda at: (bisect_right(starts, at) - bisect_left(ends, at), at))
    return sorted(name for name, (first, last) in near.items() if first <= point <= last)


def _together(spans: Mapping[str, Span], found: Sequence[str], of: int, branches: int = 1) -> Together:
    begun = [spans[name][0] for name in found]
    span = min(begun), max(begun)
    return Together(tuple(found), span, Crowd(len(found), of, span[1] - span[0], branches))
