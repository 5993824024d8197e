"""Huawei UPS2000-A and UPS2000-G, 1 to 3 kVA, over RS-232 or their USB serial port: Modbus RTU, unit 1.

Registers are those of the maker's Modbus table with 10000 added for the first UPS. 7FFF in a fixed-point register, FFFF in another is
"not there".
"""

from __future__ import annotations

from tillwatch.firmware_shims.base import Line, Trait
from tillwatch.firmware_shims.modbus import HOLDING, gauge, read, shim, state

# > 01 03 2A F8 00 1C CD EA     28 registers from 11000: < 01 03 38 .. and 56 bytes, CRC
# > 01 03 2E E0 00 08 4C D2     8 registers from 12000

NOT_THERE, NONE_THERE = 0x7FFF, 0xFFFF

POWER = read(1, HOLDING, 11000, 28)
FLAGS = read(1, HOLDING, 11043, 1)
BATTERY = read(1, HOLDING, 12000, 8)
RATINGS = read(1, HOLDING, 19009, 1, every="slow", optional=True)

_SOURCES = {0: "none", 1: "bypass", 2: "normal", 3: "battery", 5: "eco"}
_CHARGERS = {2: "resting", 3: "floating", 4: "boosting", 5: "discharging"}
BATTERY_LOW, SELF_TEST = 1 << 6, 1 << 2

ROWS = (
    gauge("ups.input.voltage", POWER, 11000, "V", divisor=10, absent=NOT_THERE, high=500),
    gauge("ups.input.frequency", POWER, 11003, "Hz", divisor=10, absent=NOT_THERE, high=75),
    gauge("ups.bypass.voltage", POWER, 11004, "V", divisor=10, absent=NOT_THERE, high=500),
    gauge("ups.bypass.frequency", POWER, 11007, "Hz", divisor=10, absent=NOT_THERE, high=75),
    gauge("ups.output.voltage", POWER, 11008, "V", divisor=10, absent=NOT_THERE, high=500),
    gauge("ups.output.current", POWER, 11011, "A", divisor=10, absent=NOT_THERE, high=100),
    gauge("ups.output.frequency", POWER, 11014, "Hz", divisor=10, absent=NOT_THERE, high=75),
    gauge("ups.output.power", POWER, 11015, "W", multiplier=100, absent=NOT_THERE, high=20_000),
    gauge("ups.output.apparent", POWER, 11018, "VA", multiplier=100, absent=NOT_THERE, high=20_000),
    gauge("ups.output.load", POWER, 11021, "%", divisor=10, absent=NOT_THERE, high=250),
    state(
        "ups.output.source",
        POWER,
        11024,
        _SOURCES.get,
        {"none": "crit", "bypass": "warn", "normal": "ok", "battery": "warn", "eco": "ok"},
    ),
    gauge("ups.temperature", POWER, 11027, "C", kind="int16", divisor=10, absent=NOT_THERE, low=-40, high=110),
    state(
        "ups.battery.status",
        FLAGS,
        11043,
        lambda bits: "low" if bits & BATTERY_LOW else "normal",
        {"normal": "ok", "low": "crit"},
    ),
    state(
        "ups.test.result",
        FLAGS,
        11043,
        lambda bits: "running" if bits & SELF_TEST else "none",
        {"none": "ok", "running": "ok"},
    ),
    gauge("ups.battery.voltage", BATTERY, 12000, "V", divisor=10, absent=NOT_THERE, high=500),
    state(
        "ups.battery.charger",
        BATTERY,
        12002,
        _CHARGERS.get,
        {"resting": "ok", "floating": "ok", "boosting": "ok", "discharging": "warn"},
    ),
    gauge("ups.battery.charge", BATTERY, 12003, "%", absent=NONE_THERE, high=100),
    gauge("ups.battery.runtime", BATTERY, 12004, "min", kind="uint32", divisor=60, absent=0xFFFFFFFF, high=100_000),
    gauge("ups.battery.packs", BATTERY, 12007, "", absent=NONE_THERE, high=100),
    gauge(
        "ups.output.apparent.nominal",
        RATINGS,
        19009,
        "VA",
        multiplier=100,
        absent=NOT_THERE,
        high=100_000,
        trait=Trait.STATIC,
    ),
)

SHIM = shim(
    "huawei_ups2000",
    "Huawei UPS2000-A or UPS2000-G, 1 to 3 kVA, on its serial or USB port (Modbus RTU)",
    ROWS,
    line=Line(baud=9600, dtr=False, rts=False),
    timeout=2.0,  # it may take two seconds
)
