"""The command line of the agent: its commands, options and help. Apart from what the commands do, because argparse does not stay resident."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

MODULES = (
    ("try", "trial", "read one device once and show what becomes of it"),
    ("lint", "lint", "check device profiles, dialogues and override files, with line and mend"),
    ("walk", "walk", "record what a new device has, without secrets, and draft a profile for it"),
    ("record", "record", "record what a profile or a shim reads of a device, several times"),
    ("selftest", "selftest", "check every profile and shim against its recording"),
    ("smart", "smart_file", "show what becomes of a recorded `smartctl -j -x`"),
    ("bundle", "remote.bundle", "collect what support needs to know of this agent, without secrets"),
    ("service", "windows.command", "on Windows: the agent as a service: install, remove, status; not yet run there"),
    ("decode", "decode", "show what becomes of recorded exchanges with serial devices"),
)
"""Commands that are modules of their own, with `add_arguments(parser)` and `run(args)`: name, module, help. Only the one that is asked for
is imported: they bring PyYAML with them, or every kind of source.
"""
_EXITS = """\
exit codes:
  0  done, or ended cleanly by a signal
  1  something failed; the text says what
  2  wrong command line or configuration
  3  this terminal is not enrolled
  4  another agent runs on the same state directory
  5  the collector refuses this terminal: revoked, or not known; the text says what to do

environment:
  NO_COLOR        no colours
  NOTIFY_SOCKET   set by systemd: the agent says when it is ready and that it lives
"""
_EXAMPLES = """\
a new terminal, step by step:
  tillwatch-agent enrol tw1.gaFo...         once, with the token from the collector
  tillwatch-agent doctor                    is everything as it should be?
  tillwatch-agent run                       what the system service does

many terminals from one image:
  tillwatch-agent prepare-image --remove    on the machine that the image is made of, with the token in image-token

looking at a device before it is configured:
  tillwatch-agent try --snmp 192.0.2.10
  tillwatch-agent try --serial /dev/ttyS0 --shim megatec_q1
  tillwatch-agent try --serial /dev/ttyUSB1 --shim ebds       listens beside the host, for up to some seconds
  tillwatch-agent try --nut localhost
  tillwatch-agent try --xfs localhost

a device that no profile knows:
  tillwatch-agent walk 192.0.2.10 -o acme-9000.snmprec        records it without secrets and drafts acme-9000.yaml
  tillwatch-agent lint acme-9000.yaml
  tillwatch-agent try acme-9000.snmprec --profile acme-9000.yaml
  tillwatch-agent record --serial /dev/ttyS0 --shim megatec_q1 -o ups.txt
  tillwatch-agent selftest .
"""


def parser_of(argv: list[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tillwatch-agent",
        description="Reads the hardware health of this terminal and hands it, signed, to the collector.",
        epilog=_EXAMPLES + "\n" + _EXITS,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say the version and end")
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
        parser_class=_Parser,
    )
    common = _Parser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="configuration; default /etc/tillwatch/agent.toml, %%PROGRAMDATA%%\\tillwatch\\agent.toml on Windows")  # fmt: skip
    common.add_argument("--state-dir", type=Path, metavar="DIR", help="identity and spool; default /var/lib/tillwatch-agent, or what the configuration says")  # fmt: skip
    run = commands.add_parser("run", parents=[common], help="run until stopped", description="Run until SIGTERM, SIGINT or Ctrl-Break.", epilog=_EXITS)  # fmt: skip
    run.add_argument("-v", "--verbose", action="store_true", help="log what is normal too")
    for name, module, text in MODULES:
        command = commands.add_parser(name, help=text)
        if name in argv[:1]:
            asked = import_module(f"tillwatch.agent.{module}")
            asked.add_arguments(command)
            command.set_defaults(own_module=asked.run)
    doctor = commands.add_parser("doctor", parents=[common], help="check everything the agent needs, with the mend", description="Check everything the agent needs. Can run beside the agent. Exit code 1 if anything fails.")  # fmt: skip
    doctor.add_argument("--json", action="store_true", help="a list of {check, result, text, mend}")
    enrol = commands.add_parser(
        "enrol",
        parents=[common],
        help="make this machine a terminal of the collector, with a one-time token",
        description="Make this machine a terminal of the collector. The token comes from `tillwatch-collector enrol-token` and is good once. Without TOKEN the image's token beside the configuration is taken, and the serial number of this machine; `run` does so by itself at the first start.",
        epilog=_EXITS,
    )
    enrol.add_argument("token", nargs="?", default="", metavar="TOKEN", help="the token, or - to read it from standard input, where no other user sees it")  # fmt: skip
    enrol.add_argument("--force", action="store_true", help="give a terminal that is enrolled already new keys")
    prepare = commands.add_parser(
        "prepare-image",
        parents=[common],
        help="make this disk fit to be copied onto many machines: no identity, no keys, no readings",
        description="Look whether this disk can be copied onto many machines. Exit code 1 where something stands there that only one machine may have; --remove takes it away.",
    )
    prepare.add_argument("--remove", action="store_true", help="remove the identity, its keys, the spool and all other state of this terminal")  # fmt: skip
    commands.add_parser(
        "rotate",
        parents=[common],
        help="give this terminal new keys now; the agent does so by itself every 180 days",
        description="Give this terminal a new signing key and certificate. Needs the collector's enrolment port and no token; can run beside the agent, which goes on without a restart.",
        epilog=_EXITS,
    )
    show = commands.add_parser("show", parents=[common], help="who this terminal is and what waits in its spool")
    show.add_argument("--json", action="store_true", help="the same as one object")
    return parser


class _Version(argparse.Action):
    """argparse's own wants the version before anybody asks for it, which loads the parsers of package metadata."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib import metadata  # noqa: PLC0415 - see above

        try:
            version = metadata.version("tillwatch")
        except metadata.PackageNotFoundError:
            version = "of a source tree"
        sys.stdout.write(f"{parser.prog} {version}\n")
        parser.exit()


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse's own asks shutil for the width, which loads three compressors into the resident process."""

    def __init__(self, prog: str) -> None:
        try:
            width = min(os.get_terminal_size(sys.stdout.fileno()).columns, 120)
        except (OSError, ValueError, AttributeError):
            width = 100
        super().__init__(prog, width=width)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(formatter_class=_Help, **kwargs)
