"""NUT's variables as samples: pure. The names and units are those of NUT's own list of names (docs/nut-names.txt); the words are what its
drivers write, and some of them write each in its own way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tillwatch.agent.model import PollClass, Quality, Sample, State
from tillwatch.device_profiles import dates

FAST, NORMAL, SLOW = PollClass.FAST, PollClass.NORMAL, PollClass.SLOW
MAX_TEXT = 120
MAX_PARTS = 100
"""Outlets, phases and probes of one UPS or PDU; the largest PDU has 48 outlets."""

Said = Mapping[str, str]
Judge = Callable[[float, Said], State]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _limit(said: Said, variable: str, otherwise: float, low: float, high: float) -> float:
    """The UPS's own limit where it has a sensible one."""
    value = _number(said.get(variable, ""))
    return otherwise if value is None or not low <= value <= high else value


def on_battery(said: Said) -> bool:
    return "OB" in said.get("ups.status", "").split()


def _charge(value: float, said: Said) -> State:
    if value <= _limit(said, "battery.charge.low", 20, 1, 80):
        return State.CRIT
    return State.WARN if value < _limit(said, "battery.charge.warning", 50, 1, 95) else State.OK


def _runtime(seconds: float, said: Said) -> State:
    """On mains some units say 0: only on battery it is judged."""
    if not on_battery(said):
        return State.OK
    if seconds <= _limit(said, "battery.runtime.low", 300, 1, 3600):
        return State.CRIT
    return State.WARN if seconds < 600 else State.OK


def _input(value: float, said: Said) -> State:
    """Where the UPS goes to battery, in its own words; without them it is not judged."""
    low = _limit(said, "input.transfer.low", 0, 50, 450)
    high = _limit(said, "input.transfer.high", math.inf, 50, 600)
    if not low and high is math.inf:
        return State.NONE
    return State.OK if low < value < high else State.WARN


def _above(warn: float, crit: float) -> Judge:
    return lambda value, _said: State.CRIT if value > crit else State.WARN if value > warn else State.OK


_hot = _above(35, 45)
"""A battery beside the electronics; rated life is at 20 to 25 C."""
_loaded = _above(80, 95)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number. low, high: what can be, in NUT's unit; what is beyond is a sentinel (255, 65535, -273) and no value. scale: to the catalogue's unit."""

    signal: str
    unit: str
    low: float
    high: float
    poll: PollClass = NORMAL
    scale: float = 1.0
    judge: Judge | None = None

    def sample(self, component: str, text: str, said: Said) -> Sample:
        value = _number(text)
        if value is None or not self.low <= value <= self.high:
            return Sample(component, self.signal, None, State.UNKNOWN, Quality.ERROR, unit=self.unit)
        state = self.judge(value, said) if self.judge else State.NONE
        return Sample(component, self.signal, round(value * self.scale, 4), state, unit=self.unit)


@dataclass(frozen=True, slots=True)
class Word:
    """A state. words: what is in the text, in lower case, and then (word of the catalogue, what it means); the first one counts."""

    signal: str
    words: tuple[tuple[str, str, State], ...]
    poll: PollClass = NORMAL

    def sample(self, component: str, text: str, _said: Said) -> Sample | None:
        low = text.lower()
        for part, word, state in self.words:
            if part in low:
                return Sample(component, self.signal, word, state)
        return None


@dataclass(frozen=True, slots=True)
class Text:
    signal: str
    poll: PollClass = SLOW

    def sample(self, component: str, text: str, _said: Said) -> Sample | None:
        shown = "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT]
        return Sample(component, self.signal, shown) if _is_filled(shown) else None


@dataclass(frozen=True, slots=True)
class Day:
    """A date; drivers write it in the order of the maker. What is not surely one is left out."""

    signal: str
    forms: tuple[str, ...] = field(default=("yyyy/mm/dd", "yyyy-mm-dd"))
    poll: PollClass = SLOW

    def sample(self, component: str, text: str, _said: Said) -> Sample | None:
        for form in self.forms:
            day = dates.parse(text, text, form)
            if day is not None and 1990 <= day.year <= 2070:
                return Sample(component, self.signal, day.isoformat())
        return None


def _is_filled(text: str) -> bool:
    return len(set(text)) > 1 and text.lower() not in {"unknown", "n/a", "none", "not set", "generic"}


VOLTS = ("V", 0.0, 1000.0)
WATTS = ("W", 0.0, 5e6)
VA = ("VA", 0.0, 5e6)
AMPS = ("A", 0.0, 10_000.0)
HERTZ = ("Hz", 0.0, 1000.0)

Row = Quantity | Word | Text | Day
_TEST: tuple[tuple[str, str, State], ...] = (
    ("pass", "pass", State.OK),
    ("ok", "pass", State.OK),
    ("progress", "running", State.OK),
    ("running", "running", State.OK),
    ("abort", "aborted", State.OK),
    ("no test", "none", State.OK),
    ("warning", "warning", State.WARN),
    ("error", "error", State.CRIT),
    ("fail", "error", State.CRIT),
)
_BEEPER = tuple((word, word, State.OK) for word in ("enabled", "disabled", "muted"))
ROWS: Mapping[str, Row] = {
    "battery.charge": Quantity("ups.battery.charge", "%", 0, 100, FAST, judge=_charge),
    "battery.runtime": Quantity("ups.battery.runtime", "min", 0, 30 * 86_400, FAST, 1 / 60, _runtime),
    "battery.voltage": Quantity("ups.battery.voltage", *VOLTS),
    "battery.voltage.nominal": Quantity("ups.battery.voltage.nominal", "V", 1, 1000, SLOW),
    "battery.current": Quantity("ups.battery.current", "A", -10_000, 10_000),
    "battery.temperature": Quantity("ups.battery.temperature", "C", -40, 120, judge=_hot),
    "battery.capacity": Quantity("ups.battery.capacity", "Ah", 0.1, 10_000, SLOW),
    "battery.capacity.nominal": Quantity("ups.battery.capacity.nominal", "Ah", 0.1, 10_000, SLOW),
    "battery.runtime.low": Quantity("ups.battery.runtime.low", "min", 1, 86_400, SLOW, 1 / 60),
    "battery.packs": Quantity("ups.battery.packs", "", 0, 200, SLOW),
    "battery.packs.bad": Quantity("ups.battery.packs.bad", "", 0, 200, judge=_above(0, math.inf)),
    "battery.date": Day("ups.battery.replaced"),
    "battery.charger.status": Word(
        "ups.battery.charger",
        (
            ("discharging", "discharging", State.WARN),
            *((word, word, State.OK) for word in ("charging", "floating", "resting")),
        ),
    ),
    "input.voltage": Quantity("ups.input.voltage", *VOLTS, FAST, judge=_input),
    "input.voltage.nominal": Quantity("ups.input.voltage.nominal", "V", 1, 1000, SLOW),
    "input.voltage.fault": Quantity("ups.input.voltage.fault", *VOLTS),
    "input.frequency": Quantity("ups.input.frequency", *HERTZ),
    "input.frequency.nominal": Quantity("ups.input.frequency.nominal", "Hz", 1, 1000, SLOW),
    "input.current": Quantity("ups.input.current", *AMPS),
    "input.realpower": Quantity("ups.input.power", *WATTS),
    "input.power": Quantity("ups.input.apparent", *VA),
    "input.powerfactor": Quantity("ups.input.factor", "", 0, 1),
    "input.transfer.low": Quantity("ups.input.voltage.low", "V", 1, 1000, SLOW),
    "input.transfer.high": Quantity("ups.input.voltage.high", "V", 1, 1000, SLOW),
    "input.transfer.reason": Word(
        "ups.transfer.cause",
        (
            ("test", "selfTest", State.OK),
            ("rate of", "rateOfChange", State.OK),
            ("rateof", "rateOfChange", State.OK),
            ("out of range", "other", State.UNKNOWN),
            ("high", "highLine", State.OK),
            ("low", "brownout", State.OK),
            ("acceptable", "none", State.OK),
            ("no transfer", "none", State.OK),
            ("notransfer", "none", State.OK),
        ),
    ),
    "input.bypass.voltage": Quantity("ups.bypass.voltage", *VOLTS),
    "input.bypass.frequency": Quantity("ups.bypass.frequency", *HERTZ),
    "input.bypass.current": Quantity("ups.bypass.current", *AMPS),
    "output.voltage": Quantity("ups.output.voltage", *VOLTS, FAST),
    "output.voltage.nominal": Quantity("ups.output.voltage.nominal", "V", 1, 1000, SLOW),
    "output.frequency": Quantity("ups.output.frequency", *HERTZ),
    "output.frequency.nominal": Quantity("ups.output.frequency.nominal", "Hz", 1, 1000, SLOW),
    "output.current": Quantity("ups.output.current", *AMPS),
    "output.current.nominal": Quantity("ups.output.current.nominal", "A", 0.01, 10_000, SLOW),
    "output.realpower": Quantity("ups.output.power", *WATTS),
    "output.power": Quantity("ups.output.apparent", *VA),
    "output.powerfactor": Quantity("ups.output.factor", "", 0, 1),
    "output.power.percent": Quantity("ups.output.load", "%", 0, 250, FAST, judge=_loaded),
    "ups.load": Quantity("ups.output.load", "%", 0, 250, FAST, judge=_loaded),
    "ups.realpower": Quantity("ups.output.power", *WATTS),
    "ups.power": Quantity("ups.output.apparent", *VA),
    "ups.realpower.nominal": Quantity("ups.output.power.nominal", "W", 1, 5e6, SLOW),
    "ups.power.nominal": Quantity("ups.output.apparent.nominal", "VA", 1, 5e6, SLOW),
    "ups.temperature": Quantity("ups.temperature", "C", -40, 120),
    "ups.efficiency": Quantity("ups.efficiency", "%", 0, 100),
    "ups.test.result": Word("ups.test.result", _TEST),
    "ups.test.date": Day("ups.test.date"),
    "ups.beeper.status": Word("ups.beeper", _BEEPER, SLOW),
    "ups.type": Word(
        "ups.topology",
        (("online", "online", State.OK), ("line", "standby", State.OK), ("standby", "standby", State.OK)),
        SLOW,
    ),
    "ups.mfr": Text("identity.maker"),
    "device.mfr": Text("identity.maker"),
    "ups.model": Text("identity.model"),
    "device.model": Text("identity.model"),
    "ups.serial": Text("identity.serial"),
    "device.serial": Text("identity.serial"),
    "ups.firmware": Text("identity.firmware"),
    "ambient.temperature": Quantity("env.temperature", "C", -40, 120),
    "ambient.humidity": Quantity("env.humidity", "%", 0, 100),
    "outlet.status": Word("pdu.outlet", (("on", "on", State.OK), ("off", "off", State.OK))),
    "outlet.current": Quantity("pdu.current", *AMPS),
    "outlet.voltage": Quantity("pdu.voltage", *VOLTS),
    "outlet.realpower": Quantity("pdu.power", *WATTS),
    "outlet.power": Quantity("pdu.apparent", *VA),
}
"""By the variable without its phase, outlet or probe. Of two that give the same signal of the same part the first one in this table counts."""

_PHASE = re.compile(r"(input|input\.bypass|output)\.(L[123](?:-L[123]|-N)?)\.(.+)")
_NUMBERED = re.compile(r"(outlet|ambient)\.(\d{1,3})\.(.+)")


def _placed(variable: str) -> tuple[str, str]:
    """(variable without phase or number, part). Parts are called as in the profiles: `input:L1`, `outlet:3`."""
    if match := _PHASE.fullmatch(variable):
        return f"{match[1]}.{match[3]}", f"{match[1].removeprefix('input.')}:{match[2].removesuffix('-N')}"
    if match := _NUMBERED.fullmatch(variable):
        return f"{match[1]}.{match[3]}", f"{match[1]}:{int(match[2])}"
    return variable, variable.partition(".")[0] if variable.startswith(("outlet.", "ambient.")) else ""


def samples_of(name: str, said: Said, wanted: PollClass) -> list[Sample]:
    """What the variables say, of one polling class. name: the device in component names."""
    order = {variable: n for n, variable in enumerate(ROWS)}
    rows = sorted(
        (
            (order[plain], part, text)
            for variable, text in said.items()
            for plain, part in [_placed(variable)]
            if plain in ROWS
        ),
        key=lambda row: row[0],
    )
    tables = list(ROWS.values())
    found: dict[tuple[str, str], Sample] = {}
    parts: set[str] = set()
    for number, part, text in rows:
        if part not in parts and len(parts) >= MAX_PARTS:
            continue
        parts.add(part)
        component = f"{name}/{part}" if part else name
        row = tables[number]
        if row.poll is not wanted or (component, row.signal) in found:
            continue
        if (sample := row.sample(component, text, said)) is not None:
            found[component, row.signal] = sample
    if wanted is FAST:
        for sample in status(name, said.get("ups.status", "")):
            found[sample.component, sample.signal] = sample
    if wanted is NORMAL:
        for sample in alarms(name, said):
            found[sample.component, sample.signal] = sample
    return list(found.values())


SOURCES = (
    ("OVER", "overload", State.CRIT),
    ("BYPASS", "bypass", State.WARN),
    ("OB", "battery", State.WARN),
    ("BOOST", "booster", State.OK),
    ("TRIM", "reducer", State.OK),
    ("ECO", "eco", State.OK),
    ("HE", "eco", State.OK),
    ("TEST", "test", State.OK),
    ("CAL", "test", State.OK),
    ("OL", "normal", State.OK),
)


def status(name: str, text: str) -> Iterator[Sample]:
    """ups.status, words with spaces: OL on line, OB on battery, LB low battery, RB replace battery, CHRG and DISCHRG, BYPASS, OVER, TRIM, BOOST, OFF,
    CAL, FSD forced shutdown, ALARM. Empty, or WAIT alone, says nothing.
    """
    flags = set(text.upper().split())
    on_line, battery = "OL" in flags, "OB" in flags
    if on_line == battery:
        # Both at once are a driver's fault.
        yield Sample(name, "ups.mains", None, State.UNKNOWN, Quality.ERROR)
    else:
        yield (
            Sample(name, "ups.mains", "failed", State.WARN)
            if battery
            else Sample(name, "ups.mains", "present", State.OK)
        )
    if not flags & {"OL", "OB", "LB", "RB", "CHRG", "DISCHRG", "OFF"}:
        yield Sample(name, "ups.battery.status", None, State.UNKNOWN, Quality.ERROR)
        return
    if "LB" in flags:
        yield Sample(name, "ups.battery.status", "low", State.CRIT)
    elif battery or "DISCHRG" in flags:
        yield Sample(name, "ups.battery.status", "discharging", State.WARN)
    elif "CHRG" in flags:
        yield Sample(name, "ups.battery.status", "charging", State.OK)
    else:
        yield Sample(name, "ups.battery.status", "normal", State.OK)
    # The UPS asks for a new battery; it does not say how soon.
    yield Sample(name, "ups.battery.replace", *(("soon", State.WARN) if "RB" in flags else ("no", State.OK)))
    yield Sample(name, "ups.shutdown", *(("active", State.CRIT) if "FSD" in flags else ("none", State.OK)))
    if "OFF" in flags:
        yield Sample(name, "ups.output.source", "none", State.CRIT)
        return
    word, state = next(((word, state) for flag, word, state in SOURCES if flag in flags), ("other", State.UNKNOWN))
    yield Sample(name, "ups.output.source", word, state)


ALARMS = (
    ("replace", "batteryBad", State.CRIT),
    ("no battery", "batteryBad", State.CRIT),
    ("disconnected", "batteryBad", State.CRIT),
    ("shutdown imminent", "shutdownImminent", State.CRIT),
    ("overload", "outputOverload", State.CRIT),
    ("charger", "chargerFailed", State.CRIT),
    ("fan", "fanFailure", State.CRIT),
    ("fuse", "fuseFailure", State.CRIT),
    ("temperature", "tempBad", State.CRIT),
    ("overheat", "tempBad", State.CRIT),
    ("communication", "communicationsLost", State.CRIT),
    ("fault", "generalFault", State.CRIT),
    ("low battery", "lowBattery", State.CRIT),
    ("input bad", "inputBad", State.WARN),
    ("bypass", "onBypass", State.WARN),
)
"""What drivers write into ups.alarm, each in its own words, the worst first."""


def alarms(name: str, said: Said) -> Iterator[Sample]:
    """ups.alarm is free text and there only while the flag ALARM is."""
    text = said.get("ups.alarm", "")
    text = "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT]
    if not text or text == "0":
        if "ALARM" in said.get("ups.status", "").upper().split():
            yield Sample(name, "ups.alarm", "other", State.UNKNOWN)
        else:
            yield Sample(name, "ups.alarm", "none", State.OK)
        yield Sample(name, "ups.alarm.text", "")
        return
    word, state = next(
        ((word, state) for part, word, state in ALARMS if part in text.lower()), ("other", State.UNKNOWN)
    )
    yield Sample(name, "ups.alarm", word, state)
    yield Sample(name, "ups.alarm.text", text)
