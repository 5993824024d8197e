"""What `smartctl -j -x` says of one drive, as samples: pure, and never raising on what a drive or another version of smartctl may say.
A drive is judged by its counters, its thresholds and its warning bits; its own verdict (`passed`) counts only against it: of 197 recorded
drives 18 have real defects, and 2 say that they fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tillwatch.agent.model import Sample, State, Value

COMMAND_LINE, OPEN, COMMAND, FAILING, PREFAIL, PAST, ERROR_LOG, SELF_TEST = (1 << bit for bit in range(8))
"""The bits of smartctl's exit status (smartctl(8)). The first two mean that nothing was read; COMMAND that something was not."""
ASLEEP = 3
"""The exit status that `-n standby,3` asks for: the drive sleeps and was left alone."""

MAX_TEXT = 200
"""Characters of a text that a drive says of itself; the longest real model name has 40."""
MAX_ROWS = 256
"""Attributes of one drive: their numbers are bytes."""
MAX_COUNT = 2**63 - 1
DRIVE_C = (-40, 150)
WEAR_WARN, WEAR_CRIT = 90, 100
"""Percent of the rated writes. 100 is what the maker warrants: from there the data may fade when the power is off (JESD218)."""
REPORTED_WARN = 10
"""Uncorrectable errors that were reported to the host (attribute 187). A cut of power tears a sector or two, the next write mends
them and no spare is used: only more than a handful is the surface. Assumed; no maker gives a figure."""
DATA_UNIT = 512_000
"""Bytes of an NVMe data unit: a thousand blocks of 512 (NVM Express base specification)."""
UINT16, UINT32 = (1 << 16) - 1, (1 << 32) - 1

WARNINGS = (
    ("spare", State.CRIT),
    ("temperature", State.WARN),
    ("reliability", State.CRIT),
    ("readOnly", State.CRIT),
    ("backup", State.CRIT),
    ("pmr", State.CRIT),
)
"""NVMe critical_warning, from bit 0."""
WARNING_RANK = ("readOnly", "reliability", "spare", "backup", "pmr", "temperature")
"""The one that is shown where several are set."""

MAKERS = (
    (r"WDC?[ _-]|WD\d", "Western Digital"),
    (r"WU[HS]\d|HGST", "HGST"),
    (r"ST\d|SEAGATE|XT\d|ZA\d", "Seagate"),
    (r"SAMSUNG|MZ[0-9A-Z]{2}", "Samsung"),
    (r"INTEL", "Intel"),
    (r"SOLIDIGM", "Solidigm"),
    (r"TOSHIBA|MG\d\d|HDW|DT01", "Toshiba"),
    (r"KIOXIA|KCD|KPM|KXG", "Kioxia"),
    (r"HITACHI|HDS|HUA|HDT", "Hitachi"),
    (r"KINGSTON", "Kingston"),
    (r"MICRON|MTFD", "Micron"),
    (r"CT\d+[A-Z]|CRUCIAL", "Crucial"),
    (r"SANDISK|SD[0-9A-Z]{4,}", "SanDisk"),
    (r"TRANSCEND|TS\d+[GT]", "Transcend"),
    (r"APACER", "Apacer"),
    (r"M[BMK]\d{4}[A-Z]", "HP"),
    (r"FORCE |CORSAIR", "Corsair"),
    (r"SABRENT", "Sabrent"),
    (r"INNODISK", "Innodisk"),
    (r"SK ?HYNIX|HFS|HFM", "SK hynix"),
)
"""ATA and NVMe drives do not say who made them; the model's name begins with it."""
_MAKERS = tuple((re.compile(pattern, re.IGNORECASE), maker) for pattern, maker in MAKERS)

LIFE_LEFT = (
    re.compile(r"life.?left|life(time)?_?remain|remain(ing)?_?life|rated_life|lifetime_(used|left)|endurance", re.IGNORECASE),
    re.compile(r"wearout", re.IGNORECASE),
    re.compile(r"wear_?leveling", re.IGNORECASE),
)
"""Attributes whose normalised value counts down from 100 as the flash wears. By name: the numbers 169, 202, 231 and 233 mean other things
with other makers. The first kind that there is wins."""
UNSAFE = re.compile(r"unsafe_shutdown|unexpect(ed)?_power_?loss|sudden_power|power_loss_c", re.IGNORECASE)
UNRELIABLE = re.compile(r"bogus|unknown|not_in_use", re.IGNORECASE)
"""smartctl's own words for an attribute whose value means nothing on this drive."""
SIZES = {"LBAS": 0, "SECTORS": 0, "32MIB": 32 << 20, "MIB": 1 << 20, "MB": 10**6, "GIB": 1 << 30, "GB": 10**9, "TIB": 1 << 40}
"""Bytes of one count of attributes 241 and 242 by a word of their name; 0 is the drive's own block."""


@dataclass(frozen=True, slots=True)
class Drive:
    """Who it is. name: the device as smartctl was asked for it. protocol: `ATA`, `NVMe`, `SCSI` or empty."""

    name: str
    protocol: str
    maker: str
    model: str
    serial: str
    firmware: str

    @property
    def part(self) -> str:
        """What stays with the drive when cables and kernel names change: its serial number."""
        return f"drive:{self.serial or self.name.rpartition('/')[2] or '?'}"[:48]


@dataclass(frozen=True, slots=True)
class Report:
    """access: `read`, `partial`, `asleep` or `failed`; reason: why it is not `read`. findings: what is wrong with it, in words."""

    drive: Drive
    access: str
    reason: str
    findings: tuple[str, ...]
    samples: tuple[Sample, ...]

    @property
    def state(self) -> State:
        """The worst that any sample says. UNKNOWN if nothing could be read."""
        found = {sample.state for sample in self.samples}
        return next((state for state in (State.CRIT, State.WARN, State.UNKNOWN) if state in found), State.OK)


def read_report(source: str, said: object) -> Report:
    """said: the parsed JSON. Raises ValueError if it is not what `smartctl -j` prints."""
    if not isinstance(said, dict) or not any(isinstance(said.get(key), dict) for key in ("smartctl", "device")):
        raise ValueError("not what `smartctl -j -x` prints")
    reading = _Reading(source, said)
    reading.take()
    return reading.report()


def scanned(said: object) -> list[tuple[str, str]]:
    """(device, type) of each drive that `smartctl --scan-open -j` lists. Empty for anything else."""
    rows = said.get("devices") if isinstance(said, dict) else None
    found = []
    for row in rows if isinstance(rows, list) else ():
        name, kind = _text(_at(row, "name")), _text(_at(row, "type"))
        if name and not name.startswith("-") and not kind.startswith("-"):
            found.append((name, kind))
    return found


class _Reading:
    """One drive, taken apart once."""

    def __init__(self, source: str, said: dict[str, Any]) -> None:
        self._said = said
        self._status = _count(_at(said, "smartctl", "exit_status")) or 0
        self._samples: list[Sample] = []
        self._findings: list[str] = []
        self.drive = _drive(said)
        self._component = f"{source}/{self.drive.part}"
        self._label = " ".join(filter(None, (self.drive.model, self.drive.name and f"({self.drive.name})")))
        self._rows = _attributes(said)

    def report(self) -> Report:
        reason = ""
        if self._status == ASLEEP:
            access, reason = "asleep", "the drive sleeps and was not woken"
        elif not self._has_data() or self._status & (COMMAND_LINE | OPEN):
            access, reason = "failed", self._why()
        elif self._status & COMMAND:
            access, reason = "partial", _messages(self._said) or "a command that not every drive knows was refused"
        else:
            access = "read"
        state = State.UNKNOWN if access == "failed" else State.OK
        told = [self._sample("drive.access", access, state=state), self._sample("drive.access.reason", reason)]
        if access in {"failed", "asleep"}:
            return Report(self.drive, access, reason, (), (*told, *self._identity()))
        samples = (*told, self._sample("drive.findings", "; ".join(self._findings)), *self._identity(), *self._samples)
        return Report(self.drive, access, reason, tuple(self._findings), samples)

    def take(self) -> None:
        self._verdict()
        self._age()
        self._temperature()
        if self._rows:
            self._ata()
        if isinstance(log := self._said.get("nvme_smart_health_information_log"), dict):
            self._nvme(log)
        self._scsi()
        self._wear()
        self._logs()

    def _has_data(self) -> bool:
        said = self._said
        return (
            bool(self._rows)
            or any(isinstance(said.get(key), dict) for key in ("nvme_smart_health_information_log", "smart_status", "scsi_error_counter_log"))
            or _count(said.get("scsi_grown_defect_list")) is not None
        )

    def _why(self) -> str:
        if said := _messages(self._said):
            return said
        if isinstance(self._said.get("devices"), list):
            return "a list of devices: ask for one of them"
        if self._status & COMMAND_LINE:
            return "smartctl did not understand how it was asked"
        if self._status & OPEN:
            return "the device could not be opened: the agent needs the right to, and the drive must be there"
        if self._status & COMMAND:
            return "the device answers no SMART command; drives behind a RAID controller need their own -d, such as -d megaraid,0"
        return "no SMART data in it: ask with -x"

    def _sample(self, signal: str, value: Value, unit: str = "", state: State = State.NONE) -> Sample:
        return Sample(self._component, signal, value, state, label=self._label, unit=unit)

    def _put(self, signal: str, value: Value, unit: str = "", state: State = State.NONE) -> None:
        if value is not None:
            self._samples.append(self._sample(signal, value, unit, state))

    def _bad(self, signal: str, count: int | None, what: str, *, least: int = 1) -> None:
        """A count of which `least` or more is a defect."""
        if count is None:
            return
        self._put(signal, count, state=State.WARN if count >= least else State.OK)
        if count >= least:
            self._findings.append(f"{count} {what}")

    def _state(self, signal: str, word: str, state: State, finding: str = "") -> None:
        self._put(signal, word, state=state)
        if finding:
            self._findings.append(finding)

    def _identity(self) -> Iterator[Sample]:
        drive = self.drive
        for signal, text in (
            ("identity.maker", drive.maker),
            ("identity.model", drive.model),
            ("identity.serial", drive.serial),
            ("identity.firmware", drive.firmware),
        ):
            if text:
                yield self._sample(signal, text)

    def _verdict(self) -> None:
        passed = _at(self._said, "smart_status", "passed")
        if passed is False or self._status & FAILING:
            self._state("drive.smart", "failing", State.CRIT, "the drive itself says that it fails")
        elif passed is True:
            self._state("drive.smart", "passed", State.OK)

    def _age(self) -> None:
        said = self._said
        hours = _count(_at(said, "power_on_time", "hours"))
        if hours is None:
            hours = _count(_at(said, "nvme_smart_health_information_log", "power_on_hours"))
        if hours is None and (row := self._rows.get(9)):
            hours = _hours(row)
        self._put("drive.hours", hours, "h")
        cycles = _count(said.get("power_cycle_count"))
        self._put("drive.power.cycles", self._raw(12) if cycles is None else cycles)
        self._put("drive.capacity", _count(_at(said, "user_capacity", "bytes")), "B")

    def _temperature(self) -> None:
        said = self._said.get("temperature")
        now = _number(_at(said, "current"))
        if now is None:
            now = _number(_at(self._said, "nvme_smart_health_information_log", "temperature"))
        low, high = DRIVE_C
        # 0 with a trip point of 0 is how a volume of a RAID controller says that it has no sensor.
        if now is None or not low <= now <= high or (now == 0 and _at(said, "drive_trip") == 0):
            return
        stop, warm = _limit(said, "drive_trip", "critical_limit_max", "limit_max"), _limit(said, "op_limit_max")
        state = State.OK if stop or warm else State.NONE
        if stop and now >= stop:
            state = State.CRIT
        elif warm and now >= warm:
            state = State.WARN
        if state in {State.WARN, State.CRIT}:
            self._findings.append(f"{now} C is too hot for it")
        self._put("drive.temperature", now, "C", state)

    def _raw(self, number: int) -> int | None:
        row = self._rows.get(number)
        return None if row is None else _raw(row)

    def _ata(self) -> None:
        for number, signal, what, least in (
            (5, "drive.sectors.reallocated", "reallocated sectors", 1),
            (197, "drive.sectors.pending", "sectors that cannot be read and wait to be reallocated", 1),
            (198, "drive.sectors.uncorrectable", "sectors that the drive's own scan could not read", 1),
            (187, "drive.errors.reported", "uncorrectable errors reported to the host", REPORTED_WARN),
        ):
            row = self._rows.get(number)
            if row is not None and UNRELIABLE.match(row.name):
                self._put(signal, _raw(row))
            elif row is not None:
                self._bad(signal, _raw(row), what, least=least)
        # The cable's, not the drive's, and never set back: that it rises says something, not that it is high.
        self._put("drive.link.errors", self._raw(199))
        timeouts = self._raw(188)
        # Seagate packs three counters of 16 bits, the lowest is the sum.
        self._put("drive.timeouts", timeouts & UINT16 if timeouts and timeouts > UINT32 else timeouts)
        self._put("drive.loads", self._raw(193))
        self._put("drive.starts", self._raw(4))
        for number in (174, 192):
            if (row := self._rows.get(number)) and UNSAFE.search(row.name):
                self._put("drive.shutdowns.unsafe", _raw(row))
                break
        block = _count(self._said.get("logical_block_size")) or 512
        for number, signal in ((241, "drive.written"), (242, "drive.read")):
            if row := self._rows.get(number):
                self._put(signal, _bytes(row, block), "B")
        self._thresholds()

    def _thresholds(self) -> None:
        now = [row for row in self._rows.values() if row.when_failed == "now"]
        fatal = [row.name for row in now if row.prefailure]
        usage = [row.name for row in now if not row.prefailure]
        past = [row.name for row in self._rows.values() if row.when_failed == "past"]
        if fatal or self._status & PREFAIL:
            self._state("drive.thresholds", "below", State.CRIT, f"below the maker's threshold: {', '.join(fatal) or 'an attribute'}")
        elif usage:
            self._state("drive.thresholds", "usage", State.WARN, f"worn below the maker's threshold: {', '.join(usage)}")
        elif past or self._status & PAST:
            self._state("drive.thresholds", "past", State.WARN, f"was below the maker's threshold: {', '.join(past) or 'an attribute'}")
        else:
            self._state("drive.thresholds", "ok", State.OK)

    def _nvme(self, log: dict[str, Any]) -> None:
        bits = _count(log.get("critical_warning"))
        if bits is not None:
            words = [word for bit, (word, _) in enumerate(WARNINGS) if bits >> bit & 1]
            if bits >> len(WARNINGS):
                words.append("other")
            shown = next((word for word in WARNING_RANK if word in words), words[0] if words else "none")
            state = dict(WARNINGS).get(shown, State.WARN) if words else State.OK
            self._state("drive.warning", shown, state, f"critical warning: {', '.join(words)}" if words else "")
            self._put("drive.warning.all", ",".join(words))
        spare, least = _percent(log.get("available_spare")), _percent(log.get("available_spare_threshold"))
        if spare is not None:
            state = State.OK
            if least is not None and spare < least:
                state = State.CRIT
            elif least is not None and spare - least < (100 - least) / 2:  # half of the reserve is used
                state = State.WARN
            if state is not State.OK:
                self._findings.append(f"{spare} % spare blocks left, {least} % is the least")
            self._put("drive.spare", spare, "%", state)
        self._bad("drive.errors.media", _count(log.get("media_errors")), "media errors")
        self._put("drive.shutdowns.unsafe", _count(log.get("unsafe_shutdowns")))
        # Mostly commands that the drive does not know: 8,382 on a healthy one.
        self._put("drive.log.entries", _count(log.get("num_err_log_entries")))
        self._put("drive.temperature.warm", _count(log.get("warning_temp_time")), "min")
        self._put("drive.temperature.hot", _count(log.get("critical_comp_time")), "min")
        for key, signal in (("data_units_written", "drive.written"), ("data_units_read", "drive.read")):
            if (units := _count(log.get(key))) is not None:
                self._put(signal, _fit(units * DATA_UNIT), "B")

    def _scsi(self) -> None:
        said = self._said
        self._bad("drive.defects.grown", _count(said.get("scsi_grown_defect_list")), "grown defects")
        if isinstance(log := said.get("scsi_error_counter_log"), dict):
            counts = [_count(_at(page, "total_uncorrected_errors")) for page in log.values()]
            known = [count for count in counts if count is not None]
            if known:
                self._bad("drive.errors.uncorrected", _fit(sum(known)), "uncorrected errors")
            for page, signal in (("write", "drive.written"), ("read", "drive.read")):
                self._put(signal, _gigabytes(_at(log, page, "gigabytes_processed")), "B")
        if isinstance(cycles := said.get("scsi_start_stop_cycle_counter"), dict):
            self._put("drive.starts", _count(cycles.get("accumulated_start_stop_cycles")))
            self._put("drive.loads", _count(cycles.get("accumulated_load_unload_cycles")))

    def _wear(self) -> None:
        """The drive's own percentage before the maker's normalised attribute."""
        left = self._life_left()
        used = next(
            (
                used
                for used in (
                    _count(_at(self._said, "nvme_smart_health_information_log", "percentage_used")),
                    _count(self._said.get("scsi_percentage_used_endurance_indicator")),
                    _count(_at(self._said, "endurance_used", "current_percent")),
                    _statistic(self._said, "Percentage Used Endurance Indicator"),
                )
                if used is not None and used <= 255
            ),
            None if left is None else 100 - left,
        )
        if used is None:
            return
        state = State.CRIT if used >= WEAR_CRIT else State.WARN if used >= WEAR_WARN else State.OK
        if state is not State.OK:
            self._findings.append(f"{used} % of its rated life is used")
        self._put("drive.wear", used, "%", state)
        if left is not None:
            self._put("drive.wear.left", left, "%")

    def _life_left(self) -> int | None:
        if _count(self._said.get("rotation_rate")):
            return None
        for pattern in LIFE_LEFT:
            for row in self._rows.values():
                if pattern.search(row.name) and 0 <= row.value <= 100:
                    return row.value
        return None

    def _logs(self) -> None:
        errors = [_count(_at(self._said, "ata_smart_error_log", kind, "count")) for kind in ("extended", "summary")]
        entries = next((count for count in errors if count is not None), None)
        self._put("drive.log.entries", entries)
        if self._status & ERROR_LOG or entries:
            self._state("drive.errorlog", "entries", State.WARN, f"{entries or 'some'} errors in its error log")
        elif entries is not None:
            self._state("drive.errorlog", "empty", State.OK)
        test = self._self_test()
        if test == "failed":
            self._state("drive.selftest", "failed", State.WARN, "its self-test failed")
        elif test:
            self._state("drive.selftest", test, State.OK)

    def _self_test(self) -> str:
        """`failed`, `passed`, `none` (never run), or empty where the drive keeps no log. A failure that a later good run outdates is none."""
        if self._status & SELF_TEST:
            return "failed"
        for kind in ("extended", "standard"):
            log = _at(self._said, "ata_smart_self_test_log", kind)
            if isinstance(log, dict):
                failed = (_count(log.get("error_count_total")) or 0) - (_count(log.get("error_count_outdated")) or 0)
                return "failed" if failed > 0 else "passed" if _count(log.get("count")) else "none"
        # The newest comes first. NVMe: 5, 6 and 7 are failures; SCSI: 3 to 7; other numbers than 0 are runs that were cut short.
        rows = _at(self._said, "nvme_self_test_log", "table")
        newest = _count(_at(rows[0] if isinstance(rows, list) and rows else None, "self_test_result", "value"))
        if newest is not None:
            return "failed" if newest in {5, 6, 7} else "passed" if newest == 0 else ""
        newest = _count(_at(self._said, "scsi_self_test_0", "result", "value"))
        return "" if newest is None else "failed" if newest in range(3, 8) else "passed" if newest == 0 else ""


@dataclass(frozen=True, slots=True)
class _Row:
    """One ATA attribute. value: normalised, mostly 100 or 200 at the start and falling."""

    name: str
    value: int
    raw: int
    text: str
    when_failed: str
    prefailure: bool


def _attributes(said: dict[str, Any]) -> dict[int, _Row]:
    table = _at(said, "ata_smart_attributes", "table")
    found: dict[int, _Row] = {}
    for row in table[:MAX_ROWS] if isinstance(table, list) else ():
        number, raw = _count(_at(row, "id")), _count(_at(row, "raw", "value"))
        if number is not None and raw is not None:
            value = _count(_at(row, "value"))
            found[number] = _Row(
                _text(_at(row, "name")),
                -1 if value is None else value,
                raw,
                _text(_at(row, "raw", "string")),
                _text(_at(row, "when_failed")),
                _at(row, "flags", "prefailure") is True,
            )
    return found


def _drive(said: dict[str, Any]) -> Drive:
    model = _first(said, "model_name", "scsi_model_name", "product", "scsi_product")
    maker = _first(said, "scsi_vendor", "vendor")
    if not maker or maker.upper() == "ATA":
        maker = next((maker for pattern, maker in _MAKERS if pattern.match(model)), "")
    return Drive(
        _text(_at(said, "device", "name")),
        _text(_at(said, "device", "protocol")),
        maker,
        model,
        _first(said, "serial_number"),
        _first(said, "firmware_version", "scsi_revision", "revision"),
    )


def _first(said: dict[str, Any], *keys: str) -> str:
    return next(filter(None, (_text(said.get(key)) for key in keys)), "")


def _at(said: object, *path: str) -> Any:
    for key in path:
        if not isinstance(said, dict):
            return None
        said = said.get(key)
    return said


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value[: 4 * MAX_TEXT]).split())[:MAX_TEXT]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def _fit(value: int) -> int | None:
    return value if value <= MAX_COUNT else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _percent(value: object) -> int | None:
    count = _count(value)
    return count if count is not None and count <= 100 else None


def _limit(said: object, *keys: str) -> int | None:
    """A limit of 0 is one that was not set."""
    return next((limit for limit in (_count(_at(said, key)) for key in keys) if limit and limit <= DRIVE_C[1]), None)


def _raw(row: _Row) -> int | None:
    """Six bytes in which some makers pack several counters; smartctl then prints the counter first: `2111 (12437 0)`."""
    if row.raw > UINT32 and (first := re.match(r"(\d{1,10}) ?\(", row.text)):
        return int(first[1])
    return row.raw


def _hours(row: _Row) -> int | None:
    """Where smartctl gives no power_on_time: `12345h+30m+04.512s`, `2725 (151 234 0)` or a number."""
    first = re.match(r"(\d{1,9})(?:h| ?\(|$)", row.text)
    return int(first[1]) if first else row.raw if row.raw <= UINT32 else None


def _bytes(row: _Row, block: int) -> int | None:
    size = next((size for word in re.split(r"[_ ]", row.name.upper()) if (size := SIZES.get(word)) is not None), None)
    return None if size is None else _fit(row.raw * (size or block))


def _gigabytes(text: object) -> int | None:
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,12}(\.\d{1,3})?", text):
        return None
    whole, _, part = text.partition(".")
    return _fit((int(whole) * 1000 + int(part.ljust(3, "0"))) * 10**6)


def _statistic(said: dict[str, Any], name: str) -> int | None:
    """A value of the ATA device statistics log, if the drive calls it valid."""
    pages = _at(said, "ata_device_statistics", "pages")
    for page in pages[:MAX_ROWS] if isinstance(pages, list) else ():
        rows = _at(page, "table")
        for row in rows[:MAX_ROWS] if isinstance(rows, list) else ():
            if _at(row, "name") == name and _at(row, "flags", "valid") is not False:
                return _count(_at(row, "value"))
    return None


def _messages(said: dict[str, Any]) -> str:
    rows = _at(said, "smartctl", "messages")
    said_in_words = (_text(_at(row, "string")) for row in (rows[:4] if isinstance(rows, list) else ()))
    return "; ".join(filter(None, said_in_words))[:MAX_TEXT]
