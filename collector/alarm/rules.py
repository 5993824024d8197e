"""The master alarm table: each rule with its limits and, after IEC 62682, its cause, consequence, action, owner and review date. Without an
action there is no alarm. The table is TOML; what the fold needs of it goes into the journal as text, so that a replay uses the rules of
that day.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from tillwatch.agent.model import State, device_of
from tillwatch.collector.detect.limits import Limits, Step
from tillwatch.collector.predict.finding import LATER, OVER, RULES, SOON

SILENT = "terminal.silent"
"""Nothing comes from a terminal any more."""
COMPONENT_SILENT = "component.silent"
"""A terminal speaks, but not of this component."""
FORK = "delivery.fork"
"""Two histories under one key: a cloned terminal, or a spool that was rolled back."""
CLOCK = "clock.suspect"
"""A terminal's clock is off by more than a minute: its times are corrected and marked."""
BRANCH_UNREACHABLE = "branch.unreachable"
"""Many terminals of a branch fell silent together."""
BRANCH_MAINS = "branch.mains"
"""Many power supplies of a branch lost the mains together."""
REGION_UNREACHABLE = "region.unreachable"
"""Several branches of a region became unreachable together."""
FLEET_UNREACHABLE = "fleet.unreachable"
"""Nearly everybody fell silent together: the monitoring itself lost them."""
UNSTAFFED = "duty.unstaffed"
"""Nobody is on duty for a role that a step of escalation is for."""
REGULATOR = "region.regulator"
"""So many of a region's terminals have served nobody for so long that the regulator must be told."""
EXTERNAL = "external.alert"
"""Another monitoring system says so."""
UNDELIVERED = "tickets.undelivered"
"""What the ticket system is to be told waits for longer than the policy allows."""
TICKET_GONE = "tickets.gone"
"""A ticket of an incident that lives was deleted."""
INFERRED = {"reach": BRANCH_UNREACHABLE, "mains": BRANCH_MAINS}
"""What `common` of a rule lets the collector conclude of a branch."""
CONCLUDED = (
    BRANCH_UNREACHABLE, BRANCH_MAINS, REGION_UNREACHABLE, FLEET_UNREACHABLE, UNSTAFFED, REGULATOR, UNDELIVERED, TICKET_GONE,
    EXTERNAL,
)  # fmt: skip
"""Conditions of no single terminal: they make incidents without an alarm of their own."""
PREDICTED = tuple(RULES.values())
"""What will fail or run out, as far as the readings tell: planned work. It is no fault, so it changes no state, no availability and no figure."""
BUILT_IN = (SILENT, COMPONENT_SILENT, FORK, CLOCK, *CONCLUDED, *PREDICTED)
"""Conditions that the collector itself finds: their rules have words and no signal."""

_UNITS = {"ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_KEYS = {
    "id",
    "signal",
    "above",
    "below",
    "words",
    "judged",
    "deadband",
    "for",
    "hold",
    "level",
    "text",
    "cause",
    "consequence",
    "action",
    "owner",
    "review",
    "component",
    "unless",
    "latched",
    "off",
    "axis",
    "party",
    "settle",
    "follows",
    "within",
    "explains",
    "symptom_of",
    "common",
}
AXES = ("fitness", "supply", "security")
"""The three separate axes of a component's state."""
PARTIES = (
    "hardware", "software", "cash", "supplies", "power", "network", "host", "branch", "vandalism", "monitoring", "planned", "unknown",
)  # fmt: skip
"""Who answers for an interruption: the share of each stands in the report."""
LINKS = ("power", "network", "host")
"""The kinds of dependence."""
WITHIN = ("component", "unit", "device", "terminal")
"""How near two alarms lie that `follows` may join, the nearest first: see `together`."""
KEPT = 4
"""Tables that stay parsed. Reading one takes longer than all else in a start or in opening the store to read: it has more than a hundred rules.
And each asks for it more than once, as shipped, as the site has it, and as it stands in the journal.
"""
_TOP = {"fold", "rule", "no_alarm"}
_JUDGED = {"warn": int(State.WARN), "crit": int(State.CRIT)}
_OF_PARTY = "party:"
"""In follows: every rule with a signal whose faults are of that party."""


class RulesError(ValueError):
    """The table cannot be used. The text names the rule, the key and the mend."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table. signals: the catalogue names that are compared; none for the conditions that the collector finds. Of several
    the worst on a component counts, so that a part has one alarm for one fault. component: the components that it is about, all where it
    is None. unless: not about a component that tells one of these signals, which say the same better and have rules of their own. latched: the alarm stays open until somebody has taken it
    on, also where the condition is over: that a casing is closed again does not say what was done to it.

    axis, party: of AXES and PARTIES. settle_ns: between the alarm and its incident, for what may turn out to be the symptom of something
    wider. follows: rules that, while open near it, have the same cause: one incident; its
    own id: several parts show one fault, as the phases of a UPS do; `party:NAME` stands for every rule with a signal of that party, all but
    those of security: an incident with a tampering in it is never closed by itself. within: of WITHIN, how near. explains: the kind of dependence (of LINKS)
    over which an open alarm makes what depends on its device unreachable; symptom_of: the kinds by which this one may be explained.
    common: the key of INFERRED under which alarms of several terminals of a branch are one cause.
    """

    id: str
    signals: tuple[str, ...]
    limits: Limits
    text: str
    cause: str
    consequence: str
    action: str
    owner: str
    review: str
    latched: bool = False
    component: re.Pattern[str] | None = None
    unless: tuple[str, ...] = ()
    axis: str = "fitness"
    party: str = "hardware"
    settle_ns: int = 0
    follows: tuple[str, ...] = ()
    within: str = "device"
    explains: str = ""
    symptom_of: tuple[str, ...] = ()
    common: str = ""

    @property
    def signal(self) -> str:
        """The first of them, or empty."""
        return self.signals[0] if self.signals else ""


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules and the fold's other settings. shipped, text: what was parsed, the shipped and the site's, as they stand in the journal.
    no_alarm: signal, or `signal=word`, -> why it raises nothing although it may tell of something bad.
    """

    by_id: Mapping[str, Rule]
    by_signal: Mapping[str, tuple[Rule, ...]]
    silent_after: float
    silent_least_ns: int
    default_interval_s: float
    reopen_ns: int
    no_alarm: Mapping[str, str]
    shipped: str = field(repr=False)
    text: str = field(repr=False)


def together(within: str, one: str, other: str) -> bool:
    """Whether two components of a terminal lie as near to each other as within says. unit: a service of the terminal's platform with its
    parts, whose names follow after a blank (`atm/Printer1`, `atm/Printer1 paper:upper`); device: what was read as one.
    """
    match within:
        case "component":
            return one == other
        case "unit":
            return one.partition(" ")[0] == other.partition(" ")[0]
        case "device":
            return device_of(one) == device_of(other)
        case _:
            return True


def duration(text: object, where: str) -> int:
    """`90s`, `10m`, `2h`, `1d`, `250ms` to ns."""
    if isinstance(text, str):
        number = text.rstrip("smhd")
        unit = text[len(number) :]
        if unit in _UNITS and number.replace(".", "", 1).isdigit():
            return round(float(number) * _UNITS[unit])
    msg = f'{where}: {text!r} is not a duration; write "90s", "10m", "2h" or "1d"'
    raise RulesError(msg)


@cache
def shipped_text() -> str:
    """The shipped table, all families in one text."""
    tables = sorted((files("tillwatch.collector") / "rules").iterdir(), key=lambda each: each.name)
    return "\n".join(each.read_text(encoding="utf-8") for each in tables if each.name.endswith(".toml"))


def parse_rules(site: str = "", *, shipped: str | None = None, replay: bool = False) -> Rules:
    """The shipped table with a site's own laid over it: [fold] settings and rules of the same id are changed key by key, others are added.

    replay: the table stands in the journal, and may be of a version that did not know all of the collector's own conditions.
    """
    return _parsed(site, shipped if shipped is not None else shipped_text(), replay=replay)


@lru_cache(maxsize=KEPT)
def _parsed(site: str, shipped: str, *, replay: bool) -> Rules:
    base = _toml(shipped, "shipped rules")
    own = _toml(site, "site rules") if site.strip() else {}
    settings = {**base.get("fold", {}), **own.get("fold", {})}
    table: dict[str, dict[str, Any]] = {}
    for where, source in (("shipped rules", base), ("site rules", own)):
        if set(source) - _TOP and not replay:
            msg = f"{where}: unknown table {min(set(source) - _TOP)!r}; a table of rules has [fold], [[rule]] and [no_alarm]"
            raise RulesError(msg)
        for row in source.get("rule", []):
            if not isinstance(row.get("id"), str):
                msg = f"{where}: a [[rule]] without an id"
                raise RulesError(msg)
            unknown = set(row) - _KEYS
            if unknown:
                msg = f"{where}, rule {row['id']}: unknown key {min(unknown)!r}; known are {', '.join(sorted(_KEYS))}"
                raise RulesError(msg)
            table[row["id"]] = {**table.get(row["id"], {}), **row}
    rules = {name: _rule(row) for name, row in table.items() if not _off(row)}
    missing = [name for name in BUILT_IN if name not in rules]
    if missing and not replay:
        msg = f"the rule {missing[0]} must stand in the table: the collector itself raises it"
        raise RulesError(msg)
    by_signal: dict[str, tuple[Rule, ...]] = {}
    rules = {name: _with_parties(rule, rules.values()) for name, rule in rules.items()}
    for rule in rules.values():
        if unknown := set(rule.follows) - set(table):
            msg = f"rule {rule.id}: follows names {min(unknown)!r}, which is no rule of the table"
            raise RulesError(msg)
        for signal in rule.signals:
            by_signal[signal] = (*by_signal.get(signal, ()), rule)
    known = {"silent_after", "silent_least", "default_interval", "reopen"}
    if set(settings) - known:
        msg = f"[fold]: unknown key {min(set(settings) - known)!r}; known are {', '.join(sorted(known))}"
        raise RulesError(msg)
    return Rules(
        by_id=rules,
        by_signal=by_signal,
        silent_after=float(settings["silent_after"]),
        silent_least_ns=duration(settings["silent_least"], "[fold] silent_least"),
        default_interval_s=duration(settings["default_interval"], "[fold] default_interval") / 1e9,
        reopen_ns=duration(settings["reopen"], "[fold] reopen"),
        no_alarm={**base.get("no_alarm", {}), **own.get("no_alarm", {})},
        shipped=shipped,
        text=site,
    )


def _with_parties(rule: Rule, rules: Iterable[Rule]) -> Rule:
    """Its follows with the rules that stand for parties in them."""
    parties = {each.removeprefix(_OF_PARTY) for each in rule.follows if each.startswith(_OF_PARTY)}
    if not parties:
        return rule
    if parties - set(PARTIES):
        msg = f"rule {rule.id}: follows names party:{min(parties - set(PARTIES))}; parties are {', '.join(PARTIES)}"
        raise RulesError(msg)
    named = [each for each in rule.follows if not each.startswith(_OF_PARTY)]
    of_them = [each.id for each in rules if each.signals and each.party in parties and each.axis != "security"]
    return replace(rule, follows=tuple(dict.fromkeys((*named, *of_them))))


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{where}: {error}"
        raise RulesError(msg) from None


def _steps(row: dict[str, Any], key: str) -> tuple[Step, ...]:
    steps = row.get(key, [])
    try:
        found = tuple(Step(float(s["limit"]), int(s["level"])) for s in steps)
    except (KeyError, TypeError, ValueError):
        msg = f"rule {row['id']}: {key} is a list such as [{{limit = 90, level = 3}}, {{limit = 97, level = 2}}]"
        raise RulesError(msg) from None
    ordered = sorted(found, key=lambda s: s.limit, reverse=key == "below")
    levels = [s.level for s in ordered]
    if levels != sorted(levels, reverse=True) or any(not 1 <= level <= 3 for level in levels):
        msg = f"rule {row['id']}: {key} must get graver (3, 2, 1) the further the limit lies out"
        raise RulesError(msg)
    return tuple(ordered)


def _off(row: dict[str, Any]) -> bool:
    """off: why a bank does without this rule."""
    if "off" not in row:
        return False
    if not isinstance(row["off"], str) or not row["off"].strip() or row["id"] in BUILT_IN:
        msg = f'rule {row["id"]}: off is the reason why a bank does without it, such as off = "watched by the landlord"; not for the collector\'s own rules'
        raise RulesError(msg)
    return True


def _names(row: dict[str, Any], key: str, what: str) -> tuple[str, ...]:
    said = row.get(key, [])
    names = [said] if isinstance(said, str) else said
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        msg = f"rule {row['id']}: {key} is {what}, or a list of them"
        raise RulesError(msg)
    return tuple(dict.fromkeys(names))


def _component(row: dict[str, Any]) -> re.Pattern[str] | None:
    """Patterns as of file names; one that begins with `!` takes components away."""
    globs = _names(row, "component", 'a pattern such as "switch/net:uplink*" or "!*/net:spare"')
    if not globs:
        return None
    wanted = [translate(each) for each in globs if not each.startswith("!")]
    refused = "".join(f"(?!{translate(each[1:])})" for each in globs if each.startswith("!"))
    return re.compile(f"{refused}(?:{'|'.join(wanted)})")


def _rule(row: dict[str, Any]) -> Rule:
    name = row["id"]
    for key in ("text", "cause", "consequence", "action", "owner", "review"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            msg = f"rule {name}: {key} is missing; without an action, an owner and a review date it is no alarm"
            raise RulesError(msg)
    judged = row.get("judged", {})
    if set(judged) - set(_JUDGED):
        msg = f"rule {name}: judged knows `warn` and `crit`"
        raise RulesError(msg)
    limits = Limits(
        above=_steps(row, "above"),
        below=_steps(row, "below"),
        words=row.get("words"),
        judged={_JUDGED[word]: level for word, level in judged.items()} or None,
        deadband=float(row.get("deadband", 0)),
        for_ns=duration(row.get("for", "0s"), f"rule {name}, for"),
        hold_ns=duration(row.get("hold", "10m"), f"rule {name}, hold"),
    )
    levels = [*(limits.words or {}).values(), *(limits.judged or {}).values()]
    judged_levels = (limits.judged or {}).values()
    if (
        any(type(level) is not int or not 0 <= level <= 3 for level in levels)
        or 0 in judged_levels
        or not any(levels or (1,))
    ):
        msg = f"rule {name}: a level is 1 (core business stopped), 2 (part of it) or 3 (secondary); a word beside others may have 0"
        raise RulesError(msg)
    signals, latched = _names(row, "signal", "a name of the catalogue"), row.get("latched", False)
    if len(signals) > 1 and (limits.above or limits.below):
        msg = f"rule {name}: above and below are of one signal; several are compared by words and judged"
        raise RulesError(msg)
    if type(latched) is not bool:
        msg = f"rule {name}: latched is true or false"
        raise RulesError(msg)
    compares = bool(limits.above or limits.below or limits.words or limits.judged)
    if not compares or bool(signals) == (name in BUILT_IN):
        msg = (
            f"rule {name}: needs a signal (the collector's own rules have none) and one of above, below, words, judged"
        )
        raise RulesError(msg)
    if name in PREDICTED:
        _check_predicted(row, limits)
    return Rule(
        id=name,
        signals=signals,
        limits=limits,
        text=row["text"],
        cause=row["cause"],
        consequence=row["consequence"],
        action=row["action"],
        owner=row["owner"],
        review=row["review"],
        latched=latched,
        component=_component(row),
        unless=_names(row, "unless", "a name of the catalogue"),
        axis=_one_of(row, "axis", AXES) or "fitness",
        party=_one_of(row, "party", PARTIES) or "hardware",
        settle_ns=duration(row.get("settle", "0s"), f"rule {name}, settle"),
        follows=_names(row, "follows", "the id of a rule"),
        within=_one_of(row, "within", WITHIN) or "device",
        explains=_one_of(row, "explains", LINKS),
        symptom_of=_kinds(row),
        common=_one_of(row, "common", tuple(INFERRED)),
    )


def _check_predicted(row: dict[str, Any], limits: Limits) -> None:
    """What is foreseen must never be taken for what is broken."""
    words = limits.words or {}
    others = {"above", "below", "judged", "latched", "explains", "symptom_of", "common"} & set(row)
    asked = {words.get(LATER, 0), words.get(SOON, 0)}
    if set(words) != {LATER, SOON, OVER} or words[OVER] or asked - {0, 3} or others or row.get("axis") == "security":
        msg = (
            f"rule {row['id']}: a prediction is planned work: words = {{ {LATER} = 3, {SOON} = 3, {OVER} = 0 }}, of which one may be 0; "
            f"nothing of {', '.join(sorted(others)) or 'another level'} fits it"
        )
        raise RulesError(msg)


def _one_of(row: dict[str, Any], key: str, known: tuple[str, ...]) -> str:
    value = row.get(key, "")
    if value != "" and value not in known:
        msg = f"rule {row['id']}: {key} is one of {', '.join(known)}"
        raise RulesError(msg)
    return str(value)


def _kinds(row: dict[str, Any]) -> tuple[str, ...]:
    kinds = _names(row, "symptom_of", "power, network or host")
    if set(kinds) - set(LINKS):
        msg = f"rule {row['id']}: symptom_of is of {', '.join(LINKS)}"
        raise RulesError(msg)
    return kinds
