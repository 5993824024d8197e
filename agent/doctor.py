"""`tillwatch-agent doctor`: looks at everything the agent needs, one line each with the mend. It changes nothing and can run beside the agent."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from tillwatch.agent import clock, config, identity, service, setup_check, spool_file
from tillwatch.agent.enrolment import renewal
from tillwatch.agent.identity import HeldError, Identity, IdentityError, NotEnrolledError
from tillwatch.agent.model import PollClass
from tillwatch.agent.prepared import library_of
from tillwatch.agent.protection import ProtectionError, Protector
from tillwatch.agent.settings import Config, ConfigError, Intervals
from tillwatch.agent.sources import Source
from tillwatch.agent.switches import SwitchedOff, Switches
from tillwatch.agent.uplink import tls_context, where_to
from tillwatch.agent.write_filter import WriteFilter, WriteFilterError, here

TIMEOUT = 15.0
"""Seconds for the broker and for one poll of one source: a person waits."""
REFUSED = 5
KEY = "key"
SOON = 30 * 86_400
"""Seconds before its end that a certificate is spoken of: the automatic rotation renews it years before."""
LATE = 14 * 86_400
"""Seconds that a rotation may be overdue: it is tried daily."""
BECAUSE = frozenset({"drive.access.reason", "pos.statistics.reason"})
"""Signals that say why a part of a source that answers could not be read."""
SHOWN = 3
LOW_DISK = 1.5
"""Times the spool's limit that should be free: the file, its log, and a damaged one that was moved aside."""


@dataclass(frozen=True, slots=True)
class Finding:
    """result: `ok`, `warn` or `fail`. mend: what to do, empty for ok."""

    check: str
    result: str
    text: str
    mend: str = ""


def run(args: argparse.Namespace) -> int:
    """Exit code 5 if the collector refuses this terminal's key, 1 if anything else fails."""
    findings = asyncio.run(look(args))
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            print(_line(finding))
    failed = [finding.check for finding in findings if finding.result == "fail"]
    return REFUSED if KEY in failed else int(bool(failed))


def _line(finding: Finding) -> str:
    mark = f"{finding.result:4}"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        mark = {"ok": "\033[32m", "warn": "\033[33m", "fail": "\033[31m"}[finding.result] + mark + "\033[0m"
    mend = f"\n     -> {finding.mend}" if finding.mend else ""
    return f"{mark} {finding.check}: {finding.text}{mend}"


async def look(args: argparse.Namespace, *, sources: bool = True) -> list[Finding]:
    """sources: whether each of them is polled; the running agent knows that better, and it takes up to TIMEOUT each."""
    try:
        settings = config.load(args.config, args.state_dir)
    except ConfigError as error:
        return [Finding("configuration", "fail", str(error), "mend the line; nothing else was checked")]
    found = [Finding("configuration", "ok", str(settings.path or "none; the machine itself is read"))]
    found += _state_dir(settings)
    who: Identity | None = None
    try:
        who = identity.load(settings.state_dir)
        found.append(
            Finding(
                "identity", "ok", f"terminal {who.terminal}, branch {who.branch or '-'}, key {who.key.key_id.hex()}"
            )
        )
    except NotEnrolledError as error:
        found.append(Finding("identity", "fail", str(error), "tillwatch-agent enrol TOKEN"))
        found += [Finding(*each) for each in await asyncio.to_thread(_image, settings)]
    except IdentityError as error:
        found.append(Finding("identity", "fail", str(error), "see the text"))
    found += _protection(settings, identity.protector())
    if who is not None:
        found += [Finding(*each) for each in await asyncio.to_thread(_copied, settings, who)]
    found += [Finding(*each) for each in setup_check.of_setup(settings)]
    found += [*_spool(settings), *_filter(settings, here()), _clock(), _disk(settings)]
    found += [_commands(settings), _bundles(settings)]
    if sources:
        found += [finding async for finding in _sources(settings)]
    if who is not None:
        found.append(await _broker(settings, who))
        found += _certificate(who)
        found.append(await asyncio.to_thread(_key, who))
    return found


def _image(settings: Config) -> list[tuple[str, str, str, str]]:
    from tillwatch.agent.enrolment import machine_check  # noqa: PLC0415 - X.509, in this process only

    return list(machine_check.of_image(settings))


def _copied(settings: Config, who: Identity) -> list[tuple[str, str, str, str]]:
    from tillwatch.agent.enrolment import machine_check  # noqa: PLC0415 - the same

    return list(machine_check.of_copy(settings, who))


def _state_dir(settings: Config) -> Iterator[Finding]:
    folder = settings.state_dir
    if not folder.is_dir():
        yield Finding(
            "state directory",
            "fail",
            f"{folder} is not there",
            "tillwatch-agent service install makes it"
            if sys.platform == "win32"
            else f"create it for the agent's user: install -d -m 700 {folder}",
        )
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            "state directory", "fail", f"{folder} cannot be written by this user", "run this as the agent's user"
        )
    elif sys.platform != "win32" and folder.stat().st_mode & 0o022:
        yield Finding("state directory", "warn", f"others can write {folder}", f"chmod 700 {folder}")
    else:
        yield Finding("state directory", "ok", str(folder))


def _protection(settings: Config, of: Protector) -> Iterator[Finding]:
    """Where the machine can encrypt its secrets: whether it has."""
    if not of.encrypts:
        return
    from tillwatch.agent.windows.migration import unprotected  # noqa: PLC0415 - Windows only

    try:
        plain = [file.name for file in unprotected(settings.state_dir, of)]
    except (OSError, ProtectionError) as error:
        yield Finding("keys", "warn", str(error), "run this as an administrator")
        return
    if plain:
        yield Finding(
            "keys",
            "warn",
            f"{', '.join(plain)} lie there unprotected: a copy works on any machine",
            "stop the agent and start it again, or: tillwatch-agent service install; then tillwatch-agent rotate",
        )
    else:
        yield Finding("keys", "ok", "protected by this machine's key")


def _running(settings: Config) -> bool:
    if not (settings.state_dir / identity.LOCK).exists():
        return False
    try:
        with identity.hold(settings.state_dir):
            return False
    except HeldError:
        return True
    except IdentityError:
        return False


def _spool(settings: Config) -> Iterator[Finding]:
    file = settings.state_dir / identity.SPOOL
    if not file.exists():
        yield Finding("spool", "ok", "none yet; the agent makes it at its first start")
    else:
        try:
            with closing(spool_file.connect(file, read_only=True)) as db:
                said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
                waiting = db.execute("SELECT count(*) FROM sealed").fetchone()[0]
                parked = db.execute("SELECT count(*) FROM parked").fetchone()[0]
                why = _why(db)
        except sqlite3.Error as error:
            yield Finding(
                "spool",
                "fail",
                f"{file}: {error}",
                "the agent moves a damaged spool aside at its next start; nothing is to be done by hand",
            )
        else:
            if said != "ok":
                yield Finding(
                    "spool",
                    "fail",
                    f"{file}: {said}",
                    "restart the agent: it moves the damaged spool aside and begins a new one",
                )
            elif parked:
                yield Finding(
                    "spool", "warn", f"{waiting} batches wait, {parked} were refused", "see tillwatch-agent show"
                )
            else:
                yield Finding("spool", "ok", f"{waiting} batches wait")
            if why:
                yield Finding(
                    "history",
                    "warn",
                    f"the present epoch began because {why}",
                    "look for a second machine with this identity, a restored disk, a write filter over the state directory",
                )
    aside = sorted(settings.state_dir.glob("spool.corrupt-*"))
    if aside:
        yield Finding(
            "damaged spools",
            "warn",
            f"{len(aside)} were moved aside, the last is {aside[-1].name}",
            "check the disk; keep them for support or delete them",
        )


def _why(db: sqlite3.Connection) -> str:
    """Why the present epoch began; empty too in a spool that an older agent left."""
    if db.execute("PRAGMA user_version").fetchone()[0] < spool_file.WHY_SINCE:
        return ""
    row = db.execute("SELECT why FROM epochs ORDER BY gen DESC LIMIT 1").fetchone()
    return str(row[0]) if row else ""


def _filter(settings: Config, of: WriteFilter | None) -> Iterator[Finding]:
    try:
        state = of.state() if of is not None else None
    except WriteFilterError as error:
        yield Finding(
            "write filter", "warn", str(error), "run this as an administrator, or look with uwfmgr get-config"
        )
        return
    if state is not None and state.discards(str(settings.state_dir)):
        yield Finding(
            "write filter",
            "fail",
            f"what is written to {settings.state_dir} is discarded at the next start of the machine",
            f"uwfmgr file add-exclusion {settings.state_dir}, then restart; or move state_dir to a volume without a filter",
        )
    elif state is not None:
        yield Finding(
            "write filter", "ok", "on, and the state directory is written through" if state.enabled else "off"
        )


def _clock() -> Finding:
    source = clock.source()
    if source.src == "unsync":
        return Finding(
            "clock",
            "warn",
            f"not synchronised (error up to {source.err_ms} ms)",
            "start the machine's NTP client; until then reading times are corrected by the collector",
        )
    return Finding("clock", "ok", f"{source.src}, error up to {source.err_ms} ms" if source.err_ms else source.src)


def _bundles(settings: Config) -> Finding:
    """What runs beside the file, and what became of the last one."""
    if not settings.bundles.enabled:
        return Finding("bundles", "ok", "off: this terminal runs its own configuration alone")
    from tillwatch.agent.bundles import keeping  # noqa: PLC0415 - only where the operator lets bundles in

    report = keeping.load(keeping.folder_of(settings.state_dir)).report()
    runs = f"runs {report.name} ({report.digest[:12]})" if report.name else "runs its own configuration alone"
    said = "; ".join(filter(None, (f"{runs}; the last one is {report.state}", report.words)))
    if report.words:
        return Finding("bundles", "warn", said, "publish a bundle without what is wrong, on the collector")
    return Finding("bundles", "ok", said)


def _commands(settings: Config) -> Finding:
    if not settings.commands.enabled:
        return Finding("commands", "ok", "off: nobody can ask this terminal anything from a distance")
    return Finding("commands", "ok", f"this terminal takes {', '.join(settings.commands.allow)} from its collector")


def _disk(settings: Config) -> Finding:
    try:
        free = shutil.disk_usage(settings.state_dir).free
    except OSError as error:
        return Finding("disk", "fail", f"{settings.state_dir}: {error.strerror}", "see state directory")
    if sys.platform != "win32" and os.statvfs(settings.state_dir).f_flag & os.ST_RDONLY:
        return Finding(
            "disk",
            "fail",
            f"{settings.state_dir} lies on a file system that is read-only",
            "look at the disk: dmesg, fsck, mount",
        )
    file = settings.state_dir / identity.SPOOL
    wanted = LOW_DISK * settings.spool.max_bytes - (file.stat().st_size if file.exists() else 0)
    text = f"{free >> 20} MiB free for a spool of at most {settings.spool.max_bytes >> 20} MiB"
    if free < wanted:
        return Finding("disk", "warn", text, "free some, or set a smaller [spool] max_bytes")
    return Finding("disk", "ok", text)


async def _sources(settings: Config) -> AsyncIterator[Finding]:
    try:
        library = library_of(settings)
        sources = service.sources_of(settings, lambda _: library, {}, remember=False)
    except ConfigError as error:
        yield Finding("sources", "fail", str(error), "mend the configuration")
        return
    if settings.windows.enabled:
        from tillwatch.agent.sources.windows import MEND, UNTRIED  # noqa: PLC0415 - only what is configured is imported

        yield Finding("windows", "warn", UNTRIED, MEND)
    switches = Switches(settings.state_dir, settings.kinds())
    running = _running(settings)
    alone = {device.name for device in settings.serial} | ({settings.traps.name} if settings.traps.enabled else set())
    for source, intervals in sources:
        if why := source.why if isinstance(source, SwitchedOff) else switches.why_off(source.name):
            yield Finding(f"source {source.name}", "warn", why, "nothing is known of it until it is switched on again")
        elif running and source.name in alone:
            yield Finding(
                f"source {source.name}", "ok", "not asked: the running agent has the port; see the fleet page"
            )
        else:
            yield await _poll(source, intervals)


async def _poll(source: Source, intervals: Intervals) -> Finding:
    check = f"source {source.name}"
    wanted = next(each for each in (PollClass.NORMAL, PollClass.FAST, PollClass.SLOW) if each in source.classes)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT):
            samples = await source.poll(wanted)
    except TimeoutError:
        return Finding(check, "fail", f"no answer in {TIMEOUT:.0f} s", "look at power, cable and address")
    except Exception as error:  # whatever a source does, the other checks go on
        return Finding(check, "fail", str(error) or type(error).__name__, "see the text")
    finally:
        await source.close()
    text = f"{len(samples)} values of {len({sample.component for sample in samples})} components"
    took, every = time.monotonic() - begun, intervals.of(wanted)
    if took > every:
        text = f"{text}, after {took:.1f} s: longer than the {every:g} s after which it is asked again"
        return Finding(check, "warn", text, f"set a longer `{wanted.value}` for it")
    asleep = {each.component for each in samples if each.value == "asleep"}
    because = [each for each in samples if each.signal in BECAUSE and each.value and each.component not in asleep]
    reasons = [f"{each.component}: {each.value}" for each in because]
    if reasons:
        return Finding(
            check, "warn", f"{text}; {'; '.join(reasons[:SHOWN])}", "give the agent's user the right to ask it"
        )
    return Finding(check, "ok", text)


async def _broker(settings: Config, who: Identity) -> Finding:
    """Reaches for the broker and proves both certificates. No MQTT session: it would throw the running agent's out."""
    try:
        broker = where_to(settings.collector, who.broker)
        tls = tls_context(settings.collector, settings.state_dir) if broker.tls else None
    except ConfigError as error:
        return Finding("broker", "fail", str(error), "enrol again, or mend [collector]")
    where = f"{broker.host}:{broker.port}"
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(broker.host, broker.port, ssl=tls)
            if tls is not None:
                await _accepted(reader)
            writer.transport.abort()
    except TimeoutError:
        return Finding(
            "broker", "fail", f"{where}: no answer in {TIMEOUT:.0f} s", "look at the network and the firewall"
        )
    except ssl.SSLCertVerificationError as error:
        mend = "it is not the collector that enrolled this terminal, or its CA is another now: compare `tillwatch-collector doctor` there, then enrol again; remove `ca` in [collector] if it is set; look at the clock"
        return Finding("broker", "fail", f"{where}: TLS: {error.verify_message or error}", mend)
    except ssl.SSLError as error:
        return Finding(
            "broker",
            "fail",
            f"{where}: TLS: {error}",
            "refused by the broker: revoked, ended, or not of the enrolment's CA; see `certificate` and `key` below",
        )
    except OSError as error:
        return Finding(
            "broker", "fail", f"{where}: {error}", "look at the address, the network and that the broker runs"
        )
    return Finding(
        "broker", "ok", f"{where}, {'TLS with both certificates' if tls else 'without TLS, on this machine'}"
    )


def _certificate(who: Identity) -> Iterator[Finding]:
    if not who.broker.tls:
        return
    from tillwatch.agent.enrolment import rotate  # noqa: PLC0415 - X.509, in this process only

    try:
        ends = rotate.certificate_ends(who)
    except (OSError, ValueError) as error:
        yield Finding("certificate", "fail", f"{who.state_dir / identity.TLS_CERT}: {error}", "tillwatch-agent rotate")
        return
    left, day = (ends - clock.now()) / 1e9, _day(ends)
    if left <= 0:
        yield Finding("certificate", "fail", f"ended on {day}: the broker refuses it", "tillwatch-agent rotate")
    elif left < SOON:
        yield Finding("certificate", "warn", f"ends on {day}", "tillwatch-agent rotate")
    else:
        yield Finding("certificate", "ok", f"until {day}")


def _key(who: Identity) -> Finding:
    """What the collector says of the key, and whether it is older than it should be."""
    from tillwatch.agent.enrolment import enrol, rotate  # noqa: PLC0415 - X.509 and HTTPS, in this process only

    name, since = who.key.key_id.hex(), _day(who.since)
    host, port = rotate.where(who)
    try:
        said = rotate.key_state(who)
    except enrol.EnrolError as error:
        mend = f"rotations need port {port} of {host}; readings go on without it until the key or the certificate is too old"
        return Finding("rotation", "warn", f"key {name} of {since}; {error}", mend)
    state, reason = str(said.get("state", "")), str(said.get("reason", ""))
    if state == "revoked":
        return Finding(
            KEY,
            "fail",
            f"the collector has revoked key {name}{': ' + reason if reason else ''}",
            "find out why; to take this terminal back, make a token there, then: tillwatch-agent enrol --force TOKEN",
        )
    if state not in {"active", "pending", "retiring"}:
        return Finding(
            KEY,
            "fail",
            f"the collector does not know key {name} for {who.terminal}",
            "was it restored from a backup? a running agent presents its rotations; else: tillwatch-agent enrol --force TOKEN",
        )
    if state == "retiring" or renewal.waiting(who.state_dir):
        return Finding(KEY, "warn", f"key {name} hands over to a new one", "start the agent: it takes the new key up")
    over = (clock.now() - who.since) / 1e9 - renewal.ROTATE_AFTER
    if over > LATE:
        text = f"{name} signs since {since}; it should have been rotated {over / 86_400:.0f} days ago"
        return Finding(KEY, "warn", text, "tillwatch-agent rotate")
    due = _day(who.since + renewal.ROTATE_AFTER * 1_000_000_000)
    return Finding(KEY, "ok", f"{name}, {state} at the collector since {since}; the next one is due on {due}")


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%d")


async def _accepted(reader: asyncio.StreamReader) -> None:
    """In TLS 1.3 a refused client certificate shows only at the first read; a broker that accepts it waits in silence for CONNECT."""
    try:
        async with asyncio.timeout(1.0):
            await reader.read(1)
    except TimeoutError:
        return
