"""`tillwatch-collector bundle` and `rollout`: what terminals are to run beside their own configuration, and how it comes to them."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections import Counter
from dataclasses import astuple
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from tillwatch.agent.wire import MAX_PACKED, valid_name
from tillwatch.collector.commands.acting import journal, reading, the_terminal, words
from tillwatch.collector.commands.output import FAILED, USAGE, CommandError, age, print_json, print_table
from tillwatch.collector.config import Config
from tillwatch.collector.rollout.reading import RolloutView
from tillwatch.collector.rollout.rings import Gate, RingError, Tally, gate_of, place, rings_of, said_rings, share_of
from tillwatch.collector.rollout.states import MAX_REASON, RETURNED, RUNNING, Bundle
from tillwatch.device_profiles.bundle import (
    SETTINGS,
    BundleError,
    Content,
    pack,
    problems,
    read_folder,
    unpack,
)

USUAL = "pilot=1%,early=10%,rest"
OFF = "this collector brings no bundles out: set [rollout] enabled = true and restart it"
SHOWN = 20


def run_bundle(config: Config, options: argparse.Namespace) -> int:
    match options.do:
        case "make":
            return _make(options)
        case "publish":
            return _publish(config, options)
        case "show":
            return _show(config, options)
    with reading(config) as reader:
        bundles = reader.config_bundles()
    if options.json:
        print_json([bundle_fields(bundle) for bundle in bundles])
    elif not bundles:
        print("no bundle was published; tillwatch-collector bundle publish DIR --name NAME")
    else:
        rows = [(b.name, b.digest.hex()[:12], str(sum(b.files.values())), age(b.at), b.by, b.reason) for b in bundles]
        print_table(("NAME", "DIGEST", "BYTES", "PUBLISHED", "BY", "REASON"), rows)
    return 0


def bundle_fields(bundle: Bundle) -> dict[str, Any]:
    return {
        "bundle": bundle.n,
        "name": bundle.name,
        "digest": bundle.digest.hex(),
        "at": bundle.at,
        "by": bundle.by,
        "reason": bundle.reason,
        "files": dict(bundle.files),
    }


def _packed(folder: Path) -> tuple[Content, bytes]:
    """Every mistake of a folder goes to standard error, one a line. Raises CommandError."""
    try:
        content = read_folder(folder)
        if found := problems(folder, content):
            raise BundleError(found)
        packed = pack(content)
    except BundleError as error:
        print("\n".join(error.problems), file=sys.stderr)
        count = len(error.problems)
        raise CommandError(
            f"{folder}: {count} {'mistake' if count == 1 else 'mistakes'}; nothing was made of it"
        ) from None
    if len(packed) > MAX_PACKED:
        raise CommandError(f"{folder}: {len(packed)} bytes compressed; a terminal takes at most {MAX_PACKED}")
    return content, packed


def _make(options: argparse.Namespace) -> int:
    if not options.what or options.output is None:
        raise CommandError("say of which folder, and where to: bundle make DIR -o FILE", USAGE)
    content, packed = _packed(Path(options.what))
    try:
        with options.output.open("xb") as file:
            file.write(packed)
    except OSError as error:
        raise CommandError(f"{options.output}: {error.strerror}") from None
    digest = sha256(packed).hexdigest()
    if options.json:
        print_json({"file": str(options.output), "digest": digest, "bytes": len(packed), "files": _sizes(content)})
    else:
        print(
            f"{options.output}: {len(packed)} bytes, SHA-256 {digest}; next: bundle publish {options.output} --name NAME"
        )
    return 0


def _sizes(content: Content) -> dict[str, int]:
    sizes = {name: len(text.encode()) for name, text in content.files()}
    return sizes | (
        {SETTINGS: sum(len(f"{key}{value}") for key, value in content.sampling.items())} if content.sampling else {}
    )


def _publish(config: Config, options: argparse.Namespace) -> int:
    reason = words(options.reason, "--reason", needed=True)[:MAX_REASON]
    if not options.what or not valid_name(options.name):
        raise CommandError("bundle publish DIR|FILE --name NAME: up to 32 small letters, digits and . _ -", USAGE)
    source = Path(options.what)
    if source.is_dir():
        content, packed = _packed(source)
    else:
        try:
            packed = source.read_bytes()
            content = unpack(packed)
        except (OSError, BundleError) as error:
            raise CommandError(f"{source}: {error}") from None
        if len(packed) > MAX_PACKED:
            raise CommandError(f"{source}: {len(packed)} bytes; a terminal takes at most {MAX_PACKED}")
    with reading(config) as reader:
        _fresh(options.name, reader.config_bundles())
    facts = {"name": options.name, "content": packed, "files": _sizes(content), "reason": reason}
    journal(config, {"action": "bundle", **facts})
    with reading(config) as reader:
        bundle = next((one for one in reader.config_bundles() if one.name == options.name), None)
    if bundle is None:
        raise CommandError(f"{options.name} is not published; somebody else has taken the name meanwhile")
    if options.json:
        print_json(bundle_fields(bundle))
    else:
        print(
            f"published: {bundle.name}, SHA-256 {bundle.digest.hex()}; next: rollout start {bundle.name} --rings {USUAL}"
        )
    return 0


def _fresh(name: str, bundles: Any) -> None:
    if any(one.name == name for one in bundles):
        raise CommandError(f"there is a bundle {name} already; none is ever changed, so take another name")


def _show(config: Config, options: argparse.Namespace) -> int:
    with reading(config) as reader:
        bundle = reader.config_bundle(_named(reader.config_bundles(), options.what).n)
    content = unpack(bundle.content)
    if options.json:
        said = {"sampling": dict(content.sampling), "profiles": dict(content.profiles), "overrides": content.overrides}
        print_json({**bundle_fields(bundle), **said})
        return 0
    for key, value in content.sampling.items():
        print(f"[sampling] {key} = {value}")
    for name, text in content.files():
        print(f"--- {name}\n{text.rstrip()}")
    return 0


def _named(bundles: Any, name: str) -> Bundle:
    for bundle in bundles:
        if name and name in (bundle.name, str(bundle.n)):
            found: Bundle = bundle
            return found
    raise CommandError(f"no bundle is called {name or '(nothing)'}; tillwatch-collector bundle list has them")


def run_rollout(config: Config, options: argparse.Namespace) -> int:
    match options.do:
        case "start":
            return _start(config, options)
        case "ring":
            return _ring(config, options)
        case "halt" | "return":
            return _end(config, options)
    with reading(config) as reader:
        views, members = reader.rollouts(SHOWN), reader.members()
    states = Counter(view.member.state or "never-told" for view in members)
    if options.json:
        print_json({"rollouts": [rollout_fields(view) for view in views], "terminals": dict(states)})
    elif not views:
        print("no rollout was started; tillwatch-collector rollout start NAME")
    else:
        print("\n".join(_told(views[0])))
        rows = [(str(v.rollout.n), v.name or "-", v.rollout.state, age(v.rollout.at), v.rollout.by) for v in views]
        print()
        print_table(("ROLLOUT", "BUNDLE", "STATE", "STARTED", "BY"), rows)
    return 0


def rollout_fields(view: RolloutView) -> dict[str, Any]:
    rollout = view.rollout
    return {
        "rollout": rollout.n,
        "bundle": view.name,
        "state": rollout.state,
        "at": rollout.at,
        "ended_at": rollout.ended_at,
        "by": rollout.by,
        "reason": rollout.reason,
        "gate": rollout.gate.facts(),
        "ring": rollout.rings[rollout.ring].name if rollout.state == RUNNING else "",
        "due": rollout.due,
        "rings": [
            {**ring.facts(), **dict(zip(("told", "good", "bad", "away", "apart"), astuple(tally), strict=True))}
            for ring, tally in zip(rollout.rings, view.tallies, strict=True)
        ],
        "losses": [
            {"terminal": each.terminal, "ring": each.ring, "at": each.at, "why": each.why, "words": each.words}
            for each in rollout.losses
        ],
        "history": [
            {"at": each.at, "what": each.what, "ring": each.ring, "by": each.by, "why": each.why}
            for each in rollout.history
        ],
    }


def _told(view: RolloutView) -> list[str]:
    rollout = view.rollout
    lines = [f"rollout {rollout.n} of {view.name or 'no bundle'}: {rollout.state}, by {rollout.by}: {rollout.reason}"]
    for place_of, (ring, tally) in enumerate(zip(rollout.rings, view.tallies, strict=True)):
        mark = ">" if rollout.state == RUNNING and place_of == rollout.ring else " "
        lines.append(f" {mark} {ring.name:<12} {_counts(tally)}")
    lines += [f"   {each.terminal} ({each.ring}): {each.why} {each.words}".rstrip() for each in rollout.losses[:SHOWN]]
    last = rollout.history[-1]
    lines.append(f"   {last.what} {age(last.at)} ago by {last.by}{': ' + last.why if last.why else ''}")
    return lines


def _counts(tally: Tally) -> str:
    said = f"{tally.good} of {tally.told} good, {tally.bad} bad, {tally.away} not yet"
    return said + (f"; {tally.apart} take no bundles" if tally.apart else "")


def _start(config: Config, options: argparse.Namespace) -> int:
    reason = words(options.reason, "--reason", needed=True)[:MAX_REASON]
    rings, gate = wanted(options)
    with reading(config) as reader:
        if not reader.rollouts_enabled():
            raise CommandError(OFF)
        bundle = 0 if options.what == "-" else _named(reader.config_bundles(), options.what).n
        members = reader.members()
        running = next((view for view in reader.rollouts(1) if view.rollout.state == RUNNING), None)
    if running is not None:
        raise CommandError(f"rollout {running.rollout.n} of {running.name} runs; halt or return it first")
    known = {view.member.terminal for view in members}
    parsed = rings_of(rings)
    if strange := [name for ring in parsed for name in ring.terminals if name not in known]:
        raise CommandError(f"no terminal is called {strange[0]}; tillwatch-collector terminals lists them")
    counts = Counter(
        place(view.member.terminal, parsed, view.member.ring if view.member.fixed else "") for view in members
    )
    if not counts[parsed[0].name]:
        raise CommandError(f"the ring {parsed[0].name} is empty: name terminals for it, or raise its share")
    ref = uuid4().hex
    journal(config, {"action": "rollout", "bundle": bundle, "rings": rings, "gate": gate, "reason": reason, "ref": ref})
    with reading(config) as reader:
        view = next((one for one in reader.rollouts(SHOWN) if one.rollout.ref == ref), None)
    if view is None:
        raise CommandError("another rollout was started meanwhile; tillwatch-collector rollout status")
    if options.json:
        print_json(rollout_fields(view))
    else:
        print("\n".join(_told(view)))
    return 0


def wanted(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rings and gate as facts of an act. Raises CommandError."""
    source, gate = options.rings or USUAL, Gate().facts()
    try:
        if Path(source).suffix == ".toml":
            rings, gate = rings_of_file(Path(source))
        else:
            rings = said_rings(source)
        for key in ("good", "bad"):
            if said := getattr(options, key):
                gate[key] = 0 if said.strip() == "0%" else share_of(said)
        if options.minutes is not None:
            gate["minutes"] = options.minutes
        if options.no_return:
            gate["returns"] = False
        gate_of(gate)
    except RingError as error:
        raise CommandError(str(error), USAGE) from None
    return rings, gate


def rings_of_file(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """`[[ring]]` name, share, terminals; `[gate]` good, bad, minutes, returns. Raises CommandError and RingError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"{path}: {error}", USAGE) from None
    said = data.get("ring", [])
    if set(data) - {"ring", "gate"} or not isinstance(said, list) or not isinstance(data.get("gate", {}), dict):
        raise RingError(f"{path}: there are [[ring]] and [gate]")
    rings = []
    for each in said:
        if strange := set(each) - {"name", "share", "terminals"}:
            raise RingError(f"{path}: a ring has name, share and terminals, not {min(strange)}")
        rings.append({**each, "share": share_of(str(each["share"])) if "share" in each else 0})
    gate = {**Gate().facts(), **data.get("gate", {})}
    if strange := set(gate) - set(Gate().facts()):
        raise RingError(f"{path}: a gate has good, bad, minutes and returns, not {min(strange)}")
    for key in ("good", "bad"):
        if isinstance(gate[key], str):
            gate[key] = 0 if gate[key] == "0%" else share_of(gate[key])
    rings_of(rings)
    return [{"terminals": [], **ring} for ring in rings], gate


def _end(config: Config, options: argparse.Namespace) -> int:
    reason = words(options.reason, "--reason", needed=True)[:MAX_REASON]
    with reading(config) as reader:
        views = reader.rollouts(1)
    if not views:
        raise CommandError("no rollout was started")
    rollout = views[0].rollout
    if options.do == "halt" and rollout.state != RUNNING:
        raise CommandError(f"rollout {rollout.n} does not run any more: it is {rollout.state}")
    if options.do == "return" and rollout.state == RETURNED:
        raise CommandError(f"rollout {rollout.n} was returned already")
    journal(config, {"action": f"rollout-{options.do}", "rollout": rollout.n, "reason": reason})
    with reading(config) as reader:
        view = reader.rollout(rollout.n)
    if options.json:
        print_json(rollout_fields(view))
    else:
        print("\n".join(_told(view)))
    done = view.rollout.state == RETURNED or (options.do == "halt" and view.rollout.state != RUNNING)
    return 0 if done else FAILED


def _ring(config: Config, options: argparse.Namespace) -> int:
    if options.ring and not valid_name(options.ring):
        raise CommandError(f"{options.ring!r} is no name of a ring", USAGE)
    with reading(config) as reader:
        the_terminal(reader, options.what)
    facts = {"action": "terminal-ring", "terminal": options.what, "ring": options.ring}
    journal(config, {**facts, "reason": words(options.reason, "--reason")[:MAX_REASON]})
    with reading(config) as reader:
        (view,) = reader.members([options.what])
    member = view.member
    if options.json:
        print_json({"terminal": member.terminal, "ring": member.ring, "fixed": member.fixed})
    else:
        print(
            f"{member.terminal}: {'ring ' + member.ring if member.fixed else 'shares decide its ring'}, from the next rollout on"
        )
    return 0
