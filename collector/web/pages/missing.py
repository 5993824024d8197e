"""What a page says where the thing that its address names is not there."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable

from nicegui import Client, ui

from tillwatch.collector.web.pages.theme import words
from tillwatch.collector.web.reads import Busy, Unreadable


async def is_there(client: Client, asked: Awaitable[object], said: str, back: str, address: str) -> bool:
    """asked: raises KeyError where there is no such thing, and then the page is what `missing` makes of it. A store that does not answer is said by the list
    or sheet that the page shows, which asks again.
    """
    with contextlib.suppress(Busy, Unreadable):
        try:
            await asked
        except KeyError:
            missing(client, said, back, address)
            return False
    return True


def missing(client: Client, said: str, back: str, address: str) -> None:
    """back: the words of a link to `address`, where one may look instead."""
    client.status_code = 404
    words("h1", said).classes("tw-title")
    ui.link(back, address)
