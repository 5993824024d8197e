"""Who may open what: every route of the console, for every role, for nobody, and for somebody of another region.

A route that is not in ROUTES fails: write it there, `METHOD path: permission`. Where its address holds the name of something, PLACES knows one that is in
the south; where a GET needs parameters or an act a body, give them as `Route(permission, query="...", body={...})`, valid ones, so that an answer shows
that the scope was asked before anything was done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.routing import BaseRoute

from tests.collector.fake_fleet import BRANCHES, FakeFleet
from tests.collector.people.peopled import Peopled, peopled
from tillwatch.collector.people.roles import GRANTS, Permission, Role, Scope
from tillwatch.collector.people.settings import ConsoleSection
from tillwatch.collector.web.entry.door import NEEDS
from tillwatch.collector.web.pages.theme import static_version

OPEN, SELF, SEE, SEE_PROTECTED, ACT, DIAGNOSE, PLAN, TRY_RULES, PROVE, AUDIT, PEOPLE, METRICS, ROLL_OUT = Permission


@dataclass(frozen=True)
class Route:
    """everywhere: its address names something that is nobody's part of the fleet; streams: its answer does not end; leaves: who may do it is signed
    out by it."""

    permission: Permission
    query: str = ""
    body: Any = None
    everywhere: bool = False
    streams: bool = False
    leaves: bool = False


V1 = "/api/v1"
ROUTES: dict[str, Permission | Route] = {
    # The fleet.
    "GET /": SEE,
    "GET /alarms": SEE,
    "GET /at-risk": SEE,
    "GET /deliveries": SEE,
    "GET /trends": SEE,
    "GET /terminal/{terminal}": SEE,
    "GET /incident/{incident}": SEE,
    "GET /findings/{finding}": SEE,
    "GET /findings/{finding}.svg": SEE,
    "GET /chart/{terminal}/{component:path}/{signal}.svg": SEE,
    "GET /console/fleet.json": SEE,
    "GET /wall": SEE,
    "GET /heat": SEE,
    "GET /path": SEE,
    "GET /regions": SEE,
    "GET /regions/{region:path}": SEE,
    "GET /branch/{branch:path}": SEE,
    f"GET {V1}/search": Route(SEE, "q=a"),
    f"GET {V1}/fleet": SEE,
    f"GET {V1}/worst": SEE,
    f"GET {V1}/regions": SEE,
    f"GET {V1}/branches": SEE,
    f"GET {V1}/branch": Route(SEE, "name=University"),
    f"GET {V1}/branch/incidents": Route(SEE, "name=University"),
    f"GET {V1}/branch/week": Route(SEE, "name=University"),
    f"GET {V1}/branch/duty": Route(SEE, "name=University"),
    f"GET {V1}/path": SEE,
    f"GET {V1}/paths": SEE,
    f"GET {V1}/heat": SEE,
    f"GET {V1}/terminals/{{terminal}}/parts": SEE,
    f"GET {V1}/terminals": SEE,
    f"GET {V1}/terminals/{{terminal}}": SEE,
    f"GET {V1}/terminals/{{terminal}}/components": SEE,
    f"GET {V1}/terminals/{{terminal}}/findings": SEE,
    f"GET {V1}/terminals/{{terminal}}/history": Route(SEE, "component=ups/battery&signal=battery.charge"),
    f"GET {V1}/terminals/{{terminal}}/readings": Route(SEE, "component=ups/battery&signal=battery.charge"),
    f"GET {V1}/terminals/{{terminal}}/dossier": SEE,
    f"GET {V1}/terminals/{{terminal}}/timeline": SEE,
    f"GET {V1}/terminals/{{terminal}}/strip": SEE,
    f"GET {V1}/terminals/{{terminal}}/lives": SEE,
    f"GET {V1}/terminals/{{terminal}}/similar": SEE,
    f"PUT {V1}/terminals/{{terminal}}/asset": Route(PLAN, body={"maker": "Acme"}),
    f"POST {V1}/terminals/{{terminal}}/reveal": SEE_PROTECTED,
    f"POST {V1}/terminals/{{terminal}}/notes": Route(ACT, body={"text": "Key is with the porter"}),
    f"POST {V1}/terminals/{{terminal}}/life-cycle": Route(PLAN, body={"state": "spare", "reason": "moved"}),
    f"GET {V1}/service-due": SEE,
    f"GET {V1}/alarms": SEE,
    f"GET {V1}/alarms/{{alarm}}/why": SEE,
    f"GET {V1}/incidents": SEE,
    f"GET {V1}/incidents/{{incident}}": SEE,
    f"GET {V1}/deliveries": SEE,
    f"GET {V1}/risk": SEE,
    f"GET {V1}/findings": SEE,
    f"GET {V1}/findings/{{finding}}": SEE,
    f"GET {V1}/detectors": SEE,
    f"GET {V1}/inspections": SEE,
    f"GET {V1}/predictions": SEE,
    f"GET {V1}/health": SEE,
    f"GET {V1}/events": Route(SEE, streams=True),
    f"POST {V1}/proofs": Route(
        PROVE,
        body={
            "terminal": "ATM-001",
            "component": "ups/battery",
            "signal": "battery.charge",
            "at": "2026-09-21T14:00:00Z",
        },
    ),
    f"GET {V1}/proofs/{{proof}}": PROVE,
    f"GET {V1}/terminals/{{terminal}}/diagnosis": SEE,
    f"POST {V1}/terminals/{{terminal}}/commands": Route(DIAGNOSE, body={"kind": "poll-now", "reason": "to see"}),
    f"GET {V1}/commands": SEE,
    f"GET {V1}/commands/{{command}}": SEE,
    f"GET {V1}/commands/{{command}}/bundle": DIAGNOSE,
    f"GET {V1}/figures": SEE,
    f"GET {V1}/figures/scopes": SEE,
    f"GET {V1}/figures/causes": SEE,
    f"GET {V1}/figures/intervals": SEE,
    f"GET {V1}/figures/incidents": SEE,
    f"GET {V1}/figures/ran-out": SEE,
    f"GET {V1}/figures/supplies": SEE,
    f"GET {V1}/figures/trend": SEE,
    f"GET {V1}/figures/report": SEE,
    "GET /worker.js": OPEN,
    "GET /figures": SEE,
    "GET /figures/{terminal}": SEE,
    f"GET {V1}/terminals/{{terminal}}/intervals": SEE,
    f"GET {V1}/corrections": SEE,
    f"POST {V1}/terminals/{{terminal}}/corrections": Route(
        PLAN, body={"from": "2026-01-02T06:00", "to": "2026-01-02T10:00", "counts_as": "planned", "reason": "move"}
    ),
    "GET /enrolment": SEE,
    f"GET {V1}/enrolment": SEE,
    f"GET {V1}/enrolment/expected": SEE,
    f"GET {V1}/enrolment/grants/{{name}}/missing": SEE,
    "GET /supplies": SEE,
    f"GET {V1}/supplies": SEE,
    f"GET {V1}/supplies/route": SEE,
    f"GET {V1}/terminals/{{terminal}}/refills": Route(SEE, "component=ups/battery&signal=battery.charge"),
    "GET /terminal/{terminal}/readings": SEE,
    # Acts on alarms and incidents.
    f"POST {V1}/incidents/{{incident}}/acknowledge": Route(ACT, body={}),
    f"POST {V1}/incidents/{{incident}}/assign": Route(ACT, body={"to": "wang"}),
    f"POST {V1}/incidents/{{incident}}/hold": Route(ACT, body={"reason": "parts"}),
    f"POST {V1}/incidents/{{incident}}/resume": Route(ACT, body={}),
    f"POST {V1}/incidents/{{incident}}/repair": Route(ACT, body={}),
    f"POST {V1}/incidents/{{incident}}/resolve": Route(ACT, body={"verdict": "part_changed", "part": "fan"}),
    f"POST {V1}/incidents/{{incident}}/close": Route(ACT, body={}),
    f"POST {V1}/incidents/{{incident}}/note": Route(ACT, body={"text": "on my way"}),
    f"POST {V1}/incidents/{{incident}}/split": Route(ACT, body={"alarms": [1]}),
    f"POST {V1}/incidents/{{incident}}/merge": Route(ACT, body={"into": "3f6c2d20-8b1e-4c55-9d0a-77aa12f0c002"}),
    f"POST {V1}/alarms/{{alarm}}/acknowledge": Route(ACT, body={}),
    f"POST {V1}/alarms/{{alarm}}/shelve": Route(ACT, body={"for": "2h", "reason": "known"}),
    f"POST {V1}/alarms/{{alarm}}/unshelve": Route(ACT, body={}),
    f"POST {V1}/incidents/acts": ACT,
    # Planning, and what is known of the monitoring itself.
    "GET /calendar": SEE,
    f"GET {V1}/windows": SEE,
    f"GET {V1}/windows.ics": SEE,
    f"GET {V1}/windows/{{window}}": SEE,
    f"GET {V1}/windows/preview": PLAN,
    f"GET {V1}/windows/tonight": PLAN,
    f"POST {V1}/windows": PLAN,
    f"PUT {V1}/windows/{{window}}": PLAN,
    f"DELETE {V1}/windows/{{window}}": PLAN,
    # Configuration bundles.
    "GET /rollout": SEE,
    f"GET {V1}/bundles": SEE,
    f"GET {V1}/bundles/{{bundle}}": SEE,
    f"GET {V1}/rollouts": SEE,
    f"GET {V1}/rollouts/{{rollout}}": SEE,
    f"GET {V1}/configurations": SEE,
    f"POST {V1}/rollouts": Route(
        ROLL_OUT, body={"bundle": "winter-2026", "rings": [{"name": "rest", "share": 100}], "reason": "cold rooms"}
    ),
    f"POST {V1}/rollouts/{{rollout}}/halt": Route(ROLL_OUT, body={"reason": "wait"}),
    f"POST {V1}/rollouts/{{rollout}}/return": Route(ROLL_OUT, body={"reason": "summer"}),
    f"PUT {V1}/terminals/{{terminal}}/ring": Route(ROLL_OUT, body={"ring": "pilot", "reason": "beside the office"}),
    "GET /audit": AUDIT,
    f"GET {V1}/audit": AUDIT,
    f"GET {V1}/audit/chain": AUDIT,
    f"POST {V1}/audit/stretch": AUDIT,
    f"GET {V1}/audit/{{n}}": AUDIT,
    "GET /monitoring": SEE,
    f"GET {V1}/monitoring": SEE,
    "GET /metrics": METRICS,
    f"GET {V1}/cards": SEE,
    f"GET {V1}/cards/{{rule}}": SEE,
    f"GET {V1}/roster": SEE,
    f"GET {V1}/roster/told": SEE,
    f"POST {V1}/roster/people/{{person}}/contact": SEE_PROTECTED,
    f"GET {V1}/rules": SEE,
    f"GET {V1}/rules/{{rule}}": SEE,
    f"POST {V1}/backtests": TRY_RULES,
    f"GET {V1}/backtests": TRY_RULES,
    f"GET {V1}/backtests/{{trial}}": TRY_RULES,
    f"DELETE {V1}/backtests/{{trial}}": TRY_RULES,
    "GET /roster": SEE,
    "GET /rules": SEE,
    "GET /rules/{rule}": SEE,
    "GET /cards": SEE,
    "GET /cards/{rule}": SEE,
    # People and oneself.
    "GET /people": PEOPLE,
    "GET /profile": SELF,
    f"GET {V1}/me": SEE,
    f"PUT {V1}/me": SELF,
    f"PUT {V1}/me/active": SELF,
    f"POST {V1}/me/password": SELF,
    f"POST {V1}/me/factor": SELF,
    f"PUT {V1}/me/factor": SELF,
    f"POST {V1}/me/factor/codes": SELF,
    f"POST {V1}/me/factor/removal": SELF,
    f"GET {V1}/me/sessions": SELF,
    f"DELETE {V1}/me/sessions": SELF,
    f"DELETE {V1}/me/sessions/{{mark}}": SELF,
    f"GET {V1}/me/tokens": SELF,
    f"POST {V1}/me/tokens": SELF,
    f"DELETE {V1}/me/tokens/{{number}}": SELF,
    f"GET {V1}/me/preferences/{{key}}": SELF,
    f"PUT {V1}/me/preferences/{{key}}": SELF,
    f"DELETE {V1}/me/preferences/{{key}}": SELF,
    f"GET {V1}/people": PEOPLE,
    f"POST {V1}/people": PEOPLE,
    f"GET {V1}/people/{{name}}": PEOPLE,
    f"PUT {V1}/people/{{name}}": Route(PEOPLE, body={"active": True}),
    f"POST {V1}/people/{{name}}/invitation": PEOPLE,
    f"POST {V1}/people/{{name}}/password": PEOPLE,
    f"DELETE {V1}/people/{{name}}/factor": PEOPLE,
    f"GET {V1}/people/{{name}}/sessions": PEOPLE,
    f"DELETE {V1}/people/{{name}}/sessions": PEOPLE,
    f"GET {V1}/people/{{name}}/tokens": PEOPLE,
    f"DELETE {V1}/people/{{name}}/tokens/{{number}}": PEOPLE,
    # Acts on incidents and alarms.
    "GET /inbox": SEE,
    f"GET {V1}/inbox": SEE,
    f"GET {V1}/handling": ACT,
    "GET /my": ACT,
    "GET /repair/{incident}": ACT,
    f"GET {V1}/my": ACT,
    f"GET {V1}/repairs/{{incident}}": ACT,
    # Coming in and going out.
    f"POST {V1}/sign-in": OPEN,
    f"POST {V1}/sign-out": Route(SELF, leaves=True),
    "GET /sign-in": OPEN,
    "POST /sign-in": OPEN,
    "POST /sign-in/code": OPEN,
    "POST /sign-in/factor": OPEN,
    "POST /sign-in/out": OPEN,
    "POST /sign-in/password": OPEN,
    "GET /sign-in/welcome": OPEN,
    "POST /sign-in/welcome": OPEN,
    f"GET /console/{static_version()}/{{name}}": OPEN,
}
OF_OTHERS = {f"GET {V1}/openapi.json", "GET /favicon.ico"}
"""Made by the frameworks, without anything of the fleet in them; who has not signed in gets past the door to none but the icon."""
PLACES = {
    "terminal": "ATM-001",
    "component": "ups/battery",
    "signal": "battery.charge",
    "incident": "3f6c1d20-8b1e-4c55-9d0a-77aa12f0c001",
    "alarm": "1",
    "branch": BRANCHES[0][0],
    "region": BRANCHES[0][1],
}
NORTH = Scope(regions=frozenset({"North"}))
NOT_THERE = {404}
UNDONE = {404, 405, 409, 422}
"""Answers to an act that was not done. 503 would mean that it got as far as the collector."""


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[Peopled]:
    with peopled(tmp_path_factory.mktemp("console"), ConsoleSection(rate=1000), with_pages=True) as made:
        for role in Role:
            made.add(role, role)
            if role is not Role.ADMINISTRATOR:
                made.add(f"north-{role}", role, scope=NORTH)
        yield made


@pytest.fixture(scope="module")
def browsers(house) -> dict[str, Any]:
    names = [str(role) for role in Role] + [f"north-{role}" for role in Role if role is not Role.ADMINISTRATOR]
    found = {}
    for name in names:
        client = house.browser(name)
        client.headers.update(house.csrf(client))
        found[name] = client
    return found


def routes(found: list[BaseRoute]) -> Iterator[tuple[str, Any]]:
    """`METHOD path` and the route, of the API and the pages; NiceGUI's own files are behind the door."""
    for route in found:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        path = getattr(route, "path", "")
        if getattr(route, "methods", None):
            if not path.startswith("/_nicegui"):
                for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
                    yield f"{method} {path}", route
        elif inner is not None and hasattr(inner, "routes"):
            yield from routes(inner.routes)


def entries() -> dict[str, Route]:
    return {name: held if isinstance(held, Route) else Route(held) for name, held in ROUTES.items()}


def ask(client: Any, name: str, route: Route, *, places: dict[str, str] | None = None) -> Any:
    method, _, path = name.partition(" ")
    address = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: (places or PLACES).get(found[1], "none"), path)
    return client.request(method, f"{address}?{route.query}" if route.query else address, json=route.body)


def test_every_route_is_listed_and_none_that_is_gone(house):
    found = {name for name, route in routes(house.console.app.routes) if "{rest:path}" not in name}
    assert sorted(found - OF_OTHERS - set(ROUTES)) == [], "who may open these? write them into ROUTES"
    assert sorted(set(ROUTES) - found) == [], "these are gone: take them out of ROUTES"


def test_every_route_declares_what_the_table_says(house):
    table = entries()
    for name, route in routes(house.console.app.routes):
        if name not in table:
            continue
        declared = [getattr(each.call, NEEDS, None) for each in route.dependant.dependencies]
        assert [each for each in declared if each] == [table[name].permission], name


@pytest.mark.parametrize("role", list(Role))
def test_a_role_gets_past_what_it_may_and_no_further(browsers, role):
    wrong = {}
    for name, route in entries().items():
        if route.permission is Permission.OPEN or (
            (route.streams or route.leaves) and route.permission in GRANTS[role]
        ):
            continue
        status = ask(browsers[role], name, route).status_code
        may = route.permission in GRANTS[role]
        if (may and status in {401, 403, 500}) or (not may and status != 403):
            wrong[name] = status
    assert wrong == {}


def test_nobody_gets_past_the_door(house):
    nobody = house.browser()
    for name, route in entries().items():
        if route.permission is Permission.OPEN:
            continue
        assert ask(nobody, name, route).status_code == 401, name
        if name.startswith("GET ") and not any(part in name for part in (V1, "/console/", "/metrics")):
            method, _, path = name.partition(" ")
            answer = nobody.request(method, path, headers={"Accept": "text/html"})
            assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in"), name
    for path in (
        f"{V1}/openapi.json",
        f"{V1}/nothing",
        "/nothing",
        "/_nicegui_ws/socket.io/",
        "/_nicegui/x/libraries/x",
    ):
        assert nobody.get(path).status_code == 401, path


def test_who_has_not_signed_in_only_looks(tmp_path_factory):
    with peopled(tmp_path_factory.mktemp("open"), ConsoleSection(anonymous=True, rate=1000)) as house:
        house.add("li.wei")
        there = {name for name, _ in routes(house.console.app.routes)}
        for name, route in entries().items():
            if name not in there or route.streams or route.permission is Permission.OPEN:
                continue
            status = ask(house.client, name, route).status_code
            looks = route.permission in GRANTS[Role.VIEWER] - {Permission.SELF}
            assert (status not in {401, 403}) if looks else status == 401, (name, status)


def test_a_page_that_ones_role_does_not_open_says_so(browsers):
    answer = browsers["viewer"].get("/people", headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert "Your role does not open this page" in answer.text
    assert browsers["viewer"].get("/people").headers["content-type"] == "application/problem+json"


def of_the_south() -> list[str]:
    """Words that no answer to somebody of the north holds."""
    views = [view for view in FakeFleet(60).terminals() if view.region != "North"]
    return sorted({*(view.id for view in views), *(name for name, region in BRANCHES if region != "North")})


def test_what_names_the_south_is_not_there_for_the_north(browsers):
    """With the role that may most of it, and exactly as for what does not exist anywhere."""
    for name, route in entries().items():
        if (
            route.permission is Permission.OPEN
            or route.everywhere
            or not re.search(rf"\{{({'|'.join(PLACES)})[}}:]", name)
        ):
            continue
        for role in [role for role in Role if route.permission in GRANTS[role] and role is not Role.ADMINISTRATOR]:
            status = ask(browsers[f"north-{role}"], name, route).status_code
            assert status in (NOT_THERE if name.startswith("GET ") else UNDONE), (name, role, status)


def test_no_list_tells_the_north_of_the_south(browsers):
    words = of_the_south()
    assert "ATM-001" in words
    for name, route in entries().items():
        if route.permission is Permission.OPEN or route.streams or not name.startswith("GET "):
            continue
        for role in [role for role in Role if route.permission in GRANTS[role] and role is not Role.ADMINISTRATOR]:
            answer = ask(browsers[f"north-{role}"], name, route)
            told = [word for word in words if word in answer.text and word not in unquote(str(answer.url))]
            assert told == [], (name, role)
