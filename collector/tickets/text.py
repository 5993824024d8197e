"""What people read in a ticket, in English or Simplified Chinese: plain text with headings, complete for who goes there, within what every ticket
system takes. Pure: the same message gives the same text. What devices and people wrote stands in it as letters and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from unicodedata import east_asian_width
from urllib.parse import quote

from tillwatch.agent.model import Value
from tillwatch.collector.predict import words as foretelling
from tillwatch.collector.predict.finding import Finding, Record
from tillwatch.collector.tickets.message import Evidence, Op, TicketMessage
from tillwatch.collector.tickets.words import lasting, phrase, stamp

MAX_TITLE = 130
"""Characters: what the tightest system takes (Jira Service Management's alerts: message, 130)."""
MAX_BODY = 4000
"""Characters of a body or a note: ServiceNow's incident.description and em_event.description, the tightest."""
MAX_READINGS = 12
"""Readings that are shown: a screenful with the rest. The others are counted, and on the page."""
MAX_SIGNS = 4
"""Factors that speak for what is foretold: the strongest, as the console shows them in a list."""
MAX_NAMED = 20
"""Terminals that are named."""
MAX_NEWS = 5
"""Readings in a note that says only that something changed."""
MAX_EARLIER = 50
"""Earlier notes that are told with this one, the latest: whoever comes back after an outage reads what matters now."""
MAX_ONE = 600
"""Characters of one earlier note."""
SHORT, SHORT_WIDE = 160, 70
"""Characters of one text message: in the GSM alphabet, and in UCS-2 as soon as one character is not of it (3GPP TS 23.038)."""
WIDTH = 120
"""Columns of a line; a Chinese character takes two."""
AROUND_S = 6 * 3600
"""The chart shows so much before and after the fault began: enough to see whether it came at once or crept."""

MAX_ADDRESS = 500
"""Characters of the chart's address: names that only an attack has must not fill the ticket."""

_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWO = frozenset("^{}\\[~]|€")
"""Of the extension table: each takes two places."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
"""Control characters, line breaks, and those that turn the direction of what follows."""
_PIECE = re.compile(r"(?:[!-~]{1,100}|.)[，。、；：？）】]*\s*")
"""What stays together in a line: a word, a Chinese character, and the stop behind it."""
_LONE = re.compile(r"[\ud800-\udfff]")


def title(message: TicketMessage, language: str) -> str:
    """One line."""
    kind = "title_drill" if message.drill else "title" if message.terminal else "title_wide"
    return _cut(_headline(message, language, kind), MAX_TITLE)


def body(message: TicketMessage, language: str, contracts: Sequence[str] = (), limit: int = MAX_BODY) -> str:
    """The whole. contracts: lines on who must come by contract; limit: characters. Ends with the mark, however much is cut."""
    lines: list[str] = [_say("drill", language)] if message.drill else []
    lines += _facts(message, language)
    sections = {
        "foretold": [line for each in message.foretold for line in _foretold(each, language, message.zone)],
        "action": [_line(message.action)],
        "readings": _readings(message, language, MAX_READINGS),
        "part": [f"- {_say('labelled', language, label=_line(label), value=_line(value))}" for label, value in message.parts],
        "affected": _affected(message, language) if message.affected_count > 1 or not message.terminal else [],
        "means": [_line(message.means)],
        "checks": [f"- {_line(each)}" for each in message.checks],
        "brings": [f"- {_line(each)}" for each in message.brings],
        "told": _told(message, language),
        "contracts": [f"- {_line(each)}" for each in contracts],
    }  # fmt: skip
    for heading, said in sections.items():
        if any(said):
            lines += ["", _say(heading, language, count=message.affected_count), *said]
    return _bounded(message, language, lines, _links(message, language), limit)


def note(message: TicketMessage, language: str, limit: int = MAX_BODY) -> str:
    """What is new, first, and how things stand. Ends with the mark, however much is cut."""
    news = _news(message, language)
    lines = _block(news)
    if not message.note and message.op is not Op.RESOLVE and message.evidence:
        lines += [_say("now", language), *_readings(message, language, MAX_NEWS)]
    lines += _told(message, language)
    if earlier := message.earlier:
        kept = earlier[-MAX_EARLIER:]
        lines += ["", _say("earlier", language)]
        if len(earlier) > len(kept):
            lines.append(f"- {_say('more_earlier', language, n=len(earlier) - len(kept))}")
        for at, told in kept:
            dated = _say("dated", language, at=stamp(at, message.zone), note=_cut(_line(told), MAX_ONE))
            lines.append(f"- {dated}")
    stands = _say(
        "stands", language, level=message.level, state=_state(message, language), since=stamp(message.since, message.zone)
    )  # fmt: skip
    page = [_say("page", language, address=_line(message.address))] if message.address else []
    return _bounded(message, language, lines, [stands, *page], limit)


def short(message: TicketMessage, language: str) -> str:
    """One text message: level, terminal, what, what is new of it, and at its end the incident."""
    kind = "short_drill" if message.drill else "short" if message.terminal else "short_wide"
    over = _say("over", language) if message.op is Op.RESOLVE else ""
    told, name = over + _headline(message, language, kind), f" {_line(message.incident)}"
    if message.op is not Op.OPEN and (news := next(iter(_block(message.note)), "")) and news not in told:
        told = phrase("joined.words", language, {"said": told, "words": news})
    if set(told + name) <= _GSM | _GSM_TWO:
        room, mark = SHORT - _places(name), "..."
        if _places(told) > room:
            while told and _places(told) > room - len(mark):
                told = told[:-1]
            told = told.rstrip() + mark
        return told + name
    room = SHORT_WIDE - _units(name)
    if _units(told) > room:
        while told and _units(told) > room - 1:
            told = told[:-1]
        told = told.rstrip() + "…"
    return told + name


def mark(message: TicketMessage) -> str:
    """What a note of this very message is found by, in any language."""
    return f"[{message.incident}/{message.seq}]"


def chart_address(message: TicketMessage) -> str:
    """Of the chart of what it foretells, else of its first reading that is a number; empty where there is none, or no page."""
    base = _base(message)
    if base and (drawn := _drawn(message)):
        return f"{base}/findings/{quote(drawn.id, safe='')}.svg"
    found = next((each for each in message.evidence if _is_number(each.value) and each.signal), None)
    component = found.component or message.component if found is not None else ""
    if found is None or not component or not message.terminal or not base:
        return ""
    since = message.since // 10**9
    names = "/".join(quote(_LONE.sub("?", name), safe="/") for name in (message.terminal, component, found.signal))
    address = f"{base}/chart/{names}.svg?from={since - AROUND_S}&to={since + AROUND_S}"
    return address if len(address) <= MAX_ADDRESS else ""


def _base(message: TicketMessage) -> str:
    """Of the console; empty where the message has no page there."""
    base = message.address
    for page in (f"/incident/{message.incident}", f"/terminal/{message.terminal}"):
        base = base.removesuffix(page)
    return base if base != message.address else ""


def _drawn(message: TicketMessage) -> Finding | None:
    """The first finding that has a reading which is a number."""
    return next((each for each in message.foretold if any(_is_number(value) for *_, value in each.readings)), None)


def _say(key: str, language: str, **values: object) -> str:
    return phrase(f"text.{key}", language, values)


def _headline(message: TicketMessage, language: str, kind: str) -> str:
    where = " ".join(filter(None, (_line(message.terminal), _line(message.component)))) or _line(message.branch)
    return _say(kind, language, level=message.level, where=where, what=_line(message.what))


def _facts(message: TicketMessage, language: str) -> Iterator[str]:
    """What, where, since when, why and what follows from it."""
    yield _say("what", language, what=_line(message.what))
    place = [_line(message.terminal), _line(message.component)]
    place += [
        _say(name, language, **{name: _line(known)})
        for name, known in (("branch", message.branch), ("region", message.region))
        if known
    ]
    names = phrase("joined.names", language, {}).join(filter(None, place)) or _say("fleet", language)
    yield _say("where", language, where=names)
    begun, length = stamp(message.since, message.zone), message.at - message.since
    yield (
        _say("since", language, since=begun, lasting=lasting(length, language))
        if length >= 10**9
        else _say("since_now", language, since=begun)
    )
    yield _say("level", language, level=message.level)
    if message.state:
        yield _say("state", language, state=_state(message, language))
    if message.cause:
        yield _say("cause", language, cause=_line(message.cause))
    if message.consequence:
        yield _say("consequence", language, consequence=_line(message.consequence))
    if message.parent:
        yield _say("parent", language, incident=_line(message.parent))


def _news(message: TicketMessage, language: str) -> str:
    if message.note:
        return message.note
    what = _line(message.what)
    return _say("over_by_readings", language, what=what) if message.op is Op.RESOLVE else what


def _state(message: TicketMessage, language: str) -> str:
    try:
        return phrase(f"state.{message.state}", language, {})
    except KeyError:  # of a newer version
        return _line(message.state)


def _readings(message: TicketMessage, language: str, most: int) -> list[str]:
    shown = message.evidence[:most]
    lines = [f"- {_reading(message, each, language)}" for each in shown]
    left = len(message.evidence) - len(shown) + message.evidence_left_out
    return [*lines, f"- {_say('more', language, n=left)}"] if left else lines


def _reading(message: TicketMessage, each: Evidence, language: str) -> str:
    component = each.component if each.component != message.component else ""
    signal = " ".join(filter(None, (_line(component), _line(each.signal))))
    value = " ".join(filter(None, (_number(each.value, language), _line(each.unit))))
    return _say("reading", language, signal=signal, value=value, at=stamp(each.at, message.zone))


def _foretold(finding: Finding, language: str, zone: str) -> Iterator[str]:
    """Why, when, how likely, what speaks for it, and how often this detector was right."""
    yield f"- {_line(foretelling.reason(finding, language, zone))}"
    if told := foretelling.when(finding, language, zone):
        yield f"  {_line(told)}"
    if finding.probability is not None:
        yield f"  {_say('probability', language, share=f'{100 * finding.probability:.0f}%')}"
    if signs := [_factor(*each, language) for each in finding.factors[:MAX_SIGNS]]:
        yield f"  {_say('signs', language, signs=phrase('joined.and', language, {}).join(signs))}"
    record = finding.record or Record(finding.detector, finding.kind)
    judged = record.hits + record.false
    if judged:
        since = foretelling.day(record.since, zone)
        yield f"  {_say('right', language, hits=record.hits, judged=judged, kind=_line(record.kind), since=since)}"
    else:
        yield f"  {_say('unjudged', language, kind=_line(record.kind))}"


def _factor(name: str, value: object, _: float, language: str) -> str:
    told = foretelling.number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return _line(_say("labelled", language, label=foretelling.factor(name, language), value=told))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Value, language: str) -> str:
    if value is None:
        return _say("no_value", language)
    if isinstance(value, float):
        # Four digits behind the point at most: what a sensor tells beyond that is noise.
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return _line(str(value))


def _affected(message: TicketMessage, language: str) -> list[str]:
    named = [_line(each) for each in message.affected[:MAX_NAMED]]
    left = message.affected_count - len(named)
    if left > 0:
        named.append(_say("more", language, n=left))
    return [phrase("joined.names", language, {}).join(named)]


def _told(message: TicketMessage, language: str) -> list[str]:
    people = dict.fromkeys(message.told)
    return [
        f"- {_say('person', language, role=_line(role), person=_line(person), channel=_line(channel))}"
        for role, person, channel in people
    ]


def _links(message: TicketMessage, language: str) -> list[str]:
    base = _base(message)
    links = [("page", message.address), ("chart", chart_address(message))]
    if base:
        links += [("finding", f"{base}/findings/{quote(each.id, safe='')}") for each in message.foretold]
    return [_say(key, language, address=_line(address)) for key, address in links if address]


def _bounded(message: TicketMessage, language: str, lines: Iterable[str], tail: Sequence[str], limit: int) -> str:
    """Lines as wide as they may be, the end always there. The mark stands once: nobody else's words may look like it."""
    end = ["", *_wrapped(tail)]
    room = limit - len("\n".join(["", *end, mark(message)]))
    kept = "\n".join(_wrapped(lines))
    if len(kept) > room:
        cut = _say("cut", language)
        whole_lines = kept[: max(room - len(cut), 0)].rpartition("\n")[0]
        kept = f"{whole_lines}\n{cut}"
    whole = "\n".join([kept, *end, ""])
    return whole.replace(f"[{message.incident}/", f"({message.incident}/") + mark(message)


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if "://" in line or _wide(line) <= WIDTH:  # an address that is cut in two leads nowhere
            yield line
            continue
        row = ""
        for piece in _PIECE.findall(line):
            if row and _wide((row + piece).rstrip()) > WIDTH:
                yield row.rstrip()
                row = "  " if line.startswith(("- ", "  ")) else ""
            row += piece
        yield row.rstrip()


def _wide(told: str) -> int:
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in told)


def _line(told: str) -> str:
    """What somebody else wrote, in one line."""
    return _UNSAFE.sub(" ", _LONE.sub("?", told)).strip()


def _block(told: str) -> list[str]:
    """What somebody else wrote, with its lines."""
    return [line for each in told.splitlines() if (line := _line(each))]


def _cut(told: str, limit: int) -> str:
    return told if len(told) <= limit else told[: limit - 1] + "…"


def _places(told: str) -> int:
    return sum(2 if each in _GSM_TWO else 1 for each in told)


def _units(told: str) -> int:
    """UTF-16 units, of which a text message in UCS-2 has 70."""
    return len(told.encode("utf-16-le")) // 2
