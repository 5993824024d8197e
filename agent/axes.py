"""A component's state on its three axes, kept apart: fitness, supply and security. Pure, over samples and the catalogue that says which axis a
signal, or a word of it, is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tillwatch.agent.model import Sample, State
from tillwatch.device_profiles.model import Axis, Signal

EVERY_WORD = ".all"
"""Behind the name of a state: the text signal with all of its words, of which the state itself is only the worst (printer.error.all)."""
_WORST = {State.OK: 0, State.UNKNOWN: 1, State.WARN: 2, State.CRIT: 3}
_OF_SEVERITY = {"ok": State.OK, "warn": State.WARN, "crit": State.CRIT}


def _said(sample: Sample, signals: Mapping[str, Signal]) -> list[tuple[Axis, State]]:
    signal = signals.get(sample.signal)
    state = signals.get(sample.signal.removesuffix(EVERY_WORD))
    if state and state is not signal and isinstance(sample.value, str):
        words = sample.value.split(",")
        return [(state.axis_of(word), _OF_SEVERITY.get(state.severity(word), State.UNKNOWN)) for word in words]
    if sample.state is State.NONE:
        return []
    return [(signal.axis_of(sample.value) if signal else Axis.FITNESS, sample.state)]


def by_axis(samples: Iterable[Sample], signals: Mapping[str, Signal]) -> dict[str, dict[Axis, State]]:
    """Component -> axis -> the worst that any judged signal says on it; an axis on which nothing is judged is not there.

    signals: by name; what is in none of them is about fitness.
    """
    found: dict[str, dict[Axis, State]] = {}
    for sample in samples:
        for axis, state in _said(sample, signals):
            axes = found.setdefault(sample.component, {})
            axes[axis] = max(axes.get(axis, State.OK), state, key=_WORST.__getitem__)
    return found
