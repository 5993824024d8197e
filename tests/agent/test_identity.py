import os
import subprocess
import sys

import pytest

from tillwatch.agent import identity
from tillwatch.agent.identity import HeldError, IdentityError, NotEnrolledError


def test_what_was_saved_is_loaded(terminal):
    who = identity.load(terminal.state_dir)
    assert (who.terminal, who.branch, who.region) == ("atm-1", "b1", "r1")
    assert list(who.ack_keys) == [terminal.collector_key.key_id]
    assert who.broker.port == terminal.port


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_only_the_owner_reads_the_keys(terminal):
    assert (terminal.state_dir / "seed").stat().st_mode & 0o777 == 0o600
    (terminal.state_dir / "seed").chmod(0o644)
    with pytest.raises(IdentityError, match="chmod 600"):
        identity.load(terminal.state_dir)


def test_not_enrolled_says_what_to_do(tmp_path):
    with pytest.raises(NotEnrolledError, match="enrol TOKEN"):
        identity.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": 1}', b'{"version": 2}'])
def test_damaged_identity(terminal, content):
    (terminal.state_dir / "identity.json").write_bytes(content)
    with pytest.raises(IdentityError, match="enrol again"):
        identity.load(terminal.state_dir)


def test_short_seed(terminal):
    identity.write_private(terminal.state_dir / "seed", b"short")
    with pytest.raises(IdentityError, match="damaged"):
        identity.load(terminal.state_dir)


def test_one_process_holds_the_directory(tmp_path):
    script = "import sys; from pathlib import Path; from tillwatch.agent.identity import hold\nwith hold(Path(sys.argv[1])): print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(HeldError, match="another tillwatch-agent"), identity.hold(tmp_path):
            pass
        other.kill()
        other.wait()
        with identity.hold(tmp_path):
            pass


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_makes_for_an_enrolment_is_the_owners(tmp_path):
    """`sudo tillwatch-agent enrol` before the service has ever run: the lock, too, must open for the service's user."""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    os.chown(state_dir, 65534, 65534)
    with identity.hold(state_dir):
        identity.write_private(state_dir / identity.SEED, b"seed")
    assert {path.name: path.stat().st_uid for path in state_dir.iterdir()} == {
        identity.LOCK: 65534,
        identity.SEED: 65534,
    }
