"""Alerts of other monitoring systems: the body of Alertmanager's webhook, version 4, as facts for the journal, one map for each alert. Pure: who takes
the request checks the secret and journals; what an alert does is the fold's part (incident/alerting.py).

What is too long is cut, what is too much is left out, and both are counted in the facts.
"""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tillwatch.collector import values
from tillwatch.collector.tickets.settings import read_secret
from tillwatch.collector.values import setting

VERSION = "4"
"""Of the body; it has been this one since Alertmanager 0.6."""

MAX_BODY = 1024 * 1024
"""Bytes of one request. An alert has some 2 kB; a group of several hundred fits."""

MAX_ALERTS = 200
"""Alerts of one body that become facts. A larger group is one cause, and says so at its own end: `max_alerts` of the webhook cuts it there."""

MAX_LABELS = 40
"""Labels, and annotations, of one alert. Prometheus alerts have about ten of each."""

MAX_NAME = 100
"""Characters of the name of a label."""

MAX_VALUE = 500
"""Characters of the value of a label."""

MAX_TEXT = 2000
"""Characters of an annotation, as of a text in a ticket."""

MAX_CAUSE = 500
"""Characters of what an incident says of its cause."""

AGAIN_NS = 3600 * 10**9
"""What says nothing new is journaled again after this. Alertmanager repeats whatever fires each 4 h, and a whole group whenever one of it changes:
every 5 min in a bad hour, and each few seconds after an outage of the receiver (prometheus/alertmanager#2286)."""

MAX_REMEMBERED = 10_000
"""Alerts whose last word is remembered, of some 150 bytes each. Beyond it the one heard longest ago is forgotten, and journaled once more."""

FIRING, RESOLVED = "firing", "resolved"

OWN = re.compile(r"HWM-[0-9a-f]{20}-[0-9]+")
"""Label `incident` of what tillwatch itself told an Alertmanager (tickets/desks/alertmanager.py). Taken in again, one fault would go round for ever."""

_FINGERPRINT = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
_SUMMARY = ("summary", "title", "message", "description")
"""Annotations that say what it is, by custom of those who write rules; the first two that differ are told."""


class AlertError(ValueError):
    """A body that cannot be used; says what is wrong with it, without its contents."""


def _levels(value: Any) -> dict[str, int]:
    if isinstance(value, dict) and all(type(one) is int and 1 <= one <= 3 for one in value.values()):
        return dict(value)
    raise ValueError("write a table of levels from 1 to 3, for example { critical = 1, warning = 2 }")


def _level(value: Any) -> int:
    if type(value) is int and 1 <= value <= 3:
        return value
    raise ValueError("write a level from 1 to 3, without quotes")


@dataclass(frozen=True, slots=True)
class AlertsSettings:
    """A table [alerts.NAME] of the configuration: who may send alerts, and what his labels mean. secret_file or secret_env: the bearer token that he
    shows, during a rotation several, one a line. levels: value of level_label -> level; level: of all others. The other labels name the
    terminal, branch, region and component that an alert is about.
    """

    secret_file: Path | None = setting(values.path, None)
    secret_env: str = setting(values.variable, "")
    level_label: str = setting(values.text, "severity")
    levels: Mapping[str, int] = field(default_factory=lambda: {"critical": 1, "warning": 2}, metadata={"read": _levels})
    level: int = setting(_level, 3)
    terminal_label: str = setting(values.text, "terminal")
    branch_label: str = setting(values.text, "branch")
    region_label: str = setting(values.text, "region")
    component_label: str = setting(values.text, "component")

    def problem(self) -> tuple[str, str] | None:
        """(key or "", what to write instead) if these settings cannot work together."""
        if bool(self.secret_file) == bool(self.secret_env):
            return "", "write either secret_file or secret_env, and not both"
        return None

    def admits(self, authorization: str) -> bool:
        """Whether this is the Authorization header of who may send. Raises SecretError."""
        kind, _, shown = authorization.partition(" ")
        tokens = read_secret(self.secret_file, self.secret_env).split()
        # Every token is compared, in constant time each: the time taken says nothing about which came near.
        matches = [hmac.compare_digest(shown.strip().encode(), token.encode()) for token in tokens]
        return kind.lower() == "bearer" and any(matches)

    def told(self) -> dict[str, str]:
        """All of it as text, for the record."""
        return {one.name: str(getattr(self, one.name)) for one in fields(self)}


def facts_of(source: str, body: bytes, settings: AlertsSettings, now: int) -> list[dict[str, Any]]:
    """The facts of one request, in its order: {action: "alert", actor, source, fingerprint, status, level, place: {terminal, branch, region,
    component}, labels, annotations, cause, started_at, ended_at, left_out, cut}. Times are UTC ns, ended_at is 0 while it fires. left_out:
    alerts that did not come with it, cut: labels and texts that were shortened or left out.

    Alerts that tillwatch itself made are passed over. source: the NAME of the settings; now: UTC ns. Raises AlertError where nothing of it can be used.
    """
    said = _parsed(body)
    alerts = [each for each in said["alerts"] if not _own(each)]
    found, wrong = [], []
    for each in alerts[:MAX_ALERTS]:
        try:
            found.append(_alert(each, settings, now))
        except AlertError as error:
            wrong.append(error)
    if wrong and not found:
        raise wrong[0]
    truncated = said.get("truncatedAlerts", 0)
    left_out = len(alerts) - len(found) + (truncated if type(truncated) is int and 0 < truncated < 2**31 else 0)
    head = {"action": "alert", "actor": f"alerts {source}", "source": source, "left_out": left_out}
    return [{**head, **each} for each in found]


class Heard:
    """What was journaled lately, so that what is only said again is not. Nothing hangs on it: after a restart all is new once."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], tuple[bytes, int]] = OrderedDict()

    def is_news(self, facts: Mapping[str, Any], now: int) -> bool:
        """Whether it is to be journaled. now: UTC ns."""
        said, at = self._last.get(_key(facts), (b"", 0))
        return said != _digest(facts) or not 0 <= now - at < AGAIN_NS

    def journaled(self, facts: Mapping[str, Any], now: int) -> None:
        """It was: only then, since what could not be kept is sent again."""
        self._last[_key(facts)] = _digest(facts), now
        self._last.move_to_end(_key(facts))
        if len(self._last) > MAX_REMEMBERED:
            self._last.popitem(last=False)


def _key(facts: Mapping[str, Any]) -> tuple[str, str]:
    return facts["source"], facts["fingerprint"]


def _digest(facts: Mapping[str, Any]) -> bytes:
    """Of what decides. Texts may hold the value of the moment, and would always be new."""
    return sha256(repr([facts[name] for name in ("status", "level", "place", "started_at")]).encode()).digest()


def _parsed(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BODY:
        raise AlertError(f"the body is larger than {MAX_BODY} bytes; set max_alerts of the webhook")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise AlertError("the body is no JSON") from None
    if not isinstance(said, dict) or str(said.get("version")) != VERSION:
        raise AlertError(f"the body is not that of an Alertmanager webhook, version {VERSION}")
    if not isinstance(said.get("alerts"), list):
        raise AlertError("alerts is missing, or no list")
    return said


def _own(said: Any) -> bool:
    labels = said.get("labels") if isinstance(said, dict) else None
    return isinstance(labels, dict) and bool(OWN.fullmatch(str(labels.get("incident", ""))))


def _alert(said: Any, settings: AlertsSettings, now: int) -> dict[str, Any]:
    if not isinstance(said, dict) or said.get("status") not in (FIRING, RESOLVED):
        raise AlertError(f"an alert whose status is neither {FIRING} nor {RESOLVED}")
    labels, cut = _texts(said.get("labels"), MAX_VALUE, "labels")
    annotations, also_cut = _texts(said.get("annotations") or {}, MAX_TEXT, "annotations")
    fingerprint = said.get("fingerprint")
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        fingerprint = sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16]
    names = (settings.terminal_label, settings.branch_label, settings.region_label, settings.component_label)
    place = [labels.get(name, "") for name in names]
    started, ended = _time(said.get("startsAt"), now), _time(said.get("endsAt"), now)
    return {
        "fingerprint": fingerprint,
        "status": said["status"],
        "level": settings.levels.get(labels.get(settings.level_label, ""), settings.level),
        "place": dict(zip(("terminal", "branch", "region", "component"), place, strict=True)),
        "labels": labels,
        "annotations": annotations,
        "cause": _cause(labels, annotations, fingerprint),
        "started_at": started or now,
        "ended_at": (ended or now) if said["status"] == RESOLVED else 0,
        "cut": cut + also_cut,
    }


def _texts(said: Any, limit: int, what: str) -> tuple[dict[str, str], int]:
    """The texts, and how many of them were cut or left out."""
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise AlertError(f"an alert whose {what} are no table of texts")
    found: dict[str, str] = {}
    cut = 0
    for name in sorted(said):
        value = _clean(said[name])
        if len(found) == MAX_LABELS or not 0 < len(name) <= MAX_NAME or not name.isprintable():
            cut += 1
            continue
        found[name] = value if len(value) <= limit else value[: limit - 1] + "…"
        cut += len(value) > limit
    return found, cut


def _clean(text: str) -> str:
    """Without what no ticket can show: lone surrogates, which nothing can store either, and control characters."""
    whole = text.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() or c == "\n" else " " for c in whole).strip()


def _cause(labels: Mapping[str, str], annotations: Mapping[str, str], fingerprint: str) -> str:
    said = list(dict.fromkeys(annotations[name] for name in _SUMMARY if annotations.get(name)))[:2]
    told = " ".join("; ".join(said or [labels.get("alertname") or f"alert {fingerprint}"]).split())
    return told if len(told) <= MAX_CAUSE else told[: MAX_CAUSE - 1] + "…"


def _time(said: Any, now: int) -> int:
    """UTC ns, not later than now; 0 for what is no time, and for Go's zero time, the year 1."""
    try:
        at = datetime.fromisoformat(said)
    except (ValueError, TypeError):
        return 0
    if at.tzinfo is None or not 1970 < at.year < 2200:
        return 0
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return min((since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000, now)
