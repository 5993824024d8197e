"""How the preset dictionary of a schema is made: run it to print the text for agent/preset.py and what it brings.

    python tests/agent/make_preset.py

The dictionary is trained on batches that are made up here the way the sources give them: which signals of which component come
together, in which order, at which times, and how their values move. Names that no batch here uses come first, in the order of the
catalogue; then those of the batches, the rarest first, because deflate reaches the end of a preset with the shortest distance. A
released preset is never made again: the text in agent/preset.py is what counts, this says where it came from. The next schema starts here.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import yaml

from tillwatch.agent import preset, wire
from tillwatch.agent.columns import to_body
from tillwatch.agent.model import MS, Batch, Clock, Quality, Reading, State, Value

CATALOGUE = Path(__file__).parents[2] / "device_profiles" / "catalogue.yaml"
BASE = 1_790_000_000_123
FAST = tuple(range(0, 60_000, 10_000))
"""Offsets in ms of what is read every 10 s, in a batch of a minute."""
ONCE = (20_000,)

OTHER_PARTS = (
    "host/net:Ethernet",
    "host/disk:C:",
    "host/disk:D:",
    "host/drive:PhysicalDrive0",
    "host/drive:nvme0n1",
)
"""Of machines that none of the batches is of."""

Values = Iterator[Value]


def walk(chance: random.Random, start: float, step: float, decimals: int = 1) -> Values:
    value = start
    while True:
        yield round(value, decimals) if decimals else int(value)
        value += chance.uniform(-step, step)


def count(chance: random.Random, start: int, most: int) -> Values:
    while True:
        yield start
        start += chance.randint(0, most)


def same(value: Value) -> Values:
    while True:
        yield value


def device(chance: random.Random, at: Iterable[int], signals: Iterable[tuple[str, str, Values]]) -> list[Reading]:
    """One poll after the other, as the sampler takes them. States are judged for words, and not for numbers."""
    rows = list(signals)
    readings = []
    late = chance.randrange(8_000)
    for offset in at:
        late += chance.randint(0, 3)
        for component, signal, values in rows:
            value = next(values)
            state = State.OK if isinstance(value, str) and not signal.startswith("identity.") else State.NONE
            readings.append(Reading(component, signal, (BASE + offset + late) * MS, value, Quality.GOOD, state))
    return readings


def host(chance: random.Random, at: Iterable[int] = FAST, name: str = "host") -> list[Reading]:
    memory = 4_060_000_000 + chance.randrange(10**9)
    used = chance.randrange(10**9, 3 * 10**9)
    return device(
        chance,
        at,
        [
            (name, "host.cpu.percent", walk(chance, chance.uniform(2, 20), 4)),
            (name, "host.cpu.load.1m", walk(chance, 0.4, 0.1, 2)),
            (name, "host.cpu.load.5m", walk(chance, 0.4, 0.04, 2)),
            (name, "host.cpu.load.15m", walk(chance, 0.4, 0.01, 2)),
            (name, "host.memory.used", (used + 4096 * n for n in walk(chance, 0, 300, 0) if isinstance(n, int))),
            (
                name,
                "host.memory.available",
                (memory - used - 4096 * n for n in walk(chance, 0, 300, 0) if isinstance(n, int)),
            ),
            (name, "host.memory.percent", walk(chance, 50, 0.1)),
            (name, "host.swap.used", same(chance.randrange(10**8) * 4096)),
            (name, "host.swap.percent", same(3.1)),
            (name, "host.uptime", (n * 10 + 864_120 for n in count(chance, 0, 1) if isinstance(n, int))),
            (name, "host.processes", walk(chance, 160, 2, 0)),
            (f"{name}/net:eth0", "net.oper", same("up")),
            (f"{name}/net:eth0", "net.speed", same(1_000_000_000)),
        ],
    )


def host_parts(chance: random.Random, name: str = "host") -> list[Reading]:
    """What is read once a minute."""
    disks = [(f"{name}/disk:/", 250_000_000_000), (f"{name}/disk:/boot", 1_000_000_000)]
    drive, nic = f"{name}/drive:{chance.choice(['sda', 'nvme0n1'])}", f"{name}/net:eth0"
    big = chance.randrange
    rows: list[tuple[str, str, Values]] = []
    for part, size in disks:
        rows += [
            (part, "host.disk.total", same(size)),
            (part, "host.disk.free", same(big(size))),
            (part, "host.disk.percent", same(round(chance.uniform(5, 80), 1))),
            (part, "host.disk.inodes.percent", same(round(chance.uniform(1, 20), 1))),
        ]
    rows += [
        (drive, f"host.disk.io.{what}", same(big(10**9)))
        for what in ("read.bytes", "write.bytes", "read.count", "write.count", "busy")
    ]
    rows += [(nic, f"net.{way}.{what}", same(big(10**9))) for what in ("bytes", "packets") for way in ("rx", "tx")]
    rows += [(nic, f"net.{way}.{what}", same(0)) for what in ("errors", "drops") for way in ("rx", "tx")]
    rows += [(name, "host.users", same(1))]
    rows += [
        (f"{name}/temperature:coretemp {label}", "host.temperature", same(float(big(35, 60))))
        for label in ("Package id 0", "Core 0", "Core 1")
    ]
    rows += [(f"{name}/fan:nct6775 1", "host.fan.speed", same(big(900, 1500)))]
    return device(chance, ONCE, rows)


def agent(chance: random.Random) -> list[Reading]:
    rows: list[tuple[str, str, Values]] = [
        ("agent", "monitor.source", same("ok")),
        ("agent", "agent.spool.batches", same(chance.randrange(3))),
        ("agent", "agent.spool.bytes", same(chance.randrange(2000))),
        ("agent", "agent.spool.oldest", same(chance.randrange(60))),
        ("agent", "agent.lost", same(0)),
        ("agent", "agent.ack.latency", same(chance.randrange(10, 80))),
        ("agent", "agent.clock.error", same(chance.randrange(1, 50))),
        ("agent", "agent.rss", same(29_000_000 + 4096 * chance.randrange(300))),
    ]
    rows += [(name, "monitor.source", same("ok")) for name in ("host", "ups", "printer")]
    return device(chance, ONCE, rows)


def ups(chance: random.Random) -> list[Reading]:
    """RFC 1628 over SNMP."""
    fast: list[tuple[str, str, Values]] = [
        ("ups", "ups.battery.status", same("normal")),
        ("ups", "ups.output.source", same("normal")),
        ("ups", "ups.alarms", same(0)),
        ("ups/input:1", "ups.input.voltage", walk(chance, 230, 1, 0)),
        ("ups/output:1", "ups.output.voltage", walk(chance, 230, 0.6, 0)),
        ("ups/output:1", "ups.output.load", walk(chance, 30, 2, 0)),
        ("ups", "ups.alarm", same("none")),
        ("ups", "ups.alarm.all", same("")),
    ]
    once: list[tuple[str, str, Values]] = [
        ("ups", "device.uptime", same(float(chance.randrange(10**7)))),
        ("ups", "ups.battery.elapsed", same(0)),
        ("ups", "ups.battery.runtime", walk(chance, 42, 2, 0)),
        ("ups", "ups.battery.charge", same(100)),
        ("ups", "ups.battery.voltage", walk(chance, 54, 0.2)),
        ("ups", "ups.battery.current", same(0.0)),
        ("ups", "ups.battery.temperature", walk(chance, 25, 2, 0)),
        ("ups", "ups.input.bads", same(3)),
        ("ups", "ups.output.frequency", same(50.0)),
        ("ups", "ups.test.result", same("pass")),
        ("ups/input:1", "ups.input.frequency", same(50.0)),
        ("ups/input:1", "ups.input.current", same(1.4)),
        ("ups/input:1", "ups.input.power", same(310)),
        ("ups/output:1", "ups.output.current", same(1.2)),
        ("ups/output:1", "ups.output.power", same(290)),
    ]
    return device(chance, FAST, fast) + device(chance, ONCE, once)


def megatec(chance: random.Random, at: Iterable[int] = FAST) -> list[Reading]:
    return device(
        chance,
        at,
        [
            ("ups", "ups.input.voltage", walk(chance, 231, 1)),
            ("ups", "ups.input.voltage.fault", same(231.4)),
            ("ups", "ups.output.voltage", walk(chance, 230, 0.6)),
            ("ups", "ups.output.load", (float(n) for n in walk(chance, 23, 2, 0) if isinstance(n, int))),
            ("ups", "ups.input.frequency", walk(chance, 50, 0.1)),
            ("ups", "ups.battery.voltage", walk(chance, 27.3, 0.1)),
            ("ups", "ups.temperature", walk(chance, 28.5, 0.2)),
            ("ups", "ups.mains", same("present")),
            ("ups", "ups.battery.status", same("normal")),
            ("ups", "ups.fault", same("none")),
            ("ups", "ups.topology", same("standby")),
            ("ups", "ups.test.result", same("none")),
            ("ups", "ups.shutdown", same("none")),
            ("ups", "ups.beeper", same("enabled")),
            ("ups", "ups.output.source", same("normal")),
        ],
    )


def printer(chance: random.Random) -> list[Reading]:
    fast: list[tuple[str, str, Values]] = [
        ("printer/printer:1", "device.status", same("running")),
        ("printer/printer:1", "printer.status", same("idle")),
        ("printer/printer:1", "printer.error", same("none")),
        ("printer/printer:1", "printer.error.all", same("")),
        ("printer/cover:Front Cover", "printer.cover", same("closed")),
        ("printer", "printer.console", same("Ready")),
        ("printer", "printer.alert", same("none")),
        ("printer", "printer.alert.text", same("")),
    ]
    once: list[tuple[str, str, Values]] = [("printer", "device.uptime", same(float(chance.randrange(10**7))))]
    for tray in ("Tray 1", "Tray 2"):
        once += [
            (f"printer/tray:{tray}", "printer.tray.level", same(float(chance.randrange(100)))),
            (f"printer/tray:{tray}", "printer.tray.state", same("present")),
            (f"printer/tray:{tray}", "printer.unit", same("available")),
        ]
    once += [
        ("printer/marker:1", "printer.pages", same(chance.randrange(10**5))),
        ("printer/marker:1", "printer.pages.session", same(chance.randrange(100))),
        ("printer/marker:1", "printer.unit", same("available")),
    ]
    for supply in ("Black Cartridge", "Black Toner"):
        once += [
            (f"printer/supply:{supply}", "printer.supply.level", same(float(chance.randrange(100)))),
            (f"printer/supply:{supply}", "printer.supply.state", same("present")),
        ]
    return device(chance, FAST, fast) + device(chance, ONCE, once)


def switch(chance: random.Random) -> list[Reading]:
    rows: list[tuple[str, str, Values]] = []
    for port in range(1, 9):
        part = f"switch/net:GigabitEthernet0/{port}"
        rows.append((part, "net.oper", same("up" if port < 6 else "unused")))
        rows += [(part, f"net.{way}.bytes", same(chance.randrange(10**12))) for way in ("rx", "tx")]
        rows += [(part, f"net.{way}.{what}", same(0)) for what in ("errors", "drops") for way in ("rx", "tx")]
        rows.append((part, "net.speed", same(1_000_000_000)))
    return device(chance, ONCE, rows)


def slow(chance: random.Random) -> list[Reading]:
    """What is read once an hour: who everything is, and its ratings."""
    rows: list[tuple[str, str, Values]] = [
        ("host", "identity.name", same("atm0417")),
        ("host", "identity.firmware", same("Linux 6.1.0-28-amd64")),
        ("host", "identity.maker", same("Dell Inc.")),
        ("host", "identity.model", same("OptiPlex 3000")),
        ("host", "identity.serial", same("7XK2LQ3")),
        ("host", "host.cpu.count", same(4)),
        ("host", "host.memory.total", same(8_203_141_120)),
        ("host", "host.swap.total", same(2_147_479_552)),
        ("ups", "identity.name", same("UPS")),
        ("ups", "identity.maker", same("APC")),
        ("ups", "identity.model", same("Smart-UPS 1500")),
        ("ups", "identity.firmware", same("UPS 09.3")),
        ("ups", "ups.output.voltage.nominal", same(230.0)),
        ("ups", "ups.output.current.nominal", same(4.0)),
        ("ups", "ups.battery.voltage.nominal", same(24.0)),
        ("ups", "ups.output.frequency.nominal", same(50.0)),
        ("printer", "identity.name", same("NPI0A1B2C")),
        ("printer", "identity.model", same("HP LaserJet Pro M404dn")),
        ("printer", "identity.serial", same("PHB1D12345")),
    ]
    rows += [(name, "monitor.interval", same(10.0)) for name in ("host", "host/net:eth0", "ups", "printer", "agent")]
    return device(chance, ONCE, rows)


def random_walks(chance: random.Random) -> list[Reading]:
    """60 readings: the ten numbers of a UPS, each a random walk with a resolution of 0.1, six times."""
    names = ("input.voltage", "input.frequency", "input.current", "output.voltage", "output.current", "output.load")
    names += ("battery.voltage", "battery.charge", "battery.temperature", "battery.current")
    return device(chance, FAST, [("ups", f"ups.{n}", walk(chance, chance.uniform(10, 300), 1.5)) for n in names])


def system_60(chance: random.Random) -> list[Reading]:
    """60 readings: the ten numbers of the machine, each ten seconds."""
    return [r for r in host(chance) if not r.signal.startswith(("net.", "host.swap.percent"))]


def hosted(chance: random.Random) -> list[Reading]:
    return host(chance) + host_parts(chance) + agent(chance)


KINDS = {
    "once an hour": slow,
    "switch": switch,
    "printer": printer,
    "UPS, SNMP": ups,
    "UPS, serial": megatec,
    "random walks (60)": random_walks,
    "machine, 10 numbers (60)": system_60,
    "machine": host,
    "machine, parts, agent": hosted,
    "all of an ATM": lambda chance: hosted(chance) + megatec(chance) + printer(chance),
}
"""The commonest last."""


def sealed(chance: random.Random, readings: list[Reading]) -> wire.Sealed:
    key = wire.SigningKey(chance.randbytes(32))
    return wire.seal(
        key,
        Batch(tuple(readings)),
        terminal=f"atm-{chance.randrange(10_000):04}",
        epoch=wire.new_epoch(BASE * MS, chance.randbytes(8)),
        seq=(seq := chance.randrange(1, 300_000)),
        prev=chance.randbytes(32),
        floor=seq - chance.randrange(3),
        sent=(BASE + 61_000 + chance.randrange(2_000)) * MS,
        boot=chance.randbytes(8),
        up=chance.randrange(10**7, 10**10),
        clock=Clock("ntp", chance.randrange(1, 60)),
    )


def unique(names: Iterable[str]) -> list[str]:
    """Each name once, where it stands last."""
    return list(reversed(dict.fromkeys(reversed(list(names)))))


def train() -> tuple[list[str], list[str], list[str]]:
    """Words, components and signals, each in the order in which the preset has them."""
    catalogue = yaml.safe_load(CATALOGUE.read_text("utf-8"))["signals"]
    bodies = [to_body(make(random.Random(1))) for make in KINDS.values()]
    signals = unique(chain(catalogue, *(body["s"] for body in bodies)))
    usual = (body.get("x", []) for name, body in zip(KINDS, bodies, strict=True) if name != "once an hour")
    words = unique(chain(*(signal.get("states", ()) for signal in catalogue.values()), *usual))
    components = unique(chain(OTHER_PARTS, *(body["c"] for body in bodies)))
    return [w for w in words if w], [c for c in components if not c.startswith("switch/")], signals


def sizes(rounds: int = 20) -> dict[str, float]:
    """Mean bytes of a payload for each reading, everything in."""
    found = {}
    for name, make in KINDS.items():
        chance = random.Random(99)
        batches = [make(chance) for _ in range(rounds)]
        found[name] = sum(len(sealed(chance, b).payload) for b in batches) / sum(map(len, batches))
    return found


def text(name: str, names: list[str]) -> str:
    lines = [""]
    for n in names:
        if len(lines[-1]) + len(n) > 140:
            lines.append("")
        lines[-1] += n + "|"
    return f'{name} = """\\\n' + "\n".join(lines) + '\n"""'


def main() -> None:
    trained = train()
    for name, names in zip(("_WORDS", "_COMPONENTS", "_SIGNALS"), trained, strict=True):
        print(text(name, names))
    made = preset.build(*trained)
    print(f"# {len(made)} bytes; the released ones: {len(preset.PRESETS[preset.SCHEMA])}", file=sys.stderr)
    released, results = preset.PRESETS[preset.SCHEMA], []
    for content in (b"", released, made):
        preset.PRESETS[preset.SCHEMA] = content
        results.append(sizes())
    print(f"# {'bytes a reading':28}{'n':>5}{'without':>9}{'released':>9}{'now':>9}", file=sys.stderr)
    for name, make in KINDS.items():
        n = len(make(random.Random(99)))
        print(f"# {name:28}{n:5}" + "".join(f"{result[name]:9.2f}" for result in results), file=sys.stderr)


if __name__ == "__main__":
    main()
