"""The v2 write endpoint, /api/v2/write, through influxdb-client: what InfluxDB 2 and 3 have of their own, and VictoriaMetrics takes, too. Lines are written in one
request, packed, and the answer is waited for. What is answered is told as the errors of port.py.
"""

from __future__ import annotations

import json
import logging
import ssl
from typing import Any

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from tillwatch.collector.series.port import (
    OutsideRetentionError,
    SinkDownError,
    SinkRefusesError,
    SinkTooMuchError,
)
from tillwatch.collector.series.settings import SinkSettings
from tillwatch.collector.tickets.settings import SecretError

MAX_ANSWER = 300
"""Characters of an answer that are told."""
MOST_AFTER_S = 300.0
"""Of what a store asks to be waited: it may have said a date."""
_NS: Any = WritePrecision.NS
"""The library's hints want an instance of a class that only holds words."""
_TOO_MUCH, _MALFORMED, _OUTSIDE = 413, 400, 422
_MENDS = {
    401: "look at its token, in token_file",
    403: "its token may not write there; give it one that may",
    404: "look at url, org and bucket",
}

# Its own complaints repeat what is told here, with the whole answer, on each attempt.
logging.getLogger("influxdb_client.client.write_api").addHandler(logging.NullHandler())


class V2Writes:
    """org, bucket: as the store wants them named. A connection is kept between calls; after an error the next call makes everything anew, with
    the token as it is in its file then.
    """

    def __init__(self, settings: SinkSettings, org: str, bucket: str) -> None:
        self._settings, self._org, self._bucket = settings, org, bucket
        self._client: InfluxDBClient | None = None

    def write(self, lines: bytes) -> None:
        try:
            api = self._connected().write_api(write_options=SYNCHRONOUS)  # no thread, no state: cheap
            api.write(bucket=self._bucket, org=self._org, record=lines, write_precision=_NS)
        except ApiException as error:
            raise _told(error, self) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            raise SinkDownError(f"it does not answer: {_plain(error)}") from None

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the store, with the same credentials. Raises SinkDownError."""
        try:
            api = self._connected().api_client
            answer = api.rest_client.pool_manager.request(
                "GET", api.configuration.host + path, headers=dict(api.default_headers), timeout=self._settings.timeout, retries=False
            )  # fmt: skip
            return int(answer.status), answer.data.decode("utf-8", "replace")
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self.close()
            raise SinkDownError(f"it does not answer: {_plain(error)}") from None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()  # type: ignore[no-untyped-call]
            self._client = None

    def _connected(self) -> InfluxDBClient:
        """Raises SinkDownError where the settings cannot be used."""
        if self._client is None:
            own = self._settings
            try:
                token = own.token()
                if own.ca_file is not None:
                    ssl.create_default_context(cafile=str(own.ca_file))
            except SecretError as error:
                raise SinkDownError(str(error)) from None
            except OSError as error:
                raise SinkDownError(f"ca_file: cannot use {own.ca_file}: {error}") from None
            self._client = InfluxDBClient(
                url=own.url, token=token, org=self._org, timeout=round(own.timeout * 1000), enable_gzip=True,
                ssl_ca_cert=str(own.ca_file) if own.ca_file is not None else None, connection_pool_maxsize=1,
            )  # fmt: skip
        return self._client


def _told(error: ApiException, writes: V2Writes) -> Exception:
    status, said = int(error.status or 0), _said(error)
    if status == _TOO_MUCH:
        return SinkTooMuchError(said)
    if status == _MALFORMED:
        return SinkRefusesError(said)
    if status == _OUTSIDE:
        return OutsideRetentionError(said)
    writes.close()
    mend = f"; {_MENDS[status]}" if status in _MENDS else ""
    return SinkDownError(f"it answers {status or 'nothing'}: {said}{mend}", _after(error))


def _said(error: ApiException) -> str:
    text = str(error.body or error.reason or "")
    try:
        found: Any = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        text = str(found.get("message") or found.get("error") or text)
    return " ".join(text.split())[:MAX_ANSWER]


def _after(error: ApiException) -> float:
    """Of the header Retry-After, in s; a date is not counted."""
    headers: Any = error.headers or {}
    try:
        return min(max(float(headers.get("Retry-After", 0)), 0.0), MOST_AFTER_S)
    except (TypeError, ValueError):
        return 0.0


def _plain(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())[:MAX_ANSWER]
