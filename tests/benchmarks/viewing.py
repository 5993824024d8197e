"""Viewers of the fleet page without a browser each: `python -m tests.benchmarks.viewing ADDRESS COUNT`. Each opens the page, holds its websocket as the page's
script does, and fetches what has changed of the fleet whenever the console says that something has, at most once a second.

It says `ready` when all have seen the whole fleet, and when its standard input ends {"refreshes", "bytes"}: how often they fetched, and what came, as sent.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import uuid
import zlib

import aiohttp
import socketio

PAUSE_S = 1.0
"""Between two fetches of one page: console.js waits as long."""


class Viewer:
    def __init__(self, address: str) -> None:
        self._address = address
        self._told = asyncio.Event()
        self._token = ""
        self._http = aiohttp.ClientSession(auto_decompress=False)
        self._socket = socketio.AsyncClient(http_session=self._http, reconnection=False)
        self.refreshes = self.bytes = 0

    async def open(self) -> None:
        async with self._http.get(self._address, headers={"Accept-Encoding": "identity"}) as answer:
            page = await answer.text()
        found = re.search(r"client_id['\"]?: ?['\"]([0-9a-f-]{36})", page)
        assert found, page[-500:]
        self._socket.on("run_javascript", self._on_script)
        query = f"client_id={found[1]}&next_message_id=0&tab_id={uuid.uuid4()}&document_id={uuid.uuid4()}&implicit_handshake=true"
        path = "/_nicegui_ws/socket.io"
        await self._socket.connect(f"{self._address}?{query}", transports=["websocket"], socketio_path=path)
        await self.fetch()

    def _on_script(self, said: dict[str, str]) -> None:
        if "tw.refresh" in said.get("code", ""):
            self._told.set()

    async def fetch(self) -> None:
        address = f"{self._address}console/fleet.json?lang=en&since={self._token}"
        async with self._http.get(address, headers={"Accept-Encoding": "gzip"}) as answer:
            body = await answer.read()
            assert answer.status == 200, (answer.status, body[:300])
            self.bytes += len(body)
            self._token = _token(body)

    async def watch(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            await self.fetch()
            self.refreshes += 1
            await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        await self._socket.disconnect()
        await self._http.close()


def _token(body: bytes) -> str:
    """Of a document as it came. Only its token is read: taking all of it apart is a browser's work, and fifty of them have a machine each."""
    whole = zlib.decompress(body, 31)
    found = re.search(rb'"token": ?"([^"]*)"', whole)
    assert found, whole[:200]
    return found[1].decode()


async def main(address: str, count: int) -> None:
    viewers = [Viewer(address) for _ in range(count)]
    for viewer in viewers:
        await viewer.open()
    watching = [asyncio.create_task(viewer.watch()) for viewer in viewers]
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in watching:
        if task.done():
            task.result()
        task.cancel()
    for viewer in viewers:
        await viewer.close()
    print(
        json.dumps({"refreshes": sum(v.refreshes for v in viewers), "bytes": sum(v.bytes for v in viewers)}), flush=True
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
