"""The command as a person calls it, over a store as the collector writes it."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.collector.figures.stores import add_delivery, make_store
from tillwatch.collector.__main__ import main
from tillwatch.collector.changes import Dirty
from tillwatch.collector.commands.output import USAGE
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.records import Correction, IncidentEvent, LateSpan, StateChange

ZONE = "Asia/Shanghai"
M = 60 * 10**9
H = 60 * M
EVIL = "<script>alert(1)</script>"


def ns(text, zone=ZONE):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


START, END = ns("2026-10-01"), ns("2026-11-01")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two terminals in October 2026: one breaks for four hours and was offline, the other is well."""
    folder = tmp_path_factory.mktemp("site")
    failed = START + 30 * H

    def state(terminal, at, name, **more):
        return StateChange(terminal, at, at, name, **more)

    dirty = Dirty(
        states=[
            state("ATM-1", START - 99 * H, "in_service"),
            state("ATM-2", START - 99 * H, "in_service"),
            state("ATM-1", failed, "out_of_service", reason="atm.jam", party="hardware", level=2, lost=("deposit", "withdrawal")),
            state("ATM-1", failed + 4 * H, "in_service"),
            state("ATM-1", START + 50 * H, "offline", cause="unknown"),
            state("ATM-1", START + 52 * H, "in_service"),
        ],
        late=[LateSpan("ATM-1", START + 50 * H, START + 51 * H, START + 52 * H)],
        corrections=[Correction(812, "ATM-2", START, START + H, "planned", f"moved {EVIL}", "branch", "=ann", START + 90 * H)],
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
    terminals = [("ATM-1", "Harbour & Sons", "North", "atm"), ("ATM-2", "滨海支行", "South", "atm")]
    make_store(folder / "collector.db", dirty, terminals, known=END + 99 * H)
    add_delivery(folder / "collector.db", "HWM-1", failed, failed + 9 * M)
    (folder / "collector.toml").write_text(f'[collector]\ndata_dir = "{folder.as_posix()}"\n', encoding="utf-8")
    return folder


def run(site, *arguments):
    return main(["report", "--config", str(site / "collector.toml"), *map(str, arguments)])


def rows(file):
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_month_becomes_a_page_and_sheets(site, tmp_path, capsys):
    assert run(site, "--month", "2026-10", "--out", tmp_path / "new" / "october") == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    assert sorted(said) == sorted(str(path) for path in (tmp_path / "new" / "october").iterdir())
    assert len(said) == 5
    first, second = rows(tmp_path / "new" / "october" / "availability-2026-10.csv")
    assert (first["terminal"], first["branch"], first["scheduled_s"]) == ("ATM-1", "Harbour & Sons", str(744 * 3600))
    # Four hours down; of two hours offline one was filled by late readings; the collector was away for half an hour.
    assert (first["network_down_s"], first["network_unmonitored_s"], first["by_late_readings_s"]) == (
        "14400",
        "5400",
        "3600",
    )
    assert float(first["network_interruption_net"]) == pytest.approx(4 / 744)
    assert (second["network_planned_s"], second["by_corrections_s"]) == ("3600", "3600")
    (incident,) = rows(tmp_path / "new" / "october" / "incidents-2026-10.csv")
    assert incident["failed"] == "2026-10-02T06:00:00.000+08:00"
    assert [incident[f"{phase}_s"] for phase in ("detect", "respond", "travel", "repair", "verify")] == [
        "0",
        "600",
        "3000",
        "10800",
        "3600",
    ]
    assert (incident["response_met"], incident["restored_met_net"], incident["resolved_met_net"]) == ("1", "1", "0")
    stretches = rows(tmp_path / "new" / "october" / "intervals-2026-10.csv")
    assert [(row["terminal"], row["source"], row["length_s"]) for row in stretches] == [
        ("ATM-1", "state", "14400"),
        ("ATM-1", "late", "3600"),
        ("ATM-1", "state", "3600"),
        ("ATM-1", "outage", "1800"),
        ("ATM-2", "correction", "3600"),
        ("ATM-2", "outage", "1800"),
    ]
    assert stretches[4]["by"] == "'=ann"  # no formula in a spreadsheet
    figures = {
        (row["scope"], row["name"], row["figure"]): row
        for row in rows(tmp_path / "new" / "october" / "kpi-2026-10.csv")
    }
    assert figures["fleet", "", "response"]["value"] == "1.000000000"
    assert figures["fleet", "", "undelivered"]["part"] == "1"
    assert figures["region", "North", "network.down"]["part"] == "14400"
    assert figures["terminal", "ATM-1", "mtbf"]["value"] == str(744 * 3600 - 14400 - 5400)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_whole_in_itself_and_takes_no_text_for_markup(site, tmp_path, language):
    assert run(site, "--month", "2026-10", "--out", tmp_path, "--language", language) == 0
    page = (tmp_path / "report-2026-10.html").read_text("utf-8")
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Harbour &amp; Sons" in page
    for outside in ("http://", "https://", "<script", "<link", "url(", "@import", " src="):
        assert outside not in page
    assert 'lang="zh-CN"' in page if language == "zh" else 'lang="en"' in page
    # What is unmonitored, who corrected and why, late repairs, the zone and the definitions.
    told = {
        "en": (
            "Asia/Shanghai",
            "0.134%",
            "812",
            "=ann",
            "decide 1 h that",
            "away 1 times, 30 min",
            "down / scheduled",
            "above the limit",
        ),
        "zh": ("Asia/Shanghai", "0.134%", "812", "=ann", "判定了 1 小时", "离线 1 次", "中断 / 计划时间", "超限终端"),
    }
    for words in told[language]:
        assert words in page, words
    assert ("终端有部件卡住" if language == "zh" else "Something is jammed") in page


def test_json_says_the_same_and_writes_nothing(site, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(site, "--month", "2026-10", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == []
    assert said["period"] == {"name": "2026-10", "from": "2026-10-01T00:00:00.000+08:00", "to": "2026-11-01T00:00:00.000+08:00", "asked_to": "2026-11-01T00:00:00.000+08:00", "zone": ZONE}  # fmt: skip
    assert said["corrections"][0] | {"reason": ""} == {
        "entry": 812, "terminal": "ATM-2", "since": "2026-10-01T00:00:00.000+08:00", "until": "2026-10-01T01:00:00.000+08:00",
        "counts_as": "planned", "reason": "", "party": "branch", "by": "=ann", "at": "2026-10-04T18:00:00.000+08:00",
    }  # fmt: skip
    assert said["outages"][0]["since"] == "2026-10-05T04:00:00.000+08:00"
    fleet = said["figures"][0]
    assert fleet["scope"] == {"kind": "fleet", "name": ""}
    assert fleet["availability"]["definitions"]["network"]["down_ns"] == 4 * H
    assert (
        fleet["service"]["first_fix_7"] == {"share": None, "part": 0, "base": 0, "open": 1}
        or fleet["service"]["first_fix_7"]["base"] == 1
    )
    assert [one["scope"]["kind"] for one in said["figures"]].count("terminal") == 2


def test_a_scope_and_days_of_another_zone(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        run(site, "--from", "2026-10-02", "--to", "2026-10-04", "--scope", "branch:滨海支行", "--zone", "Europe/Berlin")
        == 0
    )
    folder = tmp_path / "tillwatch-report-2026-10-02_2026-10-04-branch-滨海支行"
    (only,) = rows(folder / "availability-2026-10-02_2026-10-04-branch-滨海支行.csv")
    assert (only["terminal"], only["scheduled_s"]) == ("ATM-2", str(48 * 3600))
    assert "Europe/Berlin" in (folder / f"report-{folder.name.removeprefix('tillwatch-report-')}.html").read_text(
        "utf-8"
    )


def test_a_period_that_is_not_over_says_so(site, tmp_path):
    assert run(site, "--month", "2026-11", "--out", tmp_path) == 0
    page = (tmp_path / "report-2026-11.html").read_text("utf-8")
    assert "the figures go up to 2026-11-05 03:00" in page
    assert {row["scheduled_s"] for row in rows(tmp_path / "availability-2026-11.csv")} == {str(99 * 3600)}


def test_weights_change_what_an_interruption_costs(site, tmp_path, capsys):
    """ATM-1 was down on a Friday from 06:00 to 10:00."""
    weights = ["0"] * 168
    weights[4 * 24 + 9] = "50"
    (tmp_path / "weights.txt").write_text(",\n".join(weights))
    assert run(site, "--month", "2026-10", "--json", "--weights", tmp_path / "weights.txt") == 0
    network = json.loads(capsys.readouterr().out)["figures"][0]["availability"]["definitions"]["network"]
    assert network["expected_lost"] == pytest.approx(50)
    assert network["impact"] == pytest.approx(1 / 10)  # five Fridays, two terminals


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--month", "2026-13"], 2, "is no month; write it as 2026-10"),
        (["--month", "2026-10", "--from", "2026-10-01"], 2, "either a month, or from and to"),
        (["--to", "2026-10-01"], 2, "needs a beginning (from)"),
        (["--from", "2026-10-02", "--to", "2026-10-02"], 2, "must go forward"),
        (["--from", "2016-10-02", "--to", "2026-10-02"], 2, "five years at most"),
        (["--from", "yesterday"], 2, "'yesterday' is no day or time"),
        (["--month", "2026-10", "--scope", "branch"], 2, "is no scope; write fleet, region:NAME"),
        (["--month", "2026-10", "--scope", "branch:Nowhere"], 1, "no terminal belongs to branch:Nowhere"),
        (["--month", "2026-10", "--zone", "Mars/Olympus"], 2, "is no time zone"),
        (["--month", "2026-10", "--operators", "0"], 2, "at least 1"),
        (["--month", "2026-10", "--weights", "missing.txt"], 2, "No such file"),
        (["--month", "2026-12"], 1, "nothing is known of 2026-12: the log ends at 2026-11-05 03:00"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_mend(site, tmp_path, capsys, monkeypatch, arguments, status, said):
    monkeypatch.chdir(tmp_path)
    assert run(site, *arguments) == status
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["1 2 3", "nine " * 168, "0 " * 168, "nan " * 168])
def test_a_file_that_holds_no_weights_is_refused(site, tmp_path, capsys, text):
    (tmp_path / "w").write_text(text)
    assert run(site, "--month", "2026-10", "--weights", tmp_path / "w") == USAGE
    assert "write 168 numbers into it" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(site, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run(site, "--month", "2026-10", "--out", tmp_path / "file") == 1
    assert "name a folder with --out" in capsys.readouterr().err


def test_without_store_or_terminals_the_next_step_is_said(tmp_path, capsys):
    (tmp_path / "collector.toml").write_text(f'[collector]\ndata_dir = "{tmp_path.as_posix()}"\n')
    assert run(tmp_path) == 1
    assert "has the collector been started once" in capsys.readouterr().err
    make_store(tmp_path / "collector.db", Dirty(), known=1)
    assert run(tmp_path) == 1
    assert "enrol-token" in capsys.readouterr().err
