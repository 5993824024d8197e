"""What `ipmitool` prints, as samples and rows: pure, and forgiving, because each BMC words it in its own way. Read are `sdr elist` (or `sdr`),
`sel elist` and `dcmi power reading`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tillwatch.agent.model import Sample, State

MAX_ROWS = 512
"""Sensors of one BMC; a full blade chassis has some 300."""
MAX_NAME = 40
"""Characters of a sensor's name; the record has 16."""

STATUS = {
    "ok": ("ok", State.OK),
    "nc": ("nonCritical", State.WARN),
    "cr": ("critical", State.CRIT),
    "nr": ("nonRecoverable", State.CRIT),
}
"""`ns` (no reading) is left out: most BMCs list sensors of parts that are not fitted."""
UNITS = {
    "degrees C": ("ipmi.temperature", "C", 1.0),
    "RPM": ("ipmi.fan.speed", "rpm", 1.0),
    "Volts": ("ipmi.voltage", "V", 1.0),
    "mV": ("ipmi.voltage", "V", 0.001),
    "Amps": ("ipmi.current", "A", 1.0),
    "mA": ("ipmi.current", "A", 0.001),
    "Watts": ("ipmi.power", "W", 1.0),
    "percent": ("ipmi.percent", "%", 1.0),
}
FAHRENHEIT = "degrees F"

CRIT_WORDS = re.compile(
    r"failure detected|predictive failure|power supply ac lost|input lost|drive fault|in failed array|uncorrectable|unrecoverable|"
    r"transition to critical|transition to non-recoverable|thermal trip|ierr\b|frb\d|bus fatal|non-redundant: insufficient|"
    r"power off/down failure|run[- ]?time critical stop|config(uration)? error|over-?temperature|fan fail|state asserted: fail",
    re.IGNORECASE,
)
WARN_WORDS = re.compile(
    r"redundancy (lost|degraded)|non-redundant|in critical array|rebuild|correctable ecc|ecc logging limit|parity|throttl|"
    r"chassis intrusion|drive bay intrusion|predictive|out of range|limit exceeded|"
    r"going (high|low)|battery (low|failed)|log almost full|log full|transition to (non-critical|degraded)|"
    r"watchdog|hard reset|timer expired|ac lost|oem event critical|memory device disabled|degraded",
    re.IGNORECASE,
)
"""ipmitool's own words for the events of the IPMI 2.0 tables 42-2 and 42-3; it prints them in English whatever the locale is."""
THRESHOLD_CRIT = re.compile(r"\b(upper|lower) (critical|non-recoverable)", re.IGNORECASE)

_ROW = re.compile(r"^([^|]{1,64})\|([^|]*)\|([^|]*)(?:\|([^|]*)\|(.*))?$")
_VALUE = re.compile(r"(-?\d{1,9}(?:\.\d{1,6})?) ([A-Za-z]+(?: [CF])?)(?:, (.*))?")
_SEL = re.compile(r"^\s*([0-9a-fA-F]{1,4}) \| (.*)$")
_WATTS = re.compile(r"^\s*Instantaneous power reading:\s*(\d{1,6}) Watts\s*$", re.MULTILINE)
_ACTIVE = re.compile(r"^\s*Power reading state is:\s*(\S+)\s*$", re.MULTILINE)


def sensors(text: str) -> Iterator[Sample]:
    """`sdr elist`, or the three columns of `sdr`. Parts: `sensor:Inlet Temp`. Lines that are no sensors are passed over."""
    names: Counter[str] = Counter()
    for line in text.splitlines()[: 4 * MAX_ROWS]:
        match = _ROW.match(line)
        if not match or sum(names.values()) >= MAX_ROWS:
            continue
        # Name, id, status, entity, reading; or name, reading, status.
        status, reading = (match[3], match[5]) if match[5] is not None else (match[3], match[2])
        judged = STATUS.get(status.strip())
        name = "".join(c for c in match[1].strip() if c.isprintable())[:MAX_NAME]
        if judged is None or not name:
            continue
        names[name] += 1
        part = f"sensor:{name}" + (f" #{names[name]}" if names[name] > 1 else "")
        yield from _sensor(part, name, judged, " ".join(reading.split()))


def _sensor(part: str, name: str, judged: tuple[str, State], reading: str) -> Iterator[Sample]:
    word, state = judged
    events = reading
    if number := _VALUE.fullmatch(reading):
        value, unit, events = float(number[1]), number[2], number[3] or ""
        if unit == FAHRENHEIT:
            value, unit = (value - 32) / 1.8, "degrees C"
        if known := UNITS.get(unit):
            signal, unit, scale = known
            yield Sample(part, signal, round(value * scale, 3), state, label=name, unit=unit)
        elif not events:
            return  # feet above the sea, and the like
    elif re.fullmatch(r"0x[0-9a-fA-F]+|Not Readable|No Reading|Disabled|", reading):
        # The bits of a discrete sensor, which only its maker can read: what is left is the BMC's own word.
        events = ""
    if state is State.OK and events:
        word, state = severity(events, now=True)
    yield Sample(part, "ipmi.sensor", word, state, label=name)
    if events:
        yield Sample(part, "ipmi.sensor.text", events[:200], label=name)


def severity(events: str, *, now: bool) -> tuple[str, State]:
    """How bad ipmitool's words for an event are: as the state of a sensor now, or as a row of the log."""
    if CRIT_WORDS.search(events) or (not now and THRESHOLD_CRIT.search(events)):
        return "critical", State.CRIT
    if WARN_WORDS.search(events):
        return "nonCritical", State.WARN
    return "ok", State.OK


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the system event log. key: its id and its text, because ids start anew when the log is cleared."""

    key: str
    text: str
    word: str
    state: State


def events(text: str) -> list[Event]:
    """`sel elist`, oldest first. What is deasserted is over and so never bad."""
    found = []
    for line in text.splitlines():
        if match := _SEL.match(line):
            cells = [cell.strip() for cell in match[2].split("|")]
            said = "".join(c for c in " | ".join(filter(None, cells)) if c.isprintable())[:200]
            over = cells[-1].lower() == "deasserted" or any("deasserted" in cell.lower() for cell in cells[3:])
            word, state = ("ok", State.OK) if over else severity(" | ".join(cells[2:]), now=False)
            found.append(Event(f"{match[1].lower()} {said}", said, word, state))
    return found


def since(rows: list[Event], bookmark: str) -> list[Event]:
    """The rows after the bookmark; all of them if it is not there any more: the log was cleared, or more came than are asked for."""
    for n in range(len(rows) - 1, -1, -1):
        if rows[n].key == bookmark:
            return rows[n + 1 :]
    return rows


def watts(text: str) -> int | None:
    """`dcmi power reading`. None where the BMC does not measure."""
    value, active = _WATTS.search(text), _ACTIVE.search(text)
    return int(value[1]) if value and not (active and active[1] != "activated") else None
