"""What the service asks of Windows: the functions of five libraries with the types that Microsoft documents for x64 and x86, the structures, and the error
that says which call failed and what to do. Importing this loads nothing; `load` works on Windows alone, and tests hand in libraries of their own.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from ctypes import POINTER, Structure, c_int32, c_uint8, c_uint16, c_uint32, c_void_p, c_wchar_p
from dataclasses import dataclass
from typing import Any

# Not ctypes.wintypes: its DWORD is C's unsigned long, of which only Windows says that it has 32 bits.
DWORD, BOOL, HANDLE, TEXT = c_uint32, c_int32, c_void_p, c_wchar_p

NO_ERROR = 0
FILE_NOT_FOUND = 2
ACCESS_DENIED = 5
INVALID_DATA = 13
CALL_NOT_IMPLEMENTED = 120
INSUFFICIENT_BUFFER = 122
SERVICE_DOES_NOT_EXIST = 1060
SERVICE_NOT_ACTIVE = 1062
NOT_STARTED_BY_CONTROL = 1063
SERVICE_SPECIFIC_ERROR = 1066
SERVICE_MARKED_FOR_DELETE = 1072
SERVICE_EXISTS = 1073
NONE_MAPPED = 1332
NOT_A_MEMBER = 1377
ALREADY_A_MEMBER = 1378
BAD_KEY_STATE = 0x8009000B

MEANINGS = {
    ACCESS_DENIED: ("access denied", "run this in a prompt that was opened with `Run as administrator`"),
    8: ("not enough memory", "close other programs, or look what takes the machine's memory"),
    FILE_NOT_FOUND: ("not found", "look whether the path or the registry key is there"),
    3: ("path not found", "look whether the folder is there"),
    1051: ("other services depend on it", "stop those first: sc enumdepend tillwatch-agent"),
    1053: ("it did not answer in time", "look into the event log, source tillwatch-agent"),
    1056: ("it runs already", "stop it first: sc stop tillwatch-agent"),
    1057: ("the account is not known", "look whether a policy forbids virtual accounts (NT SERVICE)"),
    1058: ("the service is disabled", "enable it: sc config tillwatch-agent start= delayed-auto"),
    SERVICE_DOES_NOT_EXIST: ("there is no such service", "install it: tillwatch-agent service install"),
    1061: ("it takes no orders now", "wait until it has started or stopped, and try again"),
    SERVICE_NOT_ACTIVE: ("it does not run", "start it: sc start tillwatch-agent"),
    NOT_STARTED_BY_CONTROL: (
        "not started by Windows' service control",
        "`service run` is for it alone; in a prompt use: tillwatch-agent run",
    ),
    1069: (
        "the account could not log on",
        "give NT SERVICE\\ALL SERVICES the right `Log on as a service` in the policy",
    ),
    SERVICE_MARKED_FOR_DELETE: (
        "it waits to be deleted",
        "close services.msc and the Task Manager, which hold it open, or restart the machine",
    ),
    SERVICE_EXISTS: ("there is such a service already", "remove it first: tillwatch-agent service remove"),
    1078: ("another service has its display name", "remove that one"),
    1314: ("a privilege is missing", "run this in a prompt that was opened with `Run as administrator`"),
    NONE_MAPPED: ("the account is not known", "look whether the service was installed"),
    1722: ("service control cannot be reached", "restart the machine"),
    2220: ("there is no such group", "a policy may have removed it; the sources that need it will say so"),
}
"""Error -> what it is, what to do. Windows' own text is in the language of the machine, and says no mend."""


class Win32Error(Exception):
    """A call failed. code: GetLastError's, or what the function returned."""

    def __init__(self, call: str, code: int) -> None:
        self.call, self.code = call, code
        what, mend = MEANINGS.get(code, (_words(code), "look this number up in Microsoft's list of system error codes"))
        super().__init__(f"{call}: error {code}, {what}; {mend}")


def _words(code: int) -> str:
    if sys.platform == "win32":
        return ctypes.FormatError(code - (1 << 32) if code > 0x7FFFFFFF else code).strip().rstrip(".")
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        return "which has no name here"


class ServiceStatus(Structure):
    """SERVICE_STATUS"""

    _fields_ = (
        ("service_type", DWORD),
        ("current_state", DWORD),
        ("controls_accepted", DWORD),
        ("win32_exit_code", DWORD),
        ("specific_exit_code", DWORD),
        ("check_point", DWORD),
        ("wait_hint", DWORD),
    )


class ServiceStatusProcess(Structure):
    """SERVICE_STATUS_PROCESS"""

    _fields_ = (*ServiceStatus._fields_, ("process_id", DWORD), ("service_flags", DWORD))


class ServiceTableEntry(Structure):
    """SERVICE_TABLE_ENTRYW; the function as a plain pointer, which is null in the last entry."""

    _fields_ = (("name", TEXT), ("main", c_void_p))


class QueryServiceConfig(Structure):
    """QUERY_SERVICE_CONFIGW"""

    _fields_ = (
        ("service_type", DWORD),
        ("start_type", DWORD),
        ("error_control", DWORD),
        ("binary_path", TEXT),
        ("load_order_group", TEXT),
        ("tag", DWORD),
        ("dependencies", TEXT),
        ("start_name", TEXT),
        ("display_name", TEXT),
    )


class Description(Structure):
    """SERVICE_DESCRIPTIONW"""

    _fields_ = (("text", TEXT),)


class Action(Structure):
    """SC_ACTION; delay in ms."""

    _fields_ = (("type", c_int32), ("delay", DWORD))


class FailureActions(Structure):
    """SERVICE_FAILURE_ACTIONSW; reset_period in s."""

    _fields_ = (
        ("reset_period", DWORD),
        ("reboot_message", TEXT),
        ("command", TEXT),
        ("count", DWORD),
        ("actions", POINTER(Action)),
    )


class Flag(Structure):
    """SERVICE_FAILURE_ACTIONS_FLAG, SERVICE_DELAYED_AUTO_START_INFO, SERVICE_SID_INFO and SERVICE_PRESHUTDOWN_INFO: each one number of 32 bits."""

    _fields_ = (("value", DWORD),)


class RequiredPrivileges(Structure):
    """SERVICE_REQUIRED_PRIVILEGES_INFOW; names: texts with a null after each and another at the end."""

    _fields_ = (("names", c_void_p),)


class Blob(Structure):
    """DATA_BLOB"""

    _fields_ = (("size", DWORD), ("data", POINTER(c_uint8)))


class GroupMember(Structure):
    """LOCALGROUP_MEMBERS_INFO_0"""

    _fields_ = (("sid", c_void_p),)


Prototype = tuple[Any, tuple[Any, ...]]
PROTOTYPES: dict[str, dict[str, Prototype]] = {
    "advapi32": {
        "StartServiceCtrlDispatcherW": (BOOL, (POINTER(ServiceTableEntry),)),
        "RegisterServiceCtrlHandlerExW": (HANDLE, (TEXT, c_void_p, c_void_p)),
        "SetServiceStatus": (BOOL, (HANDLE, POINTER(ServiceStatus))),
        "OpenSCManagerW": (HANDLE, (TEXT, TEXT, DWORD)),
        "OpenServiceW": (HANDLE, (HANDLE, TEXT, DWORD)),
        "CreateServiceW": (
            HANDLE,
            (HANDLE, TEXT, TEXT, DWORD, DWORD, DWORD, DWORD, TEXT, TEXT, POINTER(DWORD), TEXT, TEXT, TEXT),
        ),
        "ChangeServiceConfigW": (
            BOOL,
            (HANDLE, DWORD, DWORD, DWORD, TEXT, TEXT, POINTER(DWORD), TEXT, TEXT, TEXT, TEXT),
        ),
        "ChangeServiceConfig2W": (BOOL, (HANDLE, DWORD, c_void_p)),
        "QueryServiceConfigW": (BOOL, (HANDLE, c_void_p, DWORD, POINTER(DWORD))),
        "QueryServiceStatusEx": (BOOL, (HANDLE, c_int32, c_void_p, DWORD, POINTER(DWORD))),
        "ControlService": (BOOL, (HANDLE, DWORD, POINTER(ServiceStatus))),
        "DeleteService": (BOOL, (HANDLE,)),
        "CloseServiceHandle": (BOOL, (HANDLE,)),
        "RegisterEventSourceW": (HANDLE, (TEXT, TEXT)),
        "ReportEventW": (
            BOOL,
            (HANDLE, c_uint16, c_uint16, DWORD, c_void_p, c_uint16, DWORD, POINTER(TEXT), c_void_p),
        ),
        "DeregisterEventSource": (BOOL, (HANDLE,)),
        "RegCreateKeyExW": (
            c_int32,
            (HANDLE, TEXT, DWORD, TEXT, DWORD, DWORD, c_void_p, POINTER(HANDLE), POINTER(DWORD)),
        ),
        "RegSetValueExW": (c_int32, (HANDLE, TEXT, DWORD, DWORD, c_void_p, DWORD)),
        "RegCloseKey": (c_int32, (HANDLE,)),
        "RegDeleteTreeW": (c_int32, (HANDLE, TEXT)),
        "ConvertStringSidToSidW": (BOOL, (TEXT, POINTER(c_void_p))),
        "LookupAccountSidW": (
            BOOL,
            (TEXT, c_void_p, c_void_p, POINTER(DWORD), c_void_p, POINTER(DWORD), POINTER(c_int32)),
        ),
        "ConvertStringSecurityDescriptorToSecurityDescriptorW": (
            BOOL,
            (TEXT, DWORD, POINTER(c_void_p), POINTER(DWORD)),
        ),
        "GetSecurityDescriptorDacl": (BOOL, (c_void_p, POINTER(BOOL), POINTER(c_void_p), POINTER(BOOL))),
        "SetNamedSecurityInfoW": (DWORD, (TEXT, c_int32, DWORD, c_void_p, c_void_p, c_void_p, c_void_p)),
    },
    "kernel32": {"LocalFree": (HANDLE, (HANDLE,))},
    "crypt32": {
        "CryptProtectData": (
            BOOL,
            (POINTER(Blob), TEXT, POINTER(Blob), c_void_p, c_void_p, DWORD, POINTER(Blob)),
        ),
        "CryptUnprotectData": (
            BOOL,
            (POINTER(Blob), c_void_p, POINTER(Blob), c_void_p, c_void_p, DWORD, POINTER(Blob)),
        ),
    },
    "netapi32": {
        "NetLocalGroupAddMembers": (DWORD, (TEXT, TEXT, DWORD, c_void_p, DWORD)),
        "NetLocalGroupDelMembers": (DWORD, (TEXT, TEXT, DWORD, c_void_p, DWORD)),
    },
}
"""Library -> function -> what it returns and takes. Handles and pointers as what they are, since ctypes would cut them to 32 bits."""

SYSTEM32_ONLY = 0x00000800
"""LOAD_LIBRARY_SEARCH_SYSTEM32: no folder beside the program can put another library in the place of these."""


@dataclass(frozen=True, slots=True)
class Api:
    """last_error: GetLastError of this thread, right after a call. main, handler: make the pointers that service control calls."""

    advapi32: Any
    kernel32: Any
    crypt32: Any
    netapi32: Any
    last_error: Callable[[], int]
    main: Callable[[Callable[[int, Any], None]], Any]
    handler: Callable[[Callable[[int, int, Any, Any], int]], Any]

    def needed(self, call: str, result: Any) -> Any:
        """The result, unless it is 0 or null. Raises Win32Error."""
        if not result:
            raise Win32Error(call, self.last_error())
        return result


def needed_zero(call: str, result: int) -> None:
    """For functions that return their error. Raises Win32Error."""
    if result != NO_ERROR:
        raise Win32Error(call, result & 0xFFFFFFFF)


def load() -> Api:
    """Windows' own libraries. OSError on other systems."""
    if sys.platform == "win32":
        libraries = {
            name: ctypes.WinDLL(f"{name}.dll", use_last_error=True, winmode=SYSTEM32_ONLY) for name in PROTOTYPES
        }
        for name, library in libraries.items():
            for function, (result, arguments) in PROTOTYPES[name].items():
                getattr(library, function).restype = result
                getattr(library, function).argtypes = arguments
        main = ctypes.WINFUNCTYPE(None, DWORD, c_void_p)
        handler = ctypes.WINFUNCTYPE(DWORD, DWORD, DWORD, c_void_p, c_void_p)
        return Api(**libraries, last_error=ctypes.get_last_error, main=main, handler=handler)
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        raise OSError("these are libraries of Windows")
