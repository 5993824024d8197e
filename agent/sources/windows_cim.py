"""Asks Windows' CIM (WMI) for rows of classes. The questions are a closed list and only read; rows come back as plain values, bounded.

The way in is one short-lived Windows PowerShell for all questions of a poll. It is on every Windows 10 and 11, costs the resident agent nothing
between polls and brings no dependency; a COM client in the process (pywin32, wmi) would stay resident for something that is asked every few minutes. The script holds no double quote and calls no .NET method, so it needs no quoting and runs in the constrained language mode that
application control imposes; it is no encoded command, which endpoint protection takes for an attack.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.program import Program

MAX_ROWS = 1_024
"""Of one class. A PC lists 100 to 300 Plug and Play devices."""
MAX_ERROR = 200
MAX_PART = 44
"""Characters. A component has 96, of which the source's name takes 48, a slash and the number of a namesake the rest."""
ASK_S = 60.0
"""PowerShell needs a second or a few to start, assumed; a kiosk PC with a slow disk that has just started needs ten times that."""
MEND = "it is part of Windows; look whether application control blocks it for the agent's user"

STORAGE = "root/Microsoft/Windows/Storage"
WMI = "root/wmi"
CIMV2 = "root/cimv2"


@dataclass(frozen=True, slots=True)
class Query:
    """name: of the answer. properties: those that are asked for, of no others anything is told. through: the class whose instances lead to these by
    association; the reliability counters of drives are there by no other way.
    """

    name: str
    namespace: str
    of: str
    properties: tuple[str, ...]
    through: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """rows: property -> value. error: why there are none, empty if the class was read."""

    rows: tuple[Mapping[str, Any], ...] = ()
    error: str = ""


class Cim(Protocol):
    """What can answer queries: Windows, or a recording. Called by one poll at a time."""

    async def ask(self, queries: Sequence[Query]) -> Mapping[str, Answer]:
        """An answer for each query, by its name. SourceError: nothing can be asked at all; a class that is refused is an Answer with an error."""


def script(queries: Sequence[Query]) -> str:
    """What PowerShell is told. It prints one JSON object in ASCII, whatever the code page of the machine is."""
    return "; ".join(
        [
            "$ErrorActionPreference = 'Stop'",
            "$ProgressPreference = 'SilentlyContinue'",
            "$said = @{}",
            *(_step(query) for query in queries),
            "$json = ConvertTo-Json -InputObject $said -Depth 6 -Compress",
            # A loop over characters, since [regex] with a script block is a .NET call.
            r"-join $(foreach ($c in $json.ToCharArray()) { if ([int]$c -gt 126) { '\u{0:x4}' -f [int]$c } else { $c } })",
        ]
    )


def _step(query: Query) -> str:
    listed = ", ".join(f"'{name}'" for name in query.properties)
    if query.through:
        instances = (
            f"Get-CimInstance -Namespace '{query.namespace}' -ClassName '{query.through}' | "
            f"Get-CimAssociatedInstance -ResultClassName '{query.of}'"
        )
    else:
        instances = f"Get-CimInstance -Namespace '{query.namespace}' -ClassName '{query.of}' -Property {listed}"
    rows = f"@({instances} | Select-Object -First {MAX_ROWS} -Property {listed})"
    # The id of an error stays English; its text is in the language of the machine.
    told = "[string]$_.FullyQualifiedErrorId + ': ' + [string]$_"
    return f"try {{ $said['{query.name}'] = @{{ rows = {rows} }} }} catch {{ $said['{query.name}'] = @{{ error = {told} }} }}"


def answers(text: str, queries: Sequence[Query]) -> dict[str, Answer]:
    """What the script printed. Raises ValueError if it is none of ours; a part of it that is odd is an Answer with an error."""
    try:
        said = json.loads(text)
    except RecursionError:
        raise ValueError("nested without end") from None
    if not isinstance(said, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what a program printed
    return {query.name: _answer(said.get(query.name), query) for query in queries}


def _answer(said: object, query: Query) -> Answer:
    if not isinstance(said, dict):
        return Answer(error="not answered")
    if (error := said.get("error")) is not None:
        return Answer(error=plain(error)[:MAX_ERROR] or "refused")
    rows = said.get("rows")
    # Windows PowerShell writes a list of one as its only element in some places.
    listed = rows if isinstance(rows, list) else [rows]
    known = frozenset(query.properties)
    kept = [{key: row[key] for key in known & row.keys()} for row in listed[:MAX_ROWS] if isinstance(row, dict)]
    return Answer(tuple(kept))


class PowerShell:
    """A Cim. program: the path of Windows PowerShell 5.1, empty for the system's own."""

    def __init__(self, program: str = "") -> None:
        self._program = Program(program or system_program(r"WindowsPowerShell\v1.0\powershell.exe"), MEND)

    async def ask(self, queries: Sequence[Query]) -> Mapping[str, Answer]:
        told = ("-NoLogo", "-NoProfile", "-NonInteractive", "-Command", script(queries))
        try:
            done = await self._program.run(*told, seconds=ASK_S)
        except SourceError as error:
            raise SourceError(str(error).replace(told[-1], "...")) from None
        try:
            return answers(done.output, queries)
        except ValueError:
            words = plain(" ".join((done.errors or done.output).split()))[:MAX_ERROR] or "nothing"
            raise SourceError(f"PowerShell (exit status {done.status}) prints no JSON but: {words}; {MEND}") from None


def system_program(name: str) -> str:
    """A program of Windows by its full path, so that no folder in PATH can put another in its place."""
    return os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", name)  # noqa: PTH118 - text, for a command line


def plain(value: object) -> str:
    """Text as it can be sent: printable, without spaces around it. Empty for anything else."""
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value if c.isprintable()).strip()


def count(value: object, most: int) -> int | None:
    """A whole number from 0 to `most`, else None: null is what a driver does not fill, and a larger one does not fit its CIM type."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        return None
    return value


def part(prefix: str, key: str) -> str:
    """A part of a component's name, at most MAX_PART characters. A longer key keeps its beginning, and a checksum of the whole tells it apart."""
    name = f"{prefix}:{key.replace('/', '|')}"
    return name if len(name) <= MAX_PART else f"{name[: MAX_PART - 9]}~{zlib.crc32(key.encode('utf-8', 'replace')):08X}"
