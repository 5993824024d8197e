"""Incidents, times, rows and tables of any shape, for properties of routing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from hypothesis import strategies as st

from tests.collector.routing.site import CHANNELS, TICKETS, at, message, table
from tillwatch.collector.routing.matching import Match, RouteFacts
from tillwatch.collector.routing.table import Notify, Route, RouteTable
from tillwatch.collector.tickets.message import Op, TicketMessage


def some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


DAY = date(2026, 11, 18).toordinal()
MATCHES = st.builds(
    Match,
    levels=st.lists(st.sampled_from([1, 2, 3]), max_size=2, unique=True).map(tuple),
    globs=st.tuples(
        some(["atm*", "ups", "*"]), some(["海*", "海港支行", "other"]), some(["terminal", "branch", "*"])
    ).map(
        lambda found: tuple(
            (what, each) for what, each in zip(("component", "branch", "scope"), found, strict=True) if each
        )
    ),
    contracts=some(["北方维保", "北*", "*"]),
    first=st.sampled_from([0, 0, DAY, DAY + 1]),
    last=st.sampled_from([0, 0, DAY, DAY + 1]),
    hours=st.sampled_from(["", "", "business", "service"]),
    not_hours=st.sampled_from(["", "", "opening"]),
    on_duty=some(["duty engineer", "director", "金库管理员"]),
    nobody_on=some(["section head", "director"]),
)
FACTS = st.builds(
    RouteFacts,
    level=st.sampled_from([1, 2, 3]),
    component=st.sampled_from(["", "atm/CDM1 dispenser", "ups"]),
    rule=st.sampled_from(["atm.jam", "ups.on-battery", "disk.full"]),
    branch=st.sampled_from(["", "海港支行", "乌鲁木齐-南门", "other"]),
    region=st.sampled_from(["", "north"]),
    terminal=st.sampled_from(["", "atm-1", "pos-1"]),
    terminal_class=st.sampled_from(["", "atm", "pos", "server"]),
    scope=st.sampled_from(["terminal", "branch", "region", "fleet"]),
)
TIMES = st.integers(at("2026-11-17 00:00"), at("2026-11-22 00:00"))
ROUTES = st.lists(
    st.builds(Route, st.just(""), MATCHES, st.sampled_from(TICKETS), st.sampled_from(["", "Hardware", "核心系统"])),
    max_size=6,
).map(lambda rows: tuple(replace(row, name=f"row {n}") for n, row in enumerate(rows)))
NOTIFY = st.lists(
    st.builds(
        Notify,
        st.just(""),
        MATCHES,
        some(["duty engineer", "section*", "金库管理员", "nobody"]),
        some(["phone", "sms", "mail"]),
        st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=2, unique=True).map(tuple),
    ),
    max_size=4,
).map(lambda rows: tuple(replace(row, name=f"call {n}") for n, row in enumerate(rows)))
TABLES = st.builds(RouteTable, st.just(TICKETS), ROUTES, NOTIFY, contracts=st.just(table().contracts))
TOLD = st.lists(
    st.tuples(
        st.sampled_from(["", "duty engineer", "duty engineer, section head", "金库管理员"]),
        st.sampled_from(["王芳", "Li Na", "Chen Jun", "who left"]),
        st.sampled_from(["phone", "sms", "mail"]),
    ),
    max_size=4,
    unique=True,
).map(tuple)


def messages(facts: RouteFacts) -> st.SearchStrategy[TicketMessage]:
    return st.builds(
        lambda op, told, drill: message(facts, op=op, told=told, drill=drill),
        st.sampled_from(list(Op)),
        TOLD,
        st.booleans(),
    )
