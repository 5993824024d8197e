r"""Whom the service runs as, and what that account may: pure but for the calls.

A virtual account, NT SERVICE\tillwatch-agent: Windows makes it with the service, it has no password that somebody must keep, nobody can log on with it, and no other
service shares it, as they share LocalService and NetworkService: a list of rights that names it lets in this service and nothing else. It is in two groups,
by what the sources ask: the channels System and Application of the event log are for `Event Log Readers`, and the paging file's counter that psutil reads is for
`Performance Monitor Users`. CIM classes of root/cimv2 are for everybody. The reliability counters of drives (root/Microsoft/Windows/Storage, root/wmi) are for
administrators alone: with the option --drives the service runs as LocalSystem instead, with all privileges but one taken away, and is told so.
"""

from __future__ import annotations

import ctypes
import struct
from contextlib import ExitStack
from hashlib import sha1

from tillwatch.agent.windows.interfaces import (
    ALREADY_A_MEMBER,
    NOT_A_MEMBER,
    Api,
    GroupMember,
    needed_zero,
)

LOCAL_SYSTEM = "LocalSystem"
PRIVILEGES = ("SeChangeNotifyPrivilege",)
"""Going through folders that one may not list: every program counts on it. All others are taken away, above all SeImpersonatePrivilege, by which services have
been turned into the system again and again."""
GROUPS = {"S-1-5-32-573": "Event Log Readers", "S-1-5-32-558": "Performance Monitor Users"}
"""By their number, since the names are in the language of the machine."""
MAX_NAME = 256


def virtual_account(service: str) -> str:
    return rf"NT SERVICE\{service}"


def service_sid(service: str) -> str:
    """The number of the service's account: SHA-1 of its name in capitals, as five numbers ([MS-DTYP] 2.4.2.4: S-1-5-80)."""
    digest = sha1(service.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(map(str, struct.unpack("<5I", digest)))


def join_groups(api: Api, sid: str) -> list[str]:
    """Those that it was not in before, by their numbers. Raises Win32Error."""
    joined: list[str] = []
    with ExitStack() as undo:
        undo.callback(leave_groups, api, sid, joined)
        # One by one: what was joined before one that fails is left again.
        joined.extend(
            group for group in GROUPS if _change(api, "NetLocalGroupAddMembers", group, sid, ALREADY_A_MEMBER)
        )
        undo.pop_all()
    return joined


def leave_groups(api: Api, sid: str, groups: list[str]) -> None:
    """Raises Win32Error."""
    for group in groups:
        _change(api, "NetLocalGroupDelMembers", group, sid, NOT_A_MEMBER)


def _change(api: Api, call: str, group: str, sid: str, already: int) -> bool:
    """False where it was so before."""
    name = _group_name(api, group)
    pointer = _sid(api, sid)
    try:
        member = GroupMember(pointer)
        result = getattr(api.netapi32, call)(None, name, 0, ctypes.byref(member), 1)
    finally:
        api.kernel32.LocalFree(pointer)
    if result == already:
        return False
    needed_zero(call, result)
    return True


def _group_name(api: Api, group: str) -> str:
    """As it is called on this machine. Raises Win32Error."""
    pointer = _sid(api, group)
    try:
        name, domain = (ctypes.create_unicode_buffer(MAX_NAME) for _ in range(2))
        lengths = (ctypes.c_uint32(MAX_NAME), ctypes.c_uint32(MAX_NAME))
        found = api.advapi32.LookupAccountSidW(
            None,
            pointer,
            name,
            ctypes.byref(lengths[0]),
            domain,
            ctypes.byref(lengths[1]),
            ctypes.byref(ctypes.c_int32()),
        )
        api.needed("LookupAccountSidW", found)
        return name.value
    finally:
        api.kernel32.LocalFree(pointer)


def _sid(api: Api, text: str) -> ctypes.c_void_p:
    """To be given to LocalFree."""
    pointer = ctypes.c_void_p()
    api.needed("ConvertStringSidToSidW", api.advapi32.ConvertStringSidToSidW(text, ctypes.byref(pointer)))
    return pointer
