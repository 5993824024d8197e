"""Files of the watchdog's state directory: read by their owner alone, each replaced whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_private(file: Path, content: bytes) -> None:
    """Replace the file, mode 0600. Root writes for whoever owns the directory. Raises OSError."""
    descriptor, making = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if os.name == "posix" and os.geteuid() == 0:
            owner = file.parent.stat()
            os.chown(making, owner.st_uid, owner.st_gid)
        Path(making).replace(file)
    except BaseException:
        Path(making).unlink(missing_ok=True)
        raise
