"""What happens to the bank: faults begin, spread, heal or wait to be mended, and the ledger has each of them with its true effects. Nothing here knows what
the collector makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from tillwatch.agent.model import State, Value
from tillwatch.collector.alarm.rules import (
    BRANCH_MAINS,
    BRANCH_UNREACHABLE,
    FLEET_UNREACHABLE,
    REGION_UNREACHABLE,
    SILENT,
    Rules,
    together,
)
from tillwatch.collector.detect.limits import level_of
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.simulate import modes
from tillwatch.collector.simulate.fleet import ATM, SERVER, SWITCH, UPS, Bank, Branch, Unit
from tillwatch.collector.simulate.modes import OutMode, PartMode, Step
from tillwatch.collector.simulate.stations import Later, Station
from tillwatch.collector.simulate.times import DAY, HOUR, MINUTE, S
from tillwatch.collector.simulate.truth import (
    AGENT,
    MACHINE,
    MONITORING,
    NETWORK,
    PART,
    POWER,
    Effect,
    Fault,
    Ledger,
    Told,
)

APART = 6 * HOUR
"""Between two faults that take a whole branch away: what belongs to which would be a matter of taste."""
NOTICED = 3 * DAY
"""After this long somebody sees by himself what no ticket has told."""
REST = 10 * MINUTE
"""Between two faults of one part."""
LEAST_REGION = 4
"""Branches of a region that has a line of its own: with fewer, one that is in maintenance hides that it is the region."""
CHARGE_STEP = 5 * MINUTE

UNREADABLE = "component.unreadable"
FLEET = "fleet"
"""The place of what befalls all branches together."""

_BRANCH = ((BRANCH_UNREACHABLE, 1), (BRANCH_MAINS, 2))
_WHY = {"power": POWER, "network": NETWORK, "crash": MACHINE, "agent": AGENT, "killed": AGENT, "centre": MONITORING}


class World:
    """stations: by name. ended: called when a fault is over. rules, policy: those in force, which say what may tell of a fault."""

    def __init__(
        self,
        bank: Bank,
        stations: dict[str, Station],
        rules: Rules,
        policy: Policy,
        ledger: Ledger,
        later: Later,
        rng: Random,
    ) -> None:
        self.bank = bank
        self.stations = stations
        self.ledger = ledger
        self._branches = {branch.name: branch for branch in bank.branches}
        self._rules, self._policy = rules, policy
        self.later, self.rng = later, rng
        self.ended: Callable[[int, Fault], None] = lambda _, __: None
        self._held: dict[tuple[str, str], Fault] = {}
        self._where: dict[tuple[str, str], list[Fault]] = {}
        self._said: dict[int, str] = {}
        self._busy: dict[str, int] = {}
        self._modes: dict[int, tuple[Unit, PartMode]] = {}
        self._outs: dict[int, tuple[OutMode, tuple[Branch, ...], Unit | None]] = {}

    def told_by(self, kind: str, component: str, signal: str, value: Value, state: State) -> Told:
        """The rules that may tell of a part that says so, on a terminal of this class."""
        levels = {
            rule.id: level_of(rule.limits, 0, value, int(state))
            for rule in self._rules.by_signal.get(signal, ())
            if rule.component is None or rule.component.match(component)
        }
        return tuple(
            (rule, self._policy.classes.of(kind).level(rule, level)) for rule, level in levels.items() if level
        )

    def _silent(self, unit: Unit) -> Told:
        return ((SILENT, self._policy.classes.of(unit.kind).level(SILENT, 2)),)

    # Parts of a terminal.

    def idle(self, unit: Unit) -> bool:
        """Whether nothing is wrong with it that anybody would have to know of."""
        return self.stations[unit.name].reachable and not any(terminal == unit.name for terminal, _ in self._held)

    def break_part(self, at: int, unit: Unit, mode: PartMode, again_of: int = 0) -> Fault | None:
        """None where it does not show: something is broken there already, or the terminal is off."""
        station, parts = self.stations[unit.name], {(unit.name, step.component) for step in mode.steps}
        if station.dark or any(part in self._held for part in parts):
            return None  # it is broken already, or off
        if (unit.name, UPS) in parts and self._busy.get(unit.branch, 0) > at:
            return None  # what the UPS says now is of the power cut
        fault = self.ledger.add(mode.name, "terminal", unit.name, unit.branch, unit.region, at, again_of)
        fault.heals, fault.who = mode.lasts is not None, mode.who
        self._modes[fault.id] = unit, mode
        self._held |= dict.fromkeys(parts, fault)
        if mode.on is not None:
            self._come(at, fault)
        else:
            for step in mode.steps:
                self.later(at + round(step.after * S), self._step, fault, step)
        if mode.lasts is not None:
            self.later(at + round(mode.lasts.draw(self.rng) * S), self.end, fault)
        else:
            self.later(at + NOTICED, self.mend, fault)
        return fault

    def _step(self, at: int, fault: Fault, step: Step) -> None:
        if fault.end:
            return
        station = self.stations[fault.where]
        station.say(at, step.component, step.signal, step.value, step.state)
        value, state = station.now[step.component, step.signal]
        told = self.told_by(station.unit.kind, step.component, step.signal, value, state)
        self._affect(fault, fault.where, step.component, told).begin(at)

    def _come(self, at: int, fault: Fault) -> None:
        """One that comes and goes."""
        mode = self._modes[fault.id][1]
        if fault.end or mode.on is None:
            return
        for step in mode.steps:
            self._step(at, fault, step)
        self.later(at + round(mode.on.draw(self.rng) * S), self._go, fault)

    def _go(self, at: int, fault: Fault) -> None:
        mode = self._modes[fault.id][1]
        if fault.end or mode.off is None:
            return
        self._well(at, fault, mode)
        self.later(at + round(mode.off.draw(self.rng) * S), self._come, fault)

    def _well(self, at: int, fault: Fault, mode: PartMode) -> None:
        for step in mode.steps:
            self.stations[fault.where].usual(at, step.component, step.signal)
        for effect in fault.effects:
            effect.cease(at)

    # A terminal, a branch or more.

    def take_out(self, at: int, mode: OutMode, where: str) -> None:
        unit = next((each for each in self.bank.units if each.name == where), None) if mode.of == "terminal" else None
        branches = self._reach(mode, where)
        if unit is not None and (not self.stations[where].reachable or self._busy.get(unit.branch, 0) > at):
            return
        if mode.of == "region" and len(branches) < LEAST_REGION:
            return
        lasts = round(mode.lasts.draw(self.rng) * S) if mode.lasts else 0
        if mode.of in {"branch", "region"}:
            if any(
                self._busy.get(branch.name, 0) > at or (branch.server.name, UPS) in self._held for branch in branches
            ):
                return
            quiet = at + (lasts or DAY) + APART + (round(modes.RECHARGE_S * S) if mode.what == "mains" else 0)
            self._busy |= {branch.name: quiet for branch in branches}
        here = branches[0] if mode.of in {"terminal", "branch"} else None
        region = branches[0].region if mode.of != "centre" else ""
        fault = self.ledger.add(mode.name, mode.of, where, here.name if here else "", region, at)
        fault.heals, fault.who = mode.lasts is not None, mode.who
        self._outs[fault.id] = mode, branches, unit
        for name in (branch.name for branch in branches if mode.of in {"branch", "region"}):
            self._affect(fault, f"branch:{name}", "", _BRANCH).begin(at)
        if mode.of == "centre":
            self._affect(fault, FLEET, "", ((FLEET_UNREACHABLE, 1),)).begin(at)
        if mode.of == "region":
            self._affect(fault, f"region:{where}", "", ((REGION_UNREACHABLE, 1),)).begin(at)
        if mode.what == "mains":
            self._mains_fail(at, fault, branches[0])
        elif mode.what != "collector":
            for each in self._concerned(fault):
                self._lose(at, fault, each, mode.what)
            if mode.name == "switch-dies":
                server = branches[0].server.name
                self.stations[server].say(at, SWITCH, "monitor.source", "failed", State.UNKNOWN)
                self._affect(fault, server, SWITCH, ((UNREADABLE, 3),)).begin(at)
        self.later(at + (lasts or NOTICED), self.end if lasts else self.mend, fault)

    def _reach(self, mode: OutMode, where: str) -> tuple[Branch, ...]:
        match mode.of:
            case "terminal":
                return tuple(b for b in self.bank.branches if any(unit.name == where for unit in b.units))
            case "branch":
                return (self._branches[where],)
            case "region":
                return self.bank.regions[where]
            case _:
                return self.bank.branches

    def _concerned(self, fault: Fault) -> Iterable[Unit]:
        _, branches, unit = self._outs[fault.id]
        return (unit,) if unit is not None else [each for branch in branches for each in branch.units]

    def _lose(self, at: int, fault: Fault, unit: Unit, what: str) -> None:
        station = self.stations[unit.name]
        if what in {"power", "crash"}:
            station.lose_power(at, fault.id)
        elif what in {"agent", "killed"}:
            station.halt(at, fault.id, orderly=what == "agent")
        else:
            station.lose_line(at, fault.id)
        self._affect(fault, unit.name, "", self._silent(unit), _WHY[what]).begin(at)

    def _regain(self, at: int, fault: Fault, unit: Unit, what: str) -> None:
        station, back = self.stations[unit.name], at
        if what in {"power", "crash"}:
            back = station.get_power(at, fault.id)
        elif what in {"agent", "killed"}:
            station.resume(at, fault.id)
        else:
            station.get_line(at, fault.id)
        self.later(back, _cease, self._affect(fault, unit.name, "", self._silent(unit), _WHY[what]))

    # Mains: a branch on its UPS, and what is not behind it.

    def _mains_fail(self, at: int, fault: Fault, branch: Branch) -> None:
        server = self.stations[branch.server.name]
        for unit in branch.units:
            if unit.kind not in {ATM, SERVER}:
                self._lose(at, fault, unit, "power")
        self._ups(at, fault, server, "ups.output.source", "battery")
        self._ups(at, fault, server, "ups.battery.status", "discharging")
        self._discharge(at, fault, branch, at, at + round(modes.BATTERY_S.draw(self.rng) * S))

    def _discharge(self, at: int, fault: Fault, branch: Branch, since: int, empty: int) -> None:
        if fault.end:
            return
        server = self.stations[branch.server.name]
        left = 100.0 * max(0, empty - at) / (empty - since)
        self._ups(at, fault, server, "ups.battery.charge", round(left, 1))
        if left < 20:
            self._ups(at, fault, server, "ups.battery.status", "low")
        if left:
            self.later(min(at + CHARGE_STEP, empty), self._discharge, fault, branch, since, empty)
            return
        for unit in branch.units:
            if unit.kind in {ATM, SERVER}:
                self._lose(at, fault, unit, "power")

    def _mains_return(self, at: int, fault: Fault, branch: Branch) -> None:
        server = self.stations[branch.server.name]
        for unit in branch.units:
            if fault.id in self.stations[unit.name].dark:
                self._regain(at, fault, unit, "power")
        self._ups(at, fault, server, "ups.output.source", "normal")
        self._ups(at, fault, server, "ups.battery.status", "charging")
        self._charge(at, fault, branch)

    def _charge(self, at: int, fault: Fault, branch: Branch) -> None:
        server = self.stations[branch.server.name]
        now = server.now[UPS, "ups.battery.charge"][0]
        assert isinstance(now, float)
        more = min(100.0, now + 100.0 * CHARGE_STEP / (modes.RECHARGE_S * S))
        if more >= 100.0:
            server.usual(at, UPS, "ups.battery.charge")
            server.usual(at, UPS, "ups.battery.status")
            for effect in fault.effects:
                effect.cease(at)
            return
        self._ups(at, fault, server, "ups.battery.charge", round(more, 1))
        self.later(at + CHARGE_STEP, self._charge, fault, branch)

    def _ups(self, at: int, fault: Fault, server: Station, signal: str, value: Value) -> None:
        server.say(at, UPS, signal, value)
        state = server.now[UPS, signal][1]
        told = self.told_by(SERVER, UPS, signal, value, state)
        for effect in fault.effects:
            if effect.component == UPS and effect.told != told and self._said.get(id(effect)) == signal:
                effect.cease(at)
        if told:
            effect = self._affect(fault, server.name, UPS, told)
            self._said[id(effect)] = signal
            effect.begin(at)

    def _affect(self, fault: Fault, place: str, component: str, told: Told, why: str = PART) -> Effect:
        known = self._where.setdefault((place, component), [])
        if not known or known[-1] is not fault:
            known.append(fault)
        return fault.effect(place, component, told, why)

    # What people find.

    def found(self, terminal: str, component: str, branch: str, region: str) -> Fault | None:
        """What is broken where an incident sends somebody: the fault that lasts there, or was there last."""
        for place, part in (
            (terminal, component),
            (terminal, ""),
            (f"branch:{branch}", ""),
            (f"region:{region}", ""),
            (FLEET, ""),
        ):
            if known := self._where.get((place, part)):
                return next((fault for fault in reversed(known) if not fault.end), known[-1])
        return None

    def broken(self, terminal: str, component: str) -> Fault | None:
        """What has failed on this part, or one of the same unit, and was not mended yet."""
        held = (fault for (where, part), fault in sorted(self._held.items(), key=lambda each: each[0])
                if where == terminal and together("unit", part, component))  # fmt: skip
        return next((fault for fault in held if not fault.end and not fault.heals), None)

    # Ends.

    def visit(self, at: int, fault: Fault) -> None:
        """Somebody stands before it, and mends what else he sees broken on the same terminal."""
        self.mend(at, fault)
        for (terminal, _), other in sorted(self._held.items()):
            if terminal == fault.where and not other.heals and not other.end:
                self.mend(at, other)

    def mend(self, at: int, fault: Fault) -> None:
        """Somebody has mended it; some of what is mended comes back."""
        if fault.end:
            return
        self.end(at, fault)
        if (
            fault.of == "terminal"
            and fault.id in self._modes
            and not fault.again_of
            and self.rng.random() < modes.AGAIN
        ):
            unit, mode = self._modes[fault.id]
            self.later(at + round(modes.AGAIN_AFTER.draw(self.rng) * S), self.break_part, unit, mode, fault.id)

    def _release(self, _: int, fault: Fault) -> None:
        self._held = {part: other for part, other in self._held.items() if other is not fault}

    def end(self, at: int, fault: Fault) -> None:
        if fault.end:
            return
        fault.end = at
        self.ended(at, fault)
        if fault.id in self._modes:
            self._well(at, fault, self._modes[fault.id][1])
            # What fails at the very moment of a repair is the same failure to everybody.
            self.later(at + REST, self._release, fault)
            return
        mode, branches, _ = self._outs[fault.id]
        if mode.of in {"branch", "region"}:
            for branch in branches:
                self._busy[branch.name] = at + APART + (round(modes.RECHARGE_S * S) if mode.what == "mains" else 0)
        if mode.what == "mains":
            self._mains_return(at, fault, branches[0])
        elif mode.what != "collector":
            for unit in self._concerned(fault):
                self._regain(at, fault, unit, mode.what)
            if mode.name == "switch-dies":
                server = branches[0].server.name
                self.stations[server].usual(at, SWITCH, "monitor.source")
                self._affect(fault, server, SWITCH, ((UNREADABLE, 3),)).cease(at)
        for effect in fault.effects:
            if effect.terminal == FLEET or ":" in effect.terminal:
                effect.cease(at)


def _cease(at: int, effect: Effect) -> None:
    effect.cease(at)
