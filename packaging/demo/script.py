"""The demo's faults, each with the rule that must notice it, what its ticket must say, and what has been seen of it: reading, alarm, ticket and
recovery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bank import Bank, Member
from devices import Host, MegatecUps, Printer, SnmpUps

STATIONS = ("reading", "alarm", "ticket", "recovery")
CUT = "Station"
"""The branch that loses its line: all its terminals fall silent, and one ticket says so."""

Terminals = Mapping[str, dict[str, Any]]
Values = dict[tuple[str, str], Any]


def carded(ticket: dict[str, Any]) -> str:
    """What a ticket lacks, in words; empty where it says what the fault means and who was told of it."""
    told = ("told",) if ticket["level"] < 3 else ()  # the mildest wait in a queue, and nobody is called
    missing = [name for name in ("means", "action", "cause", *told) if not ticket[name]]
    return f"it has no {', no '.join(missing)}" if missing else ""


@dataclass(slots=True)
class Fault:
    """begin, end: at these seconds of the script; a check ends it sooner, once it was told. shows: whether the terminals, and the values of the first of
    them, show the fault. lacks: what its ticket does not say and should. seen: station -> second. terminals: whom it strikes, if more than one.
    """

    title: str
    terminal: str
    rule: str
    begin_s: float
    end_s: float
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]
    shows: Callable[[Terminals, Values], bool]
    lacks: Callable[[dict[str, Any]], str] = carded
    terminals: tuple[str, ...] = ()
    complaint: str = ""
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


def _any(signal: str, test: Callable[[Any], bool]) -> Callable[[Terminals, Values], bool]:
    return lambda _, values: any(
        name == signal and value is not None and test(value) for (_c, name), value in values.items()
    )


def _silent(*names: str) -> Callable[[Terminals, Values], bool]:
    return lambda terminals, _: all(terminals[name]["connection"] in {"offline", "silent"} for name in names)


def _says_why(ticket: dict[str, Any]) -> str:
    """Of a terminal that is not heard: why, as far as it is known, and not only what may be."""
    why = "" if "the broker lost its connection" in ticket["cause"] else f"its cause is {ticket['cause']!r}"
    return "; ".join(each for each in (carded(ticket), why) if each)


def _is_one_cause(names: tuple[str, ...]) -> Callable[[dict[str, Any]], str]:
    def lacks(ticket: dict[str, Any]) -> str:
        told = [carded(ticket)]
        if ticket["affected"] != sorted(names):
            told.append(f"it concerns {', '.join(ticket['affected'])}")
        # It is concluded as soon as there are enough, and the others join it.
        if f" of {len(names)} within" not in ticket["cause"]:
            told.append(f"its cause is {ticket['cause']!r}")
        return "; ".join(each for each in told if each)

    return lacks


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
    branch = tuple(sorted(each.name for each in bank.members if each.branch == CUT))
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
            "mains fails at the serial UPS", "atm-harbour-2", "ups.on-battery", 18, 70,
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
            lambda: bank.kill_agent(silent), lambda: bank.start_agent(silent), _silent(silent.name), _says_why,
        ),
        Fault(
            f"the line of the branch {CUT} is cut", f"branch:{CUT}", "terminal.silent", 30, 70,
            _now(bank.lines[CUT].cut), bank.lines[CUT].start, _silent(*branch), _is_one_cause(branch), branch,
        ),
    ]  # fmt: skip
