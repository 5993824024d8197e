"""One terminal: how it is, since when, why, what every part last said, and how each signal got there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from nicegui import Client, background_tasks, events, ui
from nicegui.element import Element

from tillwatch.agent.model import MS
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.read import ComponentView, FleetReader, History, StateView, TerminalView
from tillwatch.collector.web.feed import Change, Feed
from tillwatch.collector.web.messages import Text
from tillwatch.collector.web.pages import chart
from tillwatch.collector.web.pages.alarms_page import AlarmList
from tillwatch.collector.web.pages.at_risk_page import FindingList
from tillwatch.collector.web.pages.diagnosis_panel import Diagnosis
from tillwatch.collector.web.pages.missing import missing
from tillwatch.collector.web.pages.theme import STATIC, frame, listen, page, text_of, words
from tillwatch.collector.web.reads import Busy, Reads, Unreadable

NANO = 1_000_000_000

RANGES = {"h1": 3_600, "h24": 86_400, "d7": 7 * 86_400, "d30": 30 * 86_400, "y1": 366 * 86_400}
"""Time ranges of the chart, seconds. The year is a leap year: a yearly service must be in it."""

REDRAW_S = 10.0
"""An open chart is drawn again at most this often: a new point is one pixel, a redraw is some 50 KB."""


class ComponentCards(Element, component=STATIC / "components.js"):
    """The components with their current values; loads itself from the REST API. Emits `pick` with component and signal."""

    def __init__(self, terminal: str, component: str, signal: str) -> None:
        super().__init__()
        self._props["terminal"] = terminal
        self._props["component"] = component
        self._props["signal"] = signal


class StateStrip(Element, component=STATIC / "strip.js"):
    """Seven days of the terminal and of each component. Loads itself from the REST API."""

    def __init__(self, terminal: str) -> None:
        super().__init__()
        self._props["terminal"] = terminal


class Timeline(Element, component=STATIC / "timeline.js"):
    """All that happened to it, with the readings of one signal beside it. Loads itself from the REST API."""

    def __init__(self, terminal: str, component: str, signal: str) -> None:
        super().__init__()
        self._props["terminal"] = terminal
        self._props["component"] = component
        self._props["signal"] = signal


class DossierSheet(Element, component=STATIC / "dossier.js"):
    """Rated lives, repairs and versions, the device file, notes, keys, terminals like it. Loads itself from the REST API."""

    def __init__(self, terminal: str) -> None:
        super().__init__()
        self._props["terminal"] = terminal


ROOMS = ("strip", "timeline", "components", "diagnosis", "file", "lives", "notes", "similar")
"""Parts of the page that are far below: what leads to them stands above."""


def add(reads: Reads, feed: Feed, now: Callable[[], int]) -> None:
    @page("/terminal/{terminal}", Permission.SEE)
    async def terminal_page(request: Request, client: Client, terminal: str) -> None:
        await feed.ready()
        text = text_of(request)
        view = feed.terminals.get(terminal)
        if view is not None and not asking().scope.covers(view.branch, view.region):
            view = None  # for this visitor it is not there
        panel = ChartPanel(client, reads, now, text, terminal)
        with frame(request, client, feed, text, "terminal", on_theme=panel.restyle, files=("dossier", "diagnosis")):
            if view is None:
                missing(client, text("terminal.missing", id=terminal), text("terminal.back"), "/")
                return
            client.title = f"{terminal} · tillwatch"
            show_header = _header(text, view)
            with ui.element("nav").classes("tw-rooms").props(f'aria-label="{text("dossier.rooms")}"'):
                for room in ROOMS:
                    ui.link(text(f"dossier.{room}"), f"#tw-{room}")
            with ui.element("section").classes("tw-section"):
                words("h2", text("terminal.alarms"))
                AlarmList(terminal)
            FindingList(terminal)
            StateStrip(terminal)
            query = request.query_params
            picked = await reads(
                lambda reader: _first_signal(reader, terminal, query.get("component", ""), query.get("signal", ""))
            )
            Timeline(terminal, *picked)
            with ui.element("div").classes("tw-split"):
                with ui.element("section").classes("tw-section").props("id=tw-components"):
                    words("h2", text("terminal.components"))
                    cards = ComponentCards(terminal, *picked)
                with ui.element("section").classes("tw-section tw-chart-side").props("id=tw-history"):
                    words("h2", text("terminal.history"))
                    panel.build(query.get("range", "h24"))
            cards.on("pick", panel.on_pick)
            with ui.element("section").classes("tw-section").props("id=tw-diagnosis"):
                words("h2", text("diagnosis.title"))
                Diagnosis(terminal)
            DossierSheet(terminal)

        def on_change(change: Change) -> None:
            if terminal in change.terminals or change.alarms or change.incidents or change.foretold:
                if terminal in change.terminals and (fresh := feed.terminals.get(terminal)) is not None:
                    show_header(fresh)
                    panel.data_came()
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)
        if picked[0]:
            client.on_connect(lambda: panel.show(*picked) if panel.fresh else panel.data_came())


def _first_signal(reader: FleetReader, terminal: str, component: str, signal: str) -> tuple[str, str]:
    """What to draw first: what the address names, else the signal of the worst alarm, else the first number."""
    try:
        views = reader.components(terminal)
    except KeyError:
        return "", ""
    known = {(view.name, item.signal): item for view in views for item in view.signals}
    if (component, signal) in known:
        return component, signal
    for alarm in reader.alarms(terminal=terminal, open_only=True, limit=20):
        if (alarm.component, alarm.signal) in known:
            return alarm.component, alarm.signal
    for pair, item in known.items():
        if item.kind == "gauge":
            return pair
    return next(iter(known), ("", ""))


def _header(text: Text, view: TerminalView) -> Callable[[TerminalView], None]:
    """Draws the head; the function that it gives back fills it with a newer view."""
    facts: dict[str, Any] = {}
    places: dict[str, ui.element] = {}
    with ui.element("section").classes("tw-head"):
        with ui.element("div").classes("tw-head-name"):
            chip = words("span")
            words("h1", view.id)
            reason = words("span").classes("tw-reason")
        with ui.element("dl").classes("tw-facts"):
            for name, label in (
                ("state", text("terminal.state")),
                ("party", text("terminal.party")),
                ("functions", text("terminal.functions")),
                ("branch", text("fleet.branch")),
                ("region", text("terminal.region")),
                ("class", text("fleet.class")),
                ("connection", text("fleet.connection")),
                ("received", text("fleet.received")),
                ("lost", text("terminal.lost")),
                ("version", text("rollout.version")),
                ("ring", text("rollout.ring")),
            ):
                with ui.element("div") as places[name]:
                    words("dt", label)
                    facts[name] = words("dd")
                    if name == "state":
                        since = words("dd").classes("tw-faint")
                        because = words("dd").classes("tw-reason")

    def show_state(state: StateView | None) -> None:
        """Nothing of what was never rolled up, or does not apply."""
        places["state"].set_visibility(state is not None)
        places["party"].set_visibility(state is not None and bool(state.party))
        places["functions"].set_visibility(state is not None and bool(state.lost))
        if state is None:
            return
        facts["state"].set_text(text(f"state.{state.state}"))
        facts["state"].classes(replace=f"tw-standing tw-standing-{state.state}")
        since.props(f"data-at={state.since // MS}")
        cause = text(f"cause.{state.cause}") if state.cause else ""
        because.set_text(": ".join(each for each in (cause or state.text, state.why) if each))
        facts["party"].set_text(text(f"party.{state.party}") if state.party else "")
        facts["functions"].set_text(", ".join(state.lost))

    def show(fresh: TerminalView) -> None:
        show_state(fresh.state)
        condition = fresh.condition if fresh.condition in {"ok", "warn", "crit"} else "unknown"
        chip.set_text(text(f"condition.{condition}"))
        chip.classes(replace=f"tw-chip tw-{condition}")
        reason.set_text(fresh.reason)
        facts["branch"].set_text(fresh.branch)
        facts["region"].set_text(fresh.region)
        facts["class"].set_text(fresh.terminal_class)
        connection = fresh.connection if fresh.connection in {"online", "offline", "new"} else "silent"
        facts["connection"].set_text(text(f"connection.{connection}"))
        facts["connection"].classes(replace=f"tw-connection tw-is-{connection}")
        facts["received"].classes(replace="tw-age" if connection == "online" else "tw-age tw-stale")
        facts["received"].props(f"data-at={fresh.last_received // MS}")
        lost = [text("terminal.lost_readings", n=f"{fresh.lost:,}")] if fresh.lost else []
        lost += [text("terminal.lost_batches", n=f"{fresh.holes:,}")] if fresh.holes else []
        for name, value in (("version", fresh.version), ("ring", fresh.ring)):
            places[name].set_visibility(bool(value))
            facts[name].set_text(value)
        facts["lost"].set_text("; ".join(lost) or text("terminal.lost_none"))

    show(view)
    return show


class ChartPanel:
    """The chart of one signal with its time ranges. Draws what was asked last; an older answer that comes late is dropped."""

    def __init__(self, client: Client, reads: Reads, now: Callable[[], int], text: Text, terminal: str) -> None:
        self._client, self._reads, self._now, self._text, self._terminal = client, reads, now, text, terminal
        self._range = "h24"
        self._picked = ("", "")
        self._asked = 0
        self._drawn = 0.0
        self._again: asyncio.TimerHandle | None = None
        self._chart: ui.echart | None = None

    @property
    def fresh(self) -> bool:
        """Nothing was asked for yet."""
        return self._asked == 0

    def build(self, wanted: str) -> None:
        self._range = wanted if wanted in RANGES else "h24"
        with ui.element("div").classes("tw-chart-bar"):
            self._title = words("h3").classes("tw-chart-title")
            self._source = (
                words("a", self._text("source.link"))
                .classes("tw-source")
                .props(f'title="{self._text("source.link_hint")}"')
            )
            self._source.set_visibility(False)  # until something is picked
            with ui.element("div").classes("tw-ranges").props(f'role=group aria-label="{self._text("chart.range")}"'):
                self._buttons = {
                    name: words("button", self._text(f"range.{name}")).props("type=button") for name in RANGES
                }
                for name, button in self._buttons.items():
                    button.on("click", lambda name=name: self._choose_range(name))
        self._message = words("p", self._text("chart.choose")).classes("tw-chart-message").props("role=status")
        self._place = ui.element("div")
        with ui.element("div").classes("tw-chart-foot") as self._foot:
            self._made_of = words("span")
            words("span").props("id=tw-shown")
            reset = words("button", self._text("chart.reset")).classes("tw-button").props("type=button id=tw-reset")
            reset.on("click", js_handler="() => tw.unzoom()")
        self._foot.set_visibility(False)
        self._mark_range()

    def _mark_range(self) -> None:
        for name, button in self._buttons.items():
            button.props(f"aria-pressed={'true' if name == self._range else 'false'}")

    async def on_pick(self, event: events.GenericEventArguments) -> None:
        picked = event.args if isinstance(event.args, dict) else {}
        await self.show(str(picked.get("component", "")), str(picked.get("signal", "")))

    async def _choose_range(self, name: str) -> None:
        self._range = name
        self._mark_range()
        ui.run_javascript(f"tw.address('range', '{name}')")
        await self.show(*self._picked, whole=True)

    def restyle(self) -> None:
        """Colours are drawn into the canvas: after a change of theme the chart is drawn anew."""
        if self._chart is not None:
            background_tasks.create(self._redraw(), name="draw the chart anew")

    def data_came(self) -> None:
        """Draws again soon, but not more often than REDRAW_S."""
        if self._picked[0] and self._again is None:
            wait = max(0.0, self._drawn + REDRAW_S - time.monotonic())
            self._again = asyncio.get_running_loop().call_later(
                wait, lambda: background_tasks.create(self._redraw(), name="draw new points")
            )

    async def _redraw(self) -> None:
        if not self._client.is_deleted:
            await self.show(*self._picked)

    async def show(self, component: str, signal: str, *, whole: bool = False) -> None:
        """Draws `signal` of `component`. whole: forget the zoom."""
        self._asked += 1
        asked, self._again, self._drawn = self._asked, None, time.monotonic()
        whole = whole or (component, signal) != self._picked
        self._picked = (component, signal)
        with self._client:
            self._message.set_text(self._text("chart.loading"))
        end = self._now()
        start = end - RANGES[self._range] * NANO
        option: dict[str, Any] = {}
        try:
            history, view = await self._reads(
                lambda reader: _read(reader, self._terminal, component, signal, start, end)
            )
        except KeyError:
            message = self._text("chart.never")
        except (Busy, Unreadable) as error:  # the page stays, the chart says why it is empty
            message = self._text("chart.failed", error=error)
        else:
            option, message = chart.option(history, start, end, view.interval_s if view else 0.0, self._text)
            if not option and not message:
                asked_for = {"start": _stamp(start), "end": _stamp(end)}
                last = next((item.at for item in view.signals if item.signal == signal), 0) if view else 0
                if history.points:
                    message = self._text("chart.unread", n=f"{len(history.points):,}", **asked_for)
                else:
                    message = (
                        self._text("chart.empty", last=_stamp(last), **asked_for) if last else self._text("chart.never")
                    )
        if asked != self._asked or self._client.is_deleted:
            return
        with self._client:
            self._title.set_text(f"{component} · {signal}")
            if self._chart is not None:
                self._chart.props["aria-label"] = self._title.text
            asked_of = urlencode({"component": component, "signal": signal})
            self._source.props["href"] = f"/terminal/{quote(self._terminal, safe='')}/readings?{asked_of}"
            self._source.set_visibility(True)
            self._made_of.set_text(message if option else "")
            self._message.set_text(message)
            self._message.set_visibility(not option)
            self._place.set_visibility(bool(option))
            self._foot.set_visibility(bool(option))
            if option:
                if whole:
                    for zoom in option["dataZoom"]:
                        zoom.update(start=0, end=100)
                self._draw(option)

    def _draw(self, option: dict[str, Any]) -> None:
        """The first drawing makes the chart: its script of 1.1 MB must not delay the page that an engineer waits for."""
        if self._chart is None:
            with self._place:
                made = self._chart = ui.echart(option).classes("tw-chart").props("id=tw-chart role=img")
                made.props["aria-label"] = self._title.text
            made.on("chart:datazoom", js_handler=f"() => tw.zoomed({made.id})")
            made.on("chart:finished", js_handler=f"() => tw.zoomed({made.id})")
        else:
            self._chart.options.clear()
            self._chart.options.update(option)
            self._chart.update()


def _stamp(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(ns // NANO)) + " UTC"


def _read(
    reader: FleetReader, terminal: str, component: str, signal: str, start: int, end: int
) -> tuple[History, ComponentView | None]:
    views: Sequence[ComponentView] = reader.components(terminal)
    view = next((item for item in views if item.name == component), None)
    return reader.history(terminal, component, signal, start, end), view
