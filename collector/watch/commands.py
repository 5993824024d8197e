"""`tillwatch-collector watchdog`: enrol, run or ask the watchdog. Asking needs its state directory alone: it answers also where nothing runs."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tillwatch.collector.commands.acts import ActError, prepare_data_dir
from tillwatch.collector.commands.output import CommandError, age, coloured, iso
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.logs import to_stderr
from tillwatch.collector.sections import WatchdogSection
from tillwatch.collector.tickets.signature import Secret, read_secrets
from tillwatch.collector.watch.complaints import MISSING
from tillwatch.collector.watch.delays import figures, kept
from tillwatch.collector.watch.identity import Identity, IdentityError, enrol, load, parse_token
from tillwatch.collector.watch.memory import MEMORY, Memory, fresh, recall

log = logging.getLogger(__name__)

LOCK = "watchdog.lock"
STALE_S = 180.0
"""Three times as long as a running watchdog leaves its memory alone."""


def run_watchdog(config: Config, options: argparse.Namespace) -> int:
    """The exit code. Raises CommandError and ConfigError."""
    settings = config.watchdog
    if settings is None:
        raise ConfigError(
            f"{config.source or 'the configuration'}: there is no [watchdog] section; see packaging/docs/drills.md"
        )
    if (options.action == "enrol") != bool(options.token):
        raise CommandError("`watchdog enrol` takes the token, the others take none")
    try:
        match options.action:
            case "enrol":
                return _enrol(settings, options.token)
            case "run":
                return _run(settings)
            case _:
                return _status(settings, as_json=options.json)
    except IdentityError as error:
        raise CommandError(str(error)) from None


def _enrol(settings: WatchdogSection, token: str) -> int:
    wanted = parse_token(token)
    try:
        prepare_data_dir(settings.state_dir)
    except ActError as error:
        raise CommandError(str(error).replace("data_dir in [collector]", "state_dir in [watchdog]")) from None
    identity = enrol(wanted, settings.state_dir)
    print(
        f"{identity.terminal} is enrolled; key {identity.key.key_id.hex()}. Start it, or start it again: systemctl restart tillwatch-watchdog"
    )
    return 0


def _run(settings: WatchdogSection) -> int:
    from tillwatch.collector.tickets.desks.webhook import WebhookPort  # noqa: PLC0415 - the other commands need none of it
    from tillwatch.collector.watch.complaints import Complaints  # noqa: PLC0415
    from tillwatch.collector.watch.receiver import ReceiverError  # noqa: PLC0415
    from tillwatch.collector.watch.run import Watchdog  # noqa: PLC0415

    to_stderr()
    assert settings.secret_file is not None
    secrets = _secrets(settings.secret_file, "secret_file")
    who = load(settings.state_dir)
    with _alone(settings.state_dir):
        complaints = None
        if settings.complain_secret_file is not None:
            signers = _secrets(settings.complain_secret_file, "complain_secret_file")
            try:
                complaints = Complaints(
                    settings.state_dir, WebhookPort(settings.complain_url, signers, name="complaints")
                )
            except ValueError as error:
                raise ConfigError(f"[watchdog] complain_url: {error}") from None
        else:
            log.warning("complaints are only logged and shown by `watchdog status`: set complain_url in [watchdog]")

        async def run() -> int:
            ended = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, ended.set)
            return await Watchdog(settings, who, _memory(settings.state_dir, who), secrets, complaints).run(ended)

        try:
            return asyncio.run(run())
        except (ReceiverError, OSError) as error:
            raise CommandError(str(error)) from None


def _secrets(file: Path, key: str) -> tuple[Secret, ...]:
    try:
        return read_secrets(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"[watchdog] {key}: {error}") from None


def _memory(state_dir: Path, who: Identity) -> Memory:
    """What is remembered, if it is of this key: what another one sealed is nobody's."""
    try:
        kept = recall(state_dir)
    except ValueError as error:
        log.error("%s is %s; a new epoch begins", state_dir / MEMORY, error)
        kept = None
    return kept if kept is not None and kept.key == who.key.key_id else fresh(who.key.key_id, time.time_ns())


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Two watchdogs under one key would fork its stream. The operating system lets go when the process ends, however it ends."""
    try:
        handle = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CommandError(f"{state_dir}: {error.strerror}; run this as the user that owns it") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(f"{state_dir}: another watchdog runs on it; stop that first") from None
        yield
    finally:
        os.close(handle)


def _status(settings: WatchdogSection, *, as_json: bool) -> int:
    said = status(settings, time.time_ns())
    if as_json:
        print(json.dumps(said, ensure_ascii=False, indent=2))
    else:
        print(f"{coloured('ok' if said['ok'] else 'fail')}  {said['text']}")
        told = said["figures"]
        if told and told["rounds"]:
            print(f"the last day: {told['rounds']} rounds, {told['late']} of them late")
            for stage, one in told["stages"].items():
                print(
                    f"  {stage:<11} p50 {one['p50_ms']:>9} ms   p99 {one['p99_ms']:>9} ms   most {one['most_ms']:>9} ms"
                )
        if said["warning"]:
            print(f"{coloured('warn')}  {said['warning']}")
    return 0 if said["ok"] else 1


def status(settings: WatchdogSection, now: int) -> dict[str, Any]:
    """ok: a round has gone the whole way, nothing is missing, and the watchdog runs. missing: the stage that has not been passed, or
    `watchdog`, or empty. Times are ISO 8601; now: UTC ns.
    """
    said: dict[str, Any] = {
        "ok": False,
        "missing": "watchdog",
        "text": "",
        "since": None,
        "whole": 0,
        "whole_at": None,
        "figures": {},
        "warning": "",
    }
    try:
        memory = recall(settings.state_dir)
        warning = load(settings.state_dir).warning(datetime.now(UTC))
    except ValueError as error:
        return said | {"text": f"{settings.state_dir / MEMORY} is {error}"}
    except OSError as error:
        return said | {
            "text": f"{settings.state_dir / MEMORY}: {error.strerror}; run this as root or as the watchdog's user"
        }
    except IdentityError as error:
        return said | {"text": str(error)}
    if memory is None:
        return said | {
            "text": "the watchdog is enrolled and has never run; start it: systemctl start tillwatch-watchdog"
        }
    said |= {
        "whole": memory.whole,
        "whole_at": iso(memory.whole_at) if memory.whole_at else None,
        "figures": figures(kept(memory.samples, now)),
        "warning": warning,
    }
    grievance, complaint = memory.grievance, memory.way.complaint
    if not 0 <= now - memory.written_at <= STALE_S * 1e9:
        return said | {
            "text": f"the watchdog does not run: it last said something {age(memory.written_at)}; systemctl status tillwatch-watchdog",
            "since": iso(memory.written_at),
        }
    if grievance is not None and complaint is not None:
        return said | {"missing": complaint.stage.value, "text": grievance.text, "since": iso(grievance.since)}
    if not memory.whole:
        stage = memory.way.round.missing if memory.way.round is not None else None
        text = (
            f"no round has gone the whole way yet; waiting: {MISSING[stage]}"
            if stage
            else "no round has gone the whole way yet"
        )
        return said | {"missing": stage.value if stage else "", "text": text}
    return said | {"ok": True, "missing": "", "text": f"round {memory.whole} went the whole way {age(memory.whole_at)}"}
