"""Which commands there are, and that each is imported only where it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tillwatch.agent import commands
from tillwatch.agent.command_line import MODULES, parser_of


@pytest.mark.parametrize(("name", "module"), [(name, module) for name, module, _ in MODULES])
def test_a_command_that_is_a_module_parses_its_own_arguments_and_runs(
    name: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: tillwatch-agent {name} " in capsys.readouterr().out
    parser = parser_of([name])
    more = {"try": ["--snmp", "192.0.2.1"], "record": ["--snmp", "192.0.2.1"], "bundle": [], "service": ["status"]}
    run = parser.parse_args([name, *more.get(name, ["x"])]).own_module
    assert (run.__module__, run.__name__) == (f"tillwatch.agent.{module}", "run")


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("tillwatch-agent ")


def test_what_a_module_ends_with_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["smart", str(tmp_path / "no.json")]) == commands.FAILED
    assert "no.json" in capsys.readouterr().err


@pytest.mark.parametrize(("asked", "brought"), [("show", set()), ("lint", {"lint"})])
def test_only_the_command_that_is_asked_for_is_imported(asked: str, brought: set[str]) -> None:
    program = (
        "import sys; from tillwatch.agent.command_line import parser_of; parser_of(sys.argv[1:]); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program, asked], capture_output=True, text=True, check=True)
    own = {module for _, module, _ in MODULES} & {
        name.rpartition(".")[2] for name in done.stdout.split() if name.startswith("tillwatch.agent.")
    }
    assert own == brought
