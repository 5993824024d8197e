"""What goes on inside a simulated UPS, whatever protocol it speaks: mains, load and a battery that drains and charges."""

from __future__ import annotations

from drift import Drift, Now

CELLS = 12
LOW_CHARGE = 20.0
"""Percent at which the battery is called low."""


class UpsModel:
    """A 1 kVA line-interactive UPS at about 28 % load.

    now: simulated seconds. runtime_min: minutes that a full battery lasts at 28 % load; recharge_min: from empty to full.
    mains_fail, mains_return: the fault and its end. All values are those of the moment they are read.
    """

    def __init__(self, now: Now, seed: str, runtime_min: float = 30.0, recharge_min: float = 60.0) -> None:
        self._now = now
        self._runtime_min, self._recharge_min = runtime_min, recharge_min
        self._mains_voltage = Drift(now, f"{seed}/input", 231.0, 3.0)
        self._mains_frequency = Drift(now, f"{seed}/frequency", 50.0, 0.04, 120.0)
        self._load = Drift(now, f"{seed}/load", 28.0, 4.0)
        self._warmth = Drift(now, f"{seed}/temperature", 27.0, 1.5, 3600.0)
        self._charge = 100.0
        self._at = now()
        self._failed_at: float | None = None
        self.line_bads = 0
        self.fault_voltage = 0.0

    def mains_fail(self) -> None:
        """The mains goes away: on battery, draining."""
        if self._failed_at is None:
            self._advance()
            self.fault_voltage = 161.0
            self.line_bads += 1
            self._failed_at = self._at

    def mains_return(self) -> None:
        """The mains is back: charging."""
        self._advance()
        self._failed_at = None

    def _advance(self) -> None:
        at = self._now()
        minutes, self._at = (at - self._at) / 60, at
        if self._failed_at is None:
            self._charge = min(100.0, self._charge + 100 * minutes / self._recharge_min)
        else:
            self._charge = max(0.0, self._charge - 100 * minutes / self._runtime_min * self._load() / 28.0)

    @property
    def mains(self) -> bool:
        return self._failed_at is None

    @property
    def charge(self) -> float:
        """Percent."""
        self._advance()
        return self._charge

    @property
    def dead(self) -> bool:
        """The battery is empty and nothing comes in: the load is off."""
        return not self.mains and self.charge <= 0

    @property
    def low(self) -> bool:
        return not self.mains and self.charge <= LOW_CHARGE

    @property
    def seconds_on_battery(self) -> int:
        return 0 if self._failed_at is None else int(self._now() - self._failed_at)

    @property
    def minutes_remaining(self) -> int:
        return int(self.charge / 100 * self._runtime_min * 28.0 / max(self._load(), 1.0))

    @property
    def load(self) -> float:
        return 0.0 if self.dead else self._load()

    @property
    def input_voltage(self) -> float:
        return self._mains_voltage() if self.mains else 0.0

    @property
    def input_frequency(self) -> float:
        return self._mains_frequency() if self.mains else 0.0

    @property
    def output_voltage(self) -> float:
        return 0.0 if self.dead else self._mains_voltage() if self.mains else 230.0

    @property
    def output_frequency(self) -> float:
        return 0.0 if self.dead else self._mains_frequency()

    @property
    def battery_voltage(self) -> float:
        """Float charge on mains; on battery 2.1 V a cell down to 1.75."""
        return 27.3 - 0.012 * (100 - self.charge) if self.mains else CELLS * (1.75 + 0.35 * self.charge / 100)

    @property
    def battery_current(self) -> float:
        """A; positive while it discharges."""
        return (
            0.0
            if self.dead or (self.mains and self.charge >= 100)
            else -2.0
            if self.mains
            else self._load() / 100 * 700 / 24
        )

    @property
    def temperature(self) -> float:
        return self._warmth() + (4.0 if not self.mains else 0.0)
