"""A bank with two ticket systems, a roster and a table of routes, in two languages, for the tests of routing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.collector.duty.policy import Policy, parse_policy
from tillwatch.collector.routing.matching import RouteFacts
from tillwatch.collector.routing.table import RouteTable, parse_routes
from tillwatch.collector.tickets.message import Op, TicketMessage

TICKETS = ("desk", "night")
CHANNELS = ("sms-gateway", "mail", "heads-group")

POLICY = """
[site]
time_zone = "Asia/Shanghai"
[calendar.business]
hours = { mon-fri = "09:00-17:30" }
[branch."乌鲁木齐-*"]
time_zone = "Asia/Urumqi"
[role]
"金库管理员" = "opens the vault"
[person.wang]
name = "王芳"
phone = "+86 10 5550 0101"
sms = "+86 139 5550 0101"
[person.li]
name = "Li Na"
sms = "+86 139 5550 0102"
mail = "li.na@bank.example"
[person.chen]
name = "Chen Jun"
mail = "chen.jun@bank.example"
[[shift]]
role = "duty engineer"
people = "wang"
hours = { daily = "08:00-20:00" }
[[shift]]
role = "duty engineer"
people = "li"
hours = { daily = "20:00-08:00" }
[[shift]]
role = "section head"
people = "li"
hours = { mon-fri = "09:00-17:30" }
[[shift]]
role = "金库管理员"
people = "chen"
hours = "24x7"
"""

ROUTES = """
[[route]]
name = "机房核心"
level = 1
class = "server"
ticket = "desk"
queue = "核心系统"

[[route]]
name = "under contract"
contract = "北方维保"
ticket = "desk"
queue = "Vendors"

[[route]]
name = "at night"
not_hours = "business"
nobody_on = "section head"
ticket = "night"

[[route]]
name = "rest"
ticket = "desk"

[[notify]]
name = "短信"
channel = "sms"
through = "sms-gateway"

[[notify]]
name = "heads"
level = [1, 2]
role = "section*"
through = ["heads-group", "mail"]

[fallback]
role = ["section head", "duty engineer"]
channel = ["sms", "phone"]
through = ["sms-gateway"]

[contract."北方维保"]
vendor = "北方机具"
number = "NM-118"
hotline = "+86 10 5550 0199"
from = 2026-01-01
to = 2026-12-31
[[contract."北方维保".covers]]
class = "atm"
component = ["atm*", "cardreader*"]
"""


@cache
def policy(text: str = POLICY) -> Policy:
    return parse_policy(text)


def table(text: str = ROUTES, tickets: tuple[str, ...] = TICKETS) -> RouteTable:
    return parse_routes(text, "routes.toml", tickets)


def at(text: str = "2026-11-18 10:00", zone: str = "Asia/Shanghai") -> int:
    """UTC ns; a Wednesday within business hours unless said otherwise."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


ATM = RouteFacts(2, "atm/CDM1 dispenser", "atm.jam", "海港支行", "north", "atm-1", "atm")
SERVER = RouteFacts(1, "ups", "ups.on-battery", "海港支行", "north", "srv-1", "server")
POS = RouteFacts(3, "host/disk:/", "disk.full", "海港支行", "north", "pos-1", "pos")


def message(facts: RouteFacts = ATM, **changes: Any) -> TicketMessage:
    plain = TicketMessage(
        "HWM-0123456789abcdef0123-1", Op.OPEN, 1, facts.level, facts.terminal, facts.branch, facts.region, facts.component, "现金模块卡钞", at(), at(),
        scope=facts.scope, fault=facts.rule, terminal_class=facts.terminal_class,
    )  # fmt: skip
    return replace(plain, **changes)
