"""One writer at a time: whoever journals holds the lock beside the collector's file, the service for its life, a command for an instant, a
restore while it works. The system gives it back when its process ends, however it ends. Of a server it is a lease, which runs out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tillwatch.collector.store.db import Fence, Postgres, Where

POLL_S = 0.05
LEASE_POLL_S = 0.5
"""Each look is a transaction of the server."""
RESTORING = "restoring"
"""The folder beside the file in which a restore is prepared. While it is there the data directory is not whole."""


class InUseError(Exception):
    """The collector's file cannot be had for oneself. The text says who has it and what to do."""


class WriterLock:
    """Not held until `take` says so."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._descriptor = -1

    def take(self, wait_s: float = 0.0) -> bool:
        """Whether it is ours now. Raises OSError if the file cannot be made."""
        import fcntl  # noqa: PLC0415 - the module also imports where there is none

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(descriptor)
                    return False
                time.sleep(POLL_S)
            else:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
                self._descriptor = descriptor
                return True

    def holder(self) -> str:
        """The process that took it last, for people; empty if that cannot be read."""
        try:
            return self.path.read_text("ascii", "replace")[:20].strip()
        except OSError:
            return ""

    def release(self) -> None:
        # The file stays: removing it would let two hold a lock on two files of one name.
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def locked(where: Where, wait_s: float = 0.0, *, restoring: bool = False) -> Iterator[Fence | None]:
    """Be the one writer. What is given is for the store that is opened meanwhile: of a server its lease, which is renewed until the block ends. restoring: whether
    a restore that was broken off is no obstacle. Raises InUseError.
    """
    if isinstance(where, Postgres):
        with _leased(where, wait_s) as lease:
            yield lease
    else:
        with _file_locked(where, wait_s, restoring=restoring):
            yield None


@contextmanager
def _leased(where: Postgres, wait_s: float) -> Iterator[Fence]:
    from tillwatch.collector.store.postgres import lease as leases  # noqa: PLC0415 - its library is an extra

    lease = leases.Lease(where)
    until = time.monotonic() + wait_s
    try:
        while not lease.acquire():
            if time.monotonic() >= until:
                holder = lease.held_by()
                raise InUseError(
                    f"another collector{f' on {holder}' if holder else ''} writes {where}; end it, or set another database in [store]"
                )
            time.sleep(LEASE_POLL_S)
    except BaseException:
        lease.close()
        raise
    with leases.kept(lease):
        yield lease


@contextmanager
def _file_locked(database: Path, wait_s: float, *, restoring: bool) -> Iterator[None]:
    lock, data_dir = WriterLock(database), database.parent
    try:
        taken = lock.take(wait_s)
    except OSError as error:
        raise InUseError(
            f"{data_dir}: {error.strerror}; run this as the collector's user, or set data_dir in [collector]"
        ) from None
    if not taken:
        process = f" (process {holder})" if (holder := lock.holder()) else ""
        raise InUseError(
            f"another collector{process} writes {database}; end it, or set another data_dir in [collector]"
        )
    try:
        if not restoring and (data_dir / RESTORING).exists():
            raise InUseError(
                f"{data_dir}: a restore was broken off; run tillwatch-collector restore again, and remove {data_dir / RESTORING} "
                f"only if {database.name} and authority are those that you want"
            )
        yield
    finally:
        lock.release()
