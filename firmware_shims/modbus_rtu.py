"""Any Modbus RTU device, unit 1: its first input register and its first holding register as bare numbers. For a look at a new device;
what the numbers are is said by a shim or a dialogue of its own.
"""

from __future__ import annotations

from tillwatch.firmware_shims.modbus import HOLDING, INPUT, gauge, read, shim

# > 01 04 00 00 00 01 31 CA
# < 01 04 02 01 2C B8 BD         300

FIRST_INPUT = read(1, INPUT, 0, 1)
FIRST_HOLDING = read(1, HOLDING, 0, 1, optional=True)

SHIM = shim(
    "modbus_rtu",
    "any Modbus RTU device: its first registers as bare numbers",
    (
        gauge("sensor.value", FIRST_INPUT, 0, "", part="input:0"),
        gauge("sensor.value", FIRST_HOLDING, 0, "", part="holding:0"),
    ),
)
