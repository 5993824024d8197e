"""The closed catalogue of signal names, read from catalogue.yaml. Needs PyYAML: the resident agent takes the compiled form (compiled.py)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tillwatch.device_profiles.model import Axis, Kind, Signal
from tillwatch.device_profiles.yaml_nodes import Spot, nearest, read

HERE = Path(__file__).parent
EXPERIMENTAL = "experimental."
SEVERITIES = ("ok", "warn", "crit", "unknown")
_KEYS = ("kind", "unit", "meaning", "states", "axis")


class Catalogue:
    """All signals by name, and the units there are."""

    def __init__(self, signals: Mapping[str, Signal], units: frozenset[str]) -> None:
        self.signals = MappingProxyType(dict(signals))
        self.units = units

    def signal(self, spot: Spot) -> Signal:
        """The signal that a profile names. Raises ProfileError with the nearest name."""
        name = spot.text()
        if name not in self.signals:
            spot.wrong(f"no signal {name!r} in the catalogue; {nearest(name, self.signals)}")
        return self.signals[name]


def _axes(spot: Spot | None, words: Collection[str]) -> tuple[Axis, tuple[tuple[str, Axis], ...]]:
    """The axis of the signal, and the words of its state that are of another."""

    def axis(at: Spot) -> Axis:
        return Axis(at.choice([each.value for each in Axis], "axis"))

    if spot is None or not spot.is_mapping():
        return (axis(spot) if spot else Axis.FITNESS), ()
    if not words:
        spot.wrong("only words of a state can be of an axis of their own; write one axis")
    return Axis.FITNESS, tuple(
        (word.choice(words, "word of its states"), axis(key)) for key, value in spot.pairs() for word in value.items()
    )


def read_signal(name: str, keys: dict[str, Spot], spot: Spot, units: frozenset[str]) -> Signal:
    """A signal as the catalogue, or an experimental item of a profile, describes it. Raises ProfileError."""
    for needed in ("kind", "meaning"):
        if needed not in keys:
            spot.wrong(f"{name} needs its {needed}; add `{needed}: ...`")
    kind = Kind(keys["kind"].choice([k.value for k in Kind], "kind"))
    unit = keys["unit"].choice(units, "unit") if "unit" in keys else ""
    if unit and kind in {Kind.STATE, Kind.TEXT}:
        keys["unit"].wrong(f"a {kind} has no unit; leave it out")
    if (kind is Kind.STATE) != ("states" in keys):
        spot.wrong(
            f"{name} is a {kind}: " + ("add `states: {word: severity}`" if kind is Kind.STATE else "leave `states` out")
        )
    states = (
        tuple((k.text(), v.choice(SEVERITIES, "severity")) for k, v in keys["states"].pairs())
        if "states" in keys
        else ()
    )
    return Signal(
        name, kind, unit, keys["meaning"].text(), states, *_axes(keys.get("axis"), [word for word, _ in states])
    )


def load_catalogue(folder: Path = HERE) -> Catalogue:
    """Raises ProfileError."""
    top = read(folder / "catalogue.yaml", "catalogue.yaml").mapping(("units", "signals"), ("units", "signals"))
    units = frozenset(spot.text() for spot in top["units"].items())
    signals = {}
    for key, value in top["signals"].pairs():
        name = key.text()
        if name.startswith(EXPERIMENTAL):
            key.wrong(f"{name}: an experimental signal is described where it is used; give it a lasting name here")
        signals[name] = read_signal(name, value.mapping(_KEYS), key, units)
    return Catalogue(signals, units)


@cache
def kept_catalogue() -> Catalogue:
    """The shipped one, read once, for whoever asks for it often: reading takes longer than to open a store. load_catalogue() keeps nothing, for a running
    agent, which has no use for it.
    """
    return load_catalogue()
