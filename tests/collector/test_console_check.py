"""What the doctor says of a console that does not answer, beside collectors that run: one that was to have a console, and ones that were not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.collector.test_main import Site, _healthy, findings, running, wait
from tillwatch.collector.console_check import silent_console
from tillwatch.collector.intake.settings import AmqpSection

ROOT = Path(__file__).parents[2]
UNIT = "tillwatch-console.service"


class Machine:
    """A site on a machine with the unit of the console: a folder that the real systemctl takes for its root."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.site = Site(folder)
        self._root = folder / "root"
        self._systemctl = shutil.which("systemctl")
        assert self._systemctl, "systemd is not installed: make packages"
        there = folder / "bin/systemctl"
        there.parent.mkdir()
        there.write_text(f'#!/bin/sh\nexec {self._systemctl} --root={self._root} "$@"\n')
        there.chmod(0o755)
        patch.setenv("PATH", f"{there.parent}:{os.environ['PATH']}")
        (self._root / "usr/lib/systemd/system").mkdir(parents=True)

    def install(self, act: str) -> None:
        shutil.copy(ROOT / "packaging/systemd" / UNIT, self._root / "usr/lib/systemd/system")
        subprocess.run(["systemctl", act, UNIT], check=True, capture_output=True)

    def told(self) -> tuple[str, str]:
        return findings(self.site.call("doctor", "--json"))["console port"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def without_console(machine: Machine, tmp_path: Path) -> Iterator[Machine]:
    with running(machine.site, tmp_path / "log", "run", "--no-console") as process:
        wait(lambda: _healthy(machine.site), process)
        yield machine


def test_no_console_by_intent_is_no_fault_and_one_that_is_to_run_is(without_console: Machine) -> None:
    machine = without_console
    state, text = machine.told()
    assert (state, "no console runs here" in text, "tillwatch-console is not installed" in text) == ("warn", True, True)
    machine.install("disable")
    state, text = machine.told()
    assert state == "warn"
    assert "tillwatch-console is disabled; start one: systemctl enable --now tillwatch-console" in text
    machine.install("enable")
    state, text = machine.told()
    assert state == "fail"
    assert f"nothing answers on 127.0.0.1 port {machine.site.console}" in text
    assert "is enabled; see systemctl status tillwatch-console" in text


def test_whose_the_missing_console_is(machine: Machine) -> None:
    machine.install("disable")
    one = machine.site.config
    large = replace(one, amqp=AmqpSection())
    for config in (one, large):
        assert silent_console(config, own=True)[1:] == (
            "fail",
            f"nothing answers on 127.0.0.1 port {machine.site.console}; see the collector's log",
        )
    _, state, text = silent_console(large, own=False)
    assert (state, "people use that of another collector of this installation" in text) == ("ok", True)
    machine.install("enable")
    assert silent_console(large, own=False)[1] == "fail"
