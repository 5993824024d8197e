"""Somebody who asks the console for far too much: `python -m tests.benchmarks.flooding_console ADDRESS`. Ten calls at a time, without a pause, until it is ended."""

from __future__ import annotations

import asyncio
import sys

import aiohttp

AT_ONCE = 10
PLACES = ("", "console/fleet.json", "api/v1/terminals?limit=1000", "api/v1/alarms", "nothing")


async def main(address: str) -> None:
    async with aiohttp.ClientSession() as http:

        async def flood(number: int) -> None:
            while True:
                async with http.get(address + PLACES[number % len(PLACES)]) as answer:
                    await answer.read()
                number += 1

        calls = [asyncio.create_task(flood(number)) for number in range(AT_ONCE)]
        print("ready", flush=True)
        await asyncio.gather(*calls)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
