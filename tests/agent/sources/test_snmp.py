from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.agent.sources.conftest import Snmpd
from tillwatch.agent.model import PollClass, Quality, Sample, State
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources import snmp as module
from tillwatch.agent.sources.snmp import SnmpSource
from tillwatch.agent.sources.snmp_budget import REQUESTS_A_MINUTE, SLEEP_S
from tillwatch.agent.sources.snmp_client import SYS_UPTIME, open_client
from tillwatch.agent.sources.snmp_map import MAX_ROWS
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.agent.sources.snmprec import Replay
from tillwatch.device_profiles.compiled import Library, compile_folder
from tillwatch.device_profiles.recognise import SYS_DESCR, SYS_OBJECT_ID

FAST, NORMAL, SLOW = PollClass.FAST, PollClass.NORMAL, PollClass.SLOW
STATUS, CHARGE, ALARMS, ALARM = (f"1.3.6.1.2.1.33.1.{tail}" for tail in ("2.1.0", "2.4.0", "6.1.0", "6.2.1.2.1"))
UPS: dict[str, Raw] = {SYS_UPTIME: 100, "1.3.6.1.2.1.1.5.0": b"ups", STATUS: 2, CHARGE: 97, ALARMS: 0}
IF = "1.3.6.1.2.1.2.2.1"


class Device(Replay):
    """A recorded device that can change, die and be counted."""

    def __init__(self, raws: dict[str, Raw]) -> None:
        super().__init__(dict(raws))
        self.dead = False
        self.asked: list[str] = []
        self.closed = False

    def put(self, oid: str, value: Raw | None) -> None:
        raws = {**self.raws, oid: value} if value is not None else {k: v for k, v in self.raws.items() if k != oid}
        super().__init__(raws)  # type: ignore[arg-type]

    async def get(self, oids: Sequence[str]) -> dict[str, Raw]:
        self.asked += oids
        if self.dead:
            raise SourceError("no answer")
        return await super().get(oids)

    async def walk(self, base: str, limit: int) -> dict[str, Raw]:
        self.asked.append(f"walk {base}")
        if self.dead:
            raise SourceError("no answer")
        return await super().walk(base, limit)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(compile_folder())


def by_signal(samples: list[Sample]) -> dict[str, Sample]:
    return {sample.signal: sample for sample in samples}


async def test_each_class_gives_its_own_signals(library: Library) -> None:
    source = SnmpSource("ups1", Device(UPS), library)
    assert set(by_signal(await source.poll(FAST))) == {
        "ups.battery.status",
        "ups.battery.charge",
        "ups.alarms",
        "ups.alarm",
        "ups.alarm.all",
    }
    assert set(by_signal(await source.poll(NORMAL))) == {"device.uptime", "monitor.omitted"}
    slow = by_signal(await source.poll(SLOW))
    assert set(slow) == {"identity.name", "monitor.profile"}
    assert slow["monitor.profile"].value == f"rfc1628 {library.version('rfc1628')}"
    assert source.profiles == ("rfc1628",)


async def test_once_prepared_it_asks_only_for_what_the_class_needs_and_the_device_has(library: Library) -> None:
    device = Device(UPS)
    source = SnmpSource("ups1", device, library)
    await source.poll(FAST)
    device.asked.clear()
    device.put(STATUS, 3)
    assert by_signal(await source.poll(FAST))["ups.battery.status"].value == "low"
    assert sorted(device.asked) == sorted([SYS_UPTIME, STATUS, CHARGE, ALARMS, "walk 1.3.6.1.2.1.33.1.6.2.1.2"])


async def test_rows_that_come_and_go_between_walks_are_seen(library: Library) -> None:
    device = Device(UPS)
    source = SnmpSource("ups1", device, library)
    await source.poll(NORMAL)
    seen = []
    for row in (None, "1.3.6.1.2.1.33.1.6.3.3", None):
        device.put(ALARM, row)
        seen.append(by_signal(await source.poll(FAST))["ups.alarm"].value)
    assert seen == ["none", "lowBattery", "none"]


@pytest.mark.parametrize("now", [None, -1, b"garbage"])
async def test_what_was_read_and_is_no_more_is_unknown(library: Library, now: Raw | None) -> None:
    device = Device(UPS)
    source = SnmpSource("ups1", device, library)
    await source.poll(FAST)
    device.put(CHARGE, now)
    for _ in range(2):
        charge = by_signal(await source.poll(FAST))["ups.battery.charge"]
        assert (charge.value, charge.state, charge.quality) == (None, State.UNKNOWN, Quality.ERROR)
    device.put(CHARGE, 50)
    assert by_signal(await source.poll(FAST))["ups.battery.charge"].value == 50


def ports(*names: str) -> dict[str, Raw]:
    found: dict[str, Raw] = {SYS_UPTIME: 100}
    for n, name in enumerate(names, 1):
        found |= {
            f"{IF}.2.{n}": name.encode(),
            f"{IF}.3.{n}": 6,
            f"{IF}.7.{n}": 1,
            f"{IF}.8.{n}": 1,
            f"{IF}.10.{n}": 1000 * n,
        }
    return found


async def test_a_row_that_moved_keeps_its_component(library: Library) -> None:
    source = SnmpSource("sw", device := Device(ports("a", "b")), library)
    before = {s.component: s.value for s in await source.poll(NORMAL) if s.signal == "net.rx.bytes"}
    device.__init__(ports("x", "a", "b"))  # type: ignore[misc]
    after = {s.component: s.value for s in await source.poll(NORMAL) if s.signal == "net.rx.bytes"}
    assert before == {"sw/net:a": 1000, "sw/net:b": 2000}
    assert after == {"sw/net:x": 1000, "sw/net:a": 2000, "sw/net:b": 3000}


async def test_a_restart_is_noticed_before_moved_rows_are_mistaken(library: Library) -> None:
    source = SnmpSource("sw", device := Device(ports("a", "b")), library)
    await source.poll(FAST)
    raws = ports("b", "a")
    device.__init__({**raws, SYS_UPTIME: 5, f"{IF}.8.1": 2})  # type: ignore[misc]
    assert {s.component: s.value for s in await source.poll(FAST)} == {"sw/net:b": "down", "sw/net:a": "up"}


async def test_a_row_that_is_gone_is_said_once(library: Library) -> None:
    source = SnmpSource("sw", device := Device(ports("a", "b")), library)
    await source.poll(NORMAL)
    device.__init__(ports("a"))  # type: ignore[misc]
    assert [s.value for s in await source.poll(NORMAL) if s.component == "sw/net:b"] == [None]
    assert [s for s in await source.poll(NORMAL) if s.component == "sw/net:b"] == []


async def test_a_dead_device_raises_and_is_recognised_anew(library: Library) -> None:
    source = SnmpSource("dev", device := Device(UPS), library)
    await source.poll(FAST)
    device.dead = True
    with pytest.raises(SourceError, match="no answer"):
        await source.poll(FAST)
    device.__init__(ports("a"))  # type: ignore[misc]
    assert [s.component for s in await source.poll(FAST)] == ["dev/net:a"]
    assert source.profiles == ("if-mib",)


async def test_an_unknown_device_says_what_it_is(library: Library) -> None:
    source = SnmpSource(
        "dev", Device({"1.3.6.1.2.1.1.1.0": b"Coffee maker", "1.3.6.1.2.1.1.2.0": "1.3.6.1.4.1.77"}), library
    )
    with pytest.raises(
        SourceError, match=r"^no profile fits this device \(sysObjectID 1.3.6.1.4.1.77, sysDescr Coffee maker\)"
    ):
        await source.poll(FAST)


async def test_a_fixed_profile_is_not_looked_for(library: Library) -> None:
    source = SnmpSource("dev", Device({**UPS, **ports("a")}), library, "if-mib")
    assert {s.component for s in await source.poll(FAST)} == {"dev/net:a"}
    with pytest.raises(ValueError, match=r"no profile 'rfc1682'; .* rfc1628"):
        SnmpSource("dev", Device(UPS), library, "rfc1682")


async def test_reaching_the_bound_of_rows_is_logged_once_and_counted(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    source = SnmpSource("sw", Device(ports(*(f"port {n}" for n in range(MAX_ROWS + 2)))), library)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert by_signal(await source.poll(NORMAL))["monitor.omitted"].value == 2
    assert len(caplog.records) == 1


async def test_closing_closes_the_client(library: Library) -> None:
    source = SnmpSource("dev", device := Device(UPS), library)
    await source.close()
    assert device.closed


@pytest.mark.parametrize("version", ["1", "2c", "3"])
async def test_a_real_snmpd(library: Library, snmpd: Snmpd, version: str) -> None:
    source = SnmpSource("box", open_client(snmpd.target(version)), library)
    fast = {(s.component, s.signal): s for s in await source.poll(FAST)}
    assert "rfc1628" in source.profiles
    assert fast["box", "ups.battery.charge"].value == 97
    assert fast["box", "ups.alarm"].value == "onBattery"
    assert fast["box/input:1", "ups.input.voltage"].value == 231.0
    assert fast["box/output:1", "ups.output.load"].state is State.WARN
    normal = {(s.component, s.signal): s.value for s in await source.poll(NORMAL)}
    assert normal["box", "ups.battery.current"] == -21.3
    again = {(s.component, s.signal): s.value for s in await source.poll(FAST)}
    assert set(again) == set(fast)
    assert {s.signal: s.value for s in await source.poll(SLOW)}["identity.maker"] == "Voltwerk"
    await source.close()


async def test_an_alert_that_is_gone_is_none_and_not_unknown(library: Library) -> None:
    severity = "1.3.6.1.2.1.43.18.1.1.2.1.7"
    device = Device({SYS_UPTIME: 1, "1.3.6.1.2.1.43.16.5.1.2.1.1": b"Ready"})
    source = SnmpSource("printer", device, library)
    seen = []
    for row in (None, 3, None):
        device.put(severity, row)
        for wanted in (FAST, NORMAL, FAST):
            samples = by_signal(await source.poll(wanted))
            seen += [samples["printer.alert"].value] if wanted is FAST else []
    assert seen == ["none", "none", "critical", "critical", "none", "none"]


async def test_what_rises_per_time_is_of_two_polls_of_its_class_and_begins_anew_after_a_restart(
    tmp_path: Path,
) -> None:
    """The busy time of a disk, as net-snmp counts it in microseconds (UCD-DISKIO-MIB diskIOBusyTime)."""
    (tmp_path / "acme.yaml").write_text(
        "title: A disk\nmatch: [{sysObjectID: 1.3.6.1.4.1.99999}]\noptional: true\nscalars:\n"
        "  - {signal: host.disk.io.load, oid: 1.3.1.0, divisor: 10000, per: s, limits: {warn_above: 90}}\n"
        "  - {signal: sensor.count, oid: 1.3.2.0, per: h, wraps: 32, poll: fast}\n"
    )
    device = Device({"1.3.6.1.2.1.1.2.0": "1.3.6.1.4.1.99999", "1.3.1.0": 0, "1.3.2.0": 2**32 - 1})
    source = SnmpSource("d", device, Library(compile_folder(tmp_path)))
    seen, counts = [], []
    for ticks, busy, count in (
        (1_000, 5_000_000, 2**32 - 1),
        (1_400, 7_000_000, 1),
        (1_900, 11_900_000, 1),
        (50, 12_000_000, 2),
        (150, 12_100_000, 3),
    ):
        for oid, value in ((SYS_UPTIME, ticks), ("1.3.1.0", busy), ("1.3.2.0", count)):
            device.put(oid, value)
        load = by_signal(await source.poll(NORMAL)).get("host.disk.io.load")
        seen.append((load.value, load.state) if load else None)
        counted = by_signal(await source.poll(FAST)).get("sensor.count")
        counts.append(counted.value if counted else None)
    gone = (None, State.UNKNOWN)
    assert seen == [None, (50.0, State.OK), (98.0, State.WARN), gone, (10.0, State.OK)]
    assert counts == [None, 1800.0, 0.0, None, 3600.0]


async def test_a_counter_of_32_bits_rises_over_its_wrap_and_begins_anew_after_a_restart(library: Library) -> None:
    device = Device({SYS_UPTIME: 100, **ports("a"), f"{IF}.10.1": 2**32 - 10, f"{IF}.5.1": 1000})
    source = SnmpSource("sw", device, library)
    seen = []
    for uptime, octets in ((100, 2**32 - 10), (200, 5), (300, 20), (400, 3), (50, 7)):
        device.put(SYS_UPTIME, uptime)
        device.put(f"{IF}.10.1", octets)
        seen.append(by_signal(await source.poll(NORMAL))["net.rx.bytes"].value)
    assert seen == [2**32 - 10, 2**32 + 5, 2**32 + 20, 2 * 2**32 + 3, 7]


async def test_a_silent_device_is_asked_less_and_less_until_it_answers(library: Library) -> None:
    source = SnmpSource("dev", device := Device(UPS), library)
    rests = []
    for dead in (False, True, True, True, False, True):
        device.dead = dead
        if dead:
            with pytest.raises(SourceError):
                await source.poll(FAST)
        else:
            await source.poll(FAST)
        rests.append(source.rest)
    assert rests == [0.0, 0.0, 10.0, 20.0, 0.0, 0.0]


async def test_a_device_that_went_silent_is_asked_one_small_question(library: Library) -> None:
    source = SnmpSource("dev", device := Device(UPS), library)
    await source.poll(NORMAL)
    device.dead = True
    for _ in range(2):
        device.asked.clear()
        with pytest.raises(SourceError):
            await source.poll(FAST)
    assert device.asked == [SYS_OBJECT_ID, SYS_DESCR]


async def test_a_sleeping_printer_is_left_alone_and_one_that_woke_is_not(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    host = "1.3.6.1.2.1.25.3"
    awake: dict[str, Raw] = {
        SYS_UPTIME: 1,
        "1.3.6.1.2.1.43.16.5.1.2.1.1": b"Ready",
        f"{host}.2.1.2.1": "1.3.6.1.2.1.25.3.1.5",
        f"{host}.2.1.5.1": 2,
        f"{host}.5.1.1.1": 3,
        f"{host}.5.1.2.1": b"\0\0",
    }
    source = SnmpSource("printer", device := Device(awake), library)
    rests = []
    with caplog.at_level(logging.INFO):
        for status, wanted in ((3, FAST), (1, FAST), (1, NORMAL), (1, SLOW), (4, FAST), (3, NORMAL)):
            device.put(f"{host}.5.1.1.1", status)
            await source.poll(wanted)
            rests.append(source.rest)
    assert rests == [0.0, SLEEP_S, SLEEP_S, SLEEP_S, 0.0, 0.0]
    assert [r.message for r in caplog.records if "profile" not in r.message] == [
        "printer: sleeps; not woken for 900 s at a time",
        "printer: is awake",
    ]


async def test_a_device_that_costs_many_requests_is_read_less_often_and_that_is_told_once(
    library: Library, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    source = SnmpSource("sw", device := Device(ports("a")), library)
    await source.poll(NORMAL)
    assert source.rest == 0.0
    walk = device.walk

    async def costly(base: str, limit: int) -> dict[str, Raw]:
        device.budget.requests = 4 * REQUESTS_A_MINUTE
        return await walk(base, limit)

    device.walk = costly  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            await source.poll(NORMAL)
            assert source.rest == pytest.approx(180)
            now += 180
            await source.poll(FAST)
            now += 60
        device.walk = walk  # type: ignore[method-assign]
        await source.poll(NORMAL)
    assert source.rest == 0.0
    assert ["less often" in r.message for r in caplog.records] == [True, False]
