"""The table of commands: each leads to a function, its example is one that it takes, and the help names it."""

from __future__ import annotations

import shlex
from importlib import import_module

import pytest

from tillwatch.collector.commands.command_line import GROUPS, Command, parser_of

COMMANDS = [command for _, group in GROUPS for command in group]
NAMES = [command.name for command in COMMANDS]


def test_no_command_stands_there_twice() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_each_leads_to_a_function_and_its_module_says_what_it_raises(command: Command) -> None:
    module, _, name = command.call.partition(":")
    found = import_module(f"tillwatch.collector.{module}")
    assert callable(getattr(found, name))
    assert found.CommandError


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_its_example_is_one_that_it_takes(command: Command) -> None:
    program, *words = shlex.split(command.example)
    assert (program, words[0]) == ("tillwatch-collector", command.name)
    options = parser_of().parse_args(words)
    assert callable(options.command)
    assert hasattr(options, "json") == command.json


def test_the_help_names_all_of_them_in_their_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser_of().parse_args(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for title, group in GROUPS:
        assert f"\n{title}:\n" in said
        for command in group:
            assert f"\n  {command.name} " in said


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_help_of_its_own_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser_of().parse_args([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: tillwatch-collector {name} ")
    assert f"example:\n  tillwatch-collector {name}" in said
