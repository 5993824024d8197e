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
    """The ids of the profiles for a device; empty where none fits. A specific one comes first, then the generic ones that it names, in its
    order; without a specific one, all generic ones that fit, sorted. Raises AmbiguousError.
    """
    best: list[Recognition] = []
    best_rank = (-1, -1)
    generic: list[str] = []
    for profile in known:
        ranks = [rank for rule in profile.matches if (rank := _rank(rule, object_id, description, present))]
        if not ranks:
            continue
        if profile.generic:
            generic.append(profile.id)
        elif (rank := max(ranks)) > best_rank:
            best, best_rank = [profile], rank
        elif rank == best_rank:
            best.append(profile)
    if len(best) > 1:
        raise AmbiguousError(
            f"the profiles {' and '.join(sorted(each.id for each in best))} fit sysObjectID {object_id or '(none)'} equally well; give one a longer sysObjectID or a further condition"
        )
    if not best:
        return tuple(sorted(generic))
    return (best[0].id, *(each for each in best[0].adds if each in generic))


def _may_be(_oid: str) -> bool:
    return True


def questions(known: Iterable[Recognition], object_id: str, description: str) -> tuple[str, ...]:
    """Every OID whose being there can still matter to a device that says this of itself, sorted, each once."""
    return tuple(
        sorted(
            {
                oid
                for profile in known
                for rule in profile.matches
                if _rank(rule, object_id, description, _may_be)
                for oid in rule.present
            }
        )
    )
