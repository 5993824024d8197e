"""One bounded HTTP exchange with a ticket system, and what its answer means for what was asked. Addresses may hold tokens and secrets are secrets:
what is raised, logged or kept is the host, the status and our own words, with the first words of an answer that declines.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tillwatch.collector.tickets.delivery import IN_FLIGHT
from tillwatch.collector.tickets.port import BarredError, GoneError, NotAppliedError, RejectedError, UnclearError

if TYPE_CHECKING:
    import httpx2

CONNECT_S = 5.0
"""For the connection: a host that is there answers in milliseconds, and an attempt that never connected is known not to have happened."""

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer that are read: a page of 100 tickets with their histories is a tenth of it."""

MAX_SAID = 300
"""Characters of an answer that are repeated in an error: enough for a reason, too little for a page."""

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
NUMBER = re.compile(r"[1-9][0-9]{0,17}")
"""Forms of ids: of any system, and of those that count."""


@dataclass(frozen=True, slots=True)
class Answer:
    """status: HTTP. headers: lower-case names. body: as it came, cut where it is longer than what the caller reads. Neither is shown: a session is
    opened by an answer.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    host: str
    write: bool

    def json(self) -> Any:
        """The decoded body. Of a write that answers in no JSON nobody knows what became; of a read, nothing did."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            said = f"{self.host} answered {self.status} with something that is not JSON"
            raise (UnclearError(said) if self.write else NotAppliedError(said)) from None

    def said(self) -> str:
        """The beginning of the body as one line, for an error."""
        text = re.sub(r"<[^>]*>|\s+", " ", self.body[: 4 * MAX_SAID].decode("utf-8", "replace"))
        return re.sub(r"\s+", " ", "".join(c for c in text if c.isprintable())).strip()[:MAX_SAID]


class Caller:
    """Exchanges with one system. base: its address, https, or http on this machine; headers: asked for anew at each request, so that a secret that
    was replaced is found; it may raise SecretError (a ValueError), which bars the system. max_answer: bytes of an answer that are read.

    Raises ValueError for an address that cannot be used.
    """

    def __init__(
        self,
        base: str,
        headers: Callable[[], Mapping[str, str]],
        *,
        ca: Path | None = None,
        timeout_s: float = 20.0,
        max_answer: int = MAX_ANSWER,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.host = checked_host(base)
        self._base = base
        self._headers = headers
        self._ca = ca
        self._timeout_s = timeout_s
        self._max_answer = max_answer
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
    ) -> Answer:
        """One request; the answer if its status is 2xx or in `accept`.

        path: below the base, empty for the base as it stands. write: it changes something. body: sent as JSON, bytes as they are. Raises NotAppliedError (no connection, 408, 429, 503, and any failure of a
        read), UnclearError (a write without a clear answer), BarredError (401, 403, a login page), GoneError (404, 410), RejectedError (other 4xx, redirects).
        """
        import httpx2  # noqa: PLC0415 - late: a collector without a ticket system does not carry an HTTP client

        try:
            sent = {"accept": "application/json", "accept-encoding": "identity", **self._headers(), **(headers or {})}
        except ValueError as error:
            raise BarredError(str(error)) from None
        content = (
            body
            if isinstance(body, bytes) or body is None
            else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        )
        if content is not None:
            sent.setdefault("content-type", "application/json")
        address = self._base.rstrip("/") + path if path else self._base
        try:
            request = self._open().build_request(
                method, address, params=dict(params) if params else None, content=content, headers=sent
            )
        except (ValueError, httpx2.InvalidURL):
            raise _unsayable(self.host) from None
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._open().send(request, stream=True)
                try:
                    read = bytearray()
                    async for chunk in response.aiter_raw():
                        read += chunk
                        if len(read) > self._max_answer:
                            break
                finally:
                    await response.aclose()
            told = {name.lower(): value for name, value in response.headers.items()}
            answer = Answer(response.status_code, told, bytes(read[: self._max_answer]), self.host, write)
        except httpx2.LocalProtocolError:
            raise _unsayable(self.host) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise NotAppliedError(f"no connection to {self.host} ({reason_of(error)})") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise _failed(f"no answer from {self.host} within {self._timeout_s:g} s", write=write) from None
        except httpx2.HTTPError as error:
            raise _failed(f"the connection to {self.host} broke off ({type(error).__name__})", write=write) from None
        if answer.status not in accept:
            self._judge(method, answer)
        return answer

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _judge(self, method: str, answer: Answer) -> None:
        status, said = answer.status, f"{self.host} answered {answer.status} to {method}"
        if 200 <= status < 300:
            if answer.body[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
                # Single sign-on and proxies answer what never got through with 200 and a page.
                raise BarredError(f"{said} with a web page, as a login or a proxy does: check the address")
            return
        after_s = retry_after(answer.headers.get("retry-after", ""), self._clock())
        if status in {408, 429} or (status == 503 and after_s is not None):
            raise NotAppliedError(said, after_s)
        if status >= 500:
            raise _failed(said, write=answer.write)
        if status in {401, 403}:
            raise BarredError(f"{said}: check the secret and what its user may do: {answer.said()}")
        if status in {404, 410}:
            raise GoneError(said)
        if 300 <= status < 400:
            raise BarredError(f"{said} (redirect, not followed): configure the final address")
        raise RejectedError(f"{said}: {answer.said()}")

    def _open(self) -> httpx2.AsyncClient:
        import httpx2  # noqa: PLC0415 - as above

        if self._client is None:
            # At INFO it writes every address called, tokens in it included.
            logging.getLogger("httpx2").setLevel(logging.WARNING)
            try:
                verify = ssl.create_default_context(cafile=self._ca) if self._base.startswith("https") else False
            except OSError as error:  # ssl.SSLError is one, too
                raise BarredError(
                    f"ca_file: {self._ca} holds no certificate that can be read ({reason_of(error)})"
                ) from None
            self._client = httpx2.AsyncClient(
                verify=verify,
                timeout=httpx2.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s)),
                limits=httpx2.Limits(max_connections=IN_FLIGHT + 1, max_keepalive_connections=IN_FLIGHT + 1),
                follow_redirects=False,
                trust_env=False,  # the address in the configuration is the address called: no proxy, no .netrc
                headers={"user-agent": "tillwatch"},
            )
        return self._client


def checked_host(address: str) -> str:
    """The host of an address that tickets may go to. Raises ValueError."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"https", "http"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not parts.hostname or not address.isascii() or not address.isprintable():
        raise ValueError("the address must be https://host/path")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(
            f"the address at {parts.hostname} must be https: tickets say which terminals are weak, and where"
        )
    return parts.hostname


def as_id(ticket: str, form: re.Pattern[str] = ID) -> str:
    """The id of a ticket as a part of a path: one that came in from an answer or a person could be anything. Raises GoneError."""
    if not form.fullmatch(ticket):
        raise GoneError(f"{ticket[:MAX_SAID]!r} is the id of no ticket")
    return ticket


def authorization(secret: str) -> dict[str, str]:
    """The header for a secret by its form: `user:password` is HTTP Basic, anything without a colon a bearer token."""
    if ":" in secret:
        return {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
    return {"authorization": f"Bearer {secret}"}


def retry_after(text: str, now: float) -> float | None:
    """Seconds to wait, from either form of Retry-After; None if there is none that can be read."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, at.replace(tzinfo=at.tzinfo or UTC).timestamp() - now)


def reason_of(error: Exception) -> str:
    """Why there is no connection, in the words of the operating system or the TLS library, which name no path and no secret."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {cause.verify_message}"
        if isinstance(cause, socket.gaierror):
            return f"name not found: {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
            return os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _failed(said: str, *, write: bool) -> Exception:
    return UnclearError(said) if write else NotAppliedError(said)


def _unsayable(host: str) -> Exception:
    return RejectedError(
        f"nothing was sent to {host}: a line break or a letter that HTTP has no place for; check the secret"
    )
