"""A file system of its own for one part of the line, small enough to be filled: then whatever is written there meets ENOSPC."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from pathlib import Path

import pytest

only_root_mounts = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root mounts a file system of the test's own"
)
"""For what needs one. Where root is refused, the test fails: a proof that root asks for is not left out in silence."""
_BALLAST = "ballast"
_BLOCK = 4096


def mount(*arguments: str | Path) -> None:
    """Raises OSError where that is not allowed."""
    done = subprocess.run(("mount", *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().partition("\n")[0]
        raise OSError(f"{said}; in a container, root needs the right to mount (CAP_SYS_ADMIN)")


def can_mount(folder: Path) -> bool:
    """Whether this machine lets this user mount. folder: of the test."""
    tried = Disk(folder / "tried", 1 << 20)
    try:
        tried.mount()
    except OSError:
        return False
    tried.close()
    return True


class Disk:
    """size: bytes. The owner alone may read it, as the parts of the line want it."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self._size = path, size
        self._mounted = False

    def mount(self) -> None:
        """Raises OSError where that is not allowed."""
        self.path.mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", f"size={self._size},mode=0700", "tillwatch-chaos", self.path)
        self._mounted = True

    def fill(self) -> None:
        """Until not one block is left."""
        with (self.path / _BALLAST).open("ab", buffering=0) as ballast:
            with contextlib.suppress(OSError):
                # In one go what is free now; what the part gives back or takes meanwhile is left to the blocks below.
                stat = os.statvfs(self.path)
                os.posix_fallocate(ballast.fileno(), ballast.tell(), stat.f_bavail * stat.f_frsize)
            ballast.seek(0, os.SEEK_END)
            try:
                while True:
                    ballast.write(bytes(_BLOCK))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        (self.path / _BALLAST).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is left of it, also while somebody still holds a file there."""
        if self._mounted:
            subprocess.run(("umount", "-l", str(self.path)), check=True)
            self._mounted = False
