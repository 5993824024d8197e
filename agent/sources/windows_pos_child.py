"""Asks Windows for the point-of-service devices and their statistics, prints them as JSON and ends. Run by windows_pos.py as a process of its own.

Devices are opened shared and never claimed. Needs the packages of `tillwatch[windows-pos]`. Not yet run on Windows: written against the types of
winrt-Windows.Devices.PointOfService.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

from tillwatch.agent.sources.windows_pos import KINDS, MAX_DEVICES

DEVICE_S = 10.0
"""A driver that does not answer takes no other device with it."""
ALL = ("",)
"""The categories of statistics: the empty name stands for all of them."""


async def _devices(kind: Any) -> list[Any]:
    enumeration = importlib.import_module("winrt.windows.devices.enumeration")
    found = await enumeration.DeviceInformation.find_all_async_aqs_filter(kind.get_device_selector())
    return list(found)[:MAX_DEVICES]


async def _statistics(kind: Any, id_: str) -> str:
    device = await kind.from_id_async(id_)
    if device is None:
        raise OSError("Windows does not open it: in use by a program that does not share it, or not allowed")
    try:
        if not device.capabilities.is_statistics_reporting_supported:
            raise OSError("its driver gives no statistics")
        if hasattr(device, "get_statistics_async"):
            return str(await device.get_statistics_async(ALL))
        buffer = await device.retrieve_statistics_async(ALL)
        return bytes(memoryview(buffer)).decode("utf-8", "replace")
    finally:
        device.close()


async def _told(kind: str, of: Any, device: Any) -> dict[str, str]:
    row = {"kind": kind, "id": str(device.id), "name": str(device.name), "statistics": "", "error": ""}
    try:
        async with asyncio.timeout(DEVICE_S):
            row["statistics"] = await _statistics(of, row["id"])
    except TimeoutError:
        row["error"] = f"no answer within {DEVICE_S:g} s"
    except Exception as error:  # whatever a driver does, the other devices are told
        row["error"] = str(error) or type(error).__name__
    return row


async def _of_kind(kind: str, of: Any) -> list[dict[str, str]]:
    return await asyncio.gather(*(_told(kind, of, device) for device in await _devices(of)))


async def _all() -> list[dict[str, str]]:
    """At once, so that slow drivers do not add up. A kind that cannot be listed is left out; if none can, its error is raised."""
    pos = importlib.import_module("winrt.windows.devices.pointofservice")
    kinds = await asyncio.gather(*(_of_kind(kind, getattr(pos, kind)) for kind in KINDS), return_exceptions=True)
    failed = [found for found in kinds if isinstance(found, BaseException)]
    if len(failed) == len(kinds):
        raise failed[0]
    return [row for found in kinds if not isinstance(found, BaseException) for row in found]


def main() -> int:
    """Exit status 1, with the reason as the last line of stderr: not Windows, or the packages are not there."""
    if sys.platform == "win32":
        print(json.dumps(asyncio.run(_all())))
        status = 0
    else:
        print("only Windows has Windows.Devices.PointOfService", file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
