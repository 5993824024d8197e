"""What the doctor says of configuration bundles: whether they are brought out, what runs, and whether a broker outside lets them through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tillwatch.collector.config import Config
from tillwatch.collector.intake.access_check import held_back
from tillwatch.collector.rollout.states import RUNNING
from tillwatch.collector.store.opening import open_reader
from tillwatch.collector.store.reading import is_made
from tillwatch.collector.store.sqlite import StoreError

SUBJECT = "rollout"


def examine_rollout(config: Config) -> Iterator[tuple[str, str, str]]:
    """Subject, state, text. Reads the store and, of a broker that this machine configures, its access list."""
    if not config.rollout.enabled:
        yield SUBJECT, "ok", "off: no terminal is told from here what to run"
        return
    said = "no rollout was started"
    try:
        reader = open_reader(config.store) if is_made(config.store) else None
    except StoreError as error:
        yield SUBJECT, "warn", str(error)
        return
    if reader is not None:
        try:
            newest = next(iter(reader.rollouts(1)), None)
            states = Counter(view.member.state for view in reader.members())
        finally:
            reader.close()
        if newest is not None:
            rollout = newest.rollout
            ring = f" in ring {rollout.rings[rollout.ring].name}" if rollout.state == RUNNING else ""
            told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()) if state)
            said = f"rollout {rollout.n} of {newest.name or 'no bundle'} is {rollout.state}{ring}; terminals: {told}"
    yield SUBJECT, "ok", f"on: {said}"
    yield from held_back(config, SUBJECT, "bundle")
