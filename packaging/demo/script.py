"""The demo's faults, each with the rule that must notice it, and what has been seen of it: reading, alarm, ticket and recovery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bank import Bank, Member
from devices import Host, MegatecUps, Printer, SnmpUps

STATIONS = ("reading", "alarm", "ticket", "recovery")


@dataclass(slots=True)
class Fault:
    """begin, end: at these seconds of the script; a check ends it sooner, once it was told. shows: whether the terminal's values show the fault. seen: station -> second."""

    title: str
    terminal: str
    rule: str
    begin_s: float
    end_s: float
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]
    shows: Callable[[dict[str, Any], dict[tuple[str, str], Any]], bool]
    began: bool = False
    ended: bool = False
    seen: dict[str, float] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether all but its recovery was seen."""
        return all(station in self.seen for station in STATIONS[:-1])

    @property
    def complete(self) -> bool:
        return all(station in self.seen for station in STATIONS)


def _now(action: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        action()

    return run


def _any(signal: str, test: Callable[[Any], bool]) -> Callable[[dict[str, Any], dict[tuple[str, str], Any]], bool]:
    return lambda _, values: any(
        name == signal and value is not None and test(value) for (_c, name), value in values.items()
    )


def script(bank: Bank) -> list[Fault]:
    """What happens in the bank, by the seconds of the script."""

    def device(terminal: str, name: str, kind: type) -> Any:
        found = bank.member(terminal).devices[name]
        assert isinstance(found, kind)
        return found

    ups = device("atm-harbour-1", "ups", SnmpUps)
    serial = device("atm-harbour-2", "ups", MegatecUps)
    host = device("srv-market-1", "server", Host)
    printer = device("pos-harbour-1", "printer", Printer)
    silent: Member = bank.member("atm-market-1")
    return [
        Fault(
            "mains fails, the UPS goes to battery", "atm-harbour-1", "ups.on-battery", 5, 75,
            _now(ups.model.mains_fail), _now(ups.model.mains_return), _any("ups.output.source", lambda v: v == "battery"),
        ),
        Fault(
            "the UPS battery drains", "atm-harbour-1", "ups.battery-low", 5, 75,
            _now(ups.model.mains_fail), _now(ups.model.mains_return), _any("ups.battery.charge", lambda v: v < 50),
        ),
        Fault(
            "mains fails at the serial UPS", "atm-harbour-2", "ups.on-battery", 12, 70,
            _now(serial.model.mains_fail), _now(serial.model.mains_return), _any("ups.mains", lambda v: v == "failed"),
        ),
        Fault(
            "a disk fills", "srv-market-1", "disk.full", 15, 70,
            _now(lambda: host.fill_disk(6.0)), _now(host.free_disk), _any("host.disk.percent", lambda v: v > 90),
        ),
        Fault(
            "the printer runs out of paper", "pos-harbour-1", "printer.stopped", 20, 65,
            _now(printer.paper_out), _now(printer.paper_loaded), _any("printer.error", lambda v: v == "noPaper"),
        ),
        Fault(
            "a terminal falls silent", "atm-market-1", "terminal.silent", 25, 60,
            lambda: bank.kill_agent(silent), lambda: bank.start_agent(silent), lambda terminal, _: terminal["connection"] in {"offline", "silent"},
        ),
    ]  # fmt: skip
