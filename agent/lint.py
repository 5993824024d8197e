"""`tillwatch-agent lint`: says every mistake in device profiles, dialogues and override files, with its line and what to write instead."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tillwatch.device_profiles.loader import RECORDING, load_yaml, problems, recorded
from tillwatch.device_profiles.overrides import apply
from tillwatch.device_profiles.yaml_nodes import ProfileError, read
from tillwatch.firmware_shims import dialogue

_PROBLEM = re.compile(r"(.*?):(\d+): (.*?)(?:; (.*))?", re.DOTALL)


def check(paths: Sequence[Path]) -> list[str]:
    """Everything that is wrong with these files, as `file:line: what; the mend`.

    A file that is a list is one of overrides; one with `queries` is a dialogue with a serial device.
    """
    found: list[str] = []
    profiles: list[Path] = []
    overrides: list[Path] = []
    for path in paths:
        try:
            file = read(path, str(path))
            if dialogue.is_dialogue(file):
                found += dialogue.problems(path)
            else:
                (overrides if file.is_list() else profiles).append(path)
        except ProfileError as error:
            found.append(str(error))
        except OSError as error:
            found.append(f"{path}:1: {error.strerror}; give the path of a YAML file")
    found += problems(profiles)
    if overrides and not found:
        own = [path for path in profiles if not _is_shipped(path)]
        known = load_yaml(own=own)
        for path in overrides:
            try:
                apply(path, known)
            except ProfileError as error:
                found.append(str(error))
    return found


def _is_shipped(path: Path) -> bool:
    from tillwatch.device_profiles.catalogue import HERE  # noqa: PLC0415 - beside its one use

    return path.resolve().is_relative_to(HERE.resolve())


def untested(paths: Sequence[Path]) -> list[str]:
    """A bank's own profiles of which no recording shows that they read a device: no mistake, and no proof either."""
    return [
        f"{path}: untested; put what a device answered beside it, as {path.with_suffix(RECORDING).name}"
        for path in paths
        if not (_is_shipped(path) or path.name.startswith("_") or recorded(path) or read(path, str(path)).is_list())
    ]


def plain(problem: str) -> dict[str, str | int]:
    """For JSON: file, line, text, mend."""
    found = _PROBLEM.fullmatch(problem)
    assert found is not None, problem
    return {"file": found[1], "line": int(found[2]), "text": found[3], "mend": found[4] or ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lint`."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a profile, a mixin, a dialogue, or a file of overrides"
    )
    parser.add_argument("--json", action="store_true", help="a list of {file, line, text, mend}")


def run(args: argparse.Namespace) -> int:
    """0: nothing is wrong; 1: something is."""
    found = check(args.files)
    if args.json:
        print(json.dumps([plain(problem) for problem in found], ensure_ascii=False))
    else:
        well = [f"{len(args.files)} files, nothing wrong", *([] if found else untested(args.files))]
        print("\n".join(found or well), file=sys.stderr if found else sys.stdout)
    return 1 if found else 0
