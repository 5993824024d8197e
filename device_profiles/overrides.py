"""A bank's own limits, names and life figures, over the shipped profiles, without touching them: one YAML list. Errors name file, line and mend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tillwatch.device_profiles import language
from tillwatch.device_profiles.items import read_life
from tillwatch.device_profiles.model import DeviceProfile, Edge, Item, Kind, Life, Limits, Table
from tillwatch.device_profiles.yaml_nodes import Spot, nearest, read

_EDGES = ("warn_below", "crit_below", "warn_above", "crit_above")
_NONE = "none"


def _limits(spot: Spot, item: Item) -> Limits | None:
    if not spot.is_mapping():
        if spot.text() != _NONE:
            spot.wrong("write `limits: none`, or the edges that are to change")
        return None
    if item.signal.kind not in {Kind.GAUGE, Kind.COUNTER}:
        spot.wrong(f"{item.signal.name} is a {item.signal.kind}: limits judge numbers; leave `limits` out")
    edges: dict[str, Any] = {
        name: None if value.text() == _NONE else Edge(value.number()) for name, value in spot.mapping(_EDGES).items()
    }
    if not edges:
        spot.wrong(f"no limit; write at least one of {', '.join(_EDGES)}")
    return replace(item.limits or Limits(), **edges)


def _items(profile: DeviceProfile) -> Iterator[Item]:
    yield from profile.scalars
    for table in profile.tables:
        yield from (*table.items, *table.collect)


def _changed(item: Item, keys: Mapping[str, Spot], life: Life | None) -> Item:
    if "limits" in keys:
        item = replace(item, limits=_limits(keys["limits"], item))
    if "name" in keys:
        item = replace(item, name=keys["name"].text())
    if "life" in keys:
        item = replace(item, life=read_life(keys["life"], item.life or life))
    return item


class _Change:
    """One entry of the list. used: whether any item was what it names. life: what some profile says of the signal's life, for those that say
    nothing.
    """

    def __init__(self, spot: Spot, profiles: Iterable[DeviceProfile]) -> None:
        self.spot = spot
        self.keys = spot.mapping(language.OVERRIDE, ("signal",))
        if not set(self.keys) & {"limits", "name", "life"}:
            spot.wrong("nothing is changed; write limits, name or life")
        lives = (i.life for p in profiles for i in _items(p) if i.life and i.signal.name == self.keys["signal"].text())
        self.life = next(lives, None)
        self.used = False

    def _is(self, key: str, value: str) -> bool:
        return key not in self.keys or self.keys[key].text() == value

    def items(self, profile: DeviceProfile, items: Iterable[Item], group: str = "") -> tuple[Item, ...]:
        return tuple(self._item(profile, item, group) for item in items)

    def _item(self, profile: DeviceProfile, item: Item, group: str) -> Item:
        part = item.part or group
        if self._is("profile", profile.id) and self._is("signal", item.signal.name) and self._is("part", part):
            self.used = True
            return _changed(item, self.keys, self.life)
        return item

    def table(self, profile: DeviceProfile, table: Table) -> Table:
        return replace(
            table,
            items=self.items(profile, table.items, table.group),
            collect=self.items(profile, table.collect, table.group),
        )


def apply(path: Path, profiles: Iterable[DeviceProfile]) -> tuple[DeviceProfile, ...]:
    """The profiles with the bank's changes, in the order of the file: the last word counts. Raises ProfileError, also for a change that
    changes nothing, and OSError.
    """
    changed = tuple(profiles)
    ids = [profile.id for profile in changed]
    for spot in read(path, str(path)).items():
        change = _Change(spot, changed)
        if "profile" in change.keys:
            change.keys["profile"].choice(ids, "profile")
        changed = tuple(
            replace(
                profile,
                scalars=change.items(profile, profile.scalars),
                tables=tuple(change.table(profile, table) for table in profile.tables),
            )
            for profile in changed
        )
        if not change.used:
            signals = {item.signal.name for profile in changed for item in _items(profile)}
            signal = change.keys["signal"]
            known = signal.text() in signals
            signal.wrong(
                "no such signal in that profile and part; leave `part` or `profile` out"
                if known
                else f"no profile reads {signal.text()!r}; {nearest(signal.text(), signals)}"
            )
    return changed
