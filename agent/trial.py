"""`tillwatch-agent try`: reads one device once, a recorded or a living one, and shows what the agent would make of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tillwatch.agent.axes import by_axis
from tillwatch.agent.model import Sample, State
from tillwatch.agent.settings import loopback
from tillwatch.agent.snmp_arguments import add_snmp_arguments, split_address, target_of
from tillwatch.agent.sources import Source, SourceError
from tillwatch.agent.sources.snmp import read_all, recognise_device
from tillwatch.agent.sources.snmp_client import SnmpClient, SnmpTarget, open_client
from tillwatch.agent.sources.snmp_map import bind, evaluate, today
from tillwatch.agent.sources.snmprec import Replay, read_recording
from tillwatch.device_profiles.compiled import HERE, CompiledError, Library, compile_folder, own_files
from tillwatch.device_profiles.model import Axis

_WIDTHS = (44, 30, 28, 8)


@dataclass(frozen=True, slots=True)
class Trial:
    """What one reading of a device gave. profile: ids joined by `+`; None where no profile fits. components: each with its axes.
    versions: of each profile, as it is in force. untested: profiles without a recording.
    """

    profile: str | None
    samples: tuple[Sample, ...]
    omitted: int = 0
    components: Mapping[str, Mapping[Axis, State]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    untested: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON. A reading that the profile does not judge is ok if it has a value, else unknown."""
        return {"profile": self.profile, "readings": [_reading(sample) for sample in self.samples]}

    def axes(self) -> list[dict[str, str]]:
        """For JSON: fitness, supply and security of each component, where anything is judged on it."""
        return [
            {"component": name, **{axis.value: state.name.lower() for axis, state in axes.items()}}
            for name, axes in self.components.items()
        ]


def state_of(sample: Sample) -> str:
    """A reading that nobody judges is ok if it has a value, else unknown."""
    if sample.state is State.NONE:
        return "unknown" if sample.value is None else "ok"
    return sample.state.name.lower()


def _reading(sample: Sample) -> dict[str, Any]:
    return {
        "component": sample.component,
        "label": sample.label,
        "signal": sample.signal,
        "value": sample.value,
        "unit": sample.unit,
        "state": state_of(sample),
        "oid": sample.oid,
    }


async def try_client(name: str, client: SnmpClient, library: Library, profile: str = "") -> Trial:
    """Everything that the device's profiles read. profile: use this one instead of finding it. Raises SourceError."""
    ids = (profile,) if profile else await recognise_device(client, library)
    if not ids:
        return Trial(None, ())
    try:
        profiles = [library.profile(each) for each in ids]
    except KeyError:
        known = ", ".join(library.ids)
        raise SourceError(f"no profile {profile!r}; write one of {known}") from None
    raws = await read_all(client, profiles)
    binding = bind(name, profiles, raws)
    samples = tuple(evaluate(binding.bounds, raws, today()))
    signals = library.signals() | {bound.item.signal.name: bound.item.signal for bound in binding.bounds}
    versions = {each: library.version(each) for each in ids}
    axes = by_axis(samples, signals)
    return Trial("+".join(ids), samples, binding.omitted, axes, versions, library.untested(ids))


async def try_snmprec(path: Path, library: Library, profile: str = "") -> Trial:
    """A recorded device; its name is the file's. Raises SourceError."""
    return await try_client(path.stem, Replay(read_recording(path)), library, profile)


async def try_snmp(target: SnmpTarget, library: Library, profile: str = "") -> Trial:
    """A living device; its name is the host's. Raises SourceError."""
    client = open_client(target)
    try:
        return await try_client(target.host, client, library, profile)
    finally:
        await client.close()


async def try_serial(port: str, shim: str, mode: str = "") -> Trial:
    """A device on a serial line; the profile is the shim's name. mode: empty takes the shim's own. Raises SourceError, ValueError."""
    from tillwatch.agent.sources.serial import source as serial_source  # noqa: PLC0415 - only where a port is asked for
    from tillwatch.firmware_shims.base import ShimError  # noqa: PLC0415 - the same

    try:
        name = Path(shim).stem
        source = serial_source(name, port, shim, mode=mode)
    except ShimError as error:
        raise SourceError(str(error)) from error
    return await _try_source(shim, source)


async def try_nut(address: str, ups: str) -> Trial:
    """A UPS of a running upsd. Raises SourceError, ValueError."""
    from tillwatch.agent.sources.nut import PORT, NutSource  # noqa: PLC0415 - only where one is asked for

    host, port = split_address(address, PORT)
    return await _try_source("nut", NutSource(ups or "ups", host, port, ups))


async def try_xfs(address: str, *, tls: bool) -> Trial:
    """The XFS4IoT services of a machine. Raises SourceError, ValueError."""
    import ssl  # noqa: PLC0415 - only where they are asked for

    from tillwatch.agent.sources.xfs4iot import XfsSource  # noqa: PLC0415 - the same

    host, port = split_address(address, 0)
    return await _try_source(
        "xfs4iot", XfsSource("atm", host, port=port, tls=ssl.create_default_context() if tls else None)
    )


async def try_windows(path: Path) -> Trial:
    """A recorded Windows machine. A part that cannot be read is told on stderr. Raises SourceError where none can, OSError, ValueError."""
    from tillwatch.agent.sources.windows_recorded import recorded_sources  # noqa: PLC0415 - only where one is asked for

    samples: list[Sample] = []
    faults: list[str] = []
    for source in recorded_sources(path):
        try:
            samples += (await _try_source("windows", source)).samples
        except SourceError as error:
            faults.append(f"{source.name}: {error}")
    if not samples:
        raise SourceError("; ".join(faults))
    for fault in faults:
        print(f"try: {fault}", file=sys.stderr)
    return Trial("windows", tuple(samples))


async def _try_source(profile: str, source: Source) -> Trial:
    try:
        samples = [sample for wanted in sorted(source.classes) for sample in await source.poll(wanted)]
    finally:
        await source.close()
    return Trial(profile, tuple(samples))


def _wide(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(trial: Trial) -> str:
    """For people: one line a reading."""

    def line(*cells: str) -> str:
        padded = (cell + " " * max(0, width - _wide(cell)) for cell, width in zip(cells, (*_WIDTHS, 0), strict=False))
        return "  ".join(padded).rstrip()

    rows = [line("component", "signal", "value", "state", "oid")]
    for sample in trial.samples:
        value = "-" if sample.value is None else f"{sample.value} {sample.unit}".strip()
        rows.append(line(sample.component, sample.signal, value, state_of(sample), sample.oid))
    if trial.components:
        rows += ["", line("component", *Axis)]
        rows += [
            line(name, *(axes[axis].name.lower() if axis in axes else "-" for axis in Axis))
            for name, axes in trial.components.items()
        ]
    head = f"profile {trial.profile}, {len(trial.samples)} readings"
    if trial.versions:
        head += ", by " + "+".join(f"{name} {version}" for name, version in trial.versions.items())
    if trial.untested:
        head += f"\nuntested, no recording beside it: {', '.join(trial.untested)}"
    return "\n".join([head if trial.profile else "no profile fits this device", *(rows if trial.samples else ())])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `try`."""
    device = parser.add_mutually_exclusive_group(required=True)
    device.add_argument("recording", nargs="?", type=Path, metavar="DEVICE.snmprec", help="a recorded device")
    device.add_argument("--snmp", metavar="HOST[:PORT]", help="a living device; an IPv6 address in [brackets]")
    device.add_argument("--serial", metavar="PORT", help="a device on a serial line, such as /dev/ttyUSB0 or COM3")
    device.add_argument("--nut", metavar="HOST[:PORT]", help="a UPS of a running upsd (Network UPS Tools)")
    device.add_argument("--windows", type=Path, metavar="FILE.json", help="a recorded Windows machine")
    device.add_argument("--xfs", metavar="HOST[:PORT]", help="the XFS4IoT services of a self-service terminal")
    parser.add_argument("--ups", default="", help="with --nut: the UPS's name there; not needed if there is one only")
    parser.add_argument(
        "--no-tls", action="store_true", help="with --xfs: ws instead of wss; so on this machine itself"
    )
    parser.add_argument(
        "--shim", help="with --serial: how the device speaks, such as megatec_q1, or a dialogue's .yaml file"
    )
    parser.add_argument(
        "--mode",
        default="",
        choices=("exclusive", "tap", "hosted"),
        help="with --serial: own the port, listen beside the host, or take what a program hands over; else what the shim may",
    )
    parser.add_argument(
        "--profile", default="", help="use this profile, by name or as a .yaml file, instead of finding it"
    )
    parser.add_argument(
        "--profiles", type=Path, metavar="DIR", help="a bank's own profiles, which stand beside the shipped ones"
    )
    add_snmp_arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def compiled(own: Sequence[Path] = ()) -> Library:
    """Out of the YAML itself, so that a profile can be tried while it is written. own: files beside the shipped ones."""
    from tillwatch.device_profiles.yaml_nodes import ProfileError  # noqa: PLC0415 - PyYAML, in this one-shot command only

    try:
        return Library(compile_folder(own=own))
    except ProfileError as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        raise SourceError(f"{error.filename}: {error.strerror}; give a profile's name or its file") from error


def _own(folder: Path | None) -> tuple[Path, ...]:
    try:
        return own_files(folder)
    except OSError as error:
        raise SourceError(f"{error.filename}: {error.strerror}; give a folder of profiles") from error


async def _read(args: argparse.Namespace) -> Trial:
    if args.serial:
        if not args.shim:
            raise ValueError("--serial needs --shim NAME: how the device speaks")
        return await try_serial(args.serial, args.shim, args.mode)
    if args.nut:
        return await try_nut(args.nut, args.ups)
    if args.windows:
        return await try_windows(args.windows)
    if args.xfs:
        return await try_xfs(args.xfs, tls=not (args.no_tls or loopback(split_address(args.xfs, 0)[0])))
    own, profile = _own(args.profiles), args.profile
    if profile.endswith(".yaml"):
        path = Path(profile)
        profile = path.stem
        if not path.resolve().is_relative_to(HERE) and path.resolve() not in {each.resolve() for each in own}:
            own = (*own, path)
    library = compiled(own)
    if args.snmp:
        return await try_snmp(target_of(args, args.snmp), library, profile)
    return await try_snmprec(args.recording, library, profile)


def run(args: argparse.Namespace) -> int:
    """Prints the trial. 0: the device was read, also when no profile fits; 1: it was not, and stderr says why."""
    try:
        trial = asyncio.run(_read(args))
    except (SourceError, CompiledError, ValueError, ImportError, OSError) as error:
        print(f"try: {error}", file=sys.stderr)
        return 1
    if trial.omitted:
        print(f"try: {trial.omitted} rows of large tables are left out", file=sys.stderr)
    plain = trial.plain()
    if trial.versions:
        plain |= {"components": trial.axes(), "versions": trial.versions, "untested": trial.untested}
    print(json.dumps(plain, ensure_ascii=False) if args.json else table(trial))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """`try` by itself, for whoever has no other command line."""
    parser = argparse.ArgumentParser(
        prog="tillwatch-agent try", description="Reads one device once and shows what the agent makes of it."
    )
    add_arguments(parser)
    return run(parser.parse_args(argv))
