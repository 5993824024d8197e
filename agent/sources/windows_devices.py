"""What Windows' Plug and Play says of the devices of the machine, as samples: pure. It knows at once that a card reader, a printer or a PIN pad is
lost, whoever made it. Told are the devices that have a problem, those that had one, and those that the operator expects.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.windows_cim import CIMV2, Answer, Query, count, part, plain

MAX_TROUBLED = 64
"""Devices with a problem that are followed. A machine with more has one problem, not many: its chipset driver or its hub."""
UINT32 = (1 << 32) - 1

DEVICES = Query("devices", CIMV2, "Win32_PnPEntity", ("DeviceID", "Name", "PNPClass", "ConfigManagerErrorCode"))
QUERIES = (DEVICES,)

NOTHING = ("ok", State.OK)
OTHER = ("other", State.WARN)
MISSING = ("missing", State.CRIT)
"""It had a problem and is no longer listed: it was pulled, or it no longer answers at all."""
REMOVED = ("removed", State.OK)
MAX_MISSED = 288
"""Polls, a day at the default interval, after which a device that is missing counts as taken away for good. One that matters is `expected`."""
PROBLEMS: Mapping[int, tuple[str, State]] = {
    0: NOTHING,
    1: ("notConfigured", State.WARN),
    3: ("driver", State.WARN),
    9: ("driver", State.WARN),
    10: ("notStarted", State.CRIT),
    12: ("resources", State.WARN),
    14: ("restart", State.WARN),
    16: ("resources", State.WARN),
    18: ("driver", State.WARN),
    19: ("driver", State.WARN),
    21: ("removing", State.WARN),
    22: ("disabled", State.WARN),
    24: ("absent", State.CRIT),
    28: ("noDriver", State.WARN),
    29: ("disabled", State.WARN),
    31: ("driver", State.WARN),
    32: ("driver", State.WARN),
    33: ("resources", State.WARN),
    34: ("notConfigured", State.WARN),
    35: ("resources", State.WARN),
    36: ("resources", State.WARN),
    37: ("notStarted", State.CRIT),
    38: ("driver", State.WARN),
    39: ("driver", State.WARN),
    40: ("driver", State.WARN),
    41: ("absent", State.CRIT),
    42: ("duplicate", State.WARN),
    43: ("failed", State.CRIT),
    44: ("stopped", State.CRIT),
    45: ("absent", State.CRIT),
    46: ("removing", State.WARN),
    47: ("removing", State.WARN),
    48: ("blocked", State.WARN),
    49: ("resources", State.WARN),
    50: ("waiting", State.WARN),
    51: ("waiting", State.WARN),
    52: ("driver", State.WARN),
    53: ("blocked", State.WARN),
    54: ("notStarted", State.CRIT),
}
"""ConfigManagerErrorCode by Microsoft's list of error codes in Device Manager (CM_PROB_*). CRIT: the device itself does not answer as it should;
WARN: something on the machine keeps it from working."""


@dataclass(frozen=True, slots=True)
class Device:
    """id: the instance id, which stays with the device in its socket. code: ConfigManagerErrorCode, None where Windows gives none."""

    id: str
    name: str
    kind: str
    code: int | None


def listed(said: Answer) -> list[Device]:
    """Ids in capitals: Windows does not tell them apart by case, and writes them in either."""
    found = {}
    for row in said.rows:
        if id_ := plain(row.get("DeviceID")).upper():
            code = count(row.get("ConfigManagerErrorCode"), UINT32)
            found[id_] = Device(id_, plain(row.get("Name"))[:80], plain(row.get("PNPClass"))[:40], code)
    return list(found.values())


class Devices:
    """expected: name -> pattern of an instance id. ignore: patterns of ids that nothing is told of.
    troubled: id -> polls that it is missing, of the devices that had a problem when the agent last looked, also before its restart; they are told
    until they are well again or taken away.
    """

    def __init__(
        self, expected: Mapping[str, str], ignore: Sequence[str], troubled: Mapping[str, int] | None = None
    ) -> None:
        self._expected = {name: pattern.upper() for name, pattern in expected.items()}
        self._ignore = tuple(pattern.upper() for pattern in ignore)
        former = list((troubled or {}).items())[:MAX_TROUBLED]
        self.troubled = {id_: missed for id_, missed in former if not self._ignored(id_)}

    def samples(self, source: str, devices: Sequence[Device]) -> Iterator[Sample]:
        told = [device for device in devices if not self._ignored(device.id)]
        by_id = {device.id: device for device in told}
        ill = [device.id for device in told if device.code]
        kept = list(dict.fromkeys([*self.troubled, *ill]))
        yield Sample(source, "pnp.devices", len(devices))
        yield Sample(source, "pnp.devices.faulty", len(ill))
        if len(kept) > MAX_TROUBLED:
            yield Sample(source, "monitor.omitted", len(kept) - MAX_TROUBLED)
        troubled = {}
        for id_ in kept[:MAX_TROUBLED]:
            device, missed = by_id.get(id_), self.troubled.get(id_, 0) + 1
            if device is not None and device.code:
                troubled[id_] = 0
            elif device is None and missed < MAX_MISSED:
                troubled[id_] = missed
            judged = judge(device.code) if device is not None else MISSING if id_ in troubled else REMOVED
            yield from _problem(f"{source}/{part('device', id_)}", id_, device, judged)
        self.troubled = troubled
        for name, pattern in self._expected.items():
            yield from _expected(
                f"{source}/{part('expected', name)}",
                name,
                [device for device in devices if fnmatch.fnmatchcase(device.id, pattern)],
            )

    def _ignored(self, id_: str) -> bool:
        return any(fnmatch.fnmatchcase(id_, pattern) for pattern in self._ignore)


def judge(code: int | None) -> tuple[str, State]:
    return NOTHING if code is None else PROBLEMS.get(code, OTHER)


def _problem(component: str, id_: str, device: Device | None, judged: tuple[str, State]) -> Iterator[Sample]:
    word, state = judged
    label = (device.name if device else "") or id_[:80]
    yield Sample(component, "pnp.problem", word, state, label=label)
    if device is not None:
        if device.code is not None:
            yield Sample(component, "pnp.code", device.code, label=label)
        yield Sample(component, "identity.name", device.name or "unnamed", label=label)
    yield Sample(component, "identity.description", id_[:200], label=label)


def _expected(component: str, name: str, found: Sequence[Device]) -> Iterator[Sample]:
    """Well if any that fits works: a spare of the same kind may stand beside it."""
    working = next((device for device in found if not device.code), None)
    shown = working or (found[0] if found else None)
    word, state = ("present", State.OK) if working else ("faulty", State.CRIT) if found else ("missing", State.CRIT)
    yield Sample(component, "pnp.expected", word, state, label=name)
    if shown is not None:
        problem, judged = judge(shown.code)
        yield Sample(component, "pnp.problem", problem, judged, label=name)
        if shown.name:
            yield Sample(component, "identity.name", shown.name, label=name)
