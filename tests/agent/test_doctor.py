"""Misconfigurations as they are met in the field, each seeded into a terminal that is well: what the doctor says of it, and what to do."""

import argparse
import json
import os
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from tillwatch.agent import clock, doctor, identity
from tillwatch.agent.clock import Clock
from tillwatch.agent.enrolment import enrol, rotate
from tillwatch.agent.setup_check import _file_system
from tillwatch.agent.switches import FOLDER
from tillwatch.agent.text_door import FILE
from tillwatch.device_profiles.compiled import FILE as COMPILED
from tillwatch.device_profiles.compiled import open_library

TOML = '[terminal]\nstate_dir = "state"\n[system]\nonly = ["cpu"]\n'
Usage = shutil._ntuple_diskusage


class Seeded:
    """A terminal, and what is done to it."""

    def __init__(self, folder, terminal, monkeypatch, port):
        self.folder, self.state, self.patch, self.port = folder, terminal.state_dir, monkeypatch, port
        self.toml = folder / "agent.toml"
        self.toml.write_text(TOML)
        self.after = []

    def more(self, text):
        self.toml.write_text(TOML + text)

    def script(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def identity(self, **changes):
        file = self.state / identity.FILE
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    def silent(self):
        """A UDP port behind which nobody answers."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        self.after.append(sock.close)
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The shipped device profiles, compiled once for all."""
    folder = tmp_path_factory.mktemp("compiled")
    open_library(folder)
    return folder / COMPILED


@pytest.fixture
def seeded(tmp_path, terminal, broker, monkeypatch, compiled):
    one = Seeded(tmp_path, terminal, monkeypatch, broker.port)
    shutil.copy(compiled, one.state)
    yield one
    for each in one.after:
        each()


def looked(seeded, capsys):
    """Findings by their check, and the exit code."""
    code = doctor.run(argparse.Namespace(config=seeded.toml, state_dir=None, json=True))
    found = json.loads(capsys.readouterr().out)
    return found, code


def clock_unset(s):
    s.patch.setattr(clock, "source", lambda: Clock("unsync", 16_000))


def disk_nearly_full(s):
    s.patch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 30, 1 << 30, 5 << 20))


def in_memory(s):
    memory = Path("/dev/shm") / f"tillwatch-{os.getpid()}"
    shutil.copytree(s.state, memory)
    s.after.append(lambda: shutil.rmtree(memory))
    s.toml.write_text(f'[terminal]\nstate_dir = "{memory}"\n[system]\nonly = ["cpu"]\n')


def wrong_authority(s):
    """TLS to a port behind which somebody else's certificate is shown."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"

    async def opened(*_, **__):
        raise error

    s.patch.setattr("asyncio.open_connection", opened)


def revoked(s):
    s.patch.setattr(rotate, "where", lambda _: ("127.0.0.1", 1))
    s.patch.setattr(rotate, "key_state", lambda _: {"state": "revoked", "reason": "stolen"})


def unreachable_for_rotations(s):
    def refused(_):
        raise enrol.EnrolError("127.0.0.1:1: connection refused")

    s.patch.setattr(rotate, "where", lambda _: ("127.0.0.1", 1))
    s.patch.setattr(rotate, "key_state", refused)


def damaged_spool(s):
    (s.state / identity.SPOOL).write_bytes(b"SQLite format 3\0" + bytes(5_000))


def switched(name):
    def seed(s):
        (s.state / FOLDER).mkdir()
        (s.state / FOLDER / name).touch()

    return seed


def slow_device(s):
    """smartctl that takes longer than the interval at which it is asked."""
    program = s.script("smartctl", """sleep 0.7; echo '{"smartctl": {"exit_status": 0}, "device": {"name": "/dev/x", "protocol": "ATA"}, "ata_smart_attributes": {"table": [{"id": 5, "name": "Reallocated", "raw": {"value": 0, "string": "0"}}]}}'""")  # fmt: skip
    s.more(f'[smart]\nprogram = "{program}"\ndrives = ["/dev/x"]\nslow = "0.5s"\n')


def no_right(s):
    """What smartctl says to a user who may not open the drive."""
    said = '{"smartctl": {"exit_status": 2, "messages": [{"string": "Smartctl open device: /dev/x failed: Permission denied", "severity": "error"}]}}'
    program = s.script("smartctl", f"echo '{said}'; exit 2")
    s.more(f'[smart]\nprogram = "{program}"\ndrives = ["/dev/x"]\n')


SNMP = '[[snmp]]\nname = "ups"\nhost = "127.0.0.1"\ntimeout = "0.1s"\nretries = 0\n'
FAULTS = [
    # what is wrong, how it is seeded, the check, what it says, what is to be done, the exit code
    ("clock not set", clock_unset, "clock", "not synchronised", "NTP", 0),
    ("key file open to all", lambda s: (s.state / identity.SEED).chmod(0o644), "key files", "can be read by others than the agent (mode 0644)", "chmod 600", 1),
    ("state directory missing", lambda s: s.toml.write_text('[terminal]\nstate_dir = "gone"\n[system]\nonly = ["cpu"]\n'), "state directory", "is not there", "install -d -m 700", 1),
    ("state directory open to all", lambda s: s.state.chmod(0o777), "state directory", "others can write", "chmod 700", 0),
    ("disk nearly full", disk_nearly_full, "disk", "5 MiB free for a spool of at most 256 MiB", "free some", 0),
    ("state in memory", in_memory, "file system", "lies in memory (tmpfs on /dev/shm)", "a folder on a disk", 1),
    ("not enrolled", lambda s: (s.state / identity.FILE).unlink(), "identity", "not enrolled", "enrol TOKEN", 1),
    ("no TLS to another machine", lambda s: s.identity(mqtt={"host": "no-such-host.invalid", "port": 8883, "tls": False}), "broker", "tls = false is for this machine itself only", "enrol again, or mend [collector]", 1),
    ("certificate files missing", lambda s: s.more('[collector]\nhost = "no-such-host.localhost.invalid"\ntls = true\n'), "broker", "missing; enrol this terminal", "enrol again, or mend [collector]", 1),
    ("port closed", lambda s: s.more("[collector]\nport = 1\n"), "broker", "127.0.0.1:1", "look at the address, the network and that the broker runs", 1),
    ("authority of another collector", wrong_authority, "broker", "self-signed certificate in certificate chain", "not the collector that enrolled this terminal", 1),
    ("key revoked", revoked, "key", "has revoked key", "enrol --force TOKEN", 5),
    ("rotation port closed", unreachable_for_rotations, "rotation", "connection refused", "rotations need port 1", 0),
    ("cloned disk", lambda s: s.identity(machine={"serial": "OTHER-1", "system": "0" * 64}), "machine", "this is not the machine that was enrolled", "of a copied disk", 0),
    ("spool damaged", damaged_spool, "spool", "spool", "moves", 1),
    ("unknown profile", lambda s: s.more(f'{SNMP}port = 1\nprofile = "rfc1682"\n'), "sources", "agent.toml:5: ups: no profile 'rfc1682'", "mend the configuration", 1),
    ("override of an unknown signal", lambda s: (s.more('[profiles]\noverrides = "o.yaml"\n'), (s.folder / "o.yaml").write_text("rfc1628:\n  limits:\n    ups.battery.chrage: {warn: '< 30'}\n")), "sources", "o.yaml", "mend the configuration", 1),
    ("SNMP device that does not answer, or a wrong community", lambda s: s.more(f"{SNMP}port = {s.silent()}\n"), "source ups", "look at power, network, SNMP access list and community", "see the text", 1),
    ("serial port missing", lambda s: s.more('[[serial]]\nname = "ups"\nport = "/dev/ttyUSB77"\nshim = "megatec_q1"\n'), "source ups", "/dev/ttyUSB77", "see the text", 1),
    ("smartctl missing", lambda s: s.more('[smart]\nprogram = "/nowhere/smartctl"\n'), "source drives", "is not installed", "see the text", 1),
    ("no right to ask drives", no_right, "source drives", "Permission denied", "", None),
    ("typing error in the configuration", lambda s: s.more('[sampling]\nnormel = "1m"\n'), "configuration", "agent.toml:6", "mend the line", 1),
    ("two devices with one name", lambda s: s.more(f"{SNMP}{SNMP}"), "configuration", "the name `ups` belongs to", "mend the line", 1),
    ("interval shorter than the answer", slow_device, "source drives", "longer than the 0.5 s", "set a longer `slow`", 0),
    ("pass phrase file missing", lambda s: s.more('[[snmp]]\nname = "p"\nhost = "192.0.2.1"\nversion = "3"\nauth_file = "p.auth"\n'), "configuration", "p.auth", "mend the line", 1),
    ("source switched off and forgotten", switched("host"), "source host", "switched off by", "until it is switched on again", 0),
    ("switch that names nothing", switched("upss"), "switches", "switches off nothing", "call it as the source is called", 0),
    ("device that says card numbers", lambda s: (s.state / FILE).write_text("3 1763830000 pinpad trap.last\n"), "card numbers", "3 of that shape were taken out of texts, the last on 2025-11-22 in pinpad trap.last", "card-data.md", 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("seed", "check", "says", "mend", "code"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_each_is_found_and_explained(seeded, capsys, seed, check, says, mend, code):
    seed(seeded)
    found, ended = looked(seeded, capsys)
    told = [each for each in found if each["check"] == check and says in each["text"]]
    assert told, found
    assert told[0]["result"] in ("fail", "warn")
    assert mend in told[0]["mend"]
    if code is not None:
        assert ended == code, [each for each in found if each["result"] == "fail"]
    # And nothing else is broken by it than what hangs on it.
    if code == 0:
        assert not [each for each in found if each["result"] == "fail"]


def test_a_terminal_that_is_well(seeded, capsys):
    found, code = looked(seeded, capsys)
    assert code == 0
    assert {each["check"] for each in found if each["result"] == "warn"} <= {"clock", "rotation", "file system"}
    assert len(FAULTS) >= 20


@pytest.mark.parametrize(
    ("mounts", "says"),
    [
        ("1 0 8:1 / / rw - ext4 /dev/sda1 rw", None),
        ("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:1 / /var rw - tmpfs tmpfs rw", "in memory (tmpfs on /var)"),
        ("1 0 0:2 / / rw - overlay overlayroot rw", "lies on overlay (/)"),
        ("1 0 0:2 / / rw - overlay overlayroot rw\n2 1 8:2 / /var/lib rw - ext4 /dev/sda2 rw", None),
        ("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:1 / /va rw - tmpfs tmpfs rw\nnonsense", None),
        ("", None),
    ],
)
def test_what_the_state_lies_on(mounts, says):
    found = list(_file_system(Path("/var/lib/tillwatch-agent"), mounts))
    assert (says in found[0][2]) if says else found == []
