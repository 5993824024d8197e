"""What each command of the agent does. It imports what it needs, and no more: `run` stays resident."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from tillwatch.agent.logs import to_stderr
from tillwatch.agent.prepared import Prepared, again, hand_over, prepare_for, received
from tillwatch.agent.settings import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from tillwatch.agent.identity import Identity
    from tillwatch.agent.settings import Config

STDIN = "-"
OK, FAILED, WRONG, NOT_ENROLLED, HELD, REFUSED = 0, 1, 2, 3, 4, 5
FORBIDDEN = 403
"""The collector's refusal; another status is too many requests at once, or a fault of its own."""


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
    if args.command == "prepare-image":
        return _reported(lambda: _prepare_image(args))
    if args.command == "rotate":
        return _reported(lambda: _rotate(args))
    return _reported(lambda: _run(args, own=own))


def _reported(command: Callable[[], int]) -> int:
    """The errors that every command may end with, as one line and an exit code."""
    from tillwatch.agent.identity import HeldError, IdentityError, NotEnrolledError  # noqa: PLC0415 - not for every command
    from tillwatch.agent.spool_file import SpoolVersionError  # noqa: PLC0415 - the same

    try:
        return command()
    except ConfigError as error:
        return _fail(error, WRONG)
    except NotEnrolledError as error:
        return _fail(error, NOT_ENROLLED)
    except HeldError as error:
        return _fail(error, HELD)
    except (IdentityError, SpoolVersionError) as error:
        return _fail(error, FAILED)


def _run(args: argparse.Namespace, *, own: bool) -> int:
    while True:
        prepared = _prepared(args)
        if prepared is None:
            return OK
        if own:
            hand_over(prepared)
        if not _served(prepared):
            return OK


def _prepared(args: argparse.Namespace) -> Prepared | None:
    """None where the agent was told to stop before it was enrolled."""
    from tillwatch.agent import identity  # noqa: PLC0415 - each command imports what it needs
    from tillwatch.agent.config import load  # noqa: PLC0415 - the same

    config = load(args.config, args.state_dir)
    # What is not enrolled is told before anything is compiled into a state directory that may not be there.
    try:
        who = identity.load(config.state_dir)
    except identity.NotEnrolledError:
        from tillwatch.agent.enrolment.first_boot import token_file  # noqa: PLC0415 - each command imports what it needs

        if not token_file(config).exists():
            raise
        if not _first_boot(config):
            return None
        who = identity.load(config.state_dir)
    _told_copy(config, who)
    return prepare_for(config, args.config, args.state_dir, verbose=args.verbose)


def _first_boot(config: Config) -> bool:
    """Enrol by the image's token. False where the agent was told to stop before."""
    import asyncio  # noqa: PLC0415 - each command imports what it needs

    from tillwatch.agent.enrolment.first_boot import enrolled  # noqa: PLC0415 - the same
    from tillwatch.agent.service import signals  # noqa: PLC0415 - the same

    async def wait() -> bool:
        with signals() as stop:
            return await enrolled(config, stop)

    return asyncio.run(wait())


def _serve(prepared: Prepared) -> int:
    """Of a successor, which was handed what it needs."""
    if _served(prepared):
        again()
    return OK


def _served(prepared: Prepared) -> bool:
    """Whether to start again, with another configuration."""
    from tillwatch.agent.service import run  # noqa: PLC0415 - each command imports what it needs

    return run(prepared)


def _enrol(args: argparse.Namespace) -> int:
    from tillwatch.agent.config import load  # noqa: PLC0415 - each command imports what it needs
    from tillwatch.agent.enrolment.claim import claim, read_token  # noqa: PLC0415 - X.509 and HTTPS, never resident
    from tillwatch.agent.enrolment.enrol import EnrolError, RefusedError, enrol, parse_token  # noqa: PLC0415 - as the first
    from tillwatch.agent.enrolment.first_boot import folder_of, token_file  # noqa: PLC0415 - the same
    from tillwatch.agent.enrolment.machine import Machine, here, serial_of, system_of  # noqa: PLC0415 - the same
    from tillwatch.agent.enrolment.serials import SerialError  # noqa: PLC0415 - the same

    settings = load(args.config, args.state_dir)
    state_dir, folder = settings.state_dir, folder_of(settings)
    try:
        if args.token:
            text = sys.stdin.readline() if args.token == STDIN else args.token
            who = enrol(parse_token(text), state_dir, force=args.force, machine=here(folder))
        elif args.force:
            raise EnrolError("--force needs a token of this terminal's own: an image token replaces no keys")
        elif not token_file(settings).exists():
            raise EnrolError(f"no TOKEN, and no image token in {token_file(settings)}; make a token on the collector")
        else:
            machine = Machine(serial_of(folder).serial, system_of())
            who = claim(read_token(token_file(settings)), state_dir, machine)
    except (EnrolError, SerialError) as error:
        for_good = isinstance(error, RefusedError) and error.status == FORBIDDEN
        return _fail(error, REFUSED if for_good else FAILED)
    print(f"enrolled: terminal {who.terminal}, branch {who.branch or '-'}; keys in {state_dir}")
    print("next: tillwatch-agent doctor")
    return OK


def _told_copy(config: Config, who: Identity) -> None:
    """Say it where this is not the machine that was enrolled: a copied disk, or new parts."""
    from tillwatch.agent.enrolment.first_boot import folder_of  # noqa: PLC0415 - each command imports what it needs
    from tillwatch.agent.enrolment.machine import Machine, here  # noqa: PLC0415 - the same

    if any(who.machine) and (what := Machine(*who.machine).differs(here(folder_of(config)))):
        logging.getLogger("tillwatch.agent").warning(
            "this is not the machine that was enrolled: %s; of a copied disk, remove the state and enrol: tillwatch-agent doctor",
            what,
        )


def _rotate(args: argparse.Namespace) -> int:
    from tillwatch.agent.enrolment.enrol import EnrolError, RefusedError  # noqa: PLC0415 - X.509 and HTTPS, never resident
    from tillwatch.agent.enrolment.rotate import run  # noqa: PLC0415 - the same

    try:
        return run(args)
    except EnrolError as error:
        return _fail(error, REFUSED if isinstance(error, RefusedError) else FAILED)


def _prepare_image(args: argparse.Namespace) -> int:
    from tillwatch.agent.enrolment import image  # noqa: PLC0415 - each command imports what it needs

    return image.run(args)


def _fail(error: Exception, code: int) -> int:
    print(f"tillwatch-agent: {error}", file=sys.stderr)
    return code
