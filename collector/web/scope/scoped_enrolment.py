"""The part of the scoped reader that is about enrolment: machines of the asker's own part of the fleet, with serial numbers masked. A machine that nobody expects
belongs to no branch: only who sees the whole fleet sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.masking import hidden
from tillwatch.collector.people.roles import Scope
from tillwatch.collector.terminal.asset import mask
from tillwatch.collector.trust.expected import Expected, Grant, RefusedClaim
from tillwatch.collector.trust.reading import NotEnrolled


class ScopedEnrolment:
    """Of ScopedReader."""

    _whole: ConsoleReader

    @property
    def _scope(self) -> Scope:
        raise NotImplementedError

    def grants(self) -> Sequence[Grant]:
        return self._whole.grants()

    def expected(self) -> Sequence[Expected]:
        return [
            replace(one, serial=str(mask(one.serial)), public=b"", address=hidden(one.address))
            for one in self._whole.expected()
            if self._scope.covers(one.branch, one.region)
        ]

    def refused_claims(self) -> Sequence[RefusedClaim]:
        places = {one.serial: (one.branch, one.region) for one in self._whole.expected()}
        return [
            replace(claim, serial=str(mask(claim.serial)), address=hidden(claim.address))
            for claim in self._whole.refused_claims()
            if self._scope.whole or (claim.serial in places and self._scope.covers(*places[claim.serial]))
        ]

    def not_enrolled(self, name: str) -> Sequence[NotEnrolled]:
        return [
            replace(one, serial=str(mask(one.serial)) if one.serial else "")
            for one in self._whole.not_enrolled(name)
            if self._scope.covers(one.branch, one.region)
        ]
