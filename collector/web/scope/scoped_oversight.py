"""The part of the scoped reader that is about the monitoring itself. Rules, the policy's windows and the state of the collector are one for all; what happened is
counted from the asker's own part of the fleet, and acts that are about none of its terminals are not there for somebody who sees only a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tillwatch.collector.duty.windows import EVERYWHERE, PLACES, Window
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.oversight import DoneView, MonitoringFacts, News, RuleCount, RuleRecord, Shown, everything
from tillwatch.collector.people.roles import Scope, Visitor
from tillwatch.collector.proof.acts_page import ActsPage, EntryCheck, Stretch, Wanted


class ScopedOversight:
    """Of ScopedReader."""

    _whole: ConsoleReader
    _visitor: Visitor

    @property
    def _seen(self) -> Scope:
        return self._visitor.scope

    def _shown(self) -> Shown:
        scope = self._seen
        if scope.whole:
            return everything
        places = self._whole.places()

        def shown(terminal: str, branch: str = "", region: str = "") -> bool:
            place = places.get(terminal, ("", "")) if terminal else (branch, region)
            return scope.covers(*place)

        return shown

    def windows(self) -> Mapping[str, Window]:
        """Those that touch the asker's part: a window over the whole region of his one branch is his, too."""
        found, scope = self._whole.windows(), self._seen
        if scope.whole:
            return found
        places = [(name, place) for name, place in self._whole.places().items() if scope.covers(*place)]
        return {
            name: window
            for name, window in found.items()
            if window.scope == EVERYWHERE or any(window.touches(terminal, *place) for terminal, place in places)
        }

    def acts(self, wanted: Wanted, before: int, limit: int, shown: Shown = everything) -> ActsPage:  # noqa: ARG002 - the asker's own counts
        return self._whole.acts(wanted, before, limit, self._shown())

    def entry(self, n: int) -> EntryCheck:
        found = self._whole.entry(n)
        if not self._shown()(found.logged.act.terminal):
            raise KeyError(str(n))
        return found

    def stretch(self, first: int, last: int) -> Stretch:
        return self._whole.stretch(first, last)

    def news(self, after: int) -> News:
        found, scope = self._whole.news(after), self._seen
        if scope.whole:
            return found
        shown = self._shown()
        return News(
            found.event,
            tuple(each for each in found.incidents if scope.covers(each.branch, each.region)),
            tuple(each for each in found.commands if shown(each.terminal)),
        )

    def verified(self) -> DoneView:
        return self._whole.verified()

    def rules_fired(self, since: int, shown: Shown = everything) -> Mapping[str, RuleCount]:  # noqa: ARG002 - as above
        return self._whole.rules_fired(since, self._shown())

    def rule_record(self, rule: str, since: int, now: int, shown: Shown = everything) -> RuleRecord:  # noqa: ARG002 - as above
        return self._whole.rule_record(rule, since, now, self._shown())

    def monitoring(self, now: int) -> MonitoringFacts:
        facts, shown = self._whole.monitoring(now), self._shown()
        return replace(
            facts,
            spools=tuple(each for each in facts.spools if shown(each.terminal)),
            aged=tuple(each for each in facts.aged if shown(each)),
        )


def may_plan(scope: Scope, window_scope: str, places: Mapping[str, tuple[str, str]]) -> bool:
    """Whether somebody who is there for a part of the fleet may silence all that this scope covers, now and when terminals come to it. places: of the whole fleet."""
    if scope.whole:
        return True
    kind, _, name = window_scope.partition(":")
    if window_scope == EVERYWHERE:
        return False
    if kind in PLACES:
        return name in (scope.regions if kind == "region" else scope.branches) or (
            kind == "branch" and {region for branch, region in places.values() if branch == name} <= scope.regions
        )
    return scope.covers(*places.get(window_scope.partition("/")[0], ("", "")))
