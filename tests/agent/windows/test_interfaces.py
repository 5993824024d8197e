import ctypes
import sys

import pytest

from tillwatch.agent.windows import interfaces
from tillwatch.agent.windows.interfaces import MEANINGS, PROTOTYPES, Win32Error, load, needed_zero

POINTER = ctypes.sizeof(ctypes.c_void_p)


@pytest.mark.skipif(POINTER != 8, reason="sizes of x64")
@pytest.mark.parametrize(
    ("structure", "size"),
    [
        ("ServiceStatus", 28),
        ("ServiceStatusProcess", 36),
        ("ServiceTableEntry", 16),
        ("QueryServiceConfig", 64),
        ("Description", 8),
        ("Action", 8),
        ("FailureActions", 40),
        ("Flag", 4),
        ("RequiredPrivileges", 8),
        ("Blob", 16),
        ("GroupMember", 8),
    ],
)
def test_structures_have_the_size_that_windows_expects(structure, size):
    """By hand from winsvc.h, wincrypt.h and lmaccess.h with the alignment of x64."""
    assert ctypes.sizeof(getattr(interfaces, structure)) == size


def test_no_type_changes_its_size_between_systems():
    """c_ulong and what is made of it (wintypes.DWORD) has 64 bits here and 32 there."""
    for functions in PROTOTYPES.values():
        for result, arguments in functions.values():
            assert ctypes.c_ulong not in {result, *arguments}
            assert ctypes.c_long not in {result, *arguments}


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_each_known_error_says_what_it_is_and_what_to_do(code):
    text = str(Win32Error("OpenServiceW", code))
    what, mend = text.removeprefix(f"OpenServiceW: error {code}, ").split("; ", 1)
    assert len(what) > 5
    assert len(mend) > 10


def test_an_unknown_error_keeps_its_number():
    assert "error 4711, " in str(Win32Error("DeleteService", 4711))


def test_a_function_that_returns_its_error():
    needed_zero("RegCloseKey", 0)
    with pytest.raises(Win32Error, match=r"SetNamedSecurityInfoW: error 5, access denied; .*Run as administrator"):
        needed_zero("SetNamedSecurityInfoW", 5)


@pytest.mark.skipif(sys.platform == "win32", reason="there it can be loaded")
def test_it_is_loaded_on_windows_alone():
    with pytest.raises(OSError, match="libraries of Windows"):
        load()
