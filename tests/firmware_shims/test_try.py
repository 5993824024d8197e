"""Every shim as a person uses it first: `tillwatch-agent try --serial PORT --shim NAME --json`, on a pseudo-terminal with a device behind it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.variants import long_after
from tillwatch.agent.__main__ import main
from tillwatch.firmware_shims import base
from tillwatch.firmware_shims.base import Mode, load_all

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")

SHIMS = {shim.name: shim for shim in load_all() if Mode.EXCLUSIVE in shim.modes}
FIRST = ("ccnet", "megatec_q1", "modbus_rtu")
"""A frame with a length and a checksum, a line of text, registers; test_transcripts.py has all of them on terminals."""


@contextlib.contextmanager
def device(answers: dict[bytes, bytes]) -> Iterator[str]:
    """Answers what it knows, in a thread of its own; gives the path to open."""
    import tty

    ours, theirs = os.openpty()
    tty.setraw(theirs)
    ended, end = os.pipe()

    def answer() -> None:
        heard = b""
        while ended not in (ready := select.select([ours, ended], [], [])[0]):
            heard += os.read(ready[0], 256)
            if heard in answers:
                os.write(ours, answers[heard])
                heard = b""

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        os.write(end, b"x")
        thread.join(60)
        for descriptor in (ours, theirs, ended, end):
            os.close(descriptor)


def readings(capsys, arguments) -> dict[tuple[str, str], tuple[object, str]]:
    assert main(["try", *arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    return {
        (each["component"].partition("/")[2], each["signal"]): (each["value"], each["unit"])
        for each in shown["readings"]
    }


@pytest.mark.parametrize("name", long_after(len(FIRST), sorted(SHIMS, key=lambda name: name not in FIRST)))
def test_a_device_is_tried(name, transcript, capsys):
    spoken = next(iter(transcript(name)))
    with device({each.request: each.answer for each in spoken.exchanges}) as port:
        assert readings(capsys, ["--serial", port, "--shim", name]) == spoken.expected


def test_a_dialogue_of_ones_own_is_tried_by_its_path(tmp_path, transcript, capsys):
    path = shutil.copy(Path(base.__file__).parent / "megatec_old.yaml", tmp_path / "acme.yaml")
    spoken = next(iter(transcript("megatec_old")))
    with device({each.request: each.answer for each in spoken.exchanges}) as port:
        assert readings(capsys, ["--serial", port, "--shim", str(path)]) == spoken.expected


def test_a_dialogue_with_mistakes_is_told(tmp_path, capsys):
    path = tmp_path / "acme.yaml"
    path.write_text("title: x\nline: {baud: 9600}\nqueries: {a: {send: S}}\nreadings: []\n")
    assert main(["try", "--serial", "/dev/null", "--shim", str(path)]) == 1
    assert f"{path}:1: 'framing' is missing" in capsys.readouterr().err
