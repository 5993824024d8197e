"""A manual page and a bash completion of a program, from its argparse parsers: they cannot say what the program does not.

    manual.py SITE PROGRAM page|completion

imports the program from the folder SITE alone and prints one of the two.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

SECTION = "8"
"""Programs of administrators: both keep their configuration and state for root and the service's user."""
FILES = {
    "tillwatch-agent": (
        ("/etc/tillwatch/agent.toml", "the configuration; every setting stands in it, with its default"),
        ("/var/lib/tillwatch-agent", "keys of this terminal, and what waits for the collector"),
    ),
    "tillwatch-collector": (
        ("/etc/tillwatch/collector.toml", "the configuration; every setting stands in it, with its default"),
        ("/var/lib/tillwatch-collector", "the journal, keys, and all that follows from the journal"),
        ("/var/lib/tillwatch-watchdog", "identity and memory of the watchdog"),
    ),
}
SUMMARY = {
    "tillwatch-agent": "read the hardware health of this terminal",
    "tillwatch-collector": "verify, keep and judge the readings of terminals",
}


def parsers(program: str) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The program's own parser, and that of each command, in the order of its help."""
    if program == "tillwatch-collector":
        from tillwatch.collector.commands.command_line import parser_of as whole

        parser = whole()
        return parser, commands(parser)
    from tillwatch.agent.command_line import parser_of

    parser = parser_of([])
    # A command that is a module of its own shows its options only where it is asked for.
    return parser, {name: commands(parser_of([name]))[name] for name in commands(parser)}


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - argparse shows them nowhere else
    return {name: command for action in found for name, command in action.choices.items()}


def page(program: str, at: datetime) -> str:
    parser, each = parsers(program)
    lines = [
        f'.TH {program.upper()} {SECTION} "{at:%Y-%m-%d}" "tillwatch" "System administration"',
        ".SH NAME",
        f"{_roff(program)} \\- {SUMMARY[program]}",
        ".SH SYNOPSIS",
        f".B {_roff(program)}",
        "\\fICOMMAND\\fR [\\fIOPTION\\fR]...",
        ".SH DESCRIPTION",
        *_verbatim((parser.description or "").strip()),
        ".SH COMMANDS",
        *(line for name, command in each.items() for line in _command(program, name, command)),
        ".SH FILES",
        *(line for file, what in FILES[program] for line in (".TP", f".I {_roff(file)}", _roff(what))),
        ".SH NOTES",
        *_verbatim((parser.epilog or "").strip()),
        ".SH SEE ALSO",
        f"/usr/share/doc/{_roff(program)}, journalctl(1)",
    ]
    return "\n".join(lines) + "\n"


def _command(program: str, name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    deeper = commands(command)
    yield f".SS {_roff(name)}"
    if command.description:
        yield from _verbatim(command.description.strip())
    formatter = command._get_formatter()  # noqa: SLF001 - the only one that fills in the defaults of a help text
    for action in command._actions:  # noqa: SLF001 - the same
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction) or action.help == argparse.SUPPRESS:  # noqa: SLF001 - the same
            continue
        said = formatter._expand_help(action) if action.help else ""  # noqa: SLF001 - the same
        yield from (".TP", _heading(action), _roff(said) or "\\&")
    for deeper_name, one in deeper.items():
        yield from _command(program, f"{name} {deeper_name}", one)
    if command.epilog and command.epilog.startswith("example"):
        yield from _verbatim(command.epilog.strip())


def _heading(action: argparse.Action) -> str:
    shown = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    value = shown if isinstance(shown, str) else " ".join(shown)
    if not action.option_strings:
        return f"\\fI{_roff(value)}\\fR"
    names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in action.option_strings)
    return names if action.nargs == 0 else f"{names} \\fI{_roff(value)}\\fR"


def _verbatim(text: str) -> Iterator[str]:
    """Paragraphs flow; what is indented, or stands beneath a line that ends with a colon, keeps its lines."""
    for paragraph in re.split(r"\n\s*\n", text):
        if not paragraph:
            continue
        if "\n " in paragraph or paragraph.startswith(" "):
            yield from (".PP", ".nf", *(_roff(line) or "\\&" for line in paragraph.splitlines()), ".fi")
        else:
            yield from (".PP", *(_roff(line) for line in paragraph.splitlines()))


def _roff(text: str) -> str:
    """Text that troff takes as it stands: no request, no escape, and hyphens that can be copied."""
    plain = " ".join(text.split("\n")).replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


def completion(program: str) -> str:
    _, each = parsers(program)
    function = "_" + program.replace("-", "_")
    cases = "\n".join(
        f"        {name}) words={_quoted((*commands(command), *_options(command)))} ;;"
        for name, command in each.items()
    )
    return f"""\
# bash completion of {program}: its commands, the options of each, and files.
{function}()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} words
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W {_quoted((*each, "--help"))} -- "$word")
        return
    fi
    case ${{COMP_WORDS[1]}} in
{cases}
        *) words= ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [ "${{#COMPREPLY[@]}}" -eq 0 ] && [[ $word != -* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}}
complete -F {function} {program}
"""


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001 - argparse shows them nowhere else
        if action.help != argparse.SUPPRESS:
            yield from (name for name in action.option_strings if name.startswith("--"))


def _quoted(words: Iterable[str]) -> str:
    return "'" + " ".join(words) + "'"


if __name__ == "__main__":
    from os import environ

    sys.path.insert(0, sys.argv[1])
    _, _, wanted, made = sys.argv
    moment = datetime.fromtimestamp(int(environ["SOURCE_DATE_EPOCH"]), UTC)
    sys.stdout.write(page(wanted, moment) if made == "page" else completion(wanted))
