"""The simulated SNMP devices: recognised by the shipped profiles, read by the agent's own source, faults and recoveries seen."""

from __future__ import annotations

import pytest
from devices import Host, Printer, SnmpUps
from drift import Drift

from tillwatch.agent.model import PollClass, Quality, State
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp import SnmpSource
from tillwatch.agent.sources.snmp_client import SnmpTarget, open_client
from tillwatch.device_profiles.compiled import Library, compile_folder


@pytest.fixture(scope="module")
def library():
    return Library(compile_folder())


@pytest.fixture
async def read(library):
    """Starts a device and gives a function that reads all its samples, by (component, signal)."""
    opened = []

    async def start(device):
        await device.start()
        source = SnmpSource("dev", open_client(SnmpTarget("127.0.0.1", device.port, timeout=2.0)), library)
        opened.append((device, source))

        async def everything():
            samples = [
                sample
                for wanted in (PollClass.NORMAL, PollClass.FAST, PollClass.SLOW)
                for sample in await source.poll(wanted)
            ]
            assert all(sample.quality is Quality.GOOD for sample in samples), [
                s for s in samples if s.quality is not Quality.GOOD
            ]
            return {(sample.component.removeprefix("dev").lstrip("/"), sample.signal): sample for sample in samples}

        return everything

    yield start
    for device, source in opened:
        await source.close()
        device.stop()


async def test_ups(read, now):
    ups = SnmpUps(now, "u", name="ups-a", location="Branch A")
    everything = await read(ups)
    found = await everything()
    assert found["", "identity.model"].value == "EP-1000"
    assert found["", "identity.location"].value == "Branch A"
    assert found["", "ups.output.source"].value == "normal"
    assert found["", "ups.battery.charge"].value == 100
    assert found["", "ups.alarms"].value == 0
    assert 25 <= found["", "ups.battery.runtime"].value <= 36
    assert [sample.value for (_, signal), sample in found.items() if signal == "ups.input.voltage"] == pytest.approx(
        [231], abs=4
    )
    assert [sample.value for (_, signal), sample in found.items() if signal == "ups.output.load"] == pytest.approx(
        [28], abs=5
    )

    ups.model.mains_fail()
    now.minutes(10)
    failed = await everything()
    assert failed["", "ups.output.source"].value == "battery"
    assert failed["", "ups.battery.elapsed"].value == 600
    assert 55 <= failed["", "ups.battery.charge"].value <= 80
    assert failed["", "ups.battery.runtime"].value < found["", "ups.battery.runtime"].value - 5
    assert failed["", "ups.alarms"].value == 1
    assert {s.value for (_, signal), s in failed.items() if signal == "ups.alarm.all"} == {"onBattery"}

    now.minutes(16)
    low = await everything()
    assert low["", "ups.battery.status"].value == "low"
    assert low["", "ups.battery.status"].state is State.CRIT
    assert low["", "ups.alarms"].value == 2

    now.minutes(30)
    assert (await everything())["", "ups.output.source"].value == "none"

    ups.model.mains_return()
    now.minutes(90)
    back = await everything()
    assert (back["", "ups.output.source"].value, back["", "ups.battery.status"].value) == ("normal", "normal")
    assert (back["", "ups.battery.charge"].value, back["", "ups.alarms"].value) == (100, 0)
    assert back["", "ups.input.bads"].value == 1


async def test_host(read, now):
    host = Host(now, "h")
    everything = await read(host)
    found = await everything()
    assert found["disk:/var", "host.disk.percent"].value == pytest.approx(61, abs=0.1)
    assert found["disk:/var", "host.disk.percent"].state is State.OK
    assert found["disk:/", "host.disk.total"].value == 64 * 2**30
    assert len([1 for _, signal in found if signal == "host.cpu.percent"]) == 2
    assert found["net:eth0", "net.oper"].value == "up"
    assert found["net:eth0", "net.speed"].value == 1_000_000_000
    assert not [component for component, _ in found if component.endswith(":lo")]

    host.fill_disk(5.0)
    now.minutes(6)
    filling = await everything()
    assert filling["disk:/var", "host.disk.percent"].value == pytest.approx(91, abs=0.1)
    assert filling["disk:/var", "host.disk.percent"].state is State.WARN
    assert filling["net:eth0", "net.rx.bytes"].value > found["net:eth0", "net.rx.bytes"].value
    now.minutes(60)
    full = await everything()
    assert full["disk:/var", "host.disk.percent"].value == pytest.approx(100, abs=0.1)
    assert full["disk:/", "host.disk.percent"].value == found["disk:/", "host.disk.percent"].value

    host.free_disk()
    now.minutes(60)
    assert (await everything())["disk:/var", "host.disk.percent"].value == pytest.approx(61, abs=0.1)


def values(found, signal):
    return [sample.value for (_, name), sample in found.items() if name == signal]


async def test_printer(read, now):
    printer = Printer(now, "p")
    everything = await read(printer)
    found = await everything()
    assert values(found, "printer.error") == ["none"]
    assert values(found, "printer.alert") == ["other"]
    assert values(found, "printer.console") == ["Ready"]
    assert values(found, "printer.status") == ["idle"]
    (tray,), (pages,) = values(found, "printer.tray.level"), values(found, "printer.pages")
    assert 80 <= tray <= 100
    assert 20 < values(found, "printer.supply.level")[0] < 100

    now.minutes(60)
    worn = await everything()
    assert values(worn, "printer.pages")[0] > pages
    assert values(worn, "printer.tray.level")[0] < tray

    printer.paper_out()
    out = await everything()
    assert values(out, "printer.error") == ["noPaper"]
    assert values(out, "printer.error.all") == ["noPaper,inputTrayEmpty"]
    assert values(out, "printer.alert") == ["critical"]
    assert "Tray 1 empty" in values(out, "printer.alert.text")[0]
    assert values(out, "device.status") == ["down"]
    assert values(out, "printer.tray.level") == [0]
    now.minutes(60)
    assert values(await everything(), "printer.pages") == values(out, "printer.pages")

    printer.paper_loaded()
    loaded = await everything()
    assert values(loaded, "printer.error") == ["none"]
    assert values(loaded, "printer.alert") == ["other"]
    assert values(loaded, "printer.tray.level") == [100]
    assert values(loaded, "device.status") == ["running"]


async def test_a_device_that_falls_silent_and_comes_back(now, library):
    host = Host(now, "h")
    await host.start()
    source = SnmpSource("dev", open_client(SnmpTarget("127.0.0.1", host.port, timeout=0.2, retries=0)), library)
    assert await source.poll(PollClass.FAST)
    host.stop()
    with pytest.raises(SourceError):
        await source.poll(PollClass.FAST)
    await host.start()
    assert await source.poll(PollClass.FAST)
    await source.close()
    host.stop()


def test_the_same_seed_is_the_same_device(now):
    one, other, third = (Drift(now, seed, 28.0, 4.0) for seed in ("a", "a", "b"))
    for _ in range(50):
        now.minutes(0.7)
        assert one() == other()
        assert 24.0 <= one() <= 32.0
    assert one() != third()
