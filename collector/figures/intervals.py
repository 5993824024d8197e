"""Sets of time as sorted lists of half-open intervals [since, until) of UTC ns, which neither overlap nor touch. Integers throughout: what is
cut apart adds up again exactly.
"""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


def union(*sets: Iterable[Span]) -> list[Span]:
    """All of them, in whatever order and however they overlap; empty and inverted intervals are nothing."""
    found: list[Span] = []
    for since, until in sorted(span for spans in sets for span in spans if span[0] < span[1]):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def intersect(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    a, b = union(one), union(other)
    found = []
    i = j = 0
    while i < len(a) and j < len(b):
        since, until = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if since < until:
            found.append((since, until))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return found


def subtract(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """What is in one and not in the other."""
    taken = union(other)
    found = []
    j = 0
    for begin, end in union(one):
        since = begin
        while j < len(taken) and taken[j][1] <= since:
            j += 1
        k = j
        while k < len(taken) and taken[k][0] < end:
            if since < taken[k][0]:
                found.append((since, taken[k][0]))
            since = max(since, taken[k][1])
            k += 1
        if since < end:
            found.append((since, end))
    return found


def total(spans: Iterable[Span]) -> int:
    """Ns covered by at least one of them."""
    return sum(until - since for since, until in union(spans))
