"""The part of the scoped reader that is about bundles and rollouts: they are the whole fleet's, terminals are the asker's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Scope
from tillwatch.collector.rollout.reading import MemberView, RolloutView
from tillwatch.collector.rollout.states import Bundle


class ScopedRollouts:
    """Of ScopedReader."""

    _whole: ConsoleReader

    @property
    def _scope(self) -> Scope:
        raise NotImplementedError

    def rollouts_enabled(self) -> bool:
        return self._whole.rollouts_enabled()

    def config_bundles(self) -> Sequence[Bundle]:
        return self._whole.config_bundles()

    def config_bundle(self, n: int) -> Bundle:
        return self._whole.config_bundle(n)

    def rollouts(self, limit: int = 50) -> Sequence[RolloutView]:
        return [self._own(view) for view in self._whole.rollouts(limit)]

    def rollout(self, n: int) -> RolloutView:
        return self._own(self._whole.rollout(n))

    def members(self, terminals: Sequence[str] = ()) -> Sequence[MemberView]:
        return [view for view in self._whole.members(terminals) if self._scope.covers(view.branch, view.region)]

    def _own(self, view: RolloutView) -> RolloutView:
        """Without the names of terminals elsewhere: how many there are is the fleet's business, which they are is not."""
        if self._scope.whole:
            return view
        rollout = view.rollout
        named = {each.terminal for each in rollout.losses} | {name for ring in rollout.rings for name in ring.terminals}
        places = self._whole.places(named)
        own = {name for name in named if self._scope.covers(*places.get(name, ("", "")))}
        rings = tuple(replace(ring, terminals=tuple(n for n in ring.terminals if n in own)) for ring in rollout.rings)
        losses = tuple(each for each in rollout.losses if each.terminal in own)
        return replace(view, rollout=replace(rollout, rings=rings, losses=losses))
