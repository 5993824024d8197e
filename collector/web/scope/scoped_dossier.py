"""The part of the scoped reader that is about the files of terminals: serial numbers and addresses are masked, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Visitor
from tillwatch.collector.predict.lives import Lives
from tillwatch.collector.terminal import asset
from tillwatch.collector.terminal.dossier import (
    EVERYWHERE,
    KINDS,
    DossierView,
    LifeView,
    Similar,
    Strip,
    Timeline,
    masked_dossier,
    masked_timeline,
)


class ScopedDossiers:
    """Of ScopedReader."""

    _whole: ConsoleReader
    _visitor: Visitor

    def _check(self, terminal: str) -> None:
        raise NotImplementedError

    def asset(self, terminal: str) -> tuple[Mapping[str, Any], str]:
        self._check(terminal)
        kept, version = self._whole.asset(terminal)
        return asset.masked(kept), version

    def amended(self, terminal: str, fields: Mapping[str, Any]) -> tuple[str, str]:
        self._check(terminal)
        return self._whole.amended(terminal, fields)

    def assets(self) -> Mapping[str, Mapping[str, Any]]:
        places = self._whole.places()
        return {
            name: asset.masked(kept)
            for name, kept in self._whole.assets().items()
            if self._visitor.scope.covers(*places.get(name, ("", "")))
        }

    def dossier(self, terminal: str, now: int) -> DossierView:
        self._check(terminal)
        return masked_dossier(self._whole.dossier(terminal, now))

    def timeline(self, terminal: str, start: int, end: int, kinds: Sequence[str] = KINDS) -> Timeline:
        self._check(terminal)
        return masked_timeline(self._whole.timeline(terminal, start, end, kinds))

    def strip(self, terminal: str, start: int, end: int) -> Strip:
        self._check(terminal)
        return self._whole.strip(terminal, start, end)

    def lives(self, terminal: str, lives: Lives, now: int) -> Sequence[LifeView]:
        self._check(terminal)
        return self._whole.lives(terminal, lives, now)

    def similar(self, terminal: str, now: int, covers: Callable[[str, str], bool] = EVERYWHERE) -> Similar:
        self._check(terminal)
        return self._whole.similar(
            terminal, now, lambda branch, region: self._visitor.scope.covers(branch, region) and covers(branch, region)
        )
