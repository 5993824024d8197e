"""Windows' data protection (DPAPI) for the keys of the terminal: a copy of the files, or of the disk's backup, is of no use on another machine.

With the scope of the machine, not of a user: an administrator enrols and the service's own account reads. Any program on this machine that may read the file
could ask Windows to reveal it, so that the list of access rights of the state directory (acl.py) is what keeps the others out. Whoever has the whole
disk has the machine's own key too: against that stands BitLocker.
"""

from __future__ import annotations

import ctypes

from tillwatch.agent.protection import ProtectionError
from tillwatch.agent.windows.interfaces import BAD_KEY_STATE, FILE_NOT_FOUND, INVALID_DATA, Api, Blob, Win32Error

MARK = b"tillwatch-dpapi-1\0"
"""Begins what was protected; a seed of 32 bytes and PEM do not."""
UI_FORBIDDEN, LOCAL_MACHINE = 0x1, 0x4
OF_ANOTHER_MACHINE = {FILE_NOT_FOUND, INVALID_DATA, BAD_KEY_STATE}
"""What CryptUnprotectData says where the machine's key is not the one that protected: which of them depends on the version of Windows."""
ELSEWHERE = (
    "this was protected on another machine, or Windows was installed anew since: keys cannot be moved; "
    "make a token on the collector, then: tillwatch-agent enrol --force TOKEN"
)


class Dpapi:
    """A Protector."""

    encrypts = True

    def __init__(self, api: Api) -> None:
        self._api = api

    def protect(self, secret: bytes, use: str) -> bytes:
        return MARK + self._convert("CryptProtectData", secret, use, UI_FORBIDDEN | LOCAL_MACHINE)

    def reveal(self, kept: bytes, use: str) -> bytes:
        if not self.is_protected(kept):
            return kept
        return self._convert("CryptUnprotectData", kept[len(MARK) :], use, UI_FORBIDDEN)

    def is_protected(self, kept: bytes) -> bool:
        return kept.startswith(MARK)

    def _convert(self, call: str, content: bytes, use: str, flags: int) -> bytes:
        given, entropy, got = _blob(content), _blob(f"tillwatch/{use}/1".encode()), Blob()
        arguments = (ctypes.byref(given), None, ctypes.byref(entropy), None, None, flags, ctypes.byref(got))
        if not getattr(self._api.crypt32, call)(*arguments):
            error = Win32Error(call, self._api.last_error() & 0xFFFFFFFF)
            elsewhere = call == "CryptUnprotectData" and error.code in OF_ANOTHER_MACHINE
            raise ProtectionError(
                f"{use}: {ELSEWHERE} ({call}: error {error.code})" if elsewhere else f"{use}: {error}"
            )
        try:
            return ctypes.string_at(got.data, got.size)
        finally:
            # What is freed stays in memory until it is used again.
            ctypes.memset(got.data, 0, got.size)
            self._api.kernel32.LocalFree(ctypes.cast(got.data, ctypes.c_void_p))


def _blob(content: bytes) -> Blob:
    buffer = (ctypes.c_uint8 * len(content)).from_buffer_copy(content)
    return Blob(len(content), ctypes.cast(buffer, ctypes.POINTER(ctypes.c_uint8)))
