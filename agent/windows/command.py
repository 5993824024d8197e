"""`tillwatch-agent service`: the agent as a Windows service. `run` is what Windows' service control starts; the others are for people."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tillwatch.agent import config as configuration
from tillwatch.agent import identity, notify
from tillwatch.agent.identity import HeldError, IdentityError, NotEnrolledError
from tillwatch.agent.protection import ProtectionError
from tillwatch.agent.settings import Config, ConfigError
from tillwatch.agent.windows import registration, setup
from tillwatch.agent.windows.dispatcher import FAILED, Service
from tillwatch.agent.windows.event_log import to_event_log
from tillwatch.agent.windows.interfaces import Api, Win32Error, load
from tillwatch.agent.windows.migration import protect_state, unprotected
from tillwatch.agent.windows.status import Phase
from tillwatch.agent.write_filter import WriteFilter, WriteFilterError, here

log = logging.getLogger(__name__)

OK, WRONG, NOT_ENROLLED, HELD = 0, 2, 3, 4
UNTRIED = "Not yet run on a Windows machine: follow packaging/windows/checklist.md on a test machine first."
_TEXT = f"The agent as a Windows service. On Windows only; Linux has its systemd unit. {UNTRIED}"
_EXITS = """\
exit codes:
  0  done; for status: it runs
  1  something failed; the text says what
  2  not on this system, or wrong configuration
  3  this terminal is not enrolled; for status: there is no such service
  4  another agent runs on the same state directory; for status: it does not run
"""
_STARTS = {2: "automatic, delayed", 3: "by hand", 4: "disabled"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _TEXT, _EXITS
    acts = parser.add_subparsers(dest="act", required=True, metavar="ACT", parser_class=type(parser))
    common = type(parser)(add_help=False)
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration; default %%PROGRAMDATA%%\\tillwatch\\agent.toml"
    )
    common.add_argument("--state-dir", type=Path, metavar="DIR", help="identity and spool; default %%PROGRAMDATA%%\\tillwatch\\agent, or what the configuration says")  # fmt: skip
    install = acts.add_parser("install", parents=[common], help="make the service, its account, event source and rights; again to change it", description=f"Needs an administrator. Does not start the service. {UNTRIED}")  # fmt: skip
    install.add_argument("--drives", action="store_true", help="run as LocalSystem, since Windows tells the reliability counters of drives to no smaller account")  # fmt: skip
    acts.add_parser("remove", help="stop and remove it; keys, spool and configuration stay", description="Needs an administrator.")  # fmt: skip
    status = acts.add_parser("status", help="what Windows says of it")
    status.add_argument("--json", action="store_true", help="the same as one object")
    acts.add_parser("run", parents=[common], help="for Windows' service control alone")


def run(args: argparse.Namespace) -> int:
    if sys.platform == "win32":
        return act(args, load(), here())
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        return _fail("tillwatch-agent service is for Windows; on Linux: systemctl status tillwatch-agent", WRONG)


def act(args: argparse.Namespace, api: Api, of: WriteFilter | None) -> int:
    """api: Windows. of: its write filter."""
    if args.act == "run":
        return serve(args, api)
    try:
        if args.act == "install":
            settings = configuration.load(args.config, args.state_dir)
            wanted = setup.Wanted(
                command_line(args), args.config or configuration.default_path(), settings.state_dir, args.drives
            )
            setup.install(api, wanted, of, identity.protector(), print)
            print("next: sc start tillwatch-agent, then tillwatch-agent doctor")
            print(UNTRIED)
        elif args.act == "remove":
            setup.remove(api, print)
        else:
            return _status(api, as_json=args.json)
    except ConfigError as error:
        return _fail(error, WRONG)
    except HeldError as error:
        return _fail(error, HELD)
    except (
        setup.SetupError,
        registration.TooSlowError,
        Win32Error,
        WriteFilterError,
        IdentityError,
        ProtectionError,
        OSError,
    ) as error:
        return _fail(error, FAILED)
    return OK


def command_line(args: argparse.Namespace) -> str:
    """What service control starts. Quoted, since an unquoted path with a space lets others put a program in between."""
    given = [str(part) for name, value in (("--config", args.config), ("--state-dir", args.state_dir)) if value for part in (name, value.absolute())]  # fmt: skip
    # A frozen program is its own interpreter; PyInstaller sets `frozen`.
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-P", "-m", "tillwatch.agent"]
    return subprocess.list2cmdline([*program, "service", "run", *given])


def _status(api: Api, *, as_json: bool) -> int:
    said = registration.told(api)
    if said is None:
        print("null" if as_json else "there is no service tillwatch-agent; install it: tillwatch-agent service install")
        return NOT_ENROLLED
    state = said.phase.name.lower().replace("_", " ")
    start = _STARTS.get(said.start_type, str(said.start_type))
    if as_json:
        print(json.dumps({"state": state, "pid": said.pid, "exit_code": said.exit_code, "account": said.account, "command": said.command, "start": start}))  # fmt: skip
    else:
        print(f"{state}{f', process {said.pid}' if said.pid else f', last exit code {said.exit_code}'}")
        print(f"start {start}, as {said.account}: {said.command}")
    return OK if said.phase is Phase.RUNNING else HELD


def serve(args: argparse.Namespace, api: Api) -> int:
    """The service itself, until it is stopped."""
    service = Service(api, lambda service: _work(args, api, service))
    try:
        return service.dispatch()
    except Win32Error as error:
        return _fail(error, FAILED)


def _work(args: argparse.Namespace, api: Api, service: Service) -> int:
    to_event_log(api)
    return _told(lambda: _agent(args, service))


def _agent(args: argparse.Namespace, service: Service) -> int:
    from tillwatch.agent import service as agent  # noqa: PLC0415 - service control wants to be answered before all this is loaded
    from tillwatch.agent.prepared import prepare_for  # noqa: PLC0415 - the same

    service.progress()
    settings = configuration.load(args.config, args.state_dir)
    protector = identity.protector()
    if list(unprotected(settings.state_dir, protector)):
        with identity.hold(settings.state_dir):
            protect_state(settings.state_dir, protector)
    notify.listeners.append(service.notified)
    try:
        # What is not enrolled is told before anything is compiled.
        if not _enrolled(settings, service):
            return OK
        service.progress()
        # Another configuration that is to be run begins again in the same process: the control manager knows this one.
        while agent.run(prepare_for(settings, args.config, args.state_dir, verbose=False), service.stopping):
            service.progress()
    finally:
        notify.listeners.remove(service.notified)
    return OK


def _enrolled(settings: Config, service: Service) -> bool:
    """False where the service was stopped before: a machine that was made from an image waits for its turn. Raises NotEnrolledError."""
    try:
        identity.load(settings.state_dir)
    except NotEnrolledError:
        from tillwatch.agent.enrolment.first_boot import enrolled, token_file  # noqa: PLC0415 - machines without an identity only

        if not token_file(settings).exists():
            raise

        async def wait() -> bool:
            with service.stopping() as stop:
                return await enrolled(settings, stop)

        return asyncio.run(wait())
    return True


def _told(work: Callable[[], int]) -> int:
    """The errors that a start may end with go to the event log: nobody sees standard error."""
    from tillwatch.agent.spool_file import SpoolVersionError  # noqa: PLC0415 - not for the other acts

    try:
        return work()
    except ConfigError as error:
        return _logged(error, WRONG)
    except NotEnrolledError as error:
        return _logged(error, NOT_ENROLLED)
    except HeldError as error:
        return _logged(error, HELD)
    except (IdentityError, ProtectionError, SpoolVersionError, OSError) as error:
        return _logged(error, FAILED)


def _logged(error: Exception, code: int) -> int:
    log.error("%s", error)
    return code


def _fail(error: Exception | str, code: int) -> int:
    print(f"tillwatch-agent: {error}", file=sys.stderr)
    return code
