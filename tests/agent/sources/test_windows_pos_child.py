"""The process that asks Windows for point-of-service devices, over modules that have the names and shapes of the winrt packages' types."""

import asyncio
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from tillwatch.agent.sources import windows_pos_child as child
from tillwatch.agent.sources.windows_pos import reported

PACKAGE = "winrt.windows.devices."


class Device:
    """A PosPrinter or a CashDrawer. Whatever is not here fails: claiming, enabling, printing, opening."""

    def __init__(self, answer, supported=True):
        self.capabilities = SimpleNamespace(is_statistics_reporting_supported=supported)
        self._answer = answer
        self.closed = False

    async def get_statistics_async(self, categories):
        assert list(categories) == [""]
        if self._answer is None:
            await asyncio.Event().wait()
        return self._answer

    def close(self):
        self.closed = True


class Reader(Device):
    """A MagneticStripeReader or a BarcodeScanner, which gives a buffer."""

    get_statistics_async = property()

    async def retrieve_statistics_async(self, categories):
        assert list(categories) == [""]
        return self._answer.encode()


def kind(name, devices):
    async def from_id_async(id_):
        return devices[id_]

    return SimpleNamespace(get_device_selector=lambda: name, from_id_async=from_id_async)


@pytest.fixture
def windows(monkeypatch):
    """Devices by class and id."""

    def plug(**devices):
        devices = {"PosPrinter": {}, "CashDrawer": {}, "MagneticStripeReader": {}, "BarcodeScanner": {}} | devices

        async def find_all_async_aqs_filter(selector):
            if devices[selector] is None:
                raise OSError("class not registered")
            return [SimpleNamespace(id=id_, name=f"{selector} {id_}") for id_ in devices[selector]]

        pos, enumeration = ModuleType("pointofservice"), ModuleType("enumeration")
        vars(pos).update({name: kind(name, found) for name, found in devices.items()})
        enumeration.DeviceInformation = SimpleNamespace(find_all_async_aqs_filter=find_all_async_aqs_filter)
        monkeypatch.setitem(sys.modules, f"{PACKAGE}pointofservice", pos)
        monkeypatch.setitem(sys.modules, f"{PACKAGE}enumeration", enumeration)
        for package in ("winrt", "winrt.windows", "winrt.windows.devices"):
            monkeypatch.setitem(sys.modules, package, ModuleType(package))

    return plug


async def test_every_device_is_told_whatever_another_does(windows, monkeypatch):
    monkeypatch.setattr(child, "DEVICE_S", 0.05)
    printers = {"p1": Device("<UPOSStat/>"), "p2": Device(None), "p3": None, "p4": Device("", supported=False)}
    windows(
        PosPrinter=printers, MagneticStripeReader={"m1": Reader("<UPOSStat>1</UPOSStat>")}, CashDrawer={"d1": object()}
    )
    rows = await child._all()
    assert [(row["id"], row["statistics"]) for row in rows] == [
        *(("p1", "<UPOSStat/>"), ("p2", ""), ("p3", ""), ("p4", "")),
        *(("d1", ""), ("m1", "<UPOSStat>1</UPOSStat>")),
    ]
    errors = {row["id"]: row["error"] for row in rows}
    assert errors["p1"] == errors["m1"] == ""
    assert errors["p2"] == "no answer within 0.05 s"
    assert "does not open it" in errors["p3"]
    assert errors["p4"] == "its driver gives no statistics"
    assert "has no attribute" in errors["d1"]
    assert all(device.closed for device in (printers["p1"], printers["p2"], printers["p4"]))
    assert [each.id for each in reported(json.loads(json.dumps(rows)))] == [row["id"] for row in rows]


async def test_a_kind_that_cannot_be_listed_takes_no_other_with_it(windows):
    windows(PosPrinter=None, CashDrawer={"d": Device("<UPOSStat/>")})
    assert [row["id"] for row in await child._all()] == ["d"]
    windows(PosPrinter=None, CashDrawer=None, MagneticStripeReader=None, BarcodeScanner=None)
    with pytest.raises(OSError, match="class not registered"):
        await child._all()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has what is asked for")
def test_elsewhere_it_says_so(capsys):
    assert child.main() == 1
    assert capsys.readouterr().err == "only Windows has Windows.Devices.PointOfService\n"
