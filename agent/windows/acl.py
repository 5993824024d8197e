r"""Who may read and write the agent's folders. By default every user of the machine reads C:\ProgramData and makes folders there: what is written here takes nothing
over from above.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from tillwatch.agent.windows.interfaces import Api, needed_zero

FILE_OBJECT = 1
DACL, PROTECTED_DACL = 0x4, 0x80000000
"""DACL_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION"""
REVISION = 1
_ADMINISTRATION = "(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
MODIFY, READ = "0x1301bf", "0x1200a9"
"""Read, write, execute and delete, without changing the rights; read and execute."""


def state_rights(sid: str) -> str:
    """Of the state directory in SDDL: the system and the administrators all, the service what it needs to write, nobody else anything."""
    return f"D:PAI{_ADMINISTRATION}(A;OICI;{MODIFY};;;{sid})"


def configuration_rights(sid: str) -> str:
    """The service reads its configuration, with the SNMP secrets in it, and cannot change it."""
    return f"D:PAI{_ADMINISTRATION}(A;OICI;{READ};;;{sid})"


def set_rights(api: Api, folder: Path, rights: str) -> None:
    """Of the folder and of all that inherits from it. Raises Win32Error."""
    descriptor, dacl = ctypes.c_void_p(), ctypes.c_void_p()
    made = api.advapi32.ConvertStringSecurityDescriptorToSecurityDescriptorW(
        rights, REVISION, ctypes.byref(descriptor), None
    )
    api.needed("ConvertStringSecurityDescriptorToSecurityDescriptorW", made)
    try:
        present, defaulted = ctypes.c_int32(), ctypes.c_int32()
        got = api.advapi32.GetSecurityDescriptorDacl(
            descriptor, ctypes.byref(present), ctypes.byref(dacl), ctypes.byref(defaulted)
        )
        api.needed("GetSecurityDescriptorDacl", got)
        result = api.advapi32.SetNamedSecurityInfoW(
            str(folder), FILE_OBJECT, DACL | PROTECTED_DACL, None, None, dacl, None
        )
        needed_zero("SetNamedSecurityInfoW", result)
    finally:
        api.kernel32.LocalFree(descriptor)
