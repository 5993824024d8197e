"""The frame that every page shares: language, theme, navigation, banners and the script that keeps ages counting."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request
from nicegui import Client, ui
from nicegui import app as nicegui_app
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from tillwatch.agent.model import MS
from tillwatch.collector.people.roles import Permission, Visitor, asking, on_behalf_of
from tillwatch.collector.read import WaitingView
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.messages import CATALOGUE, TEXTS, Text, choose
from tillwatch.collector.web.pages.navigation import current, shown

STATIC = Path(__file__).parent.parent / "static"
SCRIPTS = ("console", "session", "parts", "foretold", "prove")
"""Of every page, in this order."""

QUIET_S = 180
"""Three of the usual minute intervals without anything from any terminal: then it is the collector or the network, not a terminal."""

BUILD_S = 60.0
"""For one page to be built. NiceGUI's own three seconds put its error page before whoever asks a busy machine, though the fleet is there."""

THEMES: dict[str, bool | None] = {"auto": None, "dark": True, "light": False}


class UndeliveredBanner(Element, component=STATIC / "banner.js"):
    """What waits too long for its receiver, on every page; shows nothing where nothing does."""

    def __init__(self, waiting: Iterable[WaitingView]) -> None:
        super().__init__()
        self.show(waiting)

    def show(self, waiting: Iterable[WaitingView]) -> None:
        """One line a receiver, the gravest first. waiting: by level within a receiver."""
        lines: dict[str, dict[str, Any]] = {}
        for each in waiting:
            line = lines.setdefault(
                each.connector, {"connector": each.connector, "levels": [], "since": each.oldest_at // MS, "answer": ""}
            )
            line["levels"].append([each.level, each.count])
            line["since"] = min(line["since"], each.oldest_at // MS)
            line["answer"] = line["answer"] or each.answer
        self._props["waiting"] = sorted(lines.values(), key=lambda line: (line["levels"][0][0], line["since"]))
        self.update()


class Header(Element, component=STATIC / "header.js"):
    """The top of every page: where one can go, what one looks for, who one is. Emits `theme` when the next one is asked for."""

    def __init__(self, visitor: Visitor, here: str, language: str, *, peopled: bool = False) -> None:
        """here: the key of the place that is shown; language: the address of the same page in the other one; peopled: whether one can sign in here."""
        super().__init__()
        there = {getattr(route, "path", "") for route in nicegui_app.routes}
        self._props["groups"] = [
            {
                "label": group.label,
                "places": [
                    {"address": place.address, "label": place.label, "here": place.key == here}
                    for place in group.places
                ],
            }
            for group in shown(visitor, there)
        ]
        self._props["who"] = {
            "name": visitor.name,
            "role": str(visitor.role or ""),
            "scope": [*sorted(visitor.scope.regions), *sorted(visitor.scope.branches)],
            "anonymous": visitor.anonymous,
            "profile": "/profile" in there and visitor.may(Permission.SELF),
            "enter": peopled and not visitor.name,
        }
        self._props["language"] = language

    def theme(self, name: str) -> None:
        self._props["theme"] = name
        self.update()


@lru_cache(maxsize=1)
def static_version() -> str:
    """A name that changes with the files, so that browsers may keep them for ever."""
    digest = hashlib.sha256()
    for path in (*sorted(STATIC.iterdir()), *sorted(CATALOGUE.iterdir())):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def texts_script(name: str) -> str | None:
    """The catalogue of one language as the browser takes it, `texts-en.js`; kept there, so that a page does not carry it. None for another name."""
    language = name.removeprefix("texts-").removesuffix(".js")
    return (
        f"window.TW_TEXTS={_script(TEXTS[language].texts)}"
        if name == f"texts-{language}.js" and language in TEXTS
        else None
    )


def words(tag: str, text: str = "") -> TextElement:
    """An element with text in it; never markup, whoever wrote the text."""
    return TextElement(tag=tag, text=text)


def text_of(request: Request) -> Text:
    remembered = asking().language or request.cookies.get("tw_lang")
    return choose(request.query_params.get("lang"), remembered, request.headers.get("accept-language", ""))


def _script(value: object) -> str:
    """JSON that may stand inside a script element, whatever the text in it."""
    return (
        json.dumps(value, ensure_ascii=False)
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def _head(text: Text, *, remember: bool, early: str, files: Iterable[str], scripts: Iterable[str]) -> str:
    base = f"/console/{static_version()}"
    settings = {
        "lang": text.language,
        "zone": asking().zone,
        "account": asking().may(Permission.SELF),
        "now": time.time_ns() // MS,
        "remember": remember,
        "early": early,
        "csrf": asking().csrf,
    }
    styles = "".join(f'<link rel="stylesheet" href="{base}/{name}.css">' for name in ("console", *files))
    run = "".join(
        f'<script src="{base}/{name}.js"></script>' for name in (f"texts-{text.language}", *SCRIPTS, *scripts)
    )
    return f"{styles}<script>window.TW={_script(settings)}</script>{run}"


def page(path: str, permission: Permission) -> ui.page:
    """The decorator of what builds a page: who has the permission may see it."""
    return ui.page(path, title="tillwatch", dependencies=[needs(permission)], response_timeout=BUILD_S)


@contextmanager
def frame(
    request: Request,
    client: Client,
    feed: Feed,
    text: Text,
    active: str,
    *,
    on_theme: Callable[[], None] = lambda: None,
    early: str = "",
    files: Iterable[str] = (),
    scripts: Iterable[str] = (),
) -> Iterator[None]:
    """Navigation above, the page's content inside.

    active: the key of the place that is marked where the address says none. on_theme: called after the theme changed, for what is drawn and not styled. early: what the page will fetch first; the
    browser asks for it while the scripts still load. files, scripts: style sheets and scripts of this page's own, static/NAME.css and .js.
    """
    ui.add_head_html(_head(text, remember="lang" in request.query_params, early=early, files=files, scripts=scripts))
    remembered = asking().theme or request.cookies.get("tw_theme", "auto")
    names = list(THEMES)
    dark = ui.dark_mode(THEMES.get(remembered))
    chosen = [names.index(remembered) if remembered in THEMES else 0]

    def next_theme() -> None:
        chosen[0] = (chosen[0] + 1) % len(names)
        name = names[chosen[0]]
        dark.value = THEMES[name]
        ui.run_javascript(f"tw.remember('tw_theme', '{name}')")
        header.theme(name)
        on_theme()

    here = current(request.url.path) or active
    peopled = bool(getattr(request.state, "peopled", False))
    header = Header(asking(), here, _with_language(request, "en" if text.language == "zh" else "zh"), peopled=peopled)
    header.theme(names[chosen[0]])
    header.on("theme", next_theme)
    if peopled and asking().anonymous:
        with ui.element("div").classes("tw-banner tw-anonymous").props("role=note"):
            words("span", text("entry.anonymous"))
            ui.link(text("entry.anonymous_more"), "/sign-in")
    undelivered = UndeliveredBanner(feed.undelivered)
    ui.element("div").classes("tw-banner tw-lost").props(f'role=alert data-text="{text("app.lost_connection")}"')
    problem = words("div", text("app.problem")).classes("tw-banner").props("role=alert")
    problem.set_visibility(bool(feed.problem))
    quiet = (
        ui.element("div")
        .classes("tw-banner tw-quiet-banner")
        .props(f"role=status data-newest={feed.summary.newest // MS} data-after={QUIET_S}")
    )

    def on_change(change: Change) -> None:
        problem.set_visibility(bool(feed.problem))
        if change.undelivered:
            undelivered.show(feed.undelivered)
        if change.terminals:
            quiet.props(f"data-newest={feed.summary.newest // MS}")

    listen(client, feed, on_change)
    _only_main(client)
    with ui.element("main").classes("tw-main").props("id=tw-main tabindex=-1"):
        yield


def _only_main(client: Client) -> None:
    """The library draws every page inside a `main` of its own, which would hold the navigation too; nothing of its layout is used here."""
    around = client.content.parent_slot
    assert around is not None
    around.parent.tag = "div"


def listen(client: Client, feed: Feed, on_change: Callable[[Change], None]) -> None:
    """Tells this page of changes for as long as it lives, on behalf of whoever opened it."""
    visitor = asking()

    def told(change: Change) -> None:
        with client, on_behalf_of(visitor):
            on_change(change)

    client.on_delete(feed.listen(told))


def _with_language(request: Request, language: str) -> str:
    return str(request.url.include_query_params(lang=language)).removeprefix(str(request.base_url).rstrip("/"))
