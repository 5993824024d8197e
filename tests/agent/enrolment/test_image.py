"""Whether a disk can be copied onto many machines: what only one may have is named, and removed when asked."""

import pytest

from tillwatch.agent import commands, identity


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "agent.toml").write_text(f'[terminal]\nstate_dir = "{tmp_path / "state"}"\n')
    return tmp_path


def prepare(disk, *more):
    return commands.main(["prepare-image", "--config", str(disk / "agent.toml"), *more])


def test_a_disk_without_anything_of_one_machine_can_be_copied(disk, capsys):
    assert prepare(disk) == 0
    said = capsys.readouterr().out
    assert "this disk can be copied" in said
    assert "image-token is not there" in said


def test_keys_spool_and_serial_are_named_and_removed(disk, capsys):
    own = [disk / "state" / name for name in ("identity.json", "seed", "tls.key", "claim.json", "spool.db", "spool.corrupt-1", "profiles.msgpack")]  # fmt: skip
    for file in (*own, disk / "serial"):
        file.write_text("{}")
    (disk / "state/bundles").mkdir()
    (disk / "state/bundles/one").write_text("x")
    assert prepare(disk) == 1
    said = capsys.readouterr().err
    assert all(str(file) in said for file in (*own, disk / "serial", disk / "state/bundles"))
    assert all(file.exists() for file in own)
    assert prepare(disk, "--remove") == 0
    assert "revoke it on the collector" in capsys.readouterr().out
    assert [file.name for file in (disk / "state").iterdir()] == [identity.LOCK]
    assert not (disk / "serial").exists()


def test_what_is_not_the_agents_is_left_and_said(disk, capsys):
    (disk / "state/holiday.jpg").write_text("x")
    assert prepare(disk, "--remove") == 1
    assert "holiday.jpg: not the agent's own" in capsys.readouterr().err
    assert (disk / "state/holiday.jpg").exists()


def test_a_running_agent_keeps_what_it_has(disk, capsys):
    (disk / "state/seed").write_text("x")
    with identity.hold(disk / "state"):
        assert prepare(disk, "--remove") == 4
    assert (disk / "state/seed").exists()


def test_a_copied_disk_is_told_by_the_doctor(disk, capsys, monkeypatch):
    from tillwatch.agent.enrolment import machine_check
    from tillwatch.agent.enrolment.machine import Machine

    monkeypatch.setattr(machine_check, "here", lambda _: Machine("5CG9231X4L", "a" * 16))
    (check, result, text, mend), *_ = machine_check.of_copy(_config(disk), _who(disk, ("5CG9231X4K", "a" * 16)))
    assert (check, result) == ("machine", "warn")
    assert "serial number 5CG9231X4L, enrolled with 5CG9231X4K" in text
    assert "prepare-image --remove" in mend


def _config(disk):
    from tillwatch.agent.config import load

    return load(disk / "agent.toml")


def _who(disk, machine):
    class Who:
        terminal = "till-1"

    Who.machine = machine
    return Who
