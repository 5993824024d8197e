"""Pages that a start alone has touched are let go, no others, and the process goes on as before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tillwatch.agent import residence

SMAPS = """\
5600-5700 r--p 00000000 fe:00 1234  /usr/bin/python3.11
Rss:                 256 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
5700-5800 r-xp 00001000 fe:00 1234  /usr/lib/a name with spaces.so (deleted)
Anonymous:             0 kB
5800-5900 r--p 00002000 fe:00 1234  /usr/lib/relocated.so
Anonymous:             4 kB
5900-5a00 rw-p 00003000 fe:00 1234  /usr/lib/data.so
Anonymous:             0 kB
5a00-5b00 r--s 00000000 fe:00 1235  /var/lib/spool.db-shm
Anonymous:             0 kB
5b00-5c00 r--p 00000000 00:00 0
Anonymous:             0 kB
5c00-5d00 r-xp 00000000 00:00 0     [vdso]
Anonymous:             0 kB
"""

_WORK = """
import ssl, sqlite3, zlib, sys
from tillwatch.agent import residence
def resident():
    with open("/proc/self/smaps_rollup") as file:
        said = {words[0]: int(words[1]) for words in map(str.split, file) if len(words) == 3}
    return said["Rss:"], said["Anonymous:"]
def work():
    context = ssl.create_default_context()
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (a)")
    db.execute("INSERT INTO t VALUES (?)", (zlib.compress(b"x" * 10_000),))
    return len(context.get_ciphers()), zlib.decompress(db.execute("SELECT a FROM t").fetchone()[0])
first = work()
before = resident()
mappings = residence.let_go()
after = resident()
assert work() == first
print(mappings, before[0] - after[0], before[1] - after[1])
"""


def test_only_pages_of_files_that_nobody_wrote_to() -> None:
    assert list(residence.untouched(SMAPS)) == [(0x5600, 0x5700), (0x5700, 0x5800)]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_a_process_shrinks_and_works_as_before() -> None:
    done = subprocess.run([sys.executable, "-c", _WORK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    mappings, less, own = map(int, done.stdout.split())
    assert mappings > 10
    assert less > 2_000, "KiB of the libraries' pages"
    assert abs(own) < 500, "its own memory stays"


def test_after_a_few_sealings_and_then_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residence, "let_go", lambda: 0)
    kept = residence.Residence()
    assert [kept.sealed(second) for second in (10.0, 20.0, 30.0, 40.0, 3_629.0, 3_630.0, 3_640.0)] == [
        False, False, True, False, False, True, False,
    ]  # fmt: skip
