"""The service as Windows has it on record: made, changed, asked about, removed. Installing again over what is there is the way to change it. What fails half-way is taken
back as far as this made it, and the first error is the one that is told.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tillwatch.agent.windows.account import PRIVILEGES, virtual_account
from tillwatch.agent.windows.dispatcher import NAME, OWN_PROCESS
from tillwatch.agent.windows.interfaces import (
    SERVICE_DOES_NOT_EXIST,
    SERVICE_EXISTS,
    SERVICE_NOT_ACTIVE,
    Action,
    Api,
    Description,
    FailureActions,
    Flag,
    QueryServiceConfig,
    RequiredPrivileges,
    ServiceStatus,
    ServiceStatusProcess,
    Win32Error,
)
from tillwatch.agent.windows.status import Phase

DISPLAY_NAME = "tillwatch agent"
DESCRIPTION = "Reads this terminal's hardware health and sends signed readings to the bank's collector. It changes nothing and listens on no port."
RESTART_AFTER_S = (15, 60, 600)
"""After the first, the second and each later failure within RESET_S: as the systemd unit, from 15 s up to 10 min."""
RESET_S = 86_400
PRESHUTDOWN_MS = 10_000
"""A stop takes at most 5 s."""
STOP_S = 30.0
LOOK_S = 0.25

CONNECT, CREATE = 0x1, 0x2
QUERY_CONFIG, CHANGE_CONFIG, QUERY_STATUS, START, STOP, DELETE = 0x1, 0x2, 0x4, 0x10, 0x20, 0x10000
AUTO_START, ERROR_NORMAL = 2, 1
SET_DESCRIPTION, SET_FAILURE_ACTIONS, SET_DELAYED_START, SET_FAILURE_FLAG = 1, 2, 3, 4
SET_SID_TYPE, SET_PRIVILEGES, SET_PRESHUTDOWN = 5, 6, 7
"""SERVICE_CONFIG_*: [MS-SCMR] 2.2.22 has the numbers."""
RESTART = 1
SID_UNRESTRICTED = 1
"""Its own number is in the token. Not RESTRICTED, which would forbid all writing that does not name it: PowerShell and WMI, which the sources ask, write to places of
their own."""
STATUS_PROCESS = 0
MAX_CONFIG = 8_192
"""Bytes; QueryServiceConfigW takes no larger buffer."""


class TooSlowError(Exception):
    """The service does not get where it should. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Told:
    """What Windows says of the service. pid: 0 while it does not run; exit_code: the program's, of the last end."""

    phase: Phase
    pid: int
    exit_code: int
    account: str
    command: str
    start_type: int


def register(api: Api, command: str, account: str = "") -> bool:
    """Make the service, or change the one that is there to be like this; True if it was made. account: empty for the virtual one. Raises Win32Error."""
    account = account or virtual_account(NAME)
    with _control(api, CONNECT | CREATE) as control:
        service = api.advapi32.CreateServiceW(
            control,
            NAME,
            DISPLAY_NAME,
            CHANGE_CONFIG | START | DELETE,
            OWN_PROCESS,
            AUTO_START,
            ERROR_NORMAL,
            command,
            None,
            None,
            None,
            account,
            None,
        )
        if made := bool(service):
            with _closing(api, service):
                try:
                    _configure(api, service)
                except BaseException:
                    api.advapi32.DeleteService(service)
                    raise
        elif (code := api.last_error()) != SERVICE_EXISTS:
            raise Win32Error("CreateServiceW", code)
        else:
            with _service(api, control, CHANGE_CONFIG | START) as service:
                changed = api.advapi32.ChangeServiceConfigW(
                    service,
                    OWN_PROCESS,
                    AUTO_START,
                    ERROR_NORMAL,
                    command,
                    None,
                    None,
                    None,
                    account,
                    None,
                    DISPLAY_NAME,
                )
                api.needed("ChangeServiceConfigW", changed)
                _configure(api, service)
    return made


def _configure(api: Api, service: Any) -> None:
    actions = (Action * len(RESTART_AFTER_S))(*(Action(RESTART, 1_000 * seconds) for seconds in RESTART_AFTER_S))
    names = ctypes.create_unicode_buffer("\0".join((*PRIVILEGES, "")))
    for level, value in (
        (SET_DESCRIPTION, Description(DESCRIPTION)),
        (SET_FAILURE_ACTIONS, FailureActions(RESET_S, None, None, len(actions), actions)),
        # Also where it ends in good order, with an exit code: a wrong configuration may have been mended in between.
        (SET_FAILURE_FLAG, Flag(1)),
        # Some two minutes after the machine's start: the till's own programs come first.
        (SET_DELAYED_START, Flag(1)),
        (SET_SID_TYPE, Flag(SID_UNRESTRICTED)),
        (SET_PRIVILEGES, RequiredPrivileges(ctypes.cast(names, ctypes.c_void_p))),
        (SET_PRESHUTDOWN, Flag(PRESHUTDOWN_MS)),
    ):
        done = api.advapi32.ChangeServiceConfig2W(service, level, ctypes.byref(value))
        api.needed(f"ChangeServiceConfig2W({level})", done)


def remove(api: Api, clock: Callable[[], float] = time.monotonic, wait: Callable[[float], None] = time.sleep) -> bool:
    """Stop the service and take it off the record; False where there is none. Raises Win32Error and TooSlowError."""
    with ExitStack() as opened:
        control = opened.enter_context(_control(api, CONNECT))
        try:
            service = opened.enter_context(_service(api, control, STOP | QUERY_STATUS | DELETE))
        except Win32Error as error:
            if error.code == SERVICE_DOES_NOT_EXIST:
                return False
            raise
        _stop(api, service, clock, wait)
        api.needed("DeleteService", api.advapi32.DeleteService(service))
    return True


def _stop(api: Api, service: Any, clock: Callable[[], float], wait: Callable[[float], None]) -> None:
    if not api.advapi32.ControlService(service, 1, ctypes.byref(ServiceStatus())):
        if (code := api.last_error()) != SERVICE_NOT_ACTIVE:
            raise Win32Error("ControlService", code)
        return
    until = clock() + STOP_S
    while _status(api, service).current_state != Phase.STOPPED:
        if clock() > until:
            raise TooSlowError(
                f"the service does not stop within {STOP_S:.0f} s; look into the event log, end its process in the Task Manager, and try again"
            )
        wait(LOOK_S)


def told(api: Api) -> Told | None:
    """What Windows says; None where there is no such service. Raises Win32Error."""
    with ExitStack() as opened:
        control = opened.enter_context(_control(api, CONNECT))
        try:
            service = opened.enter_context(_service(api, control, QUERY_STATUS | QUERY_CONFIG))
        except Win32Error as error:
            if error.code == SERVICE_DOES_NOT_EXIST:
                return None
            raise
        status = _status(api, service)
        buffer, needed = ctypes.create_string_buffer(MAX_CONFIG), ctypes.c_uint32()
        asked = api.advapi32.QueryServiceConfigW(service, buffer, MAX_CONFIG, ctypes.byref(needed))
        api.needed("QueryServiceConfigW", asked)
        config = QueryServiceConfig.from_buffer(buffer)
        return Told(
            Phase(status.current_state) if status.current_state in set(Phase) else Phase.START_PENDING,
            status.process_id,
            status.specific_exit_code or status.win32_exit_code,
            config.start_name or "",
            config.binary_path or "",
            config.start_type,
        )


def _status(api: Api, service: Any) -> ServiceStatusProcess:
    status, needed = ServiceStatusProcess(), ctypes.c_uint32()
    size = ctypes.sizeof(status)
    asked = api.advapi32.QueryServiceStatusEx(service, STATUS_PROCESS, ctypes.byref(status), size, ctypes.byref(needed))
    api.needed("QueryServiceStatusEx", asked)
    return status


@contextmanager
def _control(api: Api, rights: int) -> Iterator[Any]:
    handle = api.needed("OpenSCManagerW", api.advapi32.OpenSCManagerW(None, None, rights))
    with _closing(api, handle):
        yield handle


@contextmanager
def _service(api: Api, control: Any, rights: int) -> Iterator[Any]:
    handle = api.needed("OpenServiceW", api.advapi32.OpenServiceW(control, NAME, rights))
    with _closing(api, handle):
        yield handle


@contextmanager
def _closing(api: Api, handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        api.advapi32.CloseServiceHandle(handle)
