"""The fleet, worst first: what is wrong, where, and how old that knowledge is."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from nicegui import Client, ui
from nicegui.elements.mixins.text_element import TextElement

from tillwatch.agent.model import MS
from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.door import needs
from tillwatch.collector.web.feed import CONDITIONS, Change, Feed
from tillwatch.collector.web.messages import Text
from tillwatch.collector.web.pages.theme import QUIET_S, frame, listen, text_of, words


def add(feed: Feed) -> None:
    @ui.page("/", title="tillwatch", dependencies=[needs(Permission.SEE)])
    async def fleet(request: Request, client: Client) -> None:
        await feed.ready()
        text = text_of(request)
        with frame(request, client, feed, text, "fleet", early="/console/fleet.json?since="):
            words("h1", text("fleet.title")).classes("tw-visually-hidden")
            _tiles(client, feed, text)
            _filters(text)
            _grid(text)

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

    def show() -> None:
        summary = feed.summary
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


def _filters(text: Text) -> None:
    with ui.element("search").classes("tw-filters"):
        ui.element("input").props(
            f'type=search id=tw-q placeholder="{text("fleet.filter_text")}" aria-label="{text("fleet.filter_text")}"'
        ).on("input", js_handler="(e) => tw.fleet.set('q', e.target.value)")
        for name, label in (("branch", text("fleet.filter_branch")), ("condition", text("fleet.filter_condition"))):
            with words("select").props(f'id=tw-{name} aria-label="{label}"') as select:
                words("option", label).props('value=""')
                if name == "condition":
                    for condition in CONDITIONS:
                        words("option", text(f"condition.{condition}")).props(f"value={condition}")
            select.on("change", js_handler=f"(e) => tw.fleet.set('{name}', e.target.value)")
        words("span", text("fleet.no_match")).props("id=tw-nomatch role=status hidden").classes("tw-reason")
        words("button", text("fleet.clear")).props("type=button id=tw-clear").classes("tw-button").on(
            "click", js_handler="() => tw.fleet.clear()"
        )
        ui.element("span").classes("tw-count").props("id=tw-count role=status")


def _grid(text: Text) -> None:
    columns: list[dict[str, Any]] = [
        {"colId": "condition", "field": "rank", "headerName": text("fleet.condition"), ":cellRenderer": "tw.cells.condition", "width": 124, ":comparator": "tw.fleet.worst", "sort": "asc"},
        {"colId": "terminal", "field": "id", "headerName": text("fleet.terminal"), ":cellRenderer": "tw.cells.terminal", "minWidth": 130, "flex": 2},
        {"colId": "branch", "field": "branch", "headerName": text("fleet.branch"), ":cellRenderer": "tw.cells.branch", "minWidth": 130, "flex": 3},
        {"colId": "state", "field": "state", "headerName": text("fleet.state"), ":cellRenderer": "tw.cells.state", "width": 138},
        {"colId": "class", "field": "class", "headerName": text("fleet.class"), "width": 92},
        {"colId": "worst", "field": "alarm", "headerName": text("fleet.worst"), ":cellRenderer": "tw.cells.worst", "minWidth": 200, "flex": 6},
        {"colId": "alarms", "field": "alarms", "headerName": text("fleet.open"), "width": 92, "cellClass": "tw-number", "headerClass": "tw-number-header"},
        {"colId": "connection", "field": "connection", "headerName": text("fleet.connection"), ":cellRenderer": "tw.cells.connection", "width": 122},
        {"colId": "received", "field": "at", "headerName": text("fleet.received"), ":cellRenderer": "tw.cells.age", "width": 150},
        {"colId": "components", "field": "components", "headerName": text("fleet.components"), ":cellRenderer": "tw.cells.components", "width": 160},
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
        ":onGridSizeChanged": "(p) => tw.fleet.fit(p)",
        ":isExternalFilterPresent": "() => tw.fleet.filtering()",
        ":doesExternalFilterPass": "(node) => tw.fleet.passes(node.data)",
        ":onModelUpdated": "() => tw.fleet.count()",
        ":getRowHeight": "() => tw.fleet.rowHeight()",
        "headerHeight": 34,
        "animateRows": False,
        "suppressCellFocus": False,
        "loading": True,
        "localeText": {"noRowsToShow": text("fleet.none"), "loadingOoo": text("fleet.loading")},
    }
    ui.aggrid(options, theme="quartz", auto_size_columns=False).classes("tw-grid")
