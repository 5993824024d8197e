"""The command that loads an installation with simulated terminals, as the command line knows it."""

from __future__ import annotations

from pathlib import Path

from tillwatch.collector.commands.entries import Command
from tillwatch.collector.commands.entries import option as _o

LOAD = Command(
    "simulate-fleet", "fleet_load.command:run_fleet",
    "load a collector with any number of terminals that do not exist, over the real protocol; prove that it keeps what they sent",
    "tillwatch-collector simulate-fleet --terminals 1000 --interval 10 --for 60 --check",
    (
        _o("--terminals", type=int, default=100, metavar="N", help="how many (default: 100)"),
        _o("--seed", default="1", metavar="TEXT", help="another one gives the same names other keys (default: 1)"),
        _o("--enrol", action="store_true", help="enrol them in the store of a collector that does not run and has no real terminals, and end"),
        _o("--interval", type=float, default=60.0, metavar="S", help="seconds between two batches of a terminal (default: 60)"),
        _o("--readings", type=int, default=40, metavar="R", help="of a batch, about (default: 40)"),
        _o("--for", dest="seconds", type=float, default=0.0, metavar="S", help="how long (default: until Ctrl-C)"),
        _o("--ahead", type=float, default=30.0, metavar="S", help="of that, what is sealed before it begins: sealing then takes nothing from what is loaded (default: 30)"),
        _o("--faults", type=float, default=0.0, metavar="SHARE", help="of the terminals that show a fault for ten minutes of each thirty, 0 to 1 (default: 0)"),
        _o("--processes", type=int, default=1, metavar="P", help="that send (default: 1)"),
        _o("--connections", type=int, default=0, metavar="C", help="over all; fewer than terminals are shared, for brokers that let a client speak for others (default: with TLS one each, else one for each hundred)"),
        _o("--broker", default="", metavar="HOST:PORT", help="where it is (default: [broker] of the configuration)"),
        _o("--tls", choices=("yes", "no"), default=None, help="(default: as in [broker])"),
        _o("--data-dir", type=Path, metavar="DIR", help="of the collector: its keys, and its store for --enrol, --check and --verify (default: that of the configuration)"),
        _o("--ledger", type=Path, metavar="FILE", help="write down what was sent, for --verify"),
        _o("--check", action="store_true", help="at the end compare what was sent with what the collector keeps, digest by digest"),
        _o("--verify", type=Path, metavar="FILE", help="only compare what such a run has sent with what the collector keeps"),
    ),
    json=True,
    more="Exit code 1 where anything is not acknowledged in the end, or not kept as it was sent. For tests: never beside real terminals.\n"
    "packaging/docs/fleet-load.md.",
)  # fmt: skip
