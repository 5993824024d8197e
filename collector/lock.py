"""One data directory, one collector: a lock that the kernel gives back however its holder ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = "collector.lock"
RESTORING = "restoring"
"""The folder in which a restore is prepared. While it is there the data directory is not whole."""


class InUseError(Exception):
    """The data directory cannot be had for oneself. The text says who has it and what to do."""


@contextmanager
def locked(data_dir: Path, *, restoring: bool = False) -> Iterator[None]:
    """Have the data directory for oneself, made if it is not there. restoring: whether a restore that was broken off is no obstacle.

    Raises InUseError.
    """
    import fcntl  # noqa: PLC0415 - POSIX has it

    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InUseError(
            f"{data_dir}: {error.strerror}; run this as the collector's user, or set data_dir in [collector]"
        ) from None
    # The file stays when the lock is gone: removing it would let two hold a lock on two files of one name.
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = file.read(20).strip()
            raise InUseError(
                f"{data_dir} is in use by another collector{f' (process {holder})' if holder else ''}; end that one, or set "
                "another data_dir in [collector]"
            ) from None
        if not restoring and (data_dir / RESTORING).exists():
            raise InUseError(
                f"{data_dir}: a restore was broken off; run tillwatch-collector restore again, and remove {data_dir / RESTORING} "
                "only if collector.db and authority are those that you want"
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
