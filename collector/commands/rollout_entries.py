"""The commands about configuration bundles and rollouts, as the command line knows them."""

from __future__ import annotations

from pathlib import Path

from tillwatch.collector.commands.entries import Command
from tillwatch.collector.commands.entries import option as _o

_REASON = _o("--reason", default="", metavar="TEXT", help="why: for the record")
BUNDLE = Command(
    "bundle", "commands.rollout_commands:run_bundle",
    "configuration bundles for terminals: make one of a folder, publish it, list them, show what is in one",
    'tillwatch-collector bundle publish ./winter --name winter-2026 --reason "limits for cold rooms"',
    (
        _o("do", choices=("make", "publish", "list", "show"), metavar="WHAT", help="make, publish, list, show"),
        _o("what", nargs="?", default="", metavar="DIR|FILE|NAME", help="make: a folder; publish: a folder, or a file that make wrote; show: a name"),
        _o("-o", "--output", type=Path, metavar="FILE", help="of make: where to write it"),
        _o("--name", default="", metavar="NAME", help="of publish: up to 32 small letters, digits and . _ -; never used again"),
        _REASON,
    ),
    json=True,
    more="A folder holds bundle.toml ([sampling] fast, normal, slow, seal, by_risk), profiles/NAME.yaml and overrides.yaml, and nothing else. Every file is\n"
    "checked with line and mend before anything is made of it; packaging/docs/rollout.md.",
)  # fmt: skip
ROLLOUT = Command(
    "rollout", "commands.rollout_commands:run_rollout",
    "bring a bundle to the fleet ring by ring: start, status, halt, return; ring puts one terminal into a ring",
    'tillwatch-collector rollout start winter-2026 --rings pilot=1%,early=10%,rest --reason "limits for cold rooms"',
    (
        _o("do", choices=("start", "status", "halt", "return", "ring"), metavar="WHAT", help="start, status, halt, return, ring"),
        _o("what", nargs="?", default="", metavar="NAME|TERMINAL", help="start: the bundle, or - for the terminals' own configuration alone; ring: the terminal"),
        _o("ring", nargs="?", default="", metavar="RING", help="ring: its name; without it shares decide again"),
        _o("--rings", default="", metavar="FILE|RINGS", help="a TOML file, or pilot=ATM-1+ATM-2,early=5%%,rest (default: pilot=1%%,early=10%%,rest)"),
        _o("--good", default="", metavar="PERCENT", help="of a ring that must report it as good (default: 95%%)"),
        _o("--bad", default="", metavar="PERCENT", help="of a ring that may fall back, go silent or lose a source (default: 2%%)"),
        _o("--minutes", type=int, metavar="N", help="that a ring is watched (default: 60)"),
        _o("--no-return", action="store_true", help="a rollout that halts waits for a person, instead of taking the bundle back"),
        _REASON,
    ),
    json=True,
    more="Off until [rollout] enabled here and [bundles] enabled on the terminal say otherwise; packaging/docs/rollout.md.",
)  # fmt: skip
