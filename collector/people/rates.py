"""How often somebody may ask: a bucket of requests that fills again, and a delay for wrong passwords that doubles. Pure; times are ns of any
clock that does not go back.

Nobody is locked out for good. Somebody who fails waits, longer each time up to MAX_DELAY_S, and what is tried meanwhile is not looked at and
makes the wait no longer. A browser that its person has signed in with before is counted by itself: who tries a stranger's name from elsewhere
delays themselves and not that person.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

NANO = 1_000_000_000
MAX_DELAY_S = 900
"""After a quarter of an hour one more try a quarter of an hour guesses nothing in a lifetime."""
FORGET_S = 3_600
"""A wrong password of so long ago counts no more."""
MAX_KEPT = 10_000
"""Names and addresses that are remembered; beyond it the one that failed longest ago is forgotten."""
FREE = {"name": 5, "device": 5, "address": 30}
"""Wrong passwords without a delay: fingers slip. A branch behind one address has many fingers."""

Key = tuple[str, str]
"""What is counted: `name`, `device` or `address`, and which."""


def place_of(address: str) -> str:
    """What of an address counts as one: an IPv6 host has a whole /64 to itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else str(ip)


@dataclass(slots=True)
class _Failures:
    count: int
    last: int
    free_at: int


class Attempts:
    """Wrong passwords and codes, by name, browser and address."""

    def __init__(self) -> None:
        self._failures: OrderedDict[Key, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def wait(self, keys: Iterable[Key], now: int) -> float:
        """Seconds until the next try is looked at; 0 for now."""
        held = [self._failures[key].free_at for key in keys if key in self._failures]
        return max(0, max(held, default=0) - now) / NANO

    def failed(self, keys: Iterable[Key], now: int) -> None:
        for key in keys:
            held = self._failures.pop(key, None)
            count = held.count + 1 if held is not None and now - held.last < FORGET_S * NANO else 1
            over = count - FREE[key[0]]
            delay = min(MAX_DELAY_S, 2 ** min(over, 10)) if over >= 0 else 0
            self._failures[key] = _Failures(count, now, now + delay * NANO)
        while len(self._failures) > MAX_KEPT:
            self._failures.popitem(last=False)

    def forget(self, keys: Iterable[Key]) -> None:
        """These signed in, or somebody at the machine itself vouches for them."""
        for key in keys:
            self._failures.pop(key, None)


@dataclass(frozen=True, slots=True)
class Rate:
    """per_s: requests a second in the long run; burst: at once."""

    per_s: float
    burst: int


class Buckets:
    """A token bucket for each who asks."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._held: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, who: str, now: int) -> float:
        """0 if one more may pass, else seconds until the next may."""
        left, last = self._held.pop(who, (float(self._rate.burst), now))
        left = min(float(self._rate.burst), left + (now - last) / NANO * self._rate.per_s)
        passes = left >= 1
        self._held[who] = (left - 1 if passes else left, now)
        while len(self._held) > MAX_KEPT:
            self._held.popitem(last=False)
        return 0.0 if passes else (1 - left) / self._rate.per_s
