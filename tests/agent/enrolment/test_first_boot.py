"""When a machine of an image asks, and what is told meanwhile. That it is let in is shown with a collector: tests/collector/test_zero_touch.py."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent import commands
from tillwatch.agent.enrolment import first_boot
from tillwatch.agent.enrolment.first_boot import AGAIN, FIRST, MOST, pause, token_file
from tillwatch.agent.settings import Config


def test_the_first_attempt_is_made_within_seconds():
    assert FIRST <= 10


@given(st.integers(1, 10_000))
def test_pauses_grow_spread_and_end_growing(failures):
    least, most = pause(failures, refused=False)
    assert AGAIN / 2 <= least == most / 2
    assert most <= MOST
    assert most <= pause(failures + 1, refused=False)[1]
    assert pause(failures, refused=True) == (MOST / 2, MOST)


def test_fifty_thousand_machines_are_few_at_a_time_once_the_pauses_have_grown():
    least, most = pause(100, refused=False)
    assert 50_000 / (most - least) < 120  # a second, where a collector takes a hundred or more


@pytest.fixture
def config(tmp_path):
    (tmp_path / "agent.toml").write_text("")
    (tmp_path / "image-token").write_text("twi1.nonsense")
    return Config(tmp_path / "agent.toml", tmp_path / "state")


async def test_it_is_ready_for_the_service_manager_and_ends_when_told(config, tmp_path, monkeypatch, until):
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        asyncio.get_running_loop().add_reader(manager, lambda: heard.append(manager.recv(400).decode()))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setattr(first_boot, "FIRST", 600.0)
        stop = asyncio.Event()
        waiting = asyncio.create_task(first_boot.enrolled(config, stop))
        await until(lambda: any("READY=1" in line for line in heard) and "WATCHDOG=1" in heard)
        stop.set()
        assert await waiting is False
        asyncio.get_running_loop().remove_reader(manager)


def test_without_a_token_in_the_image_nothing_waits(config, capsys):
    token_file(config).unlink()
    assert commands.main(["run", "--config", str(config.path), "--state-dir", str(config.state_dir)]) == 3
    assert "this terminal is not enrolled" in capsys.readouterr().err


def test_by_hand_it_says_what_is_wrong_with_the_token(config, capsys):
    (config.path.parent / "serial").write_text("5CG9231X4K")
    assert commands.main(["enrol", "--config", str(config.path), "--state-dir", str(config.state_dir)]) == 1
    assert f"{token_file(config)}: this is not a whole image token" in capsys.readouterr().err
    token_file(config).unlink()
    assert commands.main(["enrol", "--config", str(config.path), "--state-dir", str(config.state_dir)]) == 1
    assert "no TOKEN, and no image token" in capsys.readouterr().err
