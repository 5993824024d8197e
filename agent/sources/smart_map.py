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
from tillwatch.agent.sources.smart_json import (
    DRIVE_C,
    UINT16,
    UINT32,
    WEAR_CRIT,
    WEAR_WARN,
    Drive,
    at,
    attributes,
    bytes_of,
    count_of,
    drive_of,
    fit,
    gigabytes,
    hours_of,
    limit_of,
    messages,
    number_of,
    percent_of,
    raw_of,
    statistic,
)

COMMAND_LINE, OPEN, COMMAND, FAILING, PREFAIL, PAST, ERROR_LOG, SELF_TEST = (1 << bit for bit in range(8))
"""The bits of smartctl's exit status (smartctl(8)). The first two mean that nothing was read; COMMAND that something was not."""
ASLEEP = 3
"""The exit status that `-n standby,3` asks for: the drive sleeps and was left alone."""

REPORTED_WARN = 10
"""Uncorrectable errors that were reported to the host (attribute 187). A cut of power tears a sector or two, the next write mends
them and no spare is used: only more than a handful is the surface. Assumed; no maker gives a figure."""
DATA_UNIT = 512_000
"""Bytes of an NVMe data unit: a thousand blocks of 512 (NVM Express base specification)."""
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

LIFE_LEFT = (
    re.compile(
        r"life.?left|life(time)?_?remain|remain(ing)?_?life|rated_life|lifetime_(used|left)|endurance", re.IGNORECASE
    ),
    re.compile(r"wearout", re.IGNORECASE),
    re.compile(r"wear_?leveling", re.IGNORECASE),
)
"""Attributes whose normalised value counts down from 100 as the flash wears. By name: the numbers 169, 202, 231 and 233 mean other things
with other makers. The first kind that there is wins."""
UNSAFE = re.compile(r"unsafe_shutdown|unexpect(ed)?_power_?loss|sudden_power|power_loss_c", re.IGNORECASE)
UNRELIABLE = re.compile(r"bogus|unknown|not_in_use", re.IGNORECASE)
"""smartctl's own words for an attribute whose value means nothing on this drive."""


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


def read_report(source: str, said: object, device: str = "") -> Report:
    """said: the parsed JSON. device: its name as smartctl was asked, instead of the JSON's. Raises ValueError if it is not what `smartctl -j` prints."""
    if not isinstance(said, dict) or not any(isinstance(said.get(key), dict) for key in ("smartctl", "device")):
        raise ValueError("not what `smartctl -j -x` prints")
    reading = _Reading(source, said, device)
    reading.take()
    return reading.report()


def unread(source: str, device: str, reason: str) -> Report:
    """A drive of which smartctl said nothing at all."""
    messages = {"smartctl": {"exit_status": OPEN, "messages": [{"string": reason}]}}
    return read_report(source, messages, device)


class _Reading:
    """One drive, taken apart once."""

    def __init__(self, source: str, said: dict[str, Any], device: str) -> None:
        self._said = said
        self._status = count_of(at(said, "smartctl", "exit_status")) or 0
        self._samples: list[Sample] = []
        self._findings: list[str] = []
        self.drive = drive_of(said, device)
        self._component = f"{source}/{self.drive.part}"
        self._label = " ".join(filter(None, (self.drive.model, self.drive.name and f"({self.drive.name})")))
        self._rows = attributes(said)

    def report(self) -> Report:
        reason = ""
        if self._status == ASLEEP:
            access, reason = "asleep", "the drive sleeps and was not woken"
        elif not self._has_data() or self._status & (COMMAND_LINE | OPEN):
            access, reason = "failed", self._why()
        elif self._status & COMMAND:
            access, reason = "partial", messages(self._said) or "a command that not every drive knows was refused"
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
            or any(
                isinstance(said.get(key), dict)
                for key in ("nvme_smart_health_information_log", "smart_status", "scsi_error_counter_log")
            )
            or count_of(said.get("scsi_grown_defect_list")) is not None
        )

    def _why(self) -> str:
        if said := messages(self._said):
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
        passed = at(self._said, "smart_status", "passed")
        if passed is False or self._status & FAILING:
            self._state("drive.smart", "failing", State.CRIT, "the drive itself says that it fails")
        elif passed is True:
            self._state("drive.smart", "passed", State.OK)

    def _age(self) -> None:
        said = self._said
        hours = count_of(at(said, "power_on_time", "hours"))
        if hours is None:
            hours = count_of(at(said, "nvme_smart_health_information_log", "power_on_hours"))
        if hours is None and (row := self._rows.get(9)):
            hours = hours_of(row)
        self._put("drive.hours", hours, "h")
        cycles = count_of(said.get("power_cycle_count"))
        self._put("drive.power.cycles", self._raw(12) if cycles is None else cycles)
        self._put("drive.capacity", count_of(at(said, "user_capacity", "bytes")), "B")

    def _temperature(self) -> None:
        said = self._said.get("temperature")
        now = number_of(at(said, "current"))
        if now is None:
            now = number_of(at(self._said, "nvme_smart_health_information_log", "temperature"))
        low, high = DRIVE_C
        # 0 with a trip point of 0 is how a volume of a RAID controller says that it has no sensor.
        if now is None or not low <= now <= high or (now == 0 and at(said, "drive_trip") == 0):
            return
        stop, warm = limit_of(said, "drive_trip", "critical_limit_max", "limit_max"), limit_of(said, "op_limit_max")
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
        return None if row is None else raw_of(row)

    def _ata(self) -> None:
        for number, signal, what, least in (
            (5, "drive.sectors.reallocated", "reallocated sectors", 1),
            (197, "drive.sectors.pending", "sectors that cannot be read and wait to be reallocated", 1),
            (198, "drive.sectors.uncorrectable", "sectors that the drive's own scan could not read", 1),
            (187, "drive.errors.reported", "uncorrectable errors reported to the host", REPORTED_WARN),
        ):
            row = self._rows.get(number)
            if row is not None and UNRELIABLE.match(row.name):
                self._put(signal, raw_of(row))
            elif row is not None:
                self._bad(signal, raw_of(row), what, least=least)
        # The cable's, not the drive's, and never set back: that it rises says something, not that it is high.
        self._put("drive.link.errors", self._raw(199))
        timeouts = self._raw(188)
        # Seagate packs three counters of 16 bits, the lowest is the sum.
        self._put("drive.timeouts", timeouts & UINT16 if timeouts and timeouts > UINT32 else timeouts)
        self._put("drive.loads", self._raw(193))
        self._put("drive.starts", self._raw(4))
        for number in (174, 192):
            if (row := self._rows.get(number)) and UNSAFE.search(row.name):
                self._put("drive.shutdowns.unsafe", raw_of(row))
                break
        block = count_of(self._said.get("logical_block_size")) or 512
        for number, signal in ((241, "drive.written"), (242, "drive.read")):
            if row := self._rows.get(number):
                self._put(signal, bytes_of(row, block), "B")
        self._thresholds()

    def _thresholds(self) -> None:
        now = [row for row in self._rows.values() if row.when_failed == "now"]
        fatal = [row.name for row in now if row.prefailure]
        usage = [row.name for row in now if not row.prefailure]
        past = [row.name for row in self._rows.values() if row.when_failed == "past"]
        if fatal or self._status & PREFAIL:
            self._state(
                "drive.thresholds",
                "below",
                State.CRIT,
                f"below the maker's threshold: {', '.join(fatal) or 'an attribute'}",
            )
        elif usage:
            self._state(
                "drive.thresholds", "usage", State.WARN, f"worn below the maker's threshold: {', '.join(usage)}"
            )
        elif past or self._status & PAST:
            self._state(
                "drive.thresholds",
                "past",
                State.WARN,
                f"was below the maker's threshold: {', '.join(past) or 'an attribute'}",
            )
        else:
            self._state("drive.thresholds", "ok", State.OK)

    def _nvme(self, log: dict[str, Any]) -> None:
        bits = count_of(log.get("critical_warning"))
        if bits is not None:
            words = [word for bit, (word, _) in enumerate(WARNINGS) if bits >> bit & 1]
            if bits >> len(WARNINGS):
                words.append("other")
            shown = next((word for word in WARNING_RANK if word in words), words[0] if words else "none")
            state = dict(WARNINGS).get(shown, State.WARN) if words else State.OK
            self._state("drive.warning", shown, state, f"critical warning: {', '.join(words)}" if words else "")
            self._put("drive.warning.all", ",".join(words))
        spare, least = percent_of(log.get("available_spare")), percent_of(log.get("available_spare_threshold"))
        if spare is not None:
            state = State.OK
            if least is not None and spare < least:
                state = State.CRIT
            elif least is not None and spare - least < (100 - least) / 2:  # half of the reserve is used
                state = State.WARN
            if state is not State.OK:
                self._findings.append(f"{spare} % spare blocks left, {least} % is the least")
            self._put("drive.spare", spare, "%", state)
        self._bad("drive.errors.media", count_of(log.get("media_errors")), "media errors")
        self._put("drive.shutdowns.unsafe", count_of(log.get("unsafe_shutdowns")))
        # Mostly commands that the drive does not know: 8,382 on a healthy one.
        self._put("drive.log.entries", count_of(log.get("num_err_log_entries")))
        self._put("drive.temperature.warm", count_of(log.get("warning_temp_time")), "min")
        self._put("drive.temperature.hot", count_of(log.get("critical_comp_time")), "min")
        for key, signal in (("data_units_written", "drive.written"), ("data_units_read", "drive.read")):
            if (units := count_of(log.get(key))) is not None:
                self._put(signal, fit(units * DATA_UNIT), "B")

    def _scsi(self) -> None:
        said = self._said
        self._bad("drive.defects.grown", count_of(said.get("scsi_grown_defect_list")), "grown defects")
        if isinstance(log := said.get("scsi_error_counter_log"), dict):
            counts = [count_of(at(page, "total_uncorrected_errors")) for page in log.values()]
            known = [count for count in counts if count is not None]
            if known:
                self._bad("drive.errors.uncorrected", fit(sum(known)), "uncorrected errors")
            for page, signal in (("write", "drive.written"), ("read", "drive.read")):
                self._put(signal, gigabytes(at(log, page, "gigabytes_processed")), "B")
        if isinstance(cycles := said.get("scsi_start_stop_cycle_counter"), dict):
            self._put("drive.starts", count_of(cycles.get("accumulated_start_stop_cycles")))
            self._put("drive.loads", count_of(cycles.get("accumulated_load_unload_cycles")))

    def _wear(self) -> None:
        """The drive's own percentage before the maker's normalised attribute."""
        left = self._life_left()
        used = next(
            (
                used
                for used in (
                    count_of(at(self._said, "nvme_smart_health_information_log", "percentage_used")),
                    count_of(self._said.get("scsi_percentage_used_endurance_indicator")),
                    count_of(at(self._said, "endurance_used", "current_percent")),
                    statistic(self._said, "Percentage Used Endurance Indicator"),
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
        if count_of(self._said.get("rotation_rate")):
            return None
        for pattern in LIFE_LEFT:
            for row in self._rows.values():
                if pattern.search(row.name) and 0 <= row.value <= 100:
                    return row.value
        return None

    def _logs(self) -> None:
        errors = [count_of(at(self._said, "ata_smart_error_log", kind, "count")) for kind in ("extended", "summary")]
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
            log = at(self._said, "ata_smart_self_test_log", kind)
            if isinstance(log, dict):
                failed = (count_of(log.get("error_count_total")) or 0) - (
                    count_of(log.get("error_count_outdated")) or 0
                )
                return "failed" if failed > 0 else "passed" if count_of(log.get("count")) else "none"
        # The newest comes first. NVMe: 5, 6 and 7 are failures; SCSI: 3 to 7; other numbers than 0 are runs that were cut short.
        rows = at(self._said, "nvme_self_test_log", "table")
        newest = count_of(at(rows[0] if isinstance(rows, list) and rows else None, "self_test_result", "value"))
        if newest is not None:
            return "failed" if newest in {5, 6, 7} else "passed" if newest == 0 else ""
        newest = count_of(at(self._said, "scsi_self_test_0", "result", "value"))
        return "" if newest is None else "failed" if newest in range(3, 8) else "passed" if newest == 0 else ""
