"""What the agent was told: the frozen values that config.py reads from the TOML file. Apart from its reader, which does not stay resident."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tillwatch.agent.model import PollClass
from tillwatch.agent.wire import CommandKind

MAX_SEAL = 3_600.0
"""A batch spans at most one hour (wire.MAX_SPAN_MS)."""


class ConfigError(Exception):
    """The text says file, line, what is wrong and what to write instead."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between polls of each class."""

    fast: float = 10.0
    normal: float = 60.0
    slow: float = 3_600.0

    def of(self, wanted: PollClass) -> float:
        return {PollClass.FAST: self.fast, PollClass.NORMAL: self.normal, PollClass.SLOW: self.slow}[wanted]


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """Where it differs from what the enrolment said: None takes the enrolment's. Files: None takes those in the state directory."""

    host: str | None = None
    port: int | None = None
    tls: bool | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class SpoolConfig:
    max_bytes: int = 256 << 20
    max_age: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """The machine itself. only, disable: patterns of the parts to read (empty: all) and to leave out; the machine as a whole is the part ``."""

    enabled: bool = True
    name: str = "host"
    only: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    intervals: Intervals = field(default_factory=Intervals)


@dataclass(frozen=True, slots=True)
class SnmpConfig:
    """version: `1`, `2c` or `3`. auth and priv: protocols of version 3. profile: empty to find it. Secrets are never shown (repr is off)."""

    name: str
    host: str
    port: int
    version: str
    community: str = field(repr=False)
    user: str
    auth: str
    auth_secret: str = field(repr=False)
    priv: str
    priv_secret: str = field(repr=False)
    profile: str
    timeout: float
    retries: int
    intervals: Intervals
    where: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SerialConfig:
    """baud: None takes the shim's own line settings. mode: `exclusive`, `tap`, `hosted`; empty takes the shim's own."""

    name: str
    port: str
    shim: str
    mode: str
    baud: int | None
    intervals: Intervals
    where: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ProfilesConfig:
    """folder: a bank's own device profiles beside the shipped ones. overrides: its limits, names and life figures. None: there are none."""

    folder: Path | None = None
    overrides: Path | None = None
    compiled: Path | None = None
    """The folder of what is made of them; None: the state directory. A bundle has its own, so that trying one leaves the other as it is."""


@dataclass(frozen=True, slots=True)
class SmartConfig:
    """program: smartctl's name or path. drives: (device, type for `-d` or empty); none: what smartctl finds. where: empty if not configured."""

    enabled: bool = False
    name: str = "drives"
    program: str = "smartctl"
    drives: tuple[tuple[str, str], ...] = ()
    intervals: Intervals = field(default_factory=Intervals)
    where: str = ""


@dataclass(frozen=True, slots=True)
class IpmiConfig:
    """program: ipmitool's name or path."""

    enabled: bool = False
    name: str = "bmc"
    program: str = "ipmitool"
    intervals: Intervals = field(default_factory=Intervals)
    where: str = ""


WINDOWS_PARTS = ("storage", "devices", "events", "pos")


@dataclass(frozen=True, slots=True)
class WindowsConfig:
    """What Windows knows of the machine. parts: of WINDOWS_PARTS. expected: name and pattern of an instance id. ignore: patterns of ids."""

    enabled: bool = False
    name: str = "windows"
    parts: tuple[str, ...] = ("storage", "devices", "events")
    expected: tuple[tuple[str, str], ...] = ()
    ignore: tuple[str, ...] = ()
    intervals: Intervals = field(default_factory=Intervals)
    where: str = ""

    def names(self) -> dict[str, str]:
        """Part -> the name of its source."""
        return {part: f"{self.name}-{part}" for part in self.parts}


@dataclass(frozen=True, slots=True)
class NutConfig:
    """ups: the name that upsd gives the UPS; empty takes the only one there is."""

    name: str
    host: str
    port: int
    ups: str
    intervals: Intervals
    where: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class XfsConfig:
    """enabled: the kill switch. port: 0 looks at all that the standard names. ca: None takes the system's."""

    name: str
    enabled: bool
    host: str
    port: int
    tls: bool
    ca: Path | None
    intervals: Intervals
    where: str


@dataclass(frozen=True, slots=True)
class TrapsConfig:
    """community: what traps of version 1 and 2c may carry beside the one that their device is polled with. where: empty if not configured."""

    enabled: bool = False
    name: str = "traps"
    listen: str = "0.0.0.0"  # noqa: S104 - devices send from outside
    port: int = 162
    community: str = field(default="", repr=False)
    intervals: Intervals = field(default_factory=Intervals)
    where: str = ""


@dataclass(frozen=True, slots=True)
class CommandsConfig:
    """Remote diagnosis. allow: kinds of commands that are taken, of wire.CommandKind."""

    enabled: bool = False
    allow: tuple[str, ...] = tuple(kind.value for kind in CommandKind)


@dataclass(frozen=True, slots=True)
class BundlesConfig:
    """Configuration bundles that the collector sends."""

    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """seal: seconds between batches. by_risk: the collector may have the ordinary class read at half to twice its interval. path: where it came from, None without a file. `where` of a device: `file:line`, for later errors."""

    path: Path | None
    state_dir: Path
    collector: CollectorConfig = field(default_factory=CollectorConfig)
    intervals: Intervals = field(default_factory=Intervals)
    seal: float = 60.0
    spool: SpoolConfig = field(default_factory=SpoolConfig)
    system: SystemConfig = field(default_factory=SystemConfig)
    snmp: tuple[SnmpConfig, ...] = ()
    serial: tuple[SerialConfig, ...] = ()
    profiles: ProfilesConfig = field(default_factory=ProfilesConfig)
    smart: SmartConfig = field(default_factory=SmartConfig)
    ipmi: IpmiConfig = field(default_factory=IpmiConfig)
    nut: tuple[NutConfig, ...] = ()
    xfs: tuple[XfsConfig, ...] = ()
    traps: TrapsConfig = field(default_factory=TrapsConfig)
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    by_risk: bool = True
    commands: CommandsConfig = field(default_factory=CommandsConfig)
    bundles: BundlesConfig = field(default_factory=BundlesConfig)

    def kinds(self) -> dict[str, str]:
        """The kind of each source by its name, as the configuration file calls the tables."""
        one = (("system", self.system), ("smart", self.smart), ("ipmi", self.ipmi), ("traps", self.traps))
        found = {table.name: kind for kind, table in one if table.enabled}
        if self.windows.enabled:
            found |= dict.fromkeys(self.windows.names().values(), "windows")
        many = (("snmp", self.snmp), ("serial", self.serial), ("nut", self.nut), ("xfs", self.xfs))
        return found | {device.name: kind for kind, devices in many for device in devices if device.enabled}

    def switched_off(
        self,
    ) -> list[SmartConfig | IpmiConfig | TrapsConfig | SnmpConfig | SerialConfig | NutConfig | XfsConfig]:
        """What is written down with `enabled = false`. Not the machine itself: a terminal that is not to be read says nothing of it; nor Windows' parts, which
        other systems have to switch off so.
        """
        sections = [each for each in (self.smart, self.ipmi, self.traps) if each.where]
        return [each for each in (*sections, *self.snmp, *self.serial, *self.nut, *self.xfs) if not each.enabled]

    @property
    def compiled(self) -> Path:
        """Where the compiled profiles are kept."""
        return self.profiles.compiled or self.state_dir


def loopback(host: str) -> bool:
    parts = host.split(".")
    return host in {"localhost", "::1"} or (len(parts) == 4 and parts[0] == "127" and all(map(str.isdecimal, parts)))
