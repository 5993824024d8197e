"""The fleet, worst first: what is wrong, where, and how old that knowledge is."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from nicegui import Client, ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from tillwatch.agent.model import MS
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.terminal.component_groups import GROUPS
from tillwatch.collector.web.feed import CONDITIONS, Change, Feed
from tillwatch.collector.web.messages import Text
from tillwatch.collector.web.pages.theme import QUIET_S, STATIC, frame, listen, page, text_of, words


def add(feed: Feed) -> None:
    @page("/", Permission.SEE)
    async def fleet(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(
            request,
            client,
            feed,
            text,
            "fleet",
            early=f"/console/fleet.json?lang={text.language}&since=",
            files=("fleet",),
            scripts=("fleet",),
        ):
            words("h1", text("fleet.title")).classes("tw-visually-hidden")
            _tiles(client, feed, text)
            FleetFilters()
            _grid(text)
            ui.element("div").props("id=tw-peek role=tooltip hidden").classes("tw-peek")

        def on_change(change: Change) -> None:
            if change.terminals or change.alarms:
                ui.run_javascript("tw.refresh()")

        listen(client, feed, on_change)


def _tiles(client: Client, feed: Feed, text: Text) -> None:
    figures: dict[str, TextElement] = {}

    def figure(name: str, label: str, *, kind: str, filters: str = "") -> None:
        with ui.element("button" if filters else "div").classes(f"tw-tile tw-{kind}") as tile:
            if filters:
                tile.props("type=button aria-pressed=false").props(f"data-filter={filters}")
                tile.on("click", js_handler=f"() => tw.fleet.toggle('{filters}')")
            figures[name] = words("span").classes("tw-figure")
            words("span", label).classes("tw-tile-label")

    with ui.element("section").classes("tw-tiles").props(f'aria-label="{text("fleet.terminals")}"'):
        figure("terminals", text("fleet.terminals"), kind="plain tw-total")
        for condition in CONDITIONS:
            figure(condition, text(f"condition.{condition}"), kind=condition, filters=f"condition:{condition}")
        with ui.element("div").classes("tw-tile tw-levels"):
            with ui.element("div").classes("tw-level-row"):
                for level in (1, 2, 3):
                    with (
                        ui.element("span").classes(f"tw-level tw-l{level}").props(f'title="{text(f"level.l{level}")}"')
                    ):
                        words("span", f"{level}").classes("tw-level-mark")
                        figures[f"level{level}"] = words("span").classes("tw-figure")
            words("span", text("fleet.alarms")).classes("tw-tile-label")
        figure("silent", text("fleet.silent"), kind="silent", filters="connection:silent")
        with ui.element("div").classes("tw-tile tw-plain"):
            newest = ui.element("span").classes("tw-figure tw-figure-age tw-age").props(f"data-stale-after={QUIET_S}")
            words("span", text("fleet.newest")).classes("tw-tile-label")

    scope = asking().scope

    def show() -> None:
        summary = feed.summary_of(scope)
        figures["terminals"].set_text(f"{summary.terminals:,}")
        for condition, count in summary.conditions.items():
            figures[condition].set_text(f"{count:,}")
        for level, count in enumerate(summary.levels, 1):
            figures[f"level{level}"].set_text(f"{count:,}{'+' if summary.at_least else ''}")
        figures["silent"].set_text(f"{summary.silent:,}")
        newest.props(f"data-at={summary.newest // MS}")

    def on_change(_: Change) -> None:
        show()

    show()
    listen(client, feed, on_change)


class FleetFilters(Element, component=STATIC / "fleet_filters.js"):
    """What is shown of the fleet. It stands in the address, so that it can be shared."""

    def __init__(self) -> None:
        super().__init__()
        self._props["groups"] = list(GROUPS)
        self._props["conditions"] = list(CONDITIONS)


def _parts(text: Text) -> list[dict[str, Any]]:
    """A column a part: narrow, with its sign in the cell and its whole name for who points at it."""
    return [
        {
            "colId": f"part:{group}",
            ":valueGetter": f"tw.fleet.rank('{group}')",
            "headerName": text(f"partshort.{group}"),
            "headerTooltip": text(f"part.{group}"),
            ":cellRenderer": f"tw.cells.part('{group}')",
            ":comparator": "tw.fleet.worst",
            "width": 50,
            "hide": True,
            "resizable": False,
            "cellClass": "tw-part-cell",
            "headerClass": "tw-part-header",
        }
        for group in GROUPS
    ]


def _grid(text: Text) -> None:
    columns: list[dict[str, Any]] = [
        {"colId": "condition", "field": "rank", "headerName": text("fleet.condition"), ":cellRenderer": "tw.cells.condition", "width": 116, ":comparator": "tw.fleet.worst", "sort": "asc"},
        {"colId": "terminal", "field": "id", "headerName": text("fleet.terminal"), ":cellRenderer": "tw.cells.terminal", "minWidth": 110, "flex": 2},
        {"colId": "branch", "field": "branch", "headerName": text("fleet.branch"), ":cellRenderer": "tw.cells.branch", "minWidth": 120, "flex": 3},
        {"colId": "class", "field": "class", "headerName": text("fleet.class"), "width": 92, "hide": True},
        *_parts(text),
        {"colId": "state", "field": "state", "headerName": text("fleet.state"), ":cellRenderer": "tw.cells.state", "width": 156},
        {"colId": "worst", ":valueGetter": "(p) => tw.fleet.says(p.data)", "headerName": text("fleet.worst"), ":cellRenderer": "tw.cells.worst", "minWidth": 170, "flex": 5},
        {"colId": "connection", "field": "connection", "headerName": text("fleet.connection"), ":cellRenderer": "tw.cells.connection", "width": 122, "hide": True},
        {"colId": "ring", "field": "ring", "headerName": text("rollout.ring"), "width": 96, "hide": True},
        {"colId": "version", "field": "version", "headerName": text("fleet.version"), "width": 96, "hide": True},
        {"colId": "received", "field": "at", "headerName": text("fleet.received"), ":cellRenderer": "tw.cells.age", "width": 128},
    ]  # fmt: skip
    options = {
        "columnDefs": columns,
        "defaultColDef": {
            "sortable": True,
            "resizable": True,
            "suppressHeaderMenuButton": True,
            "suppressMovable": True,
            "sortingOrder": ["asc", "desc"],
        },
        ":getRowId": "(p) => p.data.id",
        ":onGridReady": "(p) => tw.fleet.attach(p.api)",
        ":onRowClicked": "(p) => tw.fleet.open(p)",
        ":onCellKeyDown": "(p) => { if (p.event.key === 'Enter') tw.fleet.open(p) }",
        ":onCellMouseOver": "(p) => tw.fleet.over(p)",
        ":onCellMouseOut": "() => tw.fleet.hide()",
        ":onCellFocused": "(p) => tw.fleet.over(p)",
        ":onGridSizeChanged": "(p) => tw.fleet.fit(p)",
        ":isExternalFilterPresent": "() => tw.fleet.filtering()",
        ":doesExternalFilterPass": "(node) => tw.fleet.passes(node.data)",
        ":onModelUpdated": "() => tw.fleet.count()",
        "tooltipShowDelay": 400,
        ":getRowHeight": "() => tw.fleet.rowHeight()",
        "headerHeight": 34,
        "animateRows": False,
        "suppressCellFocus": False,
        "loading": True,
        "localeText": {"noRowsToShow": text("fleet.none"), "loadingOoo": text("fleet.loading")},
    }
    ui.aggrid(options, theme="quartz", auto_size_columns=False).classes("tw-grid")
