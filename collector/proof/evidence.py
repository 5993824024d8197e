"""The commands that prove: a bundle for one reading, its check anywhere, the walk over the whole log, and who did what."""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.commands.acts import ActError, act, prepare_data_dir
from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.proof import audit, bundle
from tillwatch.collector.proof.prove import ProofError, prove
from tillwatch.collector.proof.verify import Verified, verify_log
from tillwatch.collector.store import done
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.requests import RequestError
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import AuthorityError, open_authority
from tillwatch.collector.trust.pinned import own_authority

NS = 1_000_000_000
DONE, FAILED = 0, 1


def run_prove(config: Config, options: argparse.Namespace) -> int:
    try:
        asked = datetime.fromisoformat(options.time).astimezone()
    except ValueError:
        msg = f"{options.time!r} is no time; write for example 2026-11-21T14:05:00+01:00"
        raise CommandError(msg) from None
    at = int(asked.timestamp()) * NS + asked.microsecond * 1000
    # Opened first: the one who asks may be root, and what follows is done as the collector's user.
    file = Path(options.output or f"{options.terminal}.proof")
    with _said(), file.open("wb") as out:
        try:
            said = _prove(config, options, at, out)
        except BaseException:
            file.unlink()
            raise
    said = {"file": str(file), **said}
    if options.json:
        print(json.dumps(said, ensure_ascii=False, indent=2))
        return DONE
    print(f"{options.terminal} {options.component} {options.signal} = {said['value']!r} at {said['at']}")
    print(f"proven by entry {said['entry']} of the log; to check it anywhere:")
    print(f"  tillwatch-collector verify {file} --trust {said['trust']}")
    return DONE


def _prove(config: Config, options: argparse.Namespace, at: int, out: IO[bytes]) -> dict[str, Any]:
    prepare_data_dir(config.collector.data_dir)
    with closing(reading(config.store)) as db:
        db.execute("BEGIN")
        authority = own_authority(config.authority, config.store)
        made = prove(db, authority, options.terminal, options.component, options.signal, at, time.time_ns())
        db.execute("COMMIT")
        what = {"terminal": options.terminal, "component": options.component, "signal": options.signal}
        # The record of an export comes before the export.
        act(config, {"action": "export", **what, "n": made.n, "digest": sha256(made.bundle).digest()})
        out.write(made.bundle)
    return {
        "at": _iso(made.reading.at),
        "value": made.reading.value,
        "entry": made.n,
        "trust": authority.fingerprint.hex(),
    }


def run_verify(config: Config, options: argparse.Namespace) -> int:
    if options.log == bool(options.bundle):
        msg = "name a bundle with --trust FINGERPRINT, or write --log for the whole log"
        raise CommandError(msg)
    return _verify_log(config, options) if options.log else _verify_bundle(options)


def _verify_bundle(options: argparse.Namespace) -> int:
    trusted = re.sub(r"[\s:]", "", options.trust or "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", trusted):
        msg = "--trust is the SHA-256 of the CA certificate, 64 hexadecimal digits, as `prove` or the bank's own record has it"
        raise CommandError(msg)
    try:
        with open(options.bundle, "rb") as file:
            content = file.read(bundle.MAX_BUNDLE + 1)
    except OSError as error:
        msg = f"{options.bundle}: {error.strerror}"
        raise CommandError(msg) from None
    steps, reading = bundle.verify(content, bytes.fromhex(trusted))
    if options.json:
        shown = {"ok": reading is not None, "steps": [asdict(step) for step in steps], "reading": _readable(reading)}
        print(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        for step in steps:
            print(f"{'ok  ' if step.ok else 'FAIL'}  {step.name}: {step.text}")
        if reading is not None:
            print(f"proven: {_iso(reading['at'])}")
    return DONE if reading is not None else FAILED


def _readable(reading: dict[str, Any] | None) -> dict[str, Any] | None:
    return reading | {"at": _iso(reading["at"])} if reading is not None else None


def _verify_log(config: Config, options: argparse.Namespace) -> int:
    with _said(), closing(_owned(config)) as db:
        made = open_authority(config.authority) if config.authority.exists() else None
        authority = made.certificate if made is not None else None
        own = VerifyKey(made.ack_key.public) if made is not None else None
        (head,) = db.execute("SELECT coalesce(max(n), 0) FROM journal").fetchone()
        shown = sys.stderr.isatty()

        def progress(n: int) -> None:
            if shown:
                print(f"\r{n} of {head} entries", end="", file=sys.stderr, flush=True)

        began = time.monotonic()
        found = verify_log(db, authority, progress, own)
        if shown:
            print("\r", end="", file=sys.stderr)
    said = "" if found.ok else f"{found.faults[0].what} at entry {found.faults[0].n}: {found.faults[0].text}"
    with suppress(OSError):  # it is said here all the same
        done.keep(config.database, done.VERIFIED, time.time_ns(), ok=found.ok, text=said, entries=found.entries)
    if options.json:
        print(json.dumps(_log_fields(found), ensure_ascii=False, indent=2))
    else:
        _print_log(found, time.monotonic() - began)
    return DONE if found.ok else FAILED


def _log_fields(found: Verified) -> dict[str, Any]:
    return {
        "ok": found.ok,
        "entries": found.entries,
        "head": found.head.hex(),
        "frames": found.frames,
        "bytes": found.bytes,
        "retired": found.retired,
        "unbound": found.unbound,
        "losses": [asdict(loss) | {"epoch": loss.epoch.hex()} for loss in found.losses],
        "faults": [asdict(fault) for fault in found.faults],
        "counts": dict(found.count),
    }


def _print_log(found: Verified, took: float) -> None:
    for fault in found.faults:
        where = f"entry {fault.n}" if fault.n == fault.last else f"entries {fault.n} to {fault.last}"
        print(f"FAIL  {fault.what}, {where}: {fault.text}")
    if (more := sum(found.count.values()) - len(found.faults)) > 0:
        print(f"FAIL  and {more} more")
    for loss in found.losses:
        count = loss.last - loss.first + 1
        print(f"loss  entry {loss.n}: {loss.terminal} declared {count} batches gone, seq {loss.first} to {loss.last}")
    if found.retired:
        print(
            f"note  {found.retired} entries are retired: their digests are in the chain, their frames are gone by rule"
        )
    if found.unbound:
        print(f"note  {found.unbound} key acts are older than the authority's bindings; an export has them signed then")
    verdict = "ok  " if found.ok else "FAIL"
    print(
        f"{verdict}  {found.entries} entries, {found.frames} sealed frames ({found.bytes / 1024**2:.1f} MiB) in {took:.1f} s"
    )
    print(f"      head {found.head.hex()}")


def run_audit(config: Config, options: argparse.Namespace) -> int:
    with _said(), closing(_owned(config)) as db:
        acts = list(audit.acts(db))
        waiting = audit.waiting(db)
    if options.json:
        print(
            json.dumps(
                [audit.fields(one) for one in acts] + [{"waiting": one} for one in waiting],
                ensure_ascii=False,
                indent=2,
            )
        )
    else:
        for one in acts:
            said = {**one.detail, **({"signature": "made"} if "signature" in one.detail else {})}
            detail = " ".join(f"{key}={value}" for key, value in said.items() if value != "")
            print(
                f"{'ok  ' if one.ok else 'FAIL'}  {one.n:>8}  {_iso(one.at)}  {one.actor:<16} {one.action:<10} {one.terminal} {detail}".rstrip()
            )
        for facts in waiting:
            print(
                f"wait  not journaled yet: {facts.get('actor')} {facts.get('action')} {facts.get('terminal', '')}".rstrip()
            )
    return DONE if all(one.ok for one in acts) else FAILED


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / NS).astimezone().isoformat(timespec="milliseconds")


def _owned(config: Config) -> Db:
    prepare_data_dir(config.collector.data_dir)
    return reading(config.store)


@contextmanager
def _said() -> Iterator[None]:
    """What goes wrong underneath, in one line."""
    try:
        yield
    except (ProofError, ActError, RequestError, StoreError, AuthorityError, OSError, sqlite3.Error) as error:
        raise CommandError(str(error)) from error
