"""What the collector knows of its terminals between two entries of the journal: the state that the fold changes and the store keeps. Values
only; how they change stands in fold.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern
from typing import Any

import msgpack

from tillwatch.agent.model import MS, State, Value, device_of
from tillwatch.agent.wire import Refusal, VerifyKey
from tillwatch.collector.sequence import Stream
from tillwatch.collector.terminal.digests import Digests
from tillwatch.collector.trust.clones import Speaker

HISTORICAL_MS = 15 * 60 * 1000
"""Older batches are history: they repair series and raise nothing (delivery.md 6.6)."""
CLOCK_STEP_MS = 10_000
"""A change of UTC minus uptime beyond it is a clock that was set: a quartz drifts less within any window of batches."""
SKEW_WINDOW = 10
"""Batches whose least skew is that of a terminal's clock: the least is the one that waited nowhere on its way."""
RECENT_EPOCHS = 4
"""Epochs of a terminal with digests at hand: an epoch begins with a new spool, and what is older rests in the journal."""
MAX_EPOCHS = 1000
"""Epochs of a terminal: a new spool every day for three years. Each is kept for ever, so that late copies are duplicates for ever."""
MAX_COMPONENTS = 1000
"""Components of a terminal that are followed: 200 devices, the most that a batch may hold, with five parts each."""
MAX_SIGNALS = 4000
"""Signals of a terminal that are followed: two batches full of different ones. Some 2 MiB at worst, where real terminals have 50 to 500."""


class Series:
    """One signal of one component: its latest value and its open hour. at: corrected reading time, received: UTC ns;
    corrected: ms that were added to the terminal's time to get `at`; hour: hours since 1970; n, total, least, most count the numbers of the hour, last is its latest value whatever its kind.
    """

    __slots__ = (
        "at",
        "corrected",
        "hour",
        "last",
        "last_at",
        "least",
        "most",
        "n",
        "quality",
        "received",
        "state",
        "total",
        "value",
    )

    def __init__(self) -> None:
        self.at = -1
        self.corrected = 0
        self.value: Value = None
        self.received = 0
        self.quality = 0
        self.state = 0
        self.open_hour(-1)

    def open_hour(self, hour: int) -> None:
        self.hour = hour
        self.n = 0
        self.total = 0.0
        self.least: float | None = None
        self.most: float | None = None
        self.last: Value = None
        self.last_at = -1

    def rollup(self) -> list[Any]:
        """The open hour as it is kept: [n, sum, min, max, last, last_at]."""
        return [self.n, self.total, self.least, self.most, self.last, self.last_at]

    def pack(self) -> list[Any]:
        return [self.at, self.value, self.received, self.quality, self.state, self.hour, *self.rollup(), self.corrected]

    @classmethod
    def unpack(cls, row: list[Any]) -> Series:
        series = cls()
        series.at, series.value, series.received, series.quality, series.state, series.hour = row[:6]
        series.n, series.total, series.least, series.most, series.last, series.last_at = row[6:12]
        series.corrected = row[12] if len(row) > 12 else 0
        return series


class Component:
    """unknown: why nothing current is known of it, empty while something is. heard: UTC ns from which its deadline counts, that is its
    last data, or the return of whoever kept it from speaking; 0 before the first data. blind: an alarm of it is open on a condition
    that cannot be seen.

    Its name and those of its signals are one string for all terminals that have such a component: each batch brings its own, which would be a tenth of the
    fold's memory, and finding a series would have to read the terminal's own copy of its name.
    """

    __slots__ = ("blind", "heard", "interval_s", "name", "series", "unknown")

    def __init__(self, name: str) -> None:
        self.name = intern(name)
        self.series: dict[str, Series] = {}
        self.heard = 0
        self.interval_s = 0.0
        self.unknown = ""
        self.blind = False

    def follow(self, signal: str) -> Series:
        """A series for a signal that was never heard of it before."""
        series = self.series[intern(signal)] = Series()
        return series

    def pack(self) -> bytes:
        rows = {name: series.pack() for name, series in self.series.items()}
        packed: bytes = msgpack.packb([self.heard, self.interval_s, self.unknown, self.blind, rows])
        return packed

    def worst(self) -> int:
        """The gravest judgement of the device profile among the latest values."""
        return max((series.state for series in self.series.values() if series.state <= State.CRIT), default=0)

    @classmethod
    def unpack(cls, name: str, packed: bytes) -> Component:
        component = cls(name)
        component.heard, component.interval_s, component.unknown, component.blind, rows = msgpack.unpackb(packed)
        component.series = {intern(signal): Series.unpack(row) for signal, row in rows.items()}
        return component


@dataclass(slots=True)
class TerminalKey:
    """state: `pending` until it signs, `active`, `retiring` once it has handed over, `revoked`."""

    verify: VerifyKey
    state: str
    since: int


@dataclass(slots=True)
class Certificate:
    """One that was issued to a terminal. key: id of the signing key that it came with; revoked: UTC ns, 0 while it is good."""

    key: bytes
    since: int
    revoked: int = 0


IN_SERVICE = "in_service"
MAX_CERTIFICATES = 256
"""Certificates of a terminal that are remembered: one a day through most of a certificate's life. Older ones have ended."""


@dataclass(slots=True)
class Terminal:
    """One enrolled terminal. connection: `new` until the first message, then `online`, `offline` (its own or its broker's word) or
    `silent`; received: its last message; heard: from when its deadline counts; up_ms at up_received: its uptime at its last life
    message; holes: batches it declared gone; next_due: before this UTC ns no component is overdue; signals: series of its components;
    over_limit: readings that were kept but not followed, since they are of more components or signals than a terminal may have; until: of
    each retiring key the epoch, the last seq and the last life message that it may have signed; certificates: by serial number, in hex;
    clock_base_ms: UTC minus uptime at the last live batch, in the boot clock_boot; speakers: see clones.py; why: it was revoked;
    life_cycle: `in_service` or one of records.LIFE_CYCLE; mode: the last word of atm.mode, since
    when (UTC ns) and of which component; loss: see losses.py, packed; down_since: when it ceased to serve, UTC ns, 0 where it serves (regulator.py).
    """

    id: str
    branch: str
    region: str
    terminal_class: str
    enrolled_at: int
    state: str = "active"
    keys: dict[bytes, TerminalKey] = field(default_factory=dict)
    streams: dict[bytes, Stream] = field(default_factory=dict)
    epoch: bytes = b""
    connection: str = "new"
    received: int = 0
    heard: int = 0
    lost: int = 0
    holes: int = 0
    boot: bytes = b""
    up_ms: int = 0
    up_received: int = 0
    life_n: int = 0
    skews_ms: list[int] = field(default_factory=list)
    clock_boot: bytes = b""
    clock_base_ms: int = 0
    components: dict[str, Component] = field(default_factory=dict)
    next_due: int = 0
    signals: int = 0
    over_limit: int = 0
    until: dict[bytes, tuple[bytes, int, int]] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    speakers: list[Speaker] = field(default_factory=list)
    why: str = ""
    life_cycle: str = IN_SERVICE
    mode: str = ""
    mode_since: int = 0
    mode_component: str = ""
    loss: bytes = b""
    down_since: int = 0
    version: str = ""

    _STATUS = (
        "epoch",
        "connection",
        "received",
        "heard",
        "lost",
        "holes",
        "boot",
        "up_ms",
        "up_received",
        "life_n",
        "clock_boot",
        "clock_base_ms",
        "over_limit",
        "why",
        "life_cycle",
        "mode",
        "mode_since",
        "mode_component",
        "loss",
        "down_since",
        "version",
    )

    def pack_status(self) -> bytes:
        status = {name: getattr(self, name) for name in Terminal._STATUS}
        packed: bytes = msgpack.packb(
            {
                **status,
                "skews_ms": self.skews_ms,
                "until": [[key, *until] for key, until in self.until.items()],
                "certificates": [[serial, c.key, c.since, c.revoked] for serial, c in self.certificates.items()],
                "speakers": [[s.boot, s.epoch, s.n, s.up_ms, s.first, s.last] for s in self.speakers],
            }
        )
        return packed

    def unpack_status(self, packed: bytes) -> None:
        status = msgpack.unpackb(packed)
        self.skews_ms.extend(status.pop("skews_ms", ()))
        status.pop("delays_ms", None)  # of a file of version 1: another measure; the next batches find the skew anew
        self.until = {key: (epoch, seq, n) for key, epoch, seq, n in status.pop("until", ())}
        self.certificates = {serial: Certificate(*row) for serial, *row in status.pop("certificates", ())}
        self.speakers = [Speaker(*row) for row in status.pop("speakers", ())]
        for name in Terminal._STATUS:
            setattr(self, name, status.get(name, getattr(self, name)))

    def follow(self, name: str) -> Component:
        """A component that was never heard of before."""
        component = Component(name)
        self.components[component.name] = component
        return component

    @property
    def in_service(self) -> bool:
        """Whether it is meant to serve: spare, in repair or retired it raises nothing."""
        return self.life_cycle == IN_SERVICE and self.state != "revoked"

    def of_device(self, device: str) -> list[Component]:
        """The components that this device has, the device itself among them; of one part, that part."""
        return [self.components[name] for name in sorted(self.components) if device in (device_of(name), name)]

    def refuses(self, serial: str) -> bool:
        """Whether no broker may let this terminal in with the certificate of that serial number, in hex."""
        certificate = self.certificates.get(serial)
        return self.state == "revoked" or (certificate is not None and certificate.revoked > 0)

    def sealed_in_time(self, key: bytes, epoch: bytes, seq: int) -> bool:
        """Whether this key may have sealed this batch: a retiring one only up to where it handed over."""
        until = self.until.get(key)
        return until is None or (epoch == until[0] and seq <= until[1])

    def told_in_time(self, key: bytes, epoch: bytes, n: int) -> bool:
        """The same for a life message."""
        until = self.until.get(key)
        return until is None or (epoch == until[0] and n <= until[2])

    @property
    def skew_ms(self) -> int:
        """How far the terminal's clock lags behind the collector's, delay of the fastest delivery included; 0 without deliveries."""
        return min(self.skews_ms, default=0)

    def skew_of(self, boot: bytes, up_ms: int, sent: int, at: int, utc: int) -> int | None:
        """The skew that one batch shows. How long it waited in the spool is taken out, or a backlog would look like a wrong clock; None
        where that is not known, that is in another boot than the one the terminal told of. at: the journal's time; utc: the collector's.
        """
        if not self.up_received:
            return (utc - sent) // MS
        if boot != self.boot:
            return None
        # A life message that was late itself makes every age too small, down to none.
        return (utc - sent) // MS - max(self.age_ms(boot, up_ms, sent, at, utc), 0)

    def age_ms(self, boot: bytes, up_ms: int, sent: int, at: int, utc: int) -> int:
        """How old a batch is: by the terminal's uptime within one boot, which no clock can falsify, else by its corrected time."""
        if boot == self.boot and self.up_received:
            return self.up_ms + (at - self.up_received) // MS - up_ms
        return (utc - sent) // MS - self.skew_ms

    def clock_was_set(self, boot: bytes, up_ms: int, sent: int) -> bool:
        """Whether somebody set the terminal's clock since the last live batch, or it was started anew: UTC minus uptime shows it."""
        return boot != self.clock_boot or abs(sent // MS - up_ms - self.clock_base_ms) > CLOCK_STEP_MS

    def reckon(self, boot: bytes, up_ms: int, sent: int, at: int, utc: int) -> tuple[bool, int]:
        """Whether a batch is historical, and how far the clock lagged that stamped it, in ms."""
        historical = self.age_ms(boot, up_ms, sent, at, utc) > HISTORICAL_MS
        skew = self.skew_of(boot, up_ms, sent, at, utc)
        if historical:
            # By its own uptime where that tells: the clock may have been set between then and now.
            told = skew if boot == self.boot and self.up_received else None
            return True, self.skew_ms if told is None else told
        known = [] if self.clock_was_set(boot, up_ms, sent) and skew is not None else list(self.skews_ms)
        return False, min([*known, *([] if skew is None else [skew])], default=0)

    def learn_clock(self, boot: bytes, up_ms: int, sent: int, skew: int | None) -> None:
        """After a live batch."""
        if skew is None:
            return
        if self.clock_was_set(boot, up_ms, sent):
            self.skews_ms.clear()
        self.clock_boot, self.clock_base_ms = boot, sent // MS - up_ms
        self.skews_ms.append(skew)
        del self.skews_ms[:-SKEW_WINDOW]


class Fleet:
    """All terminals, and the registry's answer to who may sign."""

    def __init__(self) -> None:
        self.terminals: dict[str, Terminal] = {}
        self.recent: dict[str, dict[bytes, Digests]] = {}

    def knows(self, terminal: str) -> bool:
        return terminal in self.terminals

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        found = self.terminals[terminal].keys.get(key_id)
        if found is None or found.state == "pending":
            return Refusal.UNKNOWN_KEY
        return Refusal.REVOKED_KEY if found.state == "revoked" else found.verify

    def collectors_clock_set(self, forward: int) -> None:
        """The collector's clock was set. forward: ns by which the journal's time went with it. Uptimes told before count from as much later,
        and what was learnt of other clocks was measured with a clock that was wrong.
        """
        for terminal in self.terminals.values():
            if terminal.up_received:
                terminal.up_received += forward
            terminal.skews_ms.clear()

    def remember(self, terminal: str, epoch: bytes, seq: int, digest: bytes) -> None:
        epochs = self.recent.setdefault(terminal, {})
        recent = epochs.get(epoch)
        if recent is not None:
            recent.add(seq, digest)
            return
        epochs[epoch] = Digests(seq, digest)
        if len(epochs) > RECENT_EPOCHS:
            del epochs[next(iter(epochs))]

    def recalled(self, terminal: str, epoch: bytes, seq: int) -> bytes | None:
        """The digest of a batch, if it is among the recent ones."""
        recent = self.recent.get(terminal, {}).get(epoch)
        return recent.of(seq) if recent is not None else None
