"""Machines from one image, as processes, against a running collector: they enrol themselves by their serial numbers, once each."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.test_service import AGENT, TOML, Line
from tests.collector.watch.running import until
from tillwatch.collector.proof.rebuild import rebuild, tables

FIRST_BOOT = AGENT.replace(
    "from tillwatch.agent.__main__",
    "from tillwatch.agent.enrolment import first_boot\nfirst_boot.FIRST, first_boot.AGAIN, first_boot.MOST = 0.1, 0.3, 0.6\nfrom tillwatch.agent.__main__",
)
LIST = """serial,terminal,branch,region,class,ring
5CG9231X4K,till-1,Harbour,North,atm,first
5cg9231x4l,till-2,Harbour,North,atm,
"""


class Image:
    """An image with a token, and the machines that are made from it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.token = ""

    def make(self, *more: str) -> None:
        (self.line.folder / "list.csv").write_text(LIST)
        done = self.line.collector("enrol-token", "--image", "kiosk-7", "--for", str(self.line.folder / "list.csv"), "--until", "+1d", "--json", *more)  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.token = json.loads(done.stdout)["token"]

    def state(self, name: str) -> Path:
        return self.line.folder / name / "state"

    def machine(self, name: str, serial: str) -> Path:
        folder = self.line.folder / name
        folder.mkdir()
        (folder / "agent.toml").write_text(TOML.format(state=self.state(name)))
        (folder / "image-token").write_text(self.token)
        (folder / "serial").write_text(serial)
        return folder / "agent.toml"

    def boot(self, name: str, serial: str) -> None:
        self.start(name, self.machine(name, serial))

    def start(self, name: str, file: Path) -> None:
        self.line._spawn(name, sys.executable, "-P", "-c", FIRST_BOOT, "run", "--config", str(file))

    def enrolled(self, name: str) -> dict[str, object]:
        file = self.state(name) / "identity.json"
        return json.loads(file.read_text()) if file.exists() else {}


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    for name in list(made.running):
        made.stop(name, 9)


async def test_a_machine_becomes_the_terminal_of_its_serial_once(line: Line) -> None:
    image = Image(line)
    await line.start()
    image.make()
    image.boot("one", " 5cg9231x4k ")
    await until(lambda: image.enrolled("one"), what="the first machine to enrol")
    assert image.enrolled("one")["terminal"] == "till-1"
    assert image.enrolled("one")["machine"]["serial"] == "5CG9231X4K"
    assert not (image.state("one") / "claim.json").exists()
    await line.stores()

    image.boot("copy", "5CG9231X4K")
    await until(lambda: "a person has to decide: tillwatch-collector expect release 5CG9231X4K" in line.log("copy"))
    assert not image.enrolled("copy")
    assert line.rows("SELECT terminal, condition FROM alarm WHERE rule = 'delivery.fork'") == [("till-1", "active")]
    assert line.rows("SELECT serial, state FROM expected_terminal WHERE state <> 'expected'") == [("5CG9231X4K", "disputed")]  # fmt: skip
    await line.stores()  # the first machine goes on all the same

    # A person decides: the copy is the new disk. It asks again by itself.
    line.stop("one")
    done = line.collector("expect", "release", "5cg9231x4k")
    assert done.returncode == 0, done.stderr
    await until(lambda: image.enrolled("copy"), what="the released machine to enrol")
    assert line.rows("SELECT condition FROM alarm WHERE rule = 'delivery.fork'") == [("normal",)]
    for name in list(line.running):
        line.stop(name)
    made_again(line)


@pytest.mark.long
async def test_who_is_not_expected_is_kept_for_a_person_and_an_image_is_used_up(line: Line) -> None:
    image = Image(line)
    await line.start()
    image.make("--count", "1")
    image.boot("stranger", "ZZ00STRANGER")
    image.boot("bare", "Default string")
    await until(lambda: "serial number ZZ00STRANGER is not on the list of expected machines" in line.log("stranger"))
    await until(lambda: "is what makers leave in the place of a serial number" in line.log("bare"))
    refused = json.loads(line.collector("expect", "refused", "--json").stdout)
    assert [(one["serial"], one["terminal"]) for one in refused] == [("ZZ00STRANGER", "")]
    # It is put on the list, and asks again by itself.
    (line.folder / "more.csv").write_text(
        "serial,terminal,branch,region,class\nzz00stranger,till-9,Harbour,North,atm\n"
    )
    done = line.collector("expect", "import", str(line.folder / "more.csv"), "--image", "kiosk-7")
    assert done.returncode == 0, done.stderr
    await until(lambda: image.enrolled("stranger"), what="the machine that was put on the list")
    image.boot("late", "5CG9231X4L")
    await until(lambda: "expired, not good yet, or used up" in line.log("late"))
    status = json.loads(line.collector("enrol-status", "kiosk-7", "--json").stdout)
    assert (status["used"], status["count"], status["good"]) == (1, 1, False)
    assert [one["terminal"] for one in status["missing"]] == ["till-1", "till-2"]
    acts = [act["action"] for act in json.loads(line.collector("audit", "--json").stdout)]
    assert {"image-token", "expect", "enrol", "claim-refused"} <= set(acts)
    for name in list(line.running):
        line.stop(name)
    made_again(line)


def made_again(line: Line) -> None:
    """A rebuild from the journal alone makes the same tables."""
    copied = line.folder / "rebuilt.db"
    rebuild(line.config.database, copied)
    with sqlite3.connect(copied) as again, sqlite3.connect(line.config.database) as kept:
        assert tables(again) == tables(kept)
    again.close()
    kept.close()


@pytest.mark.long
async def test_machines_wait_for_a_collector_that_is_not_there_yet_and_end_when_told(line: Line) -> None:
    await line.start()
    image = Image(line)
    image.make()
    line.stop("collector")
    image.boot("one", "5CG9231X4K")
    await until(lambda: "check the network, the firewall and that the collector runs" in line.log("one"))
    claim = (image.state("one") / "claim.json").read_text()
    line.stop("one")
    image.start("one", line.folder / "one" / "agent.toml")
    await line.start()
    await until(lambda: image.enrolled("one"), what="the machine to enrol")
    assert json.loads(claim)["serial"] == "5CG9231X4K"
    await line.stores(1)
    process = line.running["one"]
    line.stop("one")
    assert process.returncode == 0
