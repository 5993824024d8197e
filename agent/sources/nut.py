"""Reads a UPS through a running `upsd` of Network UPS Tools: whatever that has a driver for, by its variables. It is asked for its list and for
nothing else: no login, no instant command, no setting. The mapping to the catalogue is in nut_map.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import re

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.nut_map import samples_of

PORT = 3493
"""IANA's for NUT."""
POLL_S = 10.0
"""upsd answers out of its memory; over a branch's line some milliseconds."""
MAX_LINE = 2_048
"""Bytes. A value has at most 256 characters in upsd itself (ST_MAX_VALUE_LEN), and each may be escaped."""
MAX_VARIABLES = 2_000
"""A PDU with 48 outlets has some 900."""
MAX_UPS = 32
"""UPSes of one upsd that are listed when it is to be said which there are."""

ASKED = re.compile(rb"LIST UPS|LIST VAR [A-Za-z0-9_.-]{1,64}|LOGOUT")
"""The only requests that leave: the protocol has SET, INSTCMD, FSD and LOGIN beside them."""

_UPS = re.compile(r"UPS (\S+) ")
_VAR = re.compile(r'VAR \S+ ([A-Za-z0-9_.-]{1,80}) "((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_MENDS = {
    "ACCESS-DENIED": "upsd lets this machine in only where its upsd.conf has a LISTEN for it",
    "UNKNOWN-UPS": "upsc -l lists what upsd has",
    "DATA-STALE": "upsd has lost the UPS: look at its cable, and at the driver's messages",
    "DRIVER-NOT-CONNECTED": "the driver of the UPS does not run: upsdrvctl start",
}


class NutSource:
    """A Source. host, port: where upsd listens. ups: its name there; empty takes the only one there is."""

    classes = frozenset(PollClass)

    def __init__(self, name: str, host: str, port: int = PORT, ups: str = "") -> None:
        self.name = name
        self._host, self._port, self._ups = host, port, ups

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """SourceError: upsd cannot be reached, does not have the UPS, or has lost it."""
        return samples_of(self.name, await self.variables(), wanted)

    async def variables(self) -> dict[str, str]:
        """What upsd says of the UPS. Raises SourceError."""
        try:
            async with asyncio.timeout(POLL_S):
                link = _Link(*await asyncio.open_connection(self._host, self._port, limit=MAX_LINE))
                try:
                    ups = self._ups or await self._only(link)
                    lines = await link.listed(f"VAR {ups}", MAX_VARIABLES)
                    await link.send("LOGOUT")
                finally:
                    await link.close()
        except TimeoutError:
            raise self._wrong(f"no answer in {POLL_S:g} s; look at the network and at upsd") from None
        except OSError as error:
            raise self._wrong(f"{error.strerror or error}; does upsd run and LISTEN there?") from error
        except _RefusedError as error:
            code = str(error)
            raise self._wrong(f"upsd says {code}; {_MENDS.get(code, 'see the protocol of NUT')}") from None
        except ValueError as error:  # of StreamReader: a line without an end
            raise self._wrong(f"this is not upsd: {error}; NUT's own port is {PORT}") from error
        found = (match for line in lines if (match := _VAR.fullmatch(line)))
        said = {match[1]: _ESCAPED.sub(r"\1", match[2]).strip() for match in found}
        if not said:
            raise self._wrong("upsd lists no variable; look at the driver's messages")
        return said

    async def close(self) -> None:
        """Nothing is held open."""

    async def _only(self, link: _Link) -> str:
        found = (match for line in await link.listed("UPS", MAX_UPS) if (match := _UPS.match(line)))
        names = [match[1] for match in found]
        if len(names) != 1:
            raise self._wrong(f"upsd has {', '.join(names) or 'no UPS'}; say which is meant: ups = NAME")
        return names[0]

    def _wrong(self, text: str) -> SourceError:
        return SourceError(f"{self._host}:{self._port}: {text}")


class _RefusedError(Exception):
    """upsd answered ERR. The text is its code."""


class _Link:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, request: str) -> None:
        """The one place where bytes leave."""
        data = request.encode("ascii", "replace")
        if not ASKED.fullmatch(data):
            raise ValueError(f"{request!r} is no request that may be sent")
        self._writer.write(data + b"\n")
        await self._writer.drain()

    async def listed(self, what: str, most: int) -> list[str]:
        """The lines between BEGIN and END of `LIST <what>`."""
        await self.send(f"LIST {what}")
        first = await self._line()
        if first.startswith("ERR "):
            raise _RefusedError(first.split(" ")[1])
        if first != f"BEGIN LIST {what}":
            raise ValueError(f"it answers {first[:60]!r}")
        lines: list[str] = []
        while (line := await self._line()) != f"END LIST {what}":
            if len(lines) >= most:
                raise ValueError(f"more than {most} lines for LIST {what}")
            lines.append(line)
        return lines

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _line(self) -> str:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("upsd closed the connection")
        return line[:-1].decode("utf-8", "replace").rstrip("\r")
