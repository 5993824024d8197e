"""Which profiles a device gets: pure, over what the device said of itself. The rule is in model.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tillwatch.device_profiles.model import Match, Recognition

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"


class AmbiguousError(Exception):
    """Two specific profiles fit a device equally well. The text names both."""


def beneath(oid: str, base: str) -> bool:
    """Whether `oid` is `base` or stands beneath it, by whole numbers."""
    return oid.startswith(base) and (len(oid) == len(base) or base.endswith(".") or oid[len(base)] == ".")


def _rank(rule: Match, object_id: str, description: str, present: Callable[[str], bool]) -> tuple[int, int] | None:
    """How well a rule fits, or None where it does not. Cheap questions first: `present` may cost a request."""
    if rule.object_id and not beneath(object_id, rule.object_id):
        return None
    if rule.description and not re.search(rule.description, description):
        return None
    if not all(present(oid) for oid in rule.present):
        return None
    return rule.object_id.count("."), bool(rule.object_id) + bool(rule.description) + len(rule.present)


def recognise(
    known: Iterable[Recognition], object_id: str, description: str, present: Callable[[str], bool]
) -> tuple[str, ...]:
    """The ids of the profiles for a device, sorted; empty where none fits. Raises AmbiguousError."""
    best: list[str] = []
    best_rank = (-1, -1)
    generic: list[str] = []
    for profile in known:
        ranks = [rank for rule in profile.matches if (rank := _rank(rule, object_id, description, present))]
        if not ranks:
            continue
        if profile.generic:
            generic.append(profile.id)
        elif (rank := max(ranks)) > best_rank:
            best, best_rank = [profile.id], rank
        elif rank == best_rank:
            best.append(profile.id)
    if len(best) > 1:
        raise AmbiguousError(
            f"the profiles {' and '.join(sorted(best))} fit sysObjectID {object_id or '(none)'} equally well; give one a longer sysObjectID or a further condition"
        )
    return tuple(best or sorted(generic))


def questions(known: Iterable[Recognition]) -> tuple[str, ...]:
    """Every OID that a rule asks to be present, sorted, each once."""
    return tuple(sorted({oid for profile in known for rule in profile.matches for oid in rule.present}))
