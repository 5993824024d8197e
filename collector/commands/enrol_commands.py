"""`enrol-token` and `enrol-status`: who may become a terminal, one at a time, as a batch of tokens for a list, or from an image; and who has become one since.
Nothing is handed out without its word in the log, which the collector journals before it lets a terminal use it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tillwatch.collector.commands.acting import moment, reading
from tillwatch.collector.commands.acts import ActError, act, act_all, actor, await_act, prepare_data_dir
from tillwatch.collector.commands.output import DONE, NS, USAGE, CommandError, iso, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.store import requests
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import AuthorityError
from tillwatch.collector.trust.expected import BATCH, MAX_GRANTS, Grant
from tillwatch.collector.trust.pinned import own_authority, pin
from tillwatch.collector.trust.registry import (
    IMAGE_PREFIX,
    MAX_LIFE_NS,
    SECRET,
    TOKEN_LIFE_NS,
    Enrolment,
    create_token,
    revoke_tokens,
    secret_digest,
    token_text,
)
from tillwatch.collector.trust.terminal_list import MAX_BYTES, Row, chunks, read_list

__all__ = ["CommandError", "listed", "run_enrol_status", "run_enrol_token"]

MAX_NAME = 64
"""Characters of the name of a batch or an image."""
HEADS = ("terminal", "token", "expires")
_NAMES = {"class": "terminal_class"}
"""Of options that are called otherwise in Python."""
_SPANS = {"h": 3600 * NS, "d": 86_400 * NS}


def run_enrol_token(config: Config, options: argparse.Namespace) -> int:
    ways = [name for name, given in (("TERMINAL", options.terminal), ("--list", options.list), ("--image", options.image), ("--revoke", options.revoke)) if given]  # fmt: skip
    if len(ways) != 1:
        told = "name a TERMINAL, or give --list, --image or --revoke"
        raise CommandError(f"{' and '.join(ways)} do not go together: {told}" if ways else told, USAGE)
    if not options.revoke:
        _host(config, options)  # before a folder is made that a mistake in the command line should not leave
    if options.terminal and (
        missing := [name for name in ("branch", "region", "class") if not vars(options)[_NAMES.get(name, name)]]
    ):
        raise CommandError(
            f"a token for one terminal needs --{missing[0]}; see tillwatch-collector enrol-token --help", USAGE
        )
    try:
        prepare_data_dir(config.collector.data_dir)
        if options.revoke:
            return _revoke(config, options)
        if options.image:
            return _image(config, options)
        return _batch(config, options) if options.list else _one(config, options)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from None
    except (ActError, StoreError, AuthorityError, requests.RequestError) as error:
        raise CommandError(str(error)) from None


def _one(config: Config, options: argparse.Namespace) -> int:
    enrolment = Enrolment(options.terminal, options.branch, options.region, options.terminal_class, options.ring)
    host, now, life = _host(config, options), time.time_ns(), _life(options)
    own = own_authority(config.authority, config.store)
    with closing(open_db(config.store)) as db:
        # One transaction: no token without its word in the log.
        db.execute("BEGIN IMMEDIATE")
        pin(db, config.store, own)
        token = create_token(
            db, enrolment, host=host, port=config.enrolment.port, ca=own.fingerprint, now=now, life_ns=life
        )
        place = {"terminal": options.terminal, "branch": options.branch, "region": options.region}
        requests.ask(db, {"action": "token", "actor": actor(), **place, "class": options.terminal_class})
        db.execute("COMMIT")
        known = db.execute("SELECT count(*) FROM terminal WHERE id = ?", (options.terminal,)).fetchone()[0]
    if options.json:
        fields = {name: value for name, value in asdict(enrolment).items() if name != "batch" and (value or name != "ring")}  # fmt: skip
        print_json(fields | {"token": token, "host": host, "port": config.enrolment.port, "expires": now + life})
        return DONE
    print(token)
    note = f"{options.terminal} is enrolled already; this token gives it new keys.\n" if known else ""
    good = "24 hours" if life == TOKEN_LIFE_NS else options.expires
    print(f"{note}Good once, for {good}. On the terminal: tillwatch-agent enrol TOKEN", file=sys.stderr)
    return DONE


def _batch(config: Config, options: argparse.Namespace) -> int:
    if options.out is None:
        raise CommandError("--list needs -o: a new CSV file, or a new folder for one file a terminal", USAGE)
    host, now, life = _host(config, options), time.time_ns(), _life(options)
    name = _name(options.name or f"{datetime.now(UTC):%Y-%m-%d}-{options.list.stem}")
    rows, digest = listed(options.list, serials=False)
    own = own_authority(config.authority, config.store)
    write = _writer(options.out)
    with closing(open_db(config.store)) as db:
        db.execute("BEGIN IMMEDIATE")
        pin(db, config.store, own)
        _is_new(db, name)
        tokens = {}
        for row in rows:
            enrolment = replace(row.enrolment, batch=name)
            tokens[enrolment.terminal] = create_token(
                db, enrolment, host=host, port=config.enrolment.port, ca=own.fingerprint, now=now, life_ns=life
            )
        facts = {"action": "token-batch", "actor": actor(), "name": name, "until": now + life, "count": len(rows), "source": options.list.name[:MAX_NAME], "digest": digest}  # fmt: skip
        number = 0
        for part in chunks(rows):
            number = requests.ask(db, {**facts, "rows": part})
        done = write({terminal: (token, iso(now + life)) for terminal, token in tokens.items()})
        try:
            db.execute("COMMIT")
        except BaseException:
            done(kept=False)
            raise
        done(kept=True)
        known = {row[0] for row in db.execute("SELECT id FROM terminal")}
        await_act(config, db, number)
    again = sum(terminal in known for terminal in tokens)
    if options.json:
        print_json({"name": name, "count": len(tokens), "enrolled": again, "expires": now + life, "out": str(options.out), "host": host})  # fmt: skip
        return DONE
    print(f"{len(tokens):,} tokens in {options.out}, batch {name}, good once each, until {iso(now + life)}")
    if again:
        print(f"{again:,} of these terminals are enrolled already: their tokens give them new keys")
    print(f"how far it is: tillwatch-collector enrol-status {name}; take it back: enrol-token --revoke {name}")
    return DONE


def _image(config: Config, options: argparse.Namespace) -> int:
    name, host, now = _name(options.image), _host(config, options), time.time_ns()
    zone = "UTC"
    since = moment(options.since or "now", zone, "--from", now)
    if not options.until and not options.expires:
        raise CommandError("an image's token needs an end: --until TIME or --expires 14d", USAGE)
    until = moment(options.until, zone, "--until", now) if options.until else since + _life(options)
    if not now < until <= now + MAX_LIFE_NS or since >= until:
        raise CommandError("the token must end after it begins, after now, and within a year", USAGE)
    rows, digest = listed(options.only, serials=True) if options.only else ((), b"")
    count = options.count or len(rows)
    if not 0 < count <= MAX_ROWS_OF_IMAGE:
        raise CommandError(f"--count says how many machines it may enrol: 1 to {MAX_ROWS_OF_IMAGE:,}", USAGE)
    # Before the act: whose keys are others, or missing, makes no token that nobody is shown.
    own, secret = own_authority(config.authority, config.store), secrets.token_bytes(SECRET)
    facts = {
        "action": "image-token", "name": name, "since": since, "until": until, "count": count, "listed": bool(rows), "digest": digest,
        "source": options.only.name[:MAX_NAME] if options.only else "", "secret": secret_digest(secret),
    }  # fmt: skip
    if rows:
        from tillwatch.collector.commands.expect_commands import check_free  # noqa: PLC0415 - of an image with a list

        check_free(config, rows, options.only)
    with closing(open_db(config.store)) as db:
        _is_new(db, name)
    lists = [{"action": "expect", "rows": part, "image": name, "source": facts["source"], "digest": digest} for part in chunks(rows)]  # fmt: skip
    act_all(config, [facts, *lists])
    fields = {"h": host, "p": config.enrolment.port, "f": own.fingerprint, "s": secret, "i": name}  # fmt: skip
    token = token_text(IMAGE_PREFIX, fields)
    if options.json:
        print_json({"name": name, "token": token, "count": count, "since": since, "until": until, "listed": len(rows), "host": host})  # fmt: skip
        return DONE
    print(token)
    whom = f"{len(rows):,} serial numbers of {options.only}" if rows else "the serial numbers of `expect list`"
    print(
        f"Up to {count:,} machines, {whom}, until {iso(until)}. Into the image, mode 640: /etc/tillwatch/image-token\n"
        f"take it back: tillwatch-collector enrol-token --revoke {name}",
        file=sys.stderr,
    )
    return DONE


MAX_ROWS_OF_IMAGE = 100_000
"""Machines that one image's token may enrol: as many as can be expected."""


def _revoke(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        known = {grant.name: grant for grant in reader.grants()}
    if options.revoke not in known:
        raise CommandError(f"no batch or image is called {options.revoke}; see tillwatch-collector enrol-status")
    now, left = time.time_ns(), 0
    if known[options.revoke].kind == BATCH:
        with closing(open_db(config.store)) as db:
            # At once, also while the collector is away.
            left = revoke_tokens(db, options.revoke, now)
    act(config, {"action": "grant-revoke", "name": options.revoke})
    if options.json:
        print_json({"name": options.revoke, "tokens": left, "revoked_at": now})
        return DONE
    print(f"{options.revoke} is revoked{f', {left:,} tokens with it' if left else ''}; who enrolled with it stays")
    return DONE


def run_enrol_status(config: Config, options: argparse.Namespace) -> int:
    now = time.time_ns()
    with reading(config) as reader:
        grants = {grant.name: grant for grant in reader.grants()}
        if options.name and options.name not in grants:
            raise CommandError(f"no batch or image is called {options.name}; see tillwatch-collector enrol-status")
        missing = reader.not_enrolled(options.name) if options.name else ()
    if not options.name:
        return _all(options, sorted(grants.values(), key=lambda grant: -grant.at), now)
    grant = grants[options.name]
    if options.json:
        print_json({**told(grant, now), "missing": [asdict(each) for each in missing]})
        return DONE
    print(f"{grant.name}: {grant.used:,} of {grant.count:,} have enrolled; {standing(grant, now)}")
    if missing:
        print_table(
            ("TERMINAL", "BRANCH", "REGION", "CLASS", "SERIAL"),
            [(one.terminal, one.branch, one.region, one.terminal_class, one.serial or "-") for one in missing],
        )
    return DONE


def _all(options: argparse.Namespace, grants: Sequence[Grant], now: int) -> int:
    if options.json:
        print_json([told(grant, now) for grant in grants])
        return DONE
    if not grants:
        print("no batch and no image yet: tillwatch-collector enrol-token --help", file=sys.stderr)
    print_table(
        ("NAME", "KIND", "USED", "OF", "STATE", "BY"),
        [(g.name, g.kind, f"{g.used:,}", f"{g.count:,}", standing(g, now), g.by) for g in grants],
    )
    return DONE


def told(grant: Grant, now: int) -> dict[str, Any]:
    """Without what is of no use to people."""
    return {
        "name": grant.name, "kind": grant.kind, "at": grant.at, "since": grant.since or grant.at, "until": grant.until, "count": grant.count, "used": grant.used,
        "revoked_at": grant.revoked_at, "by": grant.by, "source": grant.source, "good": grant.refuses(now) is None,
    }  # fmt: skip


def standing(grant: Grant, now: int) -> str:
    if grant.revoked_at:
        return f"revoked {iso(grant.revoked_at)}"
    if grant.used >= grant.count:
        return "complete"
    return f"{'good until' if now < grant.until else 'expired'} {iso(grant.until)}"


def listed(path: Path, *, serials: bool) -> tuple[tuple[Row, ...], bytes]:
    """The rows of a file and its SHA-256. Raises CommandError after every error was said."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise CommandError(f"{path} has more than {MAX_BYTES:,} bytes: divide it")
        read = read_list(raw.decode("utf-8-sig"), serials=serials)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CommandError(f"{path}:{line}: is not in UTF-8; save it as CSV UTF-8") from None
    for fault in read.faults:
        column = f" column {fault.column}" if fault.column else ""
        print(f"{path}:{fault.line}:{column} {fault.text}", file=sys.stderr)
    if read.faults:
        more = f" and {read.more} more" if read.more else ""
        raise CommandError(f"{len(read.faults)}{more} errors; nothing was taken over")
    return read.rows, hashlib.sha256(raw).digest()


def _host(config: Config, options: argparse.Namespace) -> str:
    host: str = options.host or config.address
    if host not in config.certificate_hosts:
        where = config.source or "the configuration"
        raise CommandError(
            f'the collector\'s certificate does not name {host}: write hosts = ["{host}"] in [enrolment] of {where}, and '
            "restart the collector",
            USAGE,
        )
    return host


def _life(options: argparse.Namespace) -> int:
    text = options.expires
    if not text:
        return TOKEN_LIFE_NS
    number, unit = text[:-1], text[-1:]
    if (
        unit not in _SPANS
        or not number.isdecimal()
        or len(number) > 4
        or not 0 < int(number) * _SPANS[unit] <= MAX_LIFE_NS
    ):
        raise CommandError(f"--expires {text!r} is no length of time up to a year; write 12h or 14d", USAGE)
    return int(number) * _SPANS[unit]


def _name(text: str) -> str:
    name = text.strip()[:MAX_NAME]
    if not name or not name.isprintable() or "/" in name:
        raise CommandError(f"{text!r} is no name of a batch or an image: 1 to {MAX_NAME} printable characters", USAGE)
    return name


def _is_new(db: Db, name: str) -> None:
    rows = [row[0] for row in db.execute("SELECT name FROM enrol_grant")]
    taken = db.execute("SELECT 1 FROM token WHERE batch = ? LIMIT 1", (name,)).fetchone()
    if name in rows or taken:
        raise CommandError(f"there is a batch or an image called {name} already; give another name", USAGE)
    if len(rows) >= MAX_GRANTS:
        raise CommandError(f"{MAX_GRANTS} batches and images are remembered, no more")


Done = Callable[..., None]


def _writer(out: Path) -> Callable[[Mapping[str, tuple[str, str]]], Done]:
    """Writes terminal -> (token, when it ends) beside `out`, where nobody looks; what it returns puts them there, or removes them."""
    if out.exists():
        raise CommandError(f"{out} is there already; name a new file or folder", USAGE)
    making = out.with_name(f".{out.name}.{secrets.token_hex(4)}.new")

    def write(tokens: Mapping[str, tuple[str, str]]) -> Done:
        try:
            if out.suffix.lower() == ".csv":
                text = io.StringIO()
                table = csv.writer(text, lineterminator="\n")
                table.writerow(HEADS)
                table.writerows((terminal, *more) for terminal, more in tokens.items())
                _private(making, text.getvalue())
            else:
                making.mkdir(mode=0o700)
                for terminal, (token, _) in tokens.items():
                    _private(making / f"{terminal}.token", token + "\n")
        except OSError as error:
            _gone(making)
            raise CommandError(f"{out}: {error.strerror}; nothing was made") from None
        except BaseException:
            _gone(making)
            raise
        return done

    def done(*, kept: bool) -> None:
        if kept:
            making.rename(out)
        else:
            _gone(making)

    return write


def _private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _gone(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
