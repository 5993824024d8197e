"""What each command of the agent does. It imports what it needs, and no more: `run` stays resident."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tillwatch.agent.logs import to_stderr
from tillwatch.agent.prepared import Prepared, hand_over, prepare, received
from tillwatch.agent.settings import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

STDIN = "-"
OK, FAILED, WRONG, NOT_ENROLLED, HELD, REFUSED = 0, 1, 2, 3, 4, 5


def main(argv: list[str] | None = None) -> int:
    """argv: None takes this process's own command line; `run` may then execute it anew."""
    try:
        prepared = received()
        if prepared is not None:
            to_stderr(verbose=prepared.verbose)
            return _reported(lambda: _serve(prepared))
        from tillwatch.agent.command_line import parser_of  # noqa: PLC0415 - argparse, which must not be resident

        given = sys.argv[1:] if argv is None else argv
        args = parser_of(given).parse_args(given)
        to_stderr(verbose=getattr(args, "verbose", False))
        return _command(args, own=argv is None)
    except KeyboardInterrupt:
        return OK
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _command(args: argparse.Namespace, *, own: bool) -> int:
    own_module: Callable[[argparse.Namespace], int] | None = getattr(args, "own_module", None)
    if own_module is not None:
        return own_module(args)
    if args.command == "doctor":
        from tillwatch.agent import doctor  # noqa: PLC0415 - each command imports what it needs

        return doctor.run(args)
    if args.command == "show":
        from tillwatch.agent import show  # noqa: PLC0415 - the same

        return _reported(lambda: show.run(args))
    if args.command == "enrol":
        return _reported(lambda: _enrol(args))
    if args.command == "rotate":
        return _reported(lambda: _rotate(args))
    return _reported(lambda: _run(args, own=own))


def _reported(command: Callable[[], int]) -> int:
    """The errors that every command may end with, as one line and an exit code."""
    from tillwatch.agent.identity import HeldError, IdentityError, NotEnrolledError  # noqa: PLC0415 - not for every command

    try:
        return command()
    except ConfigError as error:
        return _fail(error, WRONG)
    except NotEnrolledError as error:
        return _fail(error, NOT_ENROLLED)
    except HeldError as error:
        return _fail(error, HELD)
    except IdentityError as error:
        return _fail(error, FAILED)


def _run(args: argparse.Namespace, *, own: bool) -> int:
    from tillwatch.agent import identity  # noqa: PLC0415 - each command imports what it needs
    from tillwatch.agent.config import load  # noqa: PLC0415 - the same

    config = load(args.config, args.state_dir)
    # What is not enrolled is told before anything is compiled into a state directory that may not be there.
    identity.load(config.state_dir)
    prepared = prepare(config, verbose=args.verbose)
    if own:
        hand_over(prepared)
    return _serve(prepared)


def _serve(prepared: Prepared) -> int:
    from tillwatch.agent.service import run  # noqa: PLC0415 - each command imports what it needs
    from tillwatch.agent.spool_file import SpoolVersionError  # noqa: PLC0415 - the same

    try:
        run(prepared)
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
