"""The PowerShell scripts, read: there is no PowerShell in Debian, on PyPI or npm, so that they are not run here. Their syntax is judged by a grammar of its own
(tree-sitter), and what commonly goes wrong in such scripts by rules over what it gives: a name that nobody set, a command that Windows PowerShell 5.1 does not have,
a step without a way back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

WINDOWS = Path(__file__).resolve().parents[2] / "packaging" / "windows"
SCRIPTS = sorted(WINDOWS.glob("*.ps1"))
LANGUAGE = tree_sitter.Language(tree_sitter_powershell.language())

CMDLETS = frozenset(
    [
        "Copy-Item",
        "ForEach-Object",
        "Get-Acl",
        "Get-CimInstance",
        "Get-Content",
        "Get-Date",
        "Get-FileHash",
        "Get-Item",
        "Get-ItemProperty",
        "Get-Process",
        "Get-Service",
        "Invoke-CimMethod",
        "Join-Path",
        "Move-Item",
        "New-Item",
        "New-Object",
        "Out-Null",
        "Remove-Item",
        "Set-StrictMode",
        "Split-Path",
        "Start-Service",
        "Start-Transcript",
        "Stop-Service",
        "Stop-Transcript",
        "Test-Path",
        "Wait-Process",
        "Where-Object",
        "Write-Host",
    ]
)
"""Of Windows PowerShell 5.1, which every Windows 10 has; those of PowerShell 7 alone are not among them."""
AUTOMATIC = frozenset(
    "_ args env: ExecutionContext false LASTEXITCODE null PSCmdlet PSScriptRoot true WhatIfPreference".lower().split()
)
NOT_IN_5_1 = re.compile(r"\?\?|\?\.|&&|\|\||\bclean\s*\{|-Parallel\b|\bTest-Json\b|[\w)]\s+\?\s+\S+\s+:\s")
NEVER = (
    "Invoke-Expression",
    "iex",
    "Invoke-WebRequest",
    "DownloadString",
    "EncodedCommand",
    "Set-ExecutionPolicy",
    "Bypass",
    "Add-MpPreference",
    "SignTool",
)


def parsed(script: Path) -> tree_sitter.Node:
    return tree_sitter.Parser(LANGUAGE).parse(script.read_bytes()).root_node


def walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: tree_sitter.Node) -> str:
    assert node.text is not None
    return node.text.decode()


def code(script: Path) -> str:
    """Without what is only said: comments and texts."""
    root, content = parsed(script), bytearray(script.read_bytes())
    for node in walk(root):
        if node.type in {"comment", "verbatim_string_literal", "expandable_string_literal"}:
            content[node.start_byte : node.end_byte] = b" " * (node.end_byte - node.start_byte)
    return content.decode("ascii")


@pytest.fixture(params=SCRIPTS, ids=lambda script: script.name)
def script(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_both_are_there() -> None:
    assert [path.name for path in SCRIPTS] == ["install.ps1", "uninstall.ps1"]


def test_the_grammar_sees_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "wrong.ps1").write_text("if ($a -eq 1 { Write-Host 'x' }")
    assert parsed(tmp_path / "wrong.ps1").has_error


def test_the_syntax_is_sound(script: Path) -> None:
    wrong = [
        (node.start_point.row + 1, text(node)[:60]) for node in walk(parsed(script)) if node.is_error or node.is_missing
    ]
    assert wrong == []


def test_it_is_ascii_so_that_no_code_page_changes_it(script: Path) -> None:
    """Windows PowerShell reads a file without a byte order mark in the code page of the machine."""
    assert script.read_bytes().isascii()


def test_each_command_is_one_of_5_1_or_its_own(script: Path) -> None:
    root = parsed(script)
    own = {text(node) for node in walk(root) if node.type == "function_name"}
    # The grammar takes a number with a unit for a command.
    called = {
        text(node) for node in walk(root) if node.type == "command_name" and not re.fullmatch(r"\d+[KMG]B", text(node))
    }
    assert {name for name in called if not name.startswith(("$", '"'))} - CMDLETS - own == set()
    assert own - called == set(), "defined and never called"
    assert not NOT_IN_5_1.search(code(script))


@pytest.mark.parametrize(
    "line", ["$a ?? 1", "$a?.Length", "x && y", "x || y", "($a) ? 1 : 2", "$l | ForEach-Object -Parallel { 1 }"]
)
def test_what_windows_powershell_does_not_understand_is_seen(line: str) -> None:
    assert NOT_IN_5_1.search(line)


def test_each_variable_was_set(script: Path) -> None:
    """Set-StrictMode ends a script that reads another one; a misspelt name would do so on a terminal, in the middle of an installation."""
    root = parsed(script)
    every = [text(node) for node in walk(root) if node.type in {"variable", "braced_variable"}]
    names = {re.sub(r"[${}]", "", name).lower() for name in every}
    given: set[str] = set()
    for node in walk(root):
        if node.type in {"left_assignment_expression", "script_parameter", "foreach_statement"}:
            of = (
                node
                if node.type != "foreach_statement"
                else next(child for child in node.children if child.type == "variable")
            )
            found = next((each for each in walk(of) if each.type == "variable"), None)
            given |= (
                {text(each)[1:].lower() for each in walk(of) if each.type == "variable"}
                if node.type == "left_assignment_expression"
                else {text(found)[1:].lower()}
                if found
                else set()
            )
    unknown = {
        name
        for name in names
        if name not in given and name not in AUTOMATIC and not name.startswith("env:") and not name.startswith("@")
    }
    assert unknown == set()
    assert "Set-StrictMode -Version 3.0" in script.read_text()


def test_nothing_that_endpoint_protection_or_a_bank_would_stop(script: Path) -> None:
    assert [word for word in NEVER if word.lower() in code(script).lower()] == []


def test_exit_codes_are_those_that_are_told(script: Path) -> None:
    content = script.read_text()
    told = {
        int(number)
        for number in re.findall(r"^  (\d)  ", content.split("Exit codes:")[1].split(".PARAMETER")[0], re.MULTILINE)
    }
    used = {
        int(number) for number in re.findall(r"\bexit (\d)|\$code = (\d)\b", content) for number in number if number
    }
    used |= {int(number) for pair in re.findall(r"\{ (\d) \} else \{ (\d) \}", content) for number in pair}
    assert used == told


def test_every_parameter_is_told(script: Path) -> None:
    content = script.read_text()
    block = next(node for node in walk(parsed(script)) if node.type == "param_block")
    given = {
        text(node)[1:]
        for parameter in walk(block)
        if parameter.type == "script_parameter"
        for node in parameter.children
        if node.type == "variable"
    }
    assert set(re.findall(r"^\.PARAMETER (\w+)$", content, re.MULTILINE)) == given
    assert "SupportsShouldProcess" in content
    assert "NOT YET RUN ON WINDOWS" in content


def test_nothing_is_changed_outside_a_step(script: Path) -> None:
    """So that -WhatIf changes nothing. Cmdlets that change, and the agent itself, are called within Invoke-Step alone."""
    changing = {"Copy-Item", "Move-Item", "Remove-Item", "New-Item", "Start-Service", "Stop-Service", "Register-Agent"}
    outside = []
    for node in walk(parsed(script)):
        if node.type == "command_name" and text(node) in changing:
            above, guarded = node.parent, False
            while above is not None:
                said = text(above)
                if above.type == "command" and said.startswith("Invoke-Step"):
                    guarded = True
                if above.type == "if_statement" and "ShouldProcess" in said.partition("{")[0]:
                    guarded = True
                above = above.parent
            if not guarded:
                outside.append((node.start_point.row + 1, text(node)))
    assert outside == []


def test_each_step_that_changes_has_its_way_back() -> None:
    steps = [
        node
        for node in walk(parsed(WINDOWS / "install.ps1"))
        if node.type == "command" and text(node).startswith("Invoke-Step")
    ]
    blocks = {
        next(text(each) for each in walk(step) if each.type == "string_literal"): sum(
            child.type == "script_block_expression" for child in walk(step) if enclosing(child, step)
        )
        for step in steps
    }
    assert len(blocks) == 8
    assert [name for name, count in blocks.items() if count < 2] == ["'start the program once'"]


def enclosing(block: tree_sitter.Node, step: tree_sitter.Node) -> bool:
    """Whether the block is an argument of the step itself, not one within another."""
    above = block.parent
    while above is not None and above != step:
        if above.type == "script_block_expression":
            return False
        above = above.parent
    return True


def test_what_a_way_back_reads_outlives_the_function() -> None:
    """Back steps are done after Install-Agent has ended with an error: its own variables are gone by then."""
    root = parsed(WINDOWS / "install.ps1")
    function = next(
        node for node in walk(root) if node.type == "function_statement" and "function Install-Agent" in text(node)[:40]
    )
    local = {
        text(variable)[1:]
        for node in walk(function)
        if node.type == "left_assignment_expression"
        for variable in walk(node)
        if variable.type == "variable"
    }
    for step in (node for node in walk(function) if node.type == "command" and text(node).startswith("Invoke-Step")):
        own = [node for node in walk(step) if node.type == "script_block_expression" and enclosing(node, step)]
        for back in own[1:]:
            read = {text(node)[1:] for node in walk(back) if node.type == "variable"}
            assert read & local == set()


def test_the_token_is_never_said() -> None:
    content = (WINDOWS / "install.ps1").read_text()
    assert re.findall(r"\$token\b.*", content) == [
        "$token = (Get-Content -LiteralPath $TokenFile -Raw).Trim()",
        "$token",
    ]
    assert "Write-Host" not in next(line for line in content.splitlines() if "$token = " in line)
    assert "$InputText |" in content
    assert content.count("$InputText") == 3


def test_it_asks_the_filter_what_the_agent_asks() -> None:
    from tillwatch.agent.write_filter import QUESTION

    content = (WINDOWS / "install.ps1").read_text()
    for word in (
        r"root\standardcimv2\embedded",
        "UWF_Filter",
        "UWF_Volume",
        "CurrentEnabled",
        "GetExclusions",
        "ExcludedFiles",
        "DriveLetter",
    ):
        assert word in QUESTION
        assert word in content
