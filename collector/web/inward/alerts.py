"""What takes the alerts of other monitoring systems behind the listener of hooks.py, at `/alerts/NAME` for [alerts.NAME]. They are journaled before the
call is answered: what could not be kept is not believed to be, and Alertmanager sends it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tillwatch.collector.intake.alertmanager import AlertError, AlertsSettings, Heard, facts_of
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.tickets.settings import SecretError
from tillwatch.collector.web.inward.hooks import Handler
from tillwatch.collector.web.inward.listening import RefusedError

log = logging.getLogger(__name__)


def alerts(
    name: str,
    settings: AlertsSettings,
    operate: Callable[[dict[str, Any]], Awaitable[None]],
    now: Callable[[], int] = time.time_ns,
) -> Handler:
    """For one source. operate: Pipeline.operate; now: UTC ns."""
    heard = Heard()
    lacking = False

    async def handle(headers: Mapping[str, str], body: bytes) -> bool:
        nonlocal lacking
        try:
            admitted = settings.admits(headers.get("authorization", ""))
        except SecretError as error:
            told = "calls cannot be checked here at the moment; the collector's log says why"
            raise RefusedError(503, told, str(error)) from None
        if not admitted:
            raise RefusedError(401, "the bearer token is not good: configure http_config.authorization")
        at = now()
        try:
            found = facts_of(name, body, settings, at)
        except AlertError as error:
            raise RefusedError(400, str(error)) from None
        left_out = found[0]["left_out"] if found else 0
        if left_out and not lacking:
            log.warning(
                "%s: a call came without %d of its alerts; group them by less, or raise max_alerts", name, left_out
            )
        lacking = bool(left_out)
        fresh = [each for each in found if heard.is_news(each, at)]
        for facts in fresh:
            try:
                await operate(facts)
            except StoreError:
                raise RefusedError(503, "the store does not take it at the moment; call again") from None
            heard.journaled(facts, at)
        return bool(fresh)

    return handle
