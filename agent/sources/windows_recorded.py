"""A recorded machine in place of Windows: one JSON object with what each interface answered. For `tillwatch-agent try --windows` and for tests.

    {"cim": {"physical": {"rows": [...]}, ...}, "events": {"System": "<Event ...>...</Event>..."}, "pos": [{"kind": "PosPrinter", ...}]}

`cim` is what the script of windows_cim.py prints, `events` what `wevtutil qe CHANNEL /f:XML /rd:true` prints, `pos` what windows_pos_child.py prints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tillwatch.agent.settings import WindowsConfig
from tillwatch.agent.sources import Source, SourceError
from tillwatch.agent.sources.windows import sources
from tillwatch.agent.sources.windows_cim import Answer, Query, answers
from tillwatch.agent.sources.windows_events import EVENT, WARNING
from tillwatch.agent.sources.windows_events import events as events_of
from tillwatch.agent.sources.windows_pos import Reported, reported

MAX_FILE = 8 << 20
"""Bytes; far more than Windows is asked for."""
INTERFACES = {"cim": ("storage", "devices"), "events": ("events",), "pos": ("pos",)}
"""Member of a recording -> the parts of `[windows]` that it serves."""


class _Cim:
    def __init__(self, said: object) -> None:
        self._said = said

    async def ask(self, queries: Sequence[Query]) -> Mapping[str, Answer]:
        try:
            return answers(json.dumps(self._said), queries)
        except ValueError:
            raise SourceError("the recording's `cim` is no object") from None


class _Log:
    def __init__(self, said: object) -> None:
        self._said = said if isinstance(said, dict) else {}

    async def newest(self, channel: str) -> str | None:
        return next(iter(self._events(channel)), None)

    async def after(self, channel: str, record: int, most: int) -> str:
        wanted = []
        for text in self._events(channel):
            known, _ = events_of(channel, text)
            if not known or (known[0].record > record and 1 <= known[0].level <= WARNING):
                wanted.append(text)
        return "".join(wanted[:most])

    def _events(self, channel: str) -> list[str]:
        text = self._said.get(channel)
        return EVENT.findall(text) if isinstance(text, str) else []


class _Pos:
    def __init__(self, said: object) -> None:
        self._said = said

    async def ask(self) -> Sequence[Reported]:
        try:
            return reported(self._said)
        except ValueError:
            raise SourceError("the recording's `pos` is no list") from None


def recorded_sources(path: Path) -> list[Source]:
    """A source for each interface that the recording has; its events all count as new. Raises OSError and ValueError."""
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"{path}: over {MAX_FILE} bytes")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not said.keys() & INTERFACES.keys():
        raise ValueError(f'{path}: no recording of Windows, which is {{"cim": {{}}, "events": {{}}, "pos": []}}')
    parts = [part for interface, parts in INTERFACES.items() if interface in said for part in parts]
    return sources_of(said, WindowsConfig(enabled=True, parts=tuple(parts)))


def sources_of(said: Mapping[str, Any], config: WindowsConfig, state_dir: Path | None = None) -> list[Source]:
    """The configured sources over a recording."""
    return sources(config, state_dir, _Cim(said.get("cim")), _Log(said.get("events")), _Pos(said.get("pos")), since=0)
