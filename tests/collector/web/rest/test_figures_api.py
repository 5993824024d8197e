"""Figures over the API are those of the report, to the digit; each leads to what is behind it; nobody gets more of them than of the fleet."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from fastapi.testclient import TestClient

from tests.collector.figures.stores import make_store
from tests.collector.web.as_visitor import HEADER, let_in
from tests.collector.web.taking import Taking
from tillwatch.collector.__main__ import main
from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.changes import AlarmEvent, Dirty
from tillwatch.collector.figures.kept_reader import MEASURES
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.proof import audit
from tillwatch.collector.records import Correction, IncidentEvent, LateSpan, StateChange
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.app import Console

ZONE = "Asia/Shanghai"
M = 60 * 10**9
H = 60 * M
V1 = "/api/v1"
EVIL = "<script>alert(1)</script>"
WHO = {
    "chen": Visitor("chen", Role.SUPERVISOR),
    "north": Visitor("wang", Role.TECHNICIAN, Scope(regions=frozenset({"North"}))),
    "harbour": Visitor("li", Role.VIEWER, Scope(branches=frozenset({"Harbour & Sons"}))),
    "far": Visitor("wu", Role.SUPERVISOR, Scope(branches=frozenset({"滨海支行"}))),
    "qian": Visitor("qian", Role.VIEWER),
}
MONTH = {"month": "2026-10"}


def ns(text, zone=ZONE):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


START, END = ns("2026-10-01"), ns("2026-11-01")
NOW = END + 99 * H


def store(folder: Path) -> Path:
    """Three terminals in October 2026: one breaks for four hours and was offline, one runs out of cash, one is well and was corrected."""
    failed = START + 30 * H

    def state(terminal, at, name, **more):
        return StateChange(terminal, at, at, name, **more)

    def alarm(number, terminal, rule, component, since, until, level=3):
        return Alarm(
            id=number, rule=rule, terminal=terminal, component=component, episode=1, condition="normal" if until else "active", level=level,
            raised_at=since, cleared_at=until, incident="", detail={"signal": "", "value": "", "unit": ""},
        )  # fmt: skip

    dirty = Dirty(
        states=[
            *(state(name, START - 99 * H, "in_service") for name in ("ATM-1", "ATM-2", "POS-1")),
            state("ATM-1", failed, "out_of_service", reason="atm.jam", party="hardware", level=2, lost=("deposit", "withdrawal"),
                  readings=(("atm/CashDispenser", "atm.device", failed - M),)),
            state("ATM-1", failed + 4 * H, "in_service"),
            state("ATM-1", START + 50 * H, "offline", cause="unknown"),
            state("ATM-1", START + 52 * H, "in_service"),
            state("ATM-2", START + 60 * H, "out_of_service", reason="atm.supply", party="cash", level=2, lost=("withdrawal",)),
            state("ATM-2", START + 63 * H, "in_service"),
        ],
        late=[LateSpan("ATM-1", START + 50 * H, START + 51 * H, START + 52 * H)],
        corrections=[Correction(812, "ATM-2", START, START + H, "planned", f"moved {EVIL}", "branch", "=ann", START + 90 * H)],
        alarms={
            1: alarm(1, "ATM-1", "atm.jam", "atm/CashDispenser", failed, failed + 4 * H, 2),
            2: alarm(2, "ATM-2", "atm.supply", "atm/CashDispenser unit:2", START + 59 * H, START + 63 * H),
            3: alarm(3, "POS-1", "atm.paper", "printer", START + 80 * H, 0),
        },
        events=[
            AlarmEvent(1, "raised", failed, 2, {}), AlarmEvent(2, "raised", START + 59 * H, 3, {}), AlarmEvent(3, "raised", START + 80 * H, 3, {}),
        ],
        incidents={
            "HWM-1": Incident(
                "HWM-1", "ATM-1", "Harbour & Sons", 2, "closed", failed, failed + 4 * H, 2, region="North", component="cdm", fault="atm.jam",
                occurred_at=failed, announced_at=failed, verdict="part_changed",
            ),
        },
        incident_events=[
            IncidentEvent("HWM-1", "acknowledged", failed + 10 * M, {"by": "ann"}),
            IncidentEvent("HWM-1", "in_repair", failed + H, {"by": "bob"}),
            IncidentEvent("HWM-1", "restored", failed + 4 * H, {"since": failed + 4 * H}),
            IncidentEvent("HWM-1", "resolved", failed + 5 * H, {"by": "bob", "verdict": "part_changed"}),
        ],
        outages=[(START + 100 * H, START + 100 * H + 30 * M)],
    )  # fmt: skip
    terminals = [
        ("ATM-1", "Harbour & Sons", "North", "atm"), ("ATM-2", "滨海支行", "South", "atm"), ("POS-1", "滨海支行", "South", "pos"),
    ]  # fmt: skip
    path = folder / "collector.db"
    make_store(path, dirty, terminals, known=NOW)
    with closing(open_db(path)) as db:
        status = Terminal("", "", "", "", 0).pack_status()
        db.execute("UPDATE terminal SET status = ?, enrolled_at = ?", (status, START - 99 * H))
    (folder / "collector.toml").write_text(f'[collector]\ndata_dir = "{folder.as_posix()}"\n', encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store(tmp_path_factory.mktemp("site"))


def console(path: Path) -> Console:
    made = Console(
        lambda: SqliteReader(path), now=lambda: NOW, with_pages=False, acts=ActsDoor(path), config=path.parent / "collector.toml", database=path
    )  # fmt: skip
    return let_in(made, WHO, "chen")


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(console(path).app, base_url="http://127.0.0.1") as made:
        yield made


def ask(client: TestClient, route: str, who: str = "chen", **params: str) -> dict[str, object]:
    """Until it is computed, by a process of its own. Who asks while it is computed anew is answered at once."""
    last = time.monotonic() + 60
    while time.monotonic() < last:
        answer = client.get(f"{V1}{route}", params={**MONTH, **params}, headers={HEADER: who})
        if answer.status_code != 503 and not answer.json().get("renewing"):
            assert answer.status_code == 200, answer.text
            found: dict[str, object] = answer.json()
            return found
        time.sleep(0.05)
    raise AssertionError(answer.text)


def exact(figure: dict, said: dict) -> None:
    """Every figure of the report's JSON stands in the API's answer, as the same number."""
    for name, definition in said["availability"]["definitions"].items():
        ours = figure["definitions"][name]
        assert {key: ours[key] for key in ("up", "down", "planned", "unmonitored")} == definition["shares"]
        for key in (
            "availability_best",
            "availability_worst",
            "interruption_net",
            "interruption_gross",
            "operating_ratio",
            "interruptions",
            "impact",
        ):
            assert ours[key] == definition[key], (name, key)
        for word in ("scheduled", "up", "down", "planned", "unmonitored"):
            assert round(ours[f"{word}_s"] * 10**9) == definition[f"{word}_ns"]
    service, theirs = figure["service"], said["service"]
    for key, value in theirs.items():
        if isinstance(value, dict) and "share" in value:
            assert service[key] == value, key
        elif isinstance(value, dict) and "mean_ns" in value:
            assert service[key]["n"] == value["n"]
            assert (service[key]["mean_s"] is None) == (value["mean_ns"] is None)
            assert value["mean_ns"] is None or round(service[key]["mean_s"] * 10**9) == value["mean_ns"]
    assert service["mtbf_s"] is None or round(service["mtbf_s"] * 10**9) == theirs["mtbf_ns"]
    assert {phase: one["n"] for phase, one in service["phases"].items()} == {
        phase: one["n"] for phase, one in theirs["phases"].items()
    }
    for key in ("alarms", "muted", "per_operator_hour", "floods", "without_action", "levels", "top_share"):
        assert figure["alarm_load"][key] == said["alarm_load"][key], key


def test_every_scope_agrees_with_the_report_to_the_digit(client, path, capsys):
    assert main(["report", "--month", "2026-10", "--json", "--config", str(path.parent / "collector.toml")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["figures"]) == 1 + 2 + 2 + 2 + 1 + 3
    for one in said["figures"]:
        kind, name = one["scope"]["kind"], one["scope"]["name"]
        if kind == "vendor":
            continue  # nobody said who made them: it has no name to ask for
        answer = ask(client, "/figures", scope="fleet" if kind == "fleet" else f"{kind}:{name}")
        exact(answer["figures"], one)
        assert answer["figures"]["terminals_over_limit"] == one["terminals_over_limit"]
    assert answer["period"]["zone"] == said["period"]["zone"] == ZONE
    assert datetime.fromisoformat(answer["period"]["from"]) == datetime.fromisoformat(said["period"]["from"])


def test_what_is_down_leads_to_cause_party_and_intervals(client):
    found = ask(client, "/figures/causes")["items"]
    assert [(row["reason"], row["party"], row["length_s"]) for row in found] == [
        ("atm.jam", "hardware", 14400.0),
        ("atm.supply", "cash", 10800.0),
    ]
    assert sum(row["share"] for row in found) == 1
    (one,) = ask(client, "/figures/intervals", counts="down", party="hardware")["items"]
    assert (one["terminal"], one["reason"], one["length_s"]) == ("ATM-1", "atm.jam", 14400.0)
    assert ask(client, "/figures/intervals", source="correction")["items"][0]["by"] == "=ann"
    zh = ask(client, "/figures/causes", lang="zh")["items"][1]
    assert (zh["party_text"], zh["text"]) != (found[1]["party_text"], found[1]["text"])


def test_what_ran_out_is_told_with_the_downtime_that_it_caused(client):
    found = {row["rule"]: row for row in ask(client, "/figures/ran-out")["items"]}
    assert (found["atm.supply"]["episodes"], found["atm.supply"]["length_s"], found["atm.supply"]["down_s"]) == (
        1,
        4 * 3600,
        3 * 3600,
    )
    assert found["atm.paper"]["length_s"] == (END - START - 80 * H) / 10**9, "it lasts: up to the end of the month"
    (one,) = ask(client, "/figures/supplies", rule="atm.paper")["items"]
    assert (one["terminal"], one["until"]) == ("POS-1", None)


def test_a_figure_of_service_leads_to_its_incidents(client):
    service = ask(client, "/figures")["figures"]["service"]
    for measure in MEASURES:
        for verdict, count in (
            ("1", service[measure]["part"]),
            ("0", service[measure]["base"] - service[measure]["part"]),
            ("open", service[measure]["open"]),
        ):
            assert ask(client, "/figures/incidents", measure=measure, verdict=verdict)["total"] == count, (
                measure,
                verdict,
            )
    (one,) = ask(client, "/figures/incidents", slowest="restore")["items"]
    assert (one["id"], one["detect_s"], one["travel_s"], one["response"]) == ("HWM-1", 0.0, 3000.0, True)


def test_lists_of_scopes_are_worst_first_and_within(client):
    rows = ask(client, "/figures/scopes", kind="terminal")["items"]
    assert [row["scope"]["name"] for row in rows] == ["ATM-1", "ATM-2", "POS-1"]
    assert rows[0]["over_limit"]
    within = ask(client, "/figures/scopes", kind="terminal", scope="branch:滨海支行", sort="name")["items"]
    assert [row["scope"]["name"] for row in within] == ["ATM-2", "POS-1"]
    assert [
        row["scope"]["region"] for row in ask(client, "/figures/scopes", kind="branch", scope="region:North")["items"]
    ] == ["North"]


def test_nobody_gets_more_of_the_figures_than_of_the_fleet(client):
    for who, names in (("north", ["ATM-1"]), ("harbour", ["ATM-1"]), ("far", ["ATM-2", "POS-1"])):
        rows = ask(client, "/figures/scopes", who, kind="terminal", sort="name")["items"]
        assert [row["scope"]["name"] for row in rows] == names
        whole = ask(client, "/figures", who)
        assert whole["figures"]["terminals"] == len(names)
        causes = ask(client, "/figures/causes", who)["items"]
        assert {row["reason"] for row in causes} == ({"atm.jam"} if "ATM-1" in names else {"atm.supply"})
    assert (
        client.get(f"{V1}/figures", params={**MONTH, "scope": "terminal:ATM-2"}, headers={HEADER: "north"}).status_code
        == 404
    )
    assert client.get(f"{V1}/terminals/ATM-2/intervals", params=MONTH, headers={HEADER: "north"}).status_code == 404
    assert client.get(f"{V1}/corrections", headers={HEADER: "north"}).json()["total"] == 0


def test_the_same_figures_are_not_sent_twice(client):
    ask(client, "/figures")
    first = client.get(f"{V1}/figures", params=MONTH)
    again = client.get(f"{V1}/figures", params=MONTH, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    other = client.get(f"{V1}/figures", params=MONTH, headers={"If-None-Match": first.headers["etag"], HEADER: "north"})
    assert other.status_code == 200


@pytest.mark.parametrize("route", ["scopes", "causes", "intervals", "incidents", "ran-out", "supplies"])
def test_lists_come_as_files(client, route):
    total = ask(client, f"/figures/{route}")["total"]
    answer = client.get(f"{V1}/figures/{route}", params={**MONTH, "format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert len(rows) == total > 0
    if route == "intervals":
        assert "'=ann" in {row["by"] for row in rows}


def test_a_trend_has_twelve_months_and_nothing_before_the_log(client):
    for _ in range(60):
        months = client.get(f"{V1}/figures/trend", params=MONTH).json()["months"]
        if all(month["state"] in ("ready", "none") for month in months):
            break
    assert [month["name"] for month in months][::11] == ["2025-11", "2026-10"]
    assert months[-1]["row"]["down"] == ask(client, "/figures")["figures"]["definitions"]["network"]["down"]
    assert months[-1]["response"]["base"] == 1
    assert months[0]["state"] == "none"


@pytest.mark.parametrize(
    ("route", "params", "status"),
    [
        ("figures", {"month": "2026-13"}, 422),
        ("figures", {"month": "2026-10", "from": "2026-10-01"}, 422),
        ("figures", {"month": "2026-10", "zone": "Mars/Olympus"}, 422),
        ("figures", {"month": "2026-10", "scope": "planet:earth"}, 422),
        ("figures", {"month": "2026-10", "scope": "branch:nowhere"}, 404),
        ("figures/scopes", {"month": "2026-10", "kind": "fleet"}, 422),
        ("figures/scopes", {"month": "2026-10", "scope": "branch:nowhere"}, 404),
        ("figures/incidents", {"month": "2026-10", "measure": "id"}, 422),
        ("figures/intervals", {"month": "2026-10", "counts": "1; DROP TABLE"}, 422),
        ("terminals/ATM-9/intervals", {"month": "2026-10"}, 404),
        ("terminals/ATM-1/intervals", {"from": "2020-01-01", "to": "2026-01-01"}, 422),
    ],
)
def test_what_cannot_be_asked_is_a_problem(client, route, params, status):
    ask(client, "/figures")
    answer = client.get(f"{V1}/{route}", params=params)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_time_of_a_terminal_is_whole_and_has_its_evidence(client):
    said = client.get(f"{V1}/terminals/ATM-1/intervals", params=MONTH).json()
    whole = said["definitions"]["network"]
    assert sum(one["length_s"] for one in said["stretches"]) == whole["scheduled_s"]
    for before, after in zip(said["stretches"], said["stretches"][1:], strict=False):
        assert before["until"] == after["since"]
    jam = next(one for one in said["stretches"] if one["reason"] == "atm.jam")
    assert (jam["network"], jam["party"], jam["lost"]) == ("down", "hardware", ["deposit", "withdrawal"])
    assert jam["evidence"][0] | {"at": ""} == {"component": "atm/CashDispenser", "signal": "atm.device", "at": ""}
    (corrected,) = client.get(f"{V1}/terminals/ATM-2/intervals", params=MONTH).json()["corrections"]
    assert (corrected["before"], corrected["after"], corrected["reason"]) == (
        {"up": 3600.0},
        {"planned": 3600.0},
        f"moved {EVIL}",
    )


def test_a_correction_is_signed_shown_and_changes_the_figures(tmp_path):
    path = store(tmp_path)
    open_authority(tmp_path / "authority")
    wanted = {
        "from": "2026-10-02T06:00",
        "to": "2026-10-02T10:00",
        "counts_as": "planned",
        "reason": " move of the branch ",
        "party": "branch",
    }
    address = f"{V1}/terminals/ATM-1/corrections"
    with TestClient(console(path).app, base_url="http://127.0.0.1") as client, Taking(path):
        before = ask(client, "/figures")["figures"]["definitions"]["network"]
        assert client.post(address, json=wanted, headers={HEADER: "qian"}).status_code == 403
        assert client.post(address, json=wanted, headers={HEADER: "far"}).status_code == 404
        made = client.post(address, json=wanted)
        assert made.status_code == 201, made.text
        again = client.post(address, json=wanted)
        assert (again.status_code, again.json()) == (200, made.json()), "said once is enough"
        after = ask(client, "/figures")["figures"]["definitions"]["network"]
        mine = client.get(f"{V1}/terminals/ATM-1/intervals", params=MONTH).json()
        log = client.get(f"{V1}/corrections").json()
    said = made.json()
    assert (said["by"], said["reason"], said["counts_as"]) == ("chen", "move of the branch", "planned")
    assert datetime.fromisoformat(said["since"]) == datetime.fromisoformat("2026-10-02T06:00+08:00")
    assert (before["down_s"] - after["down_s"], after["planned_s"] - before["planned_s"]) == (4 * 3600, 4 * 3600)
    (effect,) = mine["corrections"]
    assert (effect["before"], effect["after"]) == ({"down": 4 * 3600}, {"planned": 4 * 3600})
    assert [one["entry"] for one in log["items"]] == [812, said["entry"]] or log["total"] == 2
    with closing(open_db(path)) as db:
        act = next(each for each in audit.acts(db) if each.action == "correct")
    assert (act.actor, act.ok) == ("chen", True)
    assert len(act.detail["signature"]) == 128


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"to": "2026-10-02T05:00"}, "body.to"),
        ({"to": "2039-10-02T05:00"}, "body.to"),
        ({"from": "yesterday"}, "body.from"),
        ({"from": "9999-12-31T23:59"}, "body.from"),
        ({"reason": ""}, "body.reason"),
        ({"reason": "x" * 201}, "body.reason"),
        ({"reason": "a\u0000b"}, "body.reason"),
        ({"counts_as": "fine"}, "body.counts_as"),
        ({"party": "me"}, "body.party"),
        ({"approved": "x"}, "body.approved"),
    ],
)
def test_a_correction_that_cannot_be_meant_is_refused(client, changed, word):
    wanted = {"from": "2026-10-02T06:00", "to": "2026-10-02T10:00", "counts_as": "planned", "reason": "move", **changed}
    answer = client.post(f"{V1}/terminals/ATM-1/corrections", json=wanted)
    assert answer.status_code == 422, answer.text
    assert word in answer.json()["detail"]


def test_times_are_utc_outside_whatever_the_zone(client):
    said = ask(client, "/figures", zone="Europe/Berlin")
    assert datetime.fromisoformat(said["period"]["from"]).astimezone(UTC) == datetime(2026, 9, 30, 22, tzinfo=UTC)


def take(client: TestClient, file: str, who: str = "chen", **params: str) -> Any:
    for _ in range(30):
        answer = client.get(f"{V1}/figures/report", params={**MONTH, "file": file, **params}, headers={HEADER: who})
        if answer.status_code != 503:
            assert answer.status_code == 200, answer.text
            return answer
    raise AssertionError(answer.text)


@pytest.mark.parametrize(("scope", "lang"), [("fleet", "en"), ("branch:滨海支行", "zh")])
def test_the_report_is_that_of_the_command_to_the_byte(client, path, tmp_path, capsys, scope, lang):
    config = str(path.parent / "collector.toml")
    words = [
        "report",
        "--month",
        "2026-10",
        "--scope",
        scope,
        "--language",
        lang,
        "--out",
        str(tmp_path),
        "--config",
        config,
    ]
    assert main(words) == 0
    capsys.readouterr()
    written = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for file in ("report", "availability", "incidents", "kpi", "intervals"):
        answer = take(client, file, scope=scope, lang=lang)
        name = unquote(answer.headers["content-disposition"].partition("''")[2])
        assert answer.content == written.pop(name), name
    assert not written
    answer = take(client, "workbook", scope=scope, lang=lang)
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert book.sheetnames == ["availability", "incidents", "kpi", "intervals", "About"]
    text = take(client, "kpi", scope=scope, lang=lang).content.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert book["kpi"].max_row == len(rows)
    shares = [float(row[3]) for row in rows[1:] if row[3] and row[4] == "share"]
    held = [
        row[3] for row in book["kpi"].iter_rows(min_row=2, values_only=True) if row[3] is not None and row[4] == "share"
    ]
    assert [round(value, 9) for value in held] == shares != []


def test_nobody_takes_more_of_the_report_than_of_the_fleet(client):
    rows = list(
        csv.DictReader(io.StringIO(take(client, "availability", "north").content.decode("utf-8-sig"), newline=""))
    )
    assert [row["terminal"] for row in rows] == ["ATM-1"]
    part = take(client, "intervals", "far", scope="class:atm").text
    assert "ATM-2" in part
    assert "POS-1" not in part
    assert "ATM-1" not in part
    for scope in ("terminal:ATM-2", "region:South"):
        answer = client.get(f"{V1}/figures/report", params={**MONTH, "scope": scope}, headers={HEADER: "north"})
        assert answer.status_code == 404
    assert client.get(f"{V1}/figures/report", params={**MONTH, "file": "collector.db"}).status_code == 422
