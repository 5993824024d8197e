"""Real programs: quick, slow, talkative, absent, and one that cannot be ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tillwatch.agent.sources import SourceError, program
from tillwatch.agent.sources.program import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs of the test are shell scripts")


def script(folder, text, name="tool"):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_what_it_printed_and_how_it_ended(tmp_path):
    tool = Program(script(tmp_path, 'echo "$1 $LC_ALL"; echo oh >&2; exit 68'), "install it")
    done = await tool.run("; rm -rf $HOME", seconds=10)
    assert (done.status, done.output, done.errors) == (68, "; rm -rf $HOME C\n", "oh\n")


async def test_it_gets_no_input(tmp_path):
    done = await Program(script(tmp_path, "cat; echo end"), "install it").run(seconds=10)
    assert done.output == "end\n"


async def test_absent_is_one_clear_error():
    with pytest.raises(SourceError, match=r"^no-such-tool is not installed; apt install it$"):
        await Program("no-such-tool", "apt install it").run(seconds=1)


async def test_what_cannot_be_started_says_why(tmp_path):
    path = tmp_path / "tool"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(SourceError, match="cannot be started"):
        await Program(str(path), "install it").run(seconds=1)


async def test_a_slow_one_is_ended(tmp_path):
    tool = Program(script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"), "install it")
    with pytest.raises(SourceError, match=r"no answer within 0.3 s"):
        await tool.run("-x", seconds=0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_cancelled_one_is_ended(tmp_path):
    tool = Program(script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"), "install it")
    task = asyncio.create_task(tool.run(seconds=60))
    async with asyncio.timeout(60):
        while not (Path(tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_talkative_one_is_ended(tmp_path):
    with pytest.raises(SourceError, match="prints over"):
        await Program(script(tmp_path, "yes"), "install it").run(seconds=30)


async def test_much_on_stderr_does_not_block_it(tmp_path):
    done = await Program(script(tmp_path, "yes | head -c 300000 >&2; echo done"), "install it").run(seconds=30)
    assert (done.output, len(done.errors)) == ("done\n", program.MAX_ERRORS)


async def test_one_that_cannot_be_ended_blocks_the_next_run_only(tmp_path, monkeypatch):
    """A process in the kernel takes no signal: here none is sent."""
    monkeypatch.setattr(program, "KILL_WAIT_S", 0.05)
    started = []
    tool = Program(script(tmp_path, "exec sleep 60"), "install it")
    with monkeypatch.context() as patched:
        patched.setattr(subprocess.Popen, "kill", lambda process: started.append(process))  # noqa: PLW0108 - bound to the process
        with pytest.raises(SourceError, match="no answer within"):
            await tool.run(seconds=0.1)
        with pytest.raises(SourceError, match="hangs in the kernel"):
            await tool.run(seconds=0.1)
    started[0].kill()
    async with asyncio.timeout(60):
        await tool._last.exited.wait()
    monkeypatch.setattr(program, "KILL_WAIT_S", 5.0)
    with pytest.raises(SourceError, match="no answer within"):
        await tool.run(seconds=0.1)
