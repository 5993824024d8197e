"""Notification channels by the library apprise, an optional extra: mail, SMS gateways, DingTalk, WeCom, Feishu and some hundred others, each named by
one URL. `{contact}` in the URL is the person's number or address.

apprise says of a message only that it was taken or not, and knows no key: what may have been told is told again after a time-out. A page
twice is better than none. Its URLs are secrets: nothing of one is logged or kept, and nothing that apprise logs but the status of an answer.
"""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from tillwatch.collector import values
from tillwatch.collector.tickets import text
from tillwatch.collector.tickets.delivery import IN_FLIGHT
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import (
    Barred,
    Dead,
    Done,
    Leg,
    Link,
    Outcome,
    Problem,
    Retry,
    Uncertain,
)
from tillwatch.collector.tickets.settings import ReceiverSettings, SecretError, read_secret
from tillwatch.collector.values import setting

if TYPE_CHECKING:
    from apprise import NotifyBase

FULL, SHORT = "full", "short"

SETTLE_S = 10.0
"""apprise gives up a connection after 4 s without a word; a gateway that was still at work has ended by then."""

CONTACT = "{contact}"
PROBES = ("nobody@bank.example", "+8613800000000", "nobody")
"""Contacts that a URL is tried with before there is one: each service takes one of these forms."""

_OVER: Mapping[str, str] = {"en": "Over: ", "zh": "已恢复："}
_STATUS = re.compile(r"\berror=([1-5][0-9]{2})\b")


def _form(value: Any) -> str:
    if value in (FULL, SHORT):
        return str(value)
    raise ValueError(f'write "{FULL}" or "{SHORT}"')


@dataclass(frozen=True, slots=True)
class Settings(ReceiverSettings):
    """url_file or url_env: where the one apprise URL of the channel is; it is a secret. form: "short" for what is read on a telephone."""

    url_file: Path | None = setting(values.path, None)
    url_env: str = setting(values.variable, "")
    form: str = setting(_form, FULL)

    def problem(self) -> tuple[str, str] | None:
        if self.url or self.secret_file or self.secret_env:
            key = "url" if self.url else "secret_file" if self.secret_file else "secret_env"
            return key, "the URL of a channel is its secret: write url_file or url_env instead"
        if bool(self.url_file) == bool(self.url_env):
            return "", "write either url_file or url_env, and not both"
        return None

    def address(self) -> str:
        """The URL, read now. Raises SecretError."""
        held = read_secret(self.url_file, self.url_env, "url")
        lines = [line.strip() for line in held.splitlines() if line.strip() and not line.startswith("#")]
        if len(lines) != 1:
            raise SecretError(f"{self.where} holds {len(lines)} URLs; a channel has one")
        return lines[0]

    @property
    def where(self) -> str:
        return str(self.url_file or self.url_env)


def connect(name: str, settings: ReceiverSettings) -> AppriseChannel:
    """Raises ValueError where apprise is not installed."""
    assert isinstance(settings, Settings)
    if find_spec("apprise") is None:
        raise ValueError("this kind needs the package apprise: pip install 'tillwatch[notify]'")
    return AppriseChannel(name, settings)


class AppriseChannel:
    """One channel. A thread for each message that is on its way: the library waits for every answer."""

    coalesces = True

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settle_s = settings.settle or SETTLE_S
        self._settings = settings
        self._threads = ThreadPoolExecutor(IN_FLIGHT, f"channel-{name}")

    async def preflight(self) -> list[Problem]:
        """Whether the URL can be read and is one. No service can be asked more without telling somebody something."""
        try:
            address = self._settings.address()
        except SecretError as error:
            return [Problem(str(error), "put the apprise URL of the channel there")]
        if await asyncio.to_thread(_known, address):
            return []
        return [
            Problem(f"apprise does not take the URL in {self._settings.where}", "see its documentation of the service")
        ]

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:  # noqa: ARG002 - told twice is better than not at all
        try:
            address = self._settings.address()
        except SecretError as error:
            return Barred(str(error))
        if CONTACT in address and not leg.contact:
            return Dead(f"nobody to tell: the channel needs a contact, and {leg.channel or 'the message'} has none")
        contact = leg.contact if CONTACT in address else ""
        title, body = words(message, self._settings.language, self._settings.form)
        kind = "success" if message.op is Op.RESOLVE else {1: "failure", 2: "warning"}.get(message.level, "info")
        told = self._threads.submit(partial(_tell, address, contact, title, body, kind))
        timeout = self._settings.timeout
        try:
            taken, status = await asyncio.wait_for(asyncio.wrap_future(told), timeout)
        except TimeoutError:
            if told.cancelled():
                return Retry("earlier messages of this channel are still on their way")
            return Uncertain(f"no answer within {timeout:g} s")
        except Exception as error:  # a plugin that fails: its words may hold the URL
            return Retry(f"apprise failed ({type(error).__name__})")
        if taken is None:
            known = await asyncio.to_thread(_known, address)
            if contact and known:
                return Dead("apprise does not take the contact: no number or address of this channel")
            return Barred(f"apprise does not take the URL in {self._settings.where}")
        if taken:
            return Done()
        if status:
            return Retry(f"the service answered {status}", refused=400 <= status < 500 and status not in (408, 429))
        return Retry("the service could not be reached, or did not take it")

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def words(message: TicketMessage, language: str, form: str) -> tuple[str, str]:
    """(title, body). Who gets it may hear of the incident for the first time, whatever changed: the full form says all, what is new first. A short
    one has no title, and the incident's name at its end.
    """
    told = message.in_language(language)
    title = text.title(told, language)
    over = _OVER[language] if message.op is Op.RESOLVE else ""
    if form == FULL:
        news = "" if message.op is Op.OPEN else f"{text.note(told, language)}\n\n"
        return over + title, news + text.body(told, language)
    return "", text.short(told, language)


class _Ear(logging.Filter):
    """Hears what apprise logs, thread by thread, and keeps the status of an answer. Nothing of it goes to any handler."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if found := _STATUS.search(record.getMessage()):
            self.heard.status = int(found[1])
        return False


_EAR = _Ear()


def _muffle() -> None:
    """Apprise and what is below it log URLs, contacts and whole messages, some of it at WARNING."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.addFilter(_EAR)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)


def _plugin(address: str, contact: str) -> NotifyBase | None:
    """The service of the URL, None where apprise does not take it, or not the contact. Some plugins pass over a recipient that they cannot read, and
    tell the sender instead: so it is looked for in what the plugin has understood.
    """
    _muffle()
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - late: a collector without such a channel does not carry its 44 MB

    # No templates: a message may hold braces. What the library would keep, it keeps in memory.
    asset = AppriseAsset(
        app_id="tillwatch", app_desc="tillwatch", app_url="", allow_templates=False, http_redirects=False
    )
    plugin = Apprise.instantiate(address.replace(CONTACT, quote(contact, safe="")), asset=asset)
    if plugin is None:
        return None
    understood = str(plugin.url())  # type: ignore[no-untyped-call]  # the library has no type for it
    return plugin if _letters(contact) in _letters(unquote(understood)) else None


def _letters(text: str) -> str:
    """Letters and digits alone: numbers are written in many ways."""
    return re.sub(r"[\W_]", "", text).casefold()


def _known(address: str) -> bool:
    return any(_plugin(address, probe) is not None for probe in (PROBES if CONTACT in address else ("",)))


def _tell(address: str, contact: str, title: str, body: str, kind: str) -> tuple[bool | None, int]:
    """(whether it was taken, None for a URL that is none; status of the answer or 0). In a thread: it waits for the answer."""
    plugin = _plugin(address, contact)
    if plugin is None:
        return None, 0
    from apprise import NotifyFormat, NotifyType, OverflowMode  # noqa: PLC0415 - as above

    _EAR.heard.status = 0
    # What is too long for the service is cut: split it would be several pages for one fault.
    taken = plugin.notify(
        body=body,
        title=title,
        notify_type=NotifyType(kind),
        overflow=OverflowMode.TRUNCATE,
        body_format=NotifyFormat.TEXT,
    )
    return bool(taken), _EAR.heard.status
