"""Looks at one bundle as the next start would, in a process of its own: whatever it does to that, the running agent lives. Ends with 0 and says nothing, or
with 1 and the first thing that is wrong.

python -m tillwatch.agent.bundles.check STATE_DIR DIGEST NAME [CONFIG]
"""

from __future__ import annotations

import sys
from pathlib import Path

from tillwatch.agent.bundles import keeping
from tillwatch.agent.bundles.choosing import configured
from tillwatch.agent.bundles.keeping import DamagedError
from tillwatch.agent.bundles.machine import Kept
from tillwatch.agent.prepared import prepare
from tillwatch.agent.settings import ConfigError
from tillwatch.device_profiles.bundle import BundleError, problems

MEMORY_MOST = 64 << 20
"""Bytes of data that the check may take. The agent's unit has 96 MiB for both; all shipped profiles take 30."""
CPU_S = 60


def main(arguments: list[str]) -> int:
    state_dir, digest, name, *config = arguments
    _bound()
    folder = keeping.folder_of(Path(state_dir))
    kept = Kept(0, name, bytes.fromhex(digest))
    try:
        root, content = keeping.lay_out(folder, kept)
        if found := problems(root, content):
            raise BundleError([wrong.replace(f"{root}/", "") for wrong in found])
        prepare(configured(Path(config[0]) if config else None, Path(state_dir), folder, kept), verbose=False)
    except (BundleError, ConfigError, DamagedError, OSError, MemoryError, RecursionError) as error:
        print(str(error).replace(f"{folder}/", "") or type(error).__name__)
        return 1
    return 0


def _bound() -> None:
    """Where the system can. On Windows the time that the agent waits is the bound."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - POSIX only

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MOST, MEMORY_MOST))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
