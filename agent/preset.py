"""Preset dictionaries for deflate, one for each schema of the wire. Fixed for ever once released: both sides must hold the same bytes.
A new schema adds an entry; none is ever changed. The most frequent strings stand last, where deflate reaches them with the shortest distance.
How this one was made and what it brings: tests/agent/make_preset.py.
"""

from __future__ import annotations

SCHEMA = 1

_WORDS = """\
plugged|unplugged|dormant|adminDown|testing|down|lowerLayerDown|notPresent|online|disabled|muted|pending|active|low|depleted|booster|reducer|
battery|bypass|batteryBad|onBattery|lowBattery|depletedBattery|tempBad|inputBad|outputBad|outputOverload|onBypass|bypassBad|
outputOffAsRequested|upsOffAsRequested|chargerFailed|upsOutputOff|upsSystemOff|fanFailure|fuseFailure|generalFault|diagnosticTestFailed|
communicationsLost|awaitingPower|shutdownPending|shutdownImminent|testInProgress|error|aborted|printing|warmup|lowPaper|noPaper|lowToner|
noToner|doorOpen|jammed|serviceRequested|inputTrayMissing|outputTrayMissing|markerSupplyMissing|outputNearFull|outputFull|inputTrayEmpty|
overduePreventMaint|warning|critical|other|open|interlockOpen|interlockClosed|offline|nonCriticalAlerts|criticalAlerts|broken|some|empty|
unlimited|unknown|failed|unused|pass|up|ok|present|normal|none|standby|enabled|running|idle|closed|Ready|available|
"""
"""Text values: the states of the catalogue, the usual ones last."""

_COMPONENTS = """\
host/net:Ethernet|host/disk:C:|host/disk:D:|host/drive:PhysicalDrive0|host/drive:nvme0n1|ups/input:1|ups/output:1|host|host/net:eth0|
host/disk:/|host/disk:/boot|host/drive:sda|host/temperature:coretemp Package id 0|host/temperature:coretemp Core 0|
host/temperature:coretemp Core 1|host/fan:nct6775 1|agent|ups|printer|printer/printer:1|printer/cover:Front Cover|printer/tray:Tray 1|
printer/tray:Tray 2|printer/marker:1|printer/supply:Black Cartridge|printer/supply:Black Toner|
"""
"""Components by the names that the sources and profiles give them."""

_SIGNALS = """\
identity.description|identity.location|device.errors|host.processes.zombie|host.disk.used|host.disk.failures|host.battery.charge|
host.battery.runtime|host.battery.plugged|net.alias|ups.battery.runtime.low|ups.input.voltage.nominal|ups.input.frequency.nominal|
ups.input.voltage.low|ups.input.voltage.high|ups.output.apparent.nominal|ups.output.power.nominal|ups.bypass.frequency|ups.bypass.voltage|
ups.bypass.current|ups.bypass.power|printer.length|printer.length.session|monitor.reason|monitor.omitted|agent.resent|agent.cpu|
identity.name|identity.firmware|identity.maker|identity.model|identity.serial|host.cpu.count|host.memory.total|host.swap.total|
ups.output.voltage.nominal|ups.output.current.nominal|ups.battery.voltage.nominal|ups.output.frequency.nominal|monitor.interval|ups.alarms|
ups.alarm|ups.alarm.all|ups.battery.elapsed|ups.battery.runtime|ups.input.bads|ups.output.frequency|ups.input.power|ups.output.power|
ups.input.current|ups.output.current|ups.battery.charge|ups.battery.temperature|ups.battery.current|host.cpu.percent|host.cpu.load.1m|
host.cpu.load.5m|host.cpu.load.15m|host.memory.used|host.memory.available|host.memory.percent|host.swap.used|host.swap.percent|host.uptime|
host.processes|net.oper|net.speed|host.disk.total|host.disk.free|host.disk.percent|host.disk.inodes.percent|host.disk.io.read.bytes|
host.disk.io.write.bytes|host.disk.io.read.count|host.disk.io.write.count|host.disk.io.busy|net.rx.bytes|net.tx.bytes|net.rx.packets|
net.tx.packets|net.rx.errors|net.tx.errors|net.rx.drops|net.tx.drops|host.users|host.temperature|host.fan.speed|monitor.source|
agent.spool.batches|agent.spool.bytes|agent.spool.oldest|agent.lost|agent.ack.latency|agent.clock.error|agent.rss|ups.input.voltage|
ups.input.voltage.fault|ups.output.voltage|ups.output.load|ups.input.frequency|ups.battery.voltage|ups.temperature|ups.mains|
ups.battery.status|ups.fault|ups.topology|ups.test.result|ups.shutdown|ups.beeper|ups.output.source|device.status|printer.status|
printer.error|printer.error.all|printer.cover|printer.console|printer.alert|printer.alert.text|device.uptime|printer.tray.level|
printer.tray.state|printer.unit|printer.pages|printer.pages.session|printer.supply.level|printer.supply.state|
"""
"""Signals in the order in which the sources give them, so that one match covers many."""

_BODY = (
    # Columns of six readings: words that do not change, whole numbers, decimals.
    b"".join(bytes((0x9A, 0, signal, 0, 0x4F, 0, 0, 0, 0, 0, 0)) for signal in range(8))
    + b"".join(bytes((0x9A, 0, signal, 0, 0x00, 0xCE)) for signal in range(14))
    + b"".join(bytes((0x9A, 0, signal, 0, 0x01, 0xCD)) for signal in range(16))
    # What stands between the tables, and ticks every ten seconds.
    + b"\xa1e\x91\xa1x\x91\xa1k\x9a\xa1s\x91\xa1c\x91\xa4host"
    + b"\x85\xa1b\xcf\x00\x00\x01\xa1t\x91\x96\x00\xcd\x27\x10\xcd\x27\x11\xcd\x27\x12\xcd\x27\x10"
)
_HEADER = (
    b"\x8e\xa8terminal\xa8atm-\xa3key\xc4\x08\xa5epoch\xc4\x0c\xa4boot\xc4\x08\xa4prev\xc4\x20\xa3seq\xcd\xa5floor\xcd\xa2up\xce"
    b"\xa4sent\xcf\x00\x00\x01\xa5clock\x82\xa3src\xa3ntp\xa6err_ms\x01\xa4lost\x00\xa5codec\x01\xa6schema\x01\xa1n\x3c"
    b"\x85\xa1b\xcf\x00\x00\x01"
)


def build(words: list[str], components: list[str], signals: list[str]) -> bytes:
    """The dictionary of schema 1: names as msgpack packs them, then a body's and a header's usual bytes."""
    names = [name.encode() for name in (*words, *components, *signals)]
    packed = (bytes((0xA0 | len(n),) if len(n) < 32 else (0xD9, len(n))) + n for n in names)
    return b"".join(packed) + _BODY + _HEADER


def _names(text: str) -> list[str]:
    return text.replace("\n", "").strip("|").split("|")


PRESETS = {1: build(_names(_WORDS), _names(_COMPONENTS), _names(_SIGNALS))}
