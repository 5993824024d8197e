"""The systemd units as data, and a way to run a command under the system call filter that a unit asks for, without systemd running.

    python confine.py UNIT COMMAND...

applies SystemCallFilter=, RestrictAddressFamilies= and MemoryDenyWriteExecute= of UNIT by libseccomp, which systemd brings, in the way
of systemd's own seccomp-util.c, and becomes COMMAND. The rest of a unit needs a systemd.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from pathlib import Path

UNITS = Path(__file__).resolve().parents[2] / "packaging" / "systemd"

ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | 1  # SCMP_ACT_ERRNO(EPERM)
EQUAL, MASKED_EQUAL = 4, 7
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
FAMILIES = 46
"""AF_MAX of Linux 6."""


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(unit: Path) -> dict[str, list[str]]:
    """Every value of every key, in the order of the file; the sections of these units share no key."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def allowed_calls(filters: list[str]) -> set[str]:
    calls = members("@default")
    for value in filters:
        listed = set().union(*(members(name) for name in value.removeprefix("~").split()))
        calls = calls - listed if value.startswith("~") else calls | listed
    return calls


def members(name: str) -> set[str]:
    """The system calls of a set such as @system-service, the sets in it resolved."""
    if not name.startswith("@"):
        return {name}
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
    ).stdout
    listed = (line.strip() for line in said.splitlines()[1:])
    return set().union(*(members(entry) for entry in listed if entry and not entry.startswith("#")))


class Filter:
    """One seccomp filter; it takes nothing back that another, loaded before, has refused."""

    def __init__(self, otherwise: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(otherwise))

    def rule(self, action: int, call: str, *comparisons: Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # a call of another architecture
            return
        array = (Comparison * len(comparisons))(*comparisons)
        result = self._library.seccomp_rule_add_array(self._context, action, number, len(comparisons), array)
        if result:
            raise OSError(-result, f"no rule for {call}")

    def load(self) -> None:
        result = self._library.seccomp_load(self._context)
        if result:
            raise OSError(-result, "the filter was not taken")


def confine(unit: Path) -> None:
    """Bind this process, and what it becomes, to the filter of the unit. Only what these units use is understood."""
    wanted = settings(unit)
    calls = allowed_calls(wanted["SystemCallFilter"])

    refused = Filter(ALLOW)
    assert wanted["MemoryDenyWriteExecute"] == ["yes"]
    both = PROT_WRITE | PROT_EXEC
    refused.rule(REFUSE, "mmap", Comparison(2, MASKED_EQUAL, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        refused.rule(REFUSE, call, Comparison(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
    refused.rule(REFUSE, "shmat", Comparison(2, MASKED_EQUAL, SHM_EXEC, SHM_EXEC))
    families = {getattr(socket, name) for value in wanted["RestrictAddressFamilies"] for name in value.split()}
    for family in set(range(FAMILIES)) - families:
        refused.rule(REFUSE, "socket", Comparison(0, EQUAL, family, 0))
    refused.load()

    listed = Filter(REFUSE)
    for call in sorted(calls):
        listed.rule(ALLOW, call)
    listed.load()


if __name__ == "__main__":
    confine(UNITS / sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
