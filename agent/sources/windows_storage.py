"""What Windows' storage management says of the drives, as samples: pure. Fewer figures than smartctl gives, but nothing has to be installed.
MSFT_PhysicalDisk and MSFT_StorageReliabilityCounter by Microsoft's reference of the storage management provider; MSStorageDriver_FailurePredictStatus
is what the drive itself predicts, which many NVMe drivers do not fill.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tillwatch.agent.model import Sample, State, Value
from tillwatch.agent.sources.smart_json import DRIVE_C, WEAR_CRIT, WEAR_WARN, fit
from tillwatch.agent.sources.windows_cim import CIMV2, STORAGE, WMI, Answer, Query, count, part, plain

UINT8, UINT16, UINT32, UINT64 = (1 << 8) - 1, (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1
MAX_DRIVES = 64
"""As for smartctl: a branch server has up to 24 bays."""

PHYSICAL = Query(
    "physical",
    STORAGE,
    "MSFT_PhysicalDisk",
    (
        "DeviceId",
        "FriendlyName",
        "Manufacturer",
        "Model",
        "SerialNumber",
        "FirmwareVersion",
        "MediaType",
        "Size",
        "HealthStatus",
    ),
)
RELIABILITY = Query(
    "reliability",
    STORAGE,
    "MSFT_StorageReliabilityCounter",
    (
        "DeviceId",
        "Temperature",
        "Wear",
        "PowerOnHours",
        "ReadErrorsCorrected",
        "ReadErrorsUncorrected",
        "WriteErrorsCorrected",
        "WriteErrorsUncorrected",
        "StartStopCycleCount",
        "LoadUnloadCycleCount",
        "ReadLatencyMax",
        "WriteLatencyMax",
        "FlushLatencyMax",
    ),
    through="MSFT_PhysicalDisk",
)
PREDICTED = Query("predicted", WMI, "MSStorageDriver_FailurePredictStatus", ("InstanceName", "PredictFailure"))
PLUGGED = Query("plugged", CIMV2, "Win32_DiskDrive", ("Index", "PNPDeviceID"))
"""Which number of a drive belongs to which instance name of a prediction."""
QUERIES = (PHYSICAL, RELIABILITY, PREDICTED, PLUGGED)

HEALTH = {
    0: ("healthy", State.OK),
    1: ("warning", State.WARN),
    2: ("unhealthy", State.CRIT),
    (UNKNOWN := 5): ("unknown", State.UNKNOWN),
}
SPINNING = 3
"""MediaType HDD. It has no wear; drivers give 0."""
NOT_GIVEN = 255
"""Of Wear: NVMe's percentage used stands at 255 for whatever is more, and drivers hand it over where they do not know."""


def drives(source: str, said: Mapping[str, Answer]) -> list[Sample]:
    """One component a drive: `<source>/drive:<serial>`. Drives beyond the bound are declared."""
    counters = {plain(row.get("DeviceId")): row for row in said[RELIABILITY.name].rows}
    failing = _failing(said)
    rows = said[PHYSICAL.name].rows
    names: Counter[str] = Counter()
    samples: list[Sample] = []
    for row in rows[:MAX_DRIVES]:
        number = plain(row.get("DeviceId"))
        # Windows ends the serial numbers of NVMe namespaces with a dot.
        serial = plain(row.get("SerialNumber")).rstrip(".")
        name = part("drive", serial or number or "?")
        names[name] += 1
        # A RAID controller may give all its volumes one number.
        component = f"{source}/{name}" + (f" #{names[name]}" if names[name] > 1 else "")
        counted = counters.get(number)
        reason = "" if counted is not None else said[RELIABILITY.name].error or "its driver gives no counters"
        samples += _drive(component, row, serial, counted, reason, failing.get(number))
    if len(rows) > MAX_DRIVES:
        samples.append(Sample(source, "monitor.omitted", len(rows) - MAX_DRIVES))
    return samples


def _failing(said: Mapping[str, Answer]) -> dict[str, bool]:
    """The number of a drive -> whether it predicts its failure. The instance name is the drive's Plug and Play id with `_0` behind it."""
    found = {
        plain(row.get("InstanceName")).rpartition("_")[0].casefold(): row.get("PredictFailure")
        for row in said[PREDICTED.name].rows
    }
    failing = {}
    for row in said[PLUGGED.name].rows:
        number, predicted = count(row.get("Index"), UINT32), found.get(plain(row.get("PNPDeviceID")).casefold())
        if number is not None and isinstance(predicted, bool):
            failing[str(number)] = predicted
    return failing


def _drive(
    component: str,
    row: Mapping[str, Any],
    serial: str,
    counted: Mapping[str, Any] | None,
    reason: str,
    predicted: bool | None,  # noqa: FBT001 - three-valued: nobody said
) -> Iterator[Sample]:
    model = plain(row.get("Model")) or plain(row.get("FriendlyName"))
    findings: list[str] = []

    def sample(signal: str, value: Value, unit: str = "", state: State = State.NONE) -> Sample:
        return Sample(component, signal, value, state, label=model[:60], unit=unit)

    for signal, text in (
        ("identity.maker", plain(row.get("Manufacturer"))),
        ("identity.model", model),
        ("identity.serial", serial),
        ("identity.firmware", plain(row.get("FirmwareVersion"))),
    ):
        # What an old driver gives as the maker of every drive.
        if text and not text.startswith("("):
            yield sample(signal, text[:100])
    yield sample("drive.access", "partial" if reason else "read", state=State.OK)
    yield sample("drive.access.reason", reason)
    health = count(row.get("HealthStatus"), UINT16)
    word, state = HEALTH[UNKNOWN] if health is None else HEALTH.get(health, HEALTH[UNKNOWN])
    yield sample("drive.health", word, state=state)
    if state in {State.WARN, State.CRIT}:
        findings.append(f"Windows calls it {word}")
    if predicted is not None:
        yield sample(
            "drive.smart",
            "failing" if predicted else "passed",
            state=State.CRIT if predicted else State.OK,
        )
        findings += ["the drive itself says that it fails"] * predicted
    # 0 is how a driver says that it does not know the size; the spool's numbers end at 64 bits with a sign.
    if size := count(row.get("Size"), UINT64 >> 1):
        yield sample("drive.capacity", size, "B")
    for signal, value, unit, judged, finding in _counters(counted or {}, spinning=row.get("MediaType") == SPINNING):
        yield sample(signal, value, unit, judged)
        findings += [finding] if finding else []
    yield sample("drive.findings", "; ".join(findings))


def _counters(row: Mapping[str, Any], *, spinning: bool) -> Iterator[tuple[str, int, str, State, str]]:
    """Signal, value, unit, state and what is wrong. What a driver does not fill is null, or 0 where 0 cannot be."""
    # 0 C is a drive without a sensor. TemperatureMax is no limit to judge by: some drivers give the highest that was measured.
    temperature = count(row.get("Temperature"), UINT8)
    if temperature and temperature <= DRIVE_C[1]:
        yield "drive.temperature", temperature, "C", State.NONE, ""
    wear = count(row.get("Wear"), NOT_GIVEN - 1)
    if wear is not None and not spinning:
        state = State.CRIT if wear >= WEAR_CRIT else State.WARN if wear >= WEAR_WARN else State.OK
        yield "drive.wear", wear, "%", state, "" if state is State.OK else f"{wear} % of its rated life is used"
    # UInt16: it begins anew after 7.5 years, which a counter may.
    if (hours := count(row.get("PowerOnHours"), UINT16)) is not None:
        yield "drive.hours", hours, "h", State.NONE, ""
    lost = _sum(row, "ReadErrorsUncorrected", "WriteErrorsUncorrected")
    if lost is not None:
        state = State.WARN if lost else State.OK
        yield "drive.errors.uncorrected", lost, "", state, f"{lost} uncorrected errors" if lost else ""
    if (mended := _sum(row, "ReadErrorsCorrected", "WriteErrorsCorrected")) is not None:
        yield "drive.errors.corrected", mended, "", State.NONE, ""
    for name, signal, unit in (
        ("StartStopCycleCount", "drive.starts", ""),
        ("LoadUnloadCycleCount", "drive.loads", ""),
        ("ReadLatencyMax", "drive.latency.read", "ms"),
        ("WriteLatencyMax", "drive.latency.write", "ms"),
        ("FlushLatencyMax", "drive.latency.flush", "ms"),
    ):
        # A spindle that never started, and a drive that never answered, are drivers that do not count.
        if value := count(row.get(name), UINT32):
            yield signal, value, unit, State.NONE, ""


def _sum(row: Mapping[str, Any], *names: str) -> int | None:
    known = [value for value in (count(row.get(name), UINT64 >> 1) for name in names) if value is not None]
    return fit(sum(known)) if known else None
