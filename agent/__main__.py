"""The command line of the agent. Each command imports what it needs, and no more: `run` stays resident."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tillwatch.agent.config import Config

STDIN = "-"
OK, FAILED, WRONG, NOT_ENROLLED, HELD, REFUSED = 0, 1, 2, 3, 4, 5
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

looking at a device before it is configured:
  tillwatch-agent try --snmp 192.0.2.10
  tillwatch-agent try --serial /dev/ttyS0 --shim megatec_q1
  tillwatch-agent try --serial /dev/ttyUSB1 --shim ebds       listens beside the host, for up to some seconds
"""


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    _log(verbose=getattr(args, "verbose", False))
    try:
        return _command(args)
    except KeyboardInterrupt:
        return OK
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tillwatch-agent",
        description="Reads the hardware health of this terminal and hands it, signed, to the collector.",
        epilog=_EXAMPLES + "\n" + _EXITS,
    )
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
    trial = commands.add_parser("try", help="read one device once and show what becomes of it")
    # Only where it is asked for: it brings every kind of source with it.
    if "try" in argv[:1]:
        from tillwatch.agent.trial import add_arguments  # noqa: PLC0415 - see above

        add_arguments(trial)
    lint = commands.add_parser("lint", help="check device profiles, dialogues and override files, with line and mend")
    if "lint" in argv[:1]:
        from tillwatch.agent import lint as linting  # noqa: PLC0415 - it brings PyYAML with it

        linting.add_arguments(lint)
    smart = commands.add_parser("smart", help="show what becomes of a recorded `smartctl -j -x`")
    if "smart" in argv[:1]:
        from tillwatch.agent import smart_file  # noqa: PLC0415 - the same

        smart_file.add_arguments(smart)
    decoding = commands.add_parser("decode", help="show what becomes of recorded exchanges with serial devices")
    if "decode" in argv[:1]:
        from tillwatch.agent import decode  # noqa: PLC0415 - the same

        decode.add_arguments(decoding)
    doctor = commands.add_parser("doctor", parents=[common], help="check everything the agent needs, with the mend", description="Check everything the agent needs. Can run beside the agent. Exit code 1 if anything fails.")  # fmt: skip
    doctor.add_argument("--json", action="store_true", help="a list of {check, result, text, mend}")
    enrol = commands.add_parser(
        "enrol",
        parents=[common],
        help="make this machine a terminal of the collector, with a one-time token",
        description="Make this machine a terminal of the collector. The token comes from `tillwatch-collector enrol-token`, is good once and for 24 hours.",
    )
    enrol.add_argument("token", metavar="TOKEN", help="the token, or - to read it from standard input, where no other user sees it")  # fmt: skip
    enrol.add_argument("--force", action="store_true", help="give a terminal that is enrolled already new keys")
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


def _command(args: argparse.Namespace) -> int:
    if args.command == "try":
        from tillwatch.agent import trial  # noqa: PLC0415 - each command imports what it needs

        return trial.run(args)
    if args.command == "lint":
        from tillwatch.agent import lint  # noqa: PLC0415 - the same

        return lint.run(args)
    if args.command == "smart":
        from tillwatch.agent import smart_file  # noqa: PLC0415 - the same

        return smart_file.run(args)
    if args.command == "decode":
        from tillwatch.agent import decode  # noqa: PLC0415 - the same

        return decode.run(args)
    if args.command == "doctor":
        from tillwatch.agent import doctor  # noqa: PLC0415 - the same

        return doctor.run(args)
    from tillwatch.agent.config import ConfigError, load  # noqa: PLC0415 - the same
    from tillwatch.agent.identity import HeldError, IdentityError, NotEnrolledError  # noqa: PLC0415 - the same

    try:
        if args.command == "enrol":
            return _enrol(args)
        if args.command == "rotate":
            return _rotate(args)
        if args.command == "show":
            from tillwatch.agent import show  # noqa: PLC0415 - the same

            return show.run(args)
        return _run(load(args.config, args.state_dir))
    except ConfigError as error:
        return _fail(error, WRONG)
    except NotEnrolledError as error:
        return _fail(error, NOT_ENROLLED)
    except HeldError as error:
        return _fail(error, HELD)
    except IdentityError as error:
        return _fail(error, FAILED)


def _run(config: Config) -> int:
    from tillwatch.agent.service import run  # noqa: PLC0415 - each command imports what it needs
    from tillwatch.agent.spool_file import SpoolVersionError  # noqa: PLC0415 - the same

    try:
        run(config)
    except SpoolVersionError as error:
        return _fail(error, FAILED)
    return OK


def _enrol(args: argparse.Namespace) -> int:
    from tillwatch.agent.config import load  # noqa: PLC0415 - each command imports what it needs
    from tillwatch.agent.enrol import EnrolError, enrol, parse_token  # noqa: PLC0415 - X.509 and HTTPS, never resident

    state_dir = load(args.config, args.state_dir).state_dir
    try:
        text = sys.stdin.readline() if args.token == STDIN else args.token
        who = enrol(parse_token(text), state_dir, force=args.force)
    except EnrolError as error:
        return _fail(error, FAILED)
    print(f"enrolled: terminal {who.terminal}, branch {who.branch or '-'}; keys in {state_dir}")
    print("next: tillwatch-agent doctor")
    return OK


def _rotate(args: argparse.Namespace) -> int:
    from tillwatch.agent.enrol import EnrolError, RefusedError  # noqa: PLC0415 - X.509 and HTTPS, never resident
    from tillwatch.agent.rotate import run  # noqa: PLC0415 - the same

    try:
        return run(args)
    except EnrolError as error:
        return _fail(error, REFUSED if isinstance(error, RefusedError) else FAILED)


def _fail(error: Exception, code: int) -> int:
    print(f"tillwatch-agent: {error}", file=sys.stderr)
    return code


def _log(*, verbose: bool) -> None:
    """One line an event. The journal puts the time on and reads the level from `<N>`; elsewhere both are in the line."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _JournalFormatter() if _to_journal() else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _to_journal() -> bool:
    """Whether stderr is the stream that systemd names in $JOURNAL_STREAM (device and inode), as systemd.exec(5) says to check."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


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


class _JournalFormatter(logging.Formatter):
    _LEVELS = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"), (logging.NOTSET, "<7>"))

    def format(self, record: logging.LogRecord) -> str:
        prefix = next(prefix for level, prefix in self._LEVELS if record.levelno >= level)
        return prefix + super().format(record).replace("\n", f"\n{prefix}")


if __name__ == "__main__":
    sys.exit(main())
