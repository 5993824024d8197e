"""`make demo`: the whole line on one machine, from simulated devices to tickets, live. `--check` does it without a person."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from bank import SUPERVISOR, Bank, DemoError
from script import CUT, STATIONS, Fault, script

CHECK_S = 300.0
"""A check that has not seen everything by then has failed."""
ROUND_S = 150.0
"""The script begins anew after so many seconds, as long as somebody watches."""
LOOK_S = 1.0


class Screen:
    """Lines of events, and one line of state below them on a terminal."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._live = sys.stdout.isatty()
        self._colour = self._live and "NO_COLOR" not in os.environ

    def line(self, text: str, colour: str = "") -> None:
        erase = "\r\033[K" if self._live else ""
        shown = f"\033[{colour}m{text}\033[0m" if colour and self._colour else text
        print(f"{erase}{time.monotonic() - self._begin:6.1f} s  {shown}", flush=True)

    def state(self, text: str) -> None:
        if self._live:
            print(f"\r\033[K{text}", end="", flush=True)


def fetch(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=5) as answer:
        return json.load(answer)


class Watcher:
    """Looks at the collector's API and at the ticket desk, as anybody could, and notes what it sees of each fault."""

    def __init__(self, bank: Bank, faults: list[Fault], screen: Screen) -> None:
        self._bank, self._faults, self._screen = bank, faults, screen
        self._api = f"{bank.console}/api/v1"

    async def look(self, second: float) -> None:
        terminals = {t["id"]: t for t in (await asyncio.to_thread(fetch, f"{self._api}/terminals"))["items"]}
        alarms = (await asyncio.to_thread(fetch, f"{self._api}/alarms?state=all&limit=500"))["items"]
        tickets = {t["incident"]: t for t in await asyncio.to_thread(fetch, f"{self._bank.desk}/tickets")}
        for fault in self._faults:
            if fault.began and not fault.complete:
                asked = "reading" not in fault.seen and not fault.terminals
                values = await self._values(fault.terminal) if asked else {}
                self._note(fault, terminals, values, alarms, tickets, second)
        counts = {
            word: sum(t["condition"] == word for t in terminals.values()) for word in ("crit", "warn", "unknown", "ok")
        }
        still = sum(t["state"] != "resolved" for t in tickets.values())
        self._screen.state(
            f"  {len(terminals)} terminals: {counts['crit']} critical, {counts['warn']} warning, {counts['unknown']} unknown, {counts['ok']} ok"
            f" | {sum(a['condition'] != 'normal' for a in alarms)} alarms | {still} open tickets | {self._bank.console}"
        )

    async def _values(self, terminal: str) -> dict[tuple[str, str], Any]:
        found = await asyncio.to_thread(fetch, f"{self._api}/terminals/{terminal}/components")
        return {(c["name"], s["signal"]): s["value"] for c in found for s in c["signals"]}

    def _note(
        self,
        fault: Fault,
        terminals: dict[str, dict[str, Any]],
        values: dict[tuple[str, str], Any],
        alarms: list[Any],
        tickets: dict[str, Any],
        second: float,
    ) -> None:
        struck = fault.terminals or (fault.terminal,)
        mine = [a for a in alarms if a["terminal"] in struck and a["rule"] == fault.rule]
        told = [tickets[i] for i in dict.fromkeys(a["incident"] for a in mine) if i in tickets]
        found = {
            "reading": fault.shows(terminals, values),
            "alarm": {a["terminal"] for a in mine if a["condition"] != "normal"} == set(struck),
            "ticket": self._told(fault, told),
            "recovery": fault.ended
            and "ticket" in fault.seen
            and all(a["condition"] == "normal" for a in mine)
            and all(t["state"] == "resolved" for t in told),
        }
        for station in STATIONS:
            if found[station] and station not in fault.seen:
                fault.seen[station] = second
                detail = f" {told[-1]['id']}" if station in ("ticket", "recovery") and told else ""
                self._screen.line(
                    f"  {fault.terminal}: {station}{detail} ({fault.title})", "32" if station == "recovery" else "33"
                )

    def _told(self, fault: Fault, tickets: list[dict[str, Any]]) -> bool:
        """Whether its ticket is there and says what it should."""
        still = [each for each in tickets if each["state"] == "open"]
        fault.complaint = "; ".join(filter(None, (fault.lacks(each) for each in still)))
        return bool(still) and not fault.complaint

    async def one_cause(self) -> str:
        """What is wrong with the tickets of the branch that was cut off; empty where there was exactly one."""
        tickets = [t for t in await asyncio.to_thread(fetch, f"{self._bank.desk}/tickets") if t["branch"] == CUT]
        if len(tickets) == 1:
            return ""
        return f"{len(tickets)} tickets for one cut line: {', '.join(t['what'] for t in tickets)}"


async def play(bank: Bank, screen: Screen, stop: asyncio.Event, *, check: bool) -> bool:
    """One round of the script after the other, or one for a check. True if all was seen."""
    while True:
        faults = script(bank)
        watcher = Watcher(bank, faults, screen)
        begin = time.monotonic()
        while (second := time.monotonic() - begin) < (CHECK_S if check else ROUND_S):
            for fault in faults:
                if not fault.began and second >= fault.begin_s:
                    fault.began = True
                    screen.line(f"{fault.terminal}: {fault.title}", "31")
                    await fault.begin()
                # Two faults of one terminal have one cause: it goes when both were told.
                seen = check and all(each.told for each in faults if each.terminal == fault.terminal)
                if not fault.ended and (seen or second >= fault.end_s):
                    fault.ended = True
                    screen.line(f"{fault.terminal}: over ({fault.title})")
                    await fault.end()
            # The console answers a moment late while the machine is busy; the next look will tell.
            with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
                await watcher.look(second)
            if bank.died():
                raise DemoError(bank.died())
            if check and all(fault.complete for fault in faults):
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
            if stop.is_set():
                return all(fault.complete for fault in faults)
        if check:
            report(faults, screen)
            wrong = await watcher.one_cause()
            silent = sum(len(fault.terminals) for fault in faults)
            screen.line(
                f"FAIL {wrong}" if wrong else f"ok   one cause: {silent} silent terminals, one ticket",
                "31" if wrong else "32",
            )
            return not wrong and all(fault.complete for fault in faults)


def report(faults: list[Fault], screen: Screen) -> None:
    for fault in faults:
        seen = ", ".join(f"{s} {fault.seen[s]:.0f} s" if s in fault.seen else f"{s} NOT SEEN" for s in STATIONS)
        complaint = f"; its ticket: {fault.complaint}" if fault.complaint and "ticket" not in fault.seen else ""
        screen.line(
            f"{'ok  ' if fault.complete else 'FAIL'} {fault.terminal} {fault.rule}: {seen}{complaint}",
            "32" if fault.complete else "31",
        )


async def run(folder: Path, *, check: bool) -> int:
    screen = Screen()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    bank = Bank(folder, screen.line)
    try:
        starting = asyncio.create_task(bank.start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 0
        await starting
        screen.line(f"fleet page:   {bank.console}/", "1")
        screen.line(f"to act there: sign in as {SUPERVISOR} with {bank.password}")
        screen.line(f"tickets:      {bank.desk}/", "1")
        if not check:
            screen.line("faults begin in a moment; Ctrl-C ends everything")
        seen = await play(bank, screen, stop, check=check)
        return 0 if seen or not check else 1
    except DemoError as error:
        screen.line(f"demo: {error}", "31")
        return 1
    finally:
        screen.line("ending what was started ...")
        await bank.stop()
        screen.line("nothing is left running")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="A small bank on this machine: agents, collector, faults, alarms, tickets."
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="run the script once without a person; exit 0 only if every fault was seen to its end",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(".demo"),
        help="where data and logs go; emptied at the start (default: %(default)s)",
    )
    options = parser.parse_args()
    return asyncio.run(run(options.folder.resolve(), check=options.check))


if __name__ == "__main__":
    sys.exit(main())
