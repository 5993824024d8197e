"""The service's log: Windows' event log, channel Application, source tillwatch-agent. The agent logs transitions only, so each line is an event; a bound
an hour keeps a fault that flaps from flushing out the events of others, and what it holds back is counted in the next event.
"""

from __future__ import annotations

import ctypes
import logging
import re
import time
from collections.abc import Callable

from tillwatch.agent.logs import Formatter
from tillwatch.agent.windows.dispatcher import NAME
from tillwatch.agent.windows.interfaces import FILE_NOT_FOUND, HANDLE, TEXT, Api, Win32Error, needed_zero

MAX_TEXT = 4_000
"""Characters of one event; Windows takes 31,839."""
MAX_AN_HOUR = 60
"""Events. The channel holds 20 MiB, some 40,000 events, for the whole machine."""
HOUR = 3_600.0
ERROR, WARNING, INFORMATION = 1, 2, 4
"""EVENTLOG_*_TYPE"""
IDS = {ERROR: 3, WARNING: 2, INFORMATION: 1}
"""Event ids, for filters: the level is all that distinguishes them."""
MESSAGES = r"%SystemRoot%\System32\EventCreate.exe"
"""Holds `%1` as the text of each id from 1 to 1,000, is on every Windows, and spares a library of messages of our own."""
KEY = rf"SYSTEM\CurrentControlSet\Services\EventLog\Application\{NAME}"
LOCAL_MACHINE = 0x80000002
SET_VALUE = 0x0002
REG_EXPAND_SZ, REG_DWORD = 2, 4

_PLACE = re.compile(r"%(?=\d)")


class EventLogHandler(logging.Handler):
    """clock: seconds that only rise. A log that cannot be written stops nothing."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.INFO)
        self._api, self._clock = api, clock
        self._source = api.needed("RegisterEventSourceW", api.advapi32.RegisterEventSourceW(None, NAME))
        self._since, self._written, self.held_back = clock(), 0, 0
        self.setFormatter(Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock()
        if now - self._since >= HOUR:
            self._since, self._written = now, 0
        if self._written >= MAX_AN_HOUR:
            self.held_back += 1
            return
        self._written += 1
        text = self.format(record)
        if self.held_back:
            text = f"{text} ({self.held_back} events were held back before this one: over {MAX_AN_HOUR} in an hour)"
            self.held_back = 0
        kind = (
            ERROR if record.levelno >= logging.ERROR else WARNING if record.levelno >= logging.WARNING else INFORMATION
        )
        # A percent sign before a digit would be taken for a place to insert another text.
        texts = (TEXT * 1)(_PLACE.sub("% ", text)[:MAX_TEXT])
        self._api.advapi32.ReportEventW(self._source, kind, 0, IDS[kind], None, 1, 0, texts, None)

    def close(self) -> None:
        if self._source:
            self._api.advapi32.DeregisterEventSource(self._source)
            self._source = None
        super().close()


def to_event_log(api: Api) -> None:
    """In place of standard error, which a service does not have."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(EventLogHandler(api))
    root.setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def register_source(api: Api) -> None:
    """Tell the Event Viewer where the texts are. Needs an administrator. Raises Win32Error."""
    key = HANDLE()
    opened = api.advapi32.RegCreateKeyExW(
        HANDLE(LOCAL_MACHINE), KEY, 0, None, 0, SET_VALUE, None, ctypes.byref(key), None
    )
    needed_zero("RegCreateKeyExW", opened)
    try:
        file = ctypes.create_unicode_buffer(MESSAGES)
        kinds = ctypes.c_uint32(ERROR | WARNING | INFORMATION)
        for name, kind, value in (("EventMessageFile", REG_EXPAND_SZ, file), ("TypesSupported", REG_DWORD, kinds)):
            written = api.advapi32.RegSetValueExW(key, name, 0, kind, ctypes.byref(value), ctypes.sizeof(value))
            needed_zero("RegSetValueExW", written)
    finally:
        api.advapi32.RegCloseKey(key)


def remove_source(api: Api) -> None:
    """Nothing where it is not registered. Raises Win32Error."""
    try:
        needed_zero("RegDeleteTreeW", api.advapi32.RegDeleteTreeW(HANDLE(LOCAL_MACHINE), KEY))
    except Win32Error as error:
        if error.code != FILE_NOT_FOUND:
            raise
