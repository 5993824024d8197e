"""Every page of the console, with an address of each at which the bank of these tests has something to show, and the role that looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from tests.collector.web.quality.whole_bank import MARKET, WholeBank
from tests.collector.web.test_permissions import ROUTES, Route
from tillwatch.collector.people.roles import GRANTS, Permission, Role

LOOKERS = (Role.SUPERVISOR, Role.AUDITOR, Role.ADMINISTRATOR)
"""Supervisors see most and can do most; the others see what is theirs alone."""


@dataclass(frozen=True, slots=True)
class Page:
    """route: as the console declares it; permission: who sees it."""

    route: str
    permission: Permission

    @property
    def role(self) -> Role:
        return next(role for role in LOOKERS if self.permission in GRANTS[role])

    def addresses(self, bank: WholeBank) -> list[str]:
        """With the ordinary case first, and with what is written to hurt last. Relative to the console."""
        values = {
            "terminal": ["atm-1", bank.evil],
            "incident": [bank.incident, *(view.incident for view in bank.alarms() if view.terminal == bank.evil)],
            "region": ["North"],
            "branch": ["Harbour Road", MARKET],
            "rule": ["disk.full"],
            "card": ["disk.full"],
            "finding": [bank.foreseen["disk"].id, bank.foreseen["evil"].id],
        }
        if "{" not in self.route:
            return [self.route.removeprefix("/")]
        head, _, rest = self.route.removeprefix("/").partition("{")
        name, _, tail = rest.partition("}")
        asked = "?component=ups/battery&signal=ups.battery.temperature" if tail == "/readings" else ""
        return [f"{head}{quote(value, safe='')}{tail}{asked}" for value in values[name.partition(":")[0]]]


def pages() -> list[Page]:
    """All of them: the table of permissions is held against the routes of the console by a test of its own."""
    found = []
    for name, held in ROUTES.items():
        method, _, path = name.partition(" ")
        if (
            method != "GET"
            or path.startswith(("/api/", "/console/", "/metrics"))
            or path.endswith((".svg", ".ics", "}.json", ".js"))
        ):
            continue
        permission = held.permission if isinstance(held, Route) else held
        if not path.startswith("/sign-in"):
            found.append(Page(path, permission))
    return found
