"""The released version and today's, as processes over the embedded broker: an old agent under a new collector, a new agent under an old one, and each half
upgraded with work in hand. The old side is taken out of the history of this repository; where there is none (a source archive, a history that was cut),
nothing is collected here, and test_recorded.py holds what the two versions said to each other.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.collector.test_service import Line
from tests.collector.watch.running import until

ROOT = Path(__file__).parents[3]
RELEASED = "84c76170dbeef19a33dabce9848751318e453df4"
"""The last commit with schema 7 of the store, and without bundles and claims."""
FOLDERS = ("agent", "collector", "device_profiles", "firmware_shims")
OLD, NEW = "old", "new"


def _there() -> bool:
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "cat-file", "-e", f"{RELEASED}^{{commit}}"], capture_output=True, check=False
        )
    except OSError:
        return False
    return found.returncode == 0


class Skewed(Line):
    """collector_is, agent_is: which version each of them runs from its next start on."""

    def __init__(self, folder: Path, old: Path) -> None:
        super().__init__(folder)
        self.old = old
        self.collector_is = self.agent_is = NEW

    def _environment(self, version: str) -> dict[str, str]:
        return {"PYTHONPATH": str(self.old)} if version == OLD else {}

    def _spawn(self, name: str, *command: str, **environment: str) -> None:
        version = self.collector_is if name == "collector" else self.agent_is
        super()._spawn(name, *command, **environment, **self._environment(version))

    def collector(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._call(self.collector_is, "collector", *arguments, "--config", str(self.file))

    def agent(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._call(self.agent_is, "agent", arguments[0], "--config", str(self.toml(name)), *arguments[1:])

    def _call(self, version: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", f"tillwatch.{program}", *arguments]
        environment = {**os.environ, **self._environment(version)}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    def lost(self) -> list[tuple[Any, ...]]:
        """Batches of the journal that do not follow the one before."""
        seen = [(row[0], row[1]) for row in self.batches()]
        return [two for one, two in itertools.pairwise(seen) if one[0] == two[0] and two[1] != one[1] + 1]

    def batches(self) -> list[tuple[bytes, int]]:
        import msgpack

        rows = self.rows("SELECT facts FROM journal WHERE kind = 3 ORDER BY n")
        return [(facts["epoch"], facts["seq"]) for facts in (msgpack.unpackb(row[0]) for row in rows)]


if _there():

    @pytest.fixture(scope="module")
    def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("released")
        packed = subprocess.run(
            ["git", "-C", str(ROOT), "archive", RELEASED, *FOLDERS], capture_output=True, check=True
        )
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
            archive.extractall(folder / "tillwatch", filter="data")
        return folder

    @pytest.fixture
    def line(tmp_path: Path, old: Path) -> Iterator[Skewed]:
        made = Skewed(tmp_path, old)
        yield made
        for name in list(made.running):
            made.stop(name, 9)

    @pytest.mark.long
    async def test_an_old_agent_under_a_new_collector(line: Skewed) -> None:
        line.agent_is = OLD
        await line.start()
        line.enrol("a")
        line.run("a")
        await line.stores(3)
        # A command and a bundle are for those who said that they take them: this one never heard of bundles.
        done = line.collector("diagnose", "till-1", "poll-now", "--reason", "is it there?")
        assert done.returncode != 0
        assert line.rows("SELECT count(*) FROM terminal_ring WHERE state NOT IN ('', 'off', 'waiting')") == [(0,)]
        # Upgraded with readings in its spool: everything arrives, in order, under one identity.
        line.stop("collector")
        await until(lambda: _waiting(line, "a") >= 3, what="batches in the spool")
        line.stop("a")
        line.agent_is = NEW
        line.run("a")
        await line.start()
        await line.stores(5)
        await until(lambda: line.rows("SELECT count(*) FROM component WHERE name = 'agent'") == [(1,)])
        line.stop("a")
        assert line.lost() == []
        assert len({epoch for epoch, _ in line.batches()}) == 1
        assert "Traceback" not in line.log("a") + line.log("collector")
        line.verified()

    @pytest.mark.long
    async def test_a_new_agent_under_an_old_collector_that_is_upgraded_then(line: Skewed) -> None:
        line.collector_is = OLD
        await line.start()
        line.enrol("a")
        line.run("a")
        await line.stores(3)
        assert line.rows("PRAGMA user_version") == [(7,)]
        # The store of the released version is opened, brought to today's schema, and goes on.
        line.stop("collector")
        line.collector_is = NEW
        await line.start()
        await line.stores(3)
        assert line.rows("PRAGMA user_version")[0][0] > 7
        line.stop("a")
        assert line.lost() == []
        assert "Traceback" not in line.log("a") + line.log("collector")
        line.verified()

    @pytest.mark.long
    async def test_a_new_agent_of_an_image_waits_for_a_collector_that_knows_claims(line: Skewed) -> None:
        from tests.collector.test_zero_touch import Image

        line.collector_is = OLD
        await line.start()
        line.stop("collector")
        line.collector_is = NEW
        image = Image(line)
        await line.start()
        image.make()
        line.stop("collector")
        line.collector_is = OLD
        # The newer store is not opened by the older collector: it says so and changes nothing.
        done = line.collector("terminals")
        assert done.returncode == 1
        assert "install that version again" in done.stderr or "this program reads 7" in done.stderr
        image.machine("one", "5CG9231X4K")
        fresh = Skewed(_folder(line, "older"), line.old)
        fresh.collector_is = OLD
        await fresh.start()
        try:
            said = line.folder / "one" / "image-token"
            said.write_text(_at(fresh))
            done = fresh._call(NEW, "agent", "enrol", "--config", str(line.folder / "one" / "agent.toml"))
            assert done.returncode == 1
            assert "the collector is older than enrolment by serial number" in done.stderr
        finally:
            fresh.stop("collector")


def _folder(line: Line, name: str) -> Path:
    folder = line.folder / name
    folder.mkdir()
    return folder


def _at(line: Skewed) -> str:
    """A token of an image as the old collector would have made it, had it known how."""
    from tillwatch.collector.trust.authority import open_authority
    from tillwatch.collector.trust.registry import IMAGE_PREFIX, SECRET, token_text

    own = open_authority(line.config.authority)
    return token_text(IMAGE_PREFIX, {"h": "127.0.0.1", "p": line.config.enrolment.port, "f": own.fingerprint, "s": bytes(SECRET), "i": "x"})  # fmt: skip


def _waiting(line: Line, name: str) -> int:
    from tests.collector.test_service import waiting

    return waiting(line, name)
