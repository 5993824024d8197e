"""From a value to its readings, and to a bundle that the real command verifies where there is no store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.collector.conftest import World
from tests.collector.fake_fleet import NANO, FakeFleet
from tests.collector.packed import STEP, filled, keep_house
from tests.collector.sending import T0
from tests.collector.web.as_visitor import let_in
from tests.collector.web.taking import Taking
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.web.acting import ActsDoor
from tillwatch.collector.web.app import Console

V1 = "/api/v1"
COMPONENT, SIGNAL = "ups", "ups.input.voltage"
CHEN = Visitor("chen", Role.SUPERVISOR, session="a")
AUDITOR = Visitor("he", Role.AUDITOR, session="b")
ELSEWHERE = Visitor("wu", Role.SUPERVISOR, Scope(branches=frozenset({"nowhere"})))
VIEWER = Visitor("qian", Role.VIEWER)
WHO = {"chen": CHEN, "he": AUDITOR, "wu": ELSEWHERE, "qian": VIEWER}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A store of which most batches lie in segments and the last ones in the journal."""
    world = World(tmp_path / "data" / "collector.db")
    await filled(world, 400, "atm-1")
    await keep_house(world)
    await world.pipeline.stop()
    world.store.close()
    (tmp_path / "collector.toml").write_text('[collector]\ndata_dir = "data"\n[enrolment]\naddress = "localhost"\n')
    open_authority(tmp_path / "data" / "authority")
    return tmp_path


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    database = folder / "data" / "collector.db"
    console = Console(
        lambda: SqliteReader(database),
        with_pages=False,
        acts=ActsDoor(database),
        config=folder / "collector.toml",
    )
    let_in(console, WHO, "chen")
    with TestClient(console.app, base_url="http://127.0.0.1") as made:
        yield made


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat()


def readings(client: TestClient, at: int, count: int = 5, **more: str) -> dict[str, object]:
    asked = {"component": COMPONENT, "signal": SIGNAL, "at": iso(at), "count": str(count), **more}
    answer = client.get(f"{V1}/terminals/atm-1/readings", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_readings_stand_with_the_batches_that_hold_them(client, folder):
    said = readings(client, T0 + 100 * STEP + STEP // 2)
    assert [item["chosen"] for item in said["readings"]] == [False] * 4 + [True] + [False] * 5
    times = [datetime.fromisoformat(item["at"]).timestamp() for item in said["readings"]]
    assert times == sorted(times)
    assert (said["unit"], said["retired"]) == ("V", False)
    batches = [item["batch"] for item in said["readings"]]
    assert batches == sorted(set(batches))
    one = said["readings"][4]
    assert (one["quality"], one["corrected_s"], len(one["epoch"])) == ("good", 0.0, 24)
    assert one["seq"] > 0
    assert one["received"] is not None
    span = {"from": iso(T0 + 100 * STEP), "to": iso(T0 + 101 * STEP - NANO)}
    chart = client.get(
        f"{V1}/terminals/atm-1/history", params={"component": COMPONENT, "signal": SIGNAL, **span}
    ).json()
    assert chart["points"][0]["value"] == one["value"]


def test_the_newest_readings_are_found_before_they_are_packed(client):
    said = readings(client, T0 + 10_000 * STEP)
    assert len(said["readings"]) == 5
    assert said["readings"][-1]["chosen"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("atm-9/readings?component=ups&signal=ups.input.voltage", 404),
        ("atm-1/readings?component=ups", 422),
        ("atm-1/readings?component=ups&signal=x&count=0", 422),
        ("atm-1/readings?component=ups&signal=x&at=yesterday", 422),
        (f"atm-1/readings?component={'x' * 201}&signal=x", 422),
    ],
)
def test_what_cannot_be_asked_is_a_problem(client, path, status):
    answer = client.get(f"{V1}/terminals/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_it_never_told_has_no_readings(client):
    answer = client.get(f"{V1}/terminals/atm-1/readings", params={"component": "ups", "signal": "no.such"})
    assert answer.json()["readings"] == []


def verify(bundle: Path, trust: str) -> subprocess.CompletedProcess[str]:
    """In a directory of its own: no store, no configuration."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "tillwatch.collector", "verify", bundle.name, "--trust", trust],
        cwd=bundle.parent, env=os.environ | {"HOME": str(bundle.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_bundle_is_journaled_made_fetched_and_verified_elsewhere(client, folder, tmp_path_factory):
    wanted = {"terminal": "atm-1", "component": COMPONENT, "signal": SIGNAL, "at": iso(T0 + 9 * STEP)}
    with Taking(folder / "data" / "collector.db"):
        answer = client.post(f"{V1}/proofs", json=wanted)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        again = client.get(made["href"])
        assert client.get(made["href"], headers={"x-test-who": "he"}).status_code == 404, "it is another's"
        assert client.post(f"{V1}/proofs", json=wanted, headers={"x-test-who": "qian"}).status_code == 403
        assert client.post(f"{V1}/proofs", json=wanted, headers={"x-test-who": "wu"}).status_code == 404
    assert again.headers["content-disposition"] == f'attachment; filename="{made["file"]}"'
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    bundle = elsewhere / made["file"]
    bundle.write_bytes(again.content)
    done = verify(bundle, made["trust"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"= {made['value']!r}" in done.stdout
    tampered = bytearray(again.content)
    tampered[len(tampered) // 2] ^= 1
    bundle.write_bytes(tampered)
    assert verify(bundle, made["trust"]).returncode == 1
    with SqliteReader(folder / "data" / "collector.db").snapshot() as db:
        from tillwatch.collector.proof import audit

        acts = [(act.action, act.actor, act.terminal) for act in audit.acts(db) if act.action in ("prove", "export")]
    assert [act[0] for act in acts] == ["prove", "export"]
    assert acts[0][1:] == ("chen", "atm-1")


@pytest.mark.parametrize(
    ("changed", "status", "word"),
    [
        ({"terminal": "atm-9"}, 404, "atm-9"),
        ({"at": "1970-01-02T00:00:00Z"}, 404, "no reading"),
        ({"at": "now-ish"}, 422, "neither"),
        ({"more": 1}, 422, "more"),
        ({"signal": ""}, 422, "signal"),
    ],
)
def test_what_cannot_be_proved_is_said(client, changed, status, word):
    wanted = {"terminal": "atm-1", "component": COMPONENT, "signal": SIGNAL, "at": iso(T0 + 9 * STEP), **changed}
    answer = client.post(f"{V1}/proofs", json=wanted)
    assert answer.status_code == status
    assert word in answer.json()["detail"]


def test_a_console_without_configuration_says_what_to_do():
    base = 1_790_000_000 * NANO
    console = let_in(Console(lambda: FakeFleet(9, base), now=lambda: base, with_pages=False), WHO, "chen")
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        wanted = {"terminal": "ATM-001", "component": "ups/battery", "signal": "battery.charge", "at": iso(base)}
        answer = client.post(f"{V1}/proofs", json=wanted)
    assert answer.status_code == 503
    assert "--config FILE" in answer.json()["detail"]
