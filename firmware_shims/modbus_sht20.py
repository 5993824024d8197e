"""XY-MD02 and its like: a temperature and humidity sensor (SHT20, SHT40) in a cabinet, on RS-485, Modbus RTU, unit 1 as delivered."""

from __future__ import annotations

from tillwatch.firmware_shims.modbus import INPUT, gauge, read, shim

# > 01 04 00 01 00 02 20 0B
# < 01 04 04 01 31 02 22 2A CE      30.5 C, 54.6 %

AIR = read(1, INPUT, 1, 2)

SHIM = shim(
    "modbus_sht20",
    "temperature and humidity sensor XY-MD02 (SHT20, SHT40) on RS-485",
    (
        gauge("env.temperature", AIR, 1, "C", kind="int16", divisor=10, low=-40, high=125),
        gauge("env.humidity", AIR, 2, "%", divisor=10, low=0, high=100),
    ),
)
