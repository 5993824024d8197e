"""Commands end to end: collector and agent as processes, over the embedded broker and over mosquitto as `broker-config` sets it up."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.test_service import Line
from tests.collector.watch.running import until
from tests.mosquitto import Mosquitto
from tillwatch.collector.diagnosis.order import Order
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority

DIAGNOSIS = "[diagnosis]\nenabled = true\n"
COMMANDS = "[commands]\nenabled = true\n"


class Bank(Line):
    """A Line that asks. agent: what is added to the agent's configuration."""

    extra = COMMANDS

    def toml(self, name: str) -> Path:
        file = super().toml(name)
        file.write_text(file.read_text() + self.extra)
        return file

    def configure(self, more: str) -> None:
        self.file.write_text(self.file.read_text() + more)

    def diagnose(self, *arguments: str) -> tuple[int, dict[str, object]]:
        done = self.collector("diagnose", "till-1", *arguments, "--reason", "is it well?", "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    @property
    def orders(self) -> list[Order]:
        with closing(SqliteReader(self.config.database)) as reader:
            return list(reader.orders())

    def allowed(self) -> frozenset[str] | None:
        with closing(SqliteReader(self.config.database)) as reader:
            return reader.reach("till-1").allowed

    async def listens(self) -> None:
        await until(lambda: self.allowed() is not None, what="the terminal to say what it takes")


@pytest.fixture(params=[pytest.param("embedded", marks=pytest.mark.long), "mosquitto"])
async def bank(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bank]:
    made, outside = Bank(tmp_path), None
    if request.param == "mosquitto":
        port = made.config.broker.port
        made.file.write_text(made.file.read_text().replace("[broker]\n", "[broker]\nembedded = false\n"))
        made.config.collector.data_dir.mkdir(mode=0o700)
        outside = Mosquitto(tmp_path / "mosquitto", port, open_authority(made.config.authority))
        await outside.start()
    made.configure(DIAGNOSIS)
    try:
        yield made
    finally:
        for name in list(made.running):
            made.stop(name, signal.SIGKILL)
        if outside is not None:
            outside.kill()


async def test_each_kind_goes_there_and_back_and_is_record(bank: Bank, tmp_path: Path) -> None:
    await bank.start()
    bank.enrol("a")
    early = bank.collector("diagnose", "till-1", "poll-now", "--reason", "too early")
    assert "never said that it takes commands" in early.stderr
    bank.run("a")
    await bank.listens()

    code, polled = bank.diagnose("poll-now", "--component", "host", "--wait")
    assert (code, polled["state"], polled["outcome"], polled["words"]) == (0, "done", "done", "1 of 1 devices read")
    code, raised = bank.diagnose("raise-sampling", "--minutes", "1", "--factor", "2", "--wait")
    assert (code, raised["outcome"]) == (0, "done")
    code, refused = bank.diagnose("self-report", "--component", "host", "--wait")
    assert (code, refused["state"], refused["why"]) == (1, "refused", "no-report")
    code, bundle = bank.diagnose("bundle", "--out", str(tmp_path / "bundle.json"))
    assert (code, bundle["state"]) == (0, "done"), bundle
    made = json.loads((tmp_path / "bundle.json").read_text())
    assert made["terminal"]["id"] == "till-1"
    assert made["removed"] is not None
    assert {"versions", "configuration", "doctor", "spool", "clock", "log", "sources"} <= set(made)
    seed = (tmp_path / "a" / "seed").read_bytes()
    assert seed.hex() not in json.dumps(made)

    listed = bank.collector("diagnose", "--list")
    assert listed.stdout.count("till-1") == 4
    bank.stop("a")
    bank.stop("collector")
    copy = tmp_path / "copy.db"
    rebuild(bank.config.database, copy)
    with closing(SqliteStore(bank.config.database)) as kept, closing(SqliteStore(copy)) as again:
        assert tables(kept.conn)["command"] == tables(again.conn)["command"]
        assert len(tables(kept.conn)["command"]) == 4


@pytest.mark.parametrize("bank", ["embedded"], indirect=True)
async def test_a_terminal_that_was_away_is_told_when_it_comes_back(bank: Bank) -> None:
    await bank.start()
    bank.enrol("a")
    bank.run("a")
    await bank.listens()
    bank.stop("a")
    await until(lambda: bank.rows("SELECT count(*) FROM journal WHERE kind = 4")[0][0] >= 2, what="its goodbye")
    code, asked = bank.diagnose("poll-now")
    assert (code, asked["state"]) == (0, "asked")
    # The collector is killed meanwhile: what was asked is record.
    bank.stop("collector", signal.SIGKILL)
    await bank.start()
    bank.run("a")
    await until(lambda: bank.orders[0].state == "done", 40, what="the answer")
    assert bank.orders[0].words == "1 of 1 devices read"


@pytest.mark.long
async def test_off_on_either_side_nothing_is_asked(tmp_path: Path) -> None:
    """A new collector and an agent that takes none; and a collector that is switched off."""
    made = Bank(tmp_path)
    made.extra = ""
    made.configure(DIAGNOSIS)
    try:
        await made.start()
        made.enrol("a")
        made.run("a")
        await made.listens()
        done = made.collector("diagnose", "till-1", "poll-now", "--reason", "x")
        assert (done.returncode, made.orders) == (1, [])
        assert "lets no commands in" in done.stderr
        made.stop("collector")
        made.file.write_text(made.file.read_text().replace("enabled = true", "enabled = false"))
        await made.start()
        done = made.collector("diagnose", "till-1", "poll-now", "--reason", "x")
        assert "[diagnosis] enabled" in done.stderr
    finally:
        for name in list(made.running):
            made.stop(name, signal.SIGKILL)


@pytest.mark.parametrize("bank", ["embedded"], indirect=True)
async def test_a_terminal_that_lost_its_spool_is_asked_in_its_new_stream(bank: Bank, tmp_path: Path) -> None:
    """What waits is sealed for whoever speaks now: a command that was meant for the stream before would be refused there."""
    await bank.start()
    bank.enrol("a")
    bank.run("a")
    await bank.listens()
    bank.stop("a")
    for file in tmp_path.glob("a/spool.db*"):
        file.unlink()
    assert bank.diagnose("poll-now")[1]["state"] == "asked"
    bank.run("a")
    await until(lambda: bank.orders[0].state == "done", 40, what="the answer")
