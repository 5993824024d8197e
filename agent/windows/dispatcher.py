"""The conversation with Windows' service control: connects this process, tells it each state, and takes its orders: stop, shutdown, preshutdown and power
events. What the service does is handed in. Orders come on a thread of Windows' own, so that they only set what the work waits for.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tillwatch.agent.windows.interfaces import (
    CALL_NOT_IMPLEMENTED,
    NO_ERROR,
    SERVICE_SPECIFIC_ERROR,
    Api,
    ServiceStatus,
    ServiceTableEntry,
    Win32Error,
)
from tillwatch.agent.windows.status import Event, Phase, Status, step

log = logging.getLogger(__name__)

NAME = "tillwatch-agent"
OWN_PROCESS = 0x10
"""SERVICE_WIN32_OWN_PROCESS"""
STOP, INTERROGATE, SHUTDOWN, POWER, PRESHUTDOWN = 1, 4, 5, 13, 15
"""SERVICE_CONTROL_*"""
SUSPEND, RESUMED = 0x04, 0x12
"""PBT_APMSUSPEND and PBT_APMRESUMEAUTOMATIC, which comes after each sleep, whoever ended it."""
FAILED = 1


class Service:
    """One per process. work: runs on the thread that service control gives, until it is asked to stop; its result is the exit code."""

    def __init__(self, api: Api, work: Callable[[Service], int]) -> None:
        self._api, self._work = api, work
        self._status = Status()
        self._handle: Any = None
        self._telling = threading.Lock()
        self._wake: Callable[[], object] | None = None
        self._asked = False
        # Kept, since Windows calls them after the functions that take them have returned.
        self._main, self._handler = api.main(self._serve), api.handler(self._heard)

    @property
    def status(self) -> Status:
        return self._status

    def dispatch(self) -> int:
        """Connect this process to service control and return the exit code once the service has ended. Raises Win32Error: above all
        NOT_STARTED_BY_CONTROL where a person started this. Must be called within 30 s of the process's start.
        """
        table = (ServiceTableEntry * 2)()
        table[0].name, table[0].main = NAME, ctypes.cast(self._main, ctypes.c_void_p).value
        self._api.needed("StartServiceCtrlDispatcherW", self._api.advapi32.StartServiceCtrlDispatcherW(table))
        return self._status.exit_code

    def progress(self) -> None:
        """A step of the start or the stop is done."""
        self._tell(Event.PROGRESS)

    def notified(self, state: str) -> None:
        """What the agent tells its service manager, in the words of sd_notify(3)."""
        said = state.split("\n")
        if "READY=1" in said:
            self._tell(Event.READY)
        elif "STOPPING=1" in said and self._asked:
            # Where nobody asked, the agent begins again with another configuration, or has failed and ends: neither is a stop.
            self._tell(Event.PROGRESS)

    @contextmanager
    def stopping(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set when the service is asked to stop."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        with self._telling:
            self._wake = lambda: loop.call_soon_threadsafe(stop.set)
            if self._asked:
                stop.set()
        try:
            yield stop
        finally:
            with self._telling:
                self._wake = None

    def _serve(self, _count: int, _arguments: Any) -> None:
        """ServiceMain. Nothing may leave it: Windows is the caller."""
        code = FAILED
        try:
            handle = self._api.advapi32.RegisterServiceCtrlHandlerExW(NAME, self._handler, None)
            self._handle = self._api.needed("RegisterServiceCtrlHandlerExW", handle)
            with self._telling:
                self._report()
            code = self._work(self)
        except Win32Error as error:
            log.error("%s", error)
        except Exception:  # whatever it is, service control must hear of the end
            log.exception("the agent has ended by a fault of its own; it is started again")
        finally:
            self._tell(Event.ENDED, code)

    def _heard(self, control: int, event: int, _data: Any, _context: Any) -> int:
        """HandlerEx. What it returns is the answer to the order."""
        try:
            if control == INTERROGATE:
                with self._telling:
                    self._report()
            elif control in {STOP, SHUTDOWN, PRESHUTDOWN}:
                self._tell(Event.STOP)
                self._stop()
            elif control == POWER:
                self._power(event)
            else:
                return CALL_NOT_IMPLEMENTED
        except Exception:  # Windows is the caller
            log.exception("service control's order %d", control)
        return NO_ERROR

    def _stop(self) -> None:
        with self._telling:
            self._asked = True
            if self._wake is not None:
                self._wake()

    @staticmethod
    def _power(event: int) -> None:
        """The clocks go on while the machine sleeps, so that what fell due is read at once and a dead connection is found by its own timer."""
        if event == SUSPEND:
            log.info("the machine goes to sleep")
        elif event == RESUMED:
            log.info("the machine has woken up: what fell due meanwhile is read now")

    def _tell(self, event: Event, exit_code: int = 0) -> None:
        with self._telling:
            after = step(self._status, event, exit_code)
            changed, self._status = after != self._status, after
            if changed:
                # Still held: of two threads that tell, the later state must be told last.
                self._report()

    def _report(self) -> None:
        """Never fails: where service control does not listen there is nobody else to tell, but the log."""
        if self._handle is None:
            return
        status = self._status
        specific = status.exit_code if status.phase is Phase.STOPPED else 0
        told = ServiceStatus(
            OWN_PROCESS,
            status.phase,
            status.accepted,
            SERVICE_SPECIFIC_ERROR if specific else NO_ERROR,
            specific,
            status.check_point,
            status.wait_hint_ms,
        )
        if not self._api.advapi32.SetServiceStatus(self._handle, ctypes.byref(told)):
            log.warning("%s", Win32Error("SetServiceStatus", self._api.last_error()))
