"""The part of the fake fleet that is about commands: every terminal takes three of the four kinds and has one command of each state behind it, but for the
last two, of which one takes none and the other never said.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

from tillwatch.agent.model import MS
from tillwatch.collector.diagnosis.order import ASKED, DONE, EXPIRED, REFUSED, SENT, Order, Reach
from tillwatch.collector.diagnosis.reading import Bundle

NANO = 1_000_000_000
MINUTE = 60 * NANO
TAKES = frozenset({"poll-now", "raise-sampling", "collect-bundle"})


class FakeDiagnosis:
    """A DiagnosisReader. base: the "now" of the fleet, UTC ns."""

    base: int
    told: dict[str, frozenset[str] | None]
    """What a terminal takes, where that is not TAKES."""

    def reach(self, terminal: str) -> Reach:
        allowed = self.__dict__.get("told", {}).get(terminal, TAKES)
        return Reach(enabled=True, allowed=allowed, told_at=self.base - 60 * MINUTE, connection="online", waiting=1)

    def orders(self, terminal: str | None = None, *, open_only: bool = False, limit: int = 500) -> Sequence[Order]:
        made = self._made(terminal or "ATM-0001")
        return [each for each in made if not open_only or each.state in (ASKED, SENT)][:limit]

    def order(self, n: int) -> Order:
        return next((each for each in self._made("ATM-0001") if each.n == n), None) or _missing(n)

    def bundle(self, n: int) -> Bundle:
        return Bundle(
            self.order(n), zlib.compress(json.dumps({"terminal": {"id": "ATM-0001"}}).encode()), 0, retired=False
        )

    def _made(self, terminal: str) -> list[Order]:
        def made(n: int, kind: str, minutes: int, state: str, **more: object) -> Order:
            at = self.base - minutes * MINUTE
            members = {
                "sent_at": at + NANO,
                "done_at": at + 5 * NANO if state not in (ASKED, SENT) else 0,
                "outcome": "",
                **more,
            }
            arguments = members.pop("arguments", {})
            return Order(
                n,
                terminal,
                kind,
                at,
                at + 10 * MINUTE,
                "li.na",
                "UPS alarm after the storm",
                state,
                at // MS,
                arguments,
                **members,
            )

        return [
            made(906, "poll-now", 1, SENT, arguments={"component": "ups"}),
            made(905, "poll-now", 9, DONE, outcome="done", words="<b>7</b> of 7 devices read"),
            made(904, "collect-bundle", 30, DONE, outcome="done", words="18214 bytes"),
            made(903, "self-report", 42, REFUSED, outcome="refused", why="not-allowed", arguments={"component": "ups"},
                 words="[commands] allow of this terminal does not list self-report"),
            made(902, "raise-sampling", 75, DONE, outcome="interrupted", arguments={"minutes": 15, "factor": 4},
                 words="the agent ended while it was carried out; it is not repeated"),
            made(901, "poll-now", 3000, EXPIRED),
        ]  # fmt: skip


def _missing(n: int) -> Order:
    raise KeyError(str(n))
