"""The commands, as a person uses them, over a real data directory."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.packed import STEP, filled, keep_house
from tests.collector.sending import T0
from tillwatch.collector.__main__ import main
from tillwatch.collector.trust.authority import open_authority


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    world = World(tmp_path / "data" / "collector.db")
    await filled(world, 400, "atm-1")
    await keep_house(world)
    await world.pipeline.stop()
    world.store.close()
    (tmp_path / "collector.toml").write_text('[collector]\ndata_dir = "data"\n[enrolment]\naddress = "localhost"\n')
    open_authority(tmp_path / "data" / "authority")
    return tmp_path


def run(folder: Path, *words: str) -> int:
    return main([words[0], *words[1:], "--config", str(folder / "collector.toml")])


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat()


async def test_prove_verify_and_audit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "one.proof"
    asked = ("atm-1", "ups", "ups.input.voltage", iso(T0 + 9 * STEP))
    assert await_main(folder, "prove", *asked, "-o", str(file), "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert await_main(folder, "verify", str(file), "--trust", made["trust"]) == 0
    said = capsys.readouterr().out
    assert "FAIL" not in said
    assert f"= {made['value']!r}" in said
    coloned = ":".join(made["trust"][i : i + 2].upper() for i in range(0, 64, 2))
    assert await_main(folder, "verify", str(file), "--trust", coloned, "--json") == 0
    assert json.loads(capsys.readouterr().out)["reading"]["value"] == made["value"]
    assert await_main(folder, "verify", str(file), "--trust", "0" * 64) == 1
    assert "FAIL  authority" in capsys.readouterr().out
    assert await_main(folder, "enrol-token", "atm-2", "--branch", "hill", "--region", "north", "--class", "atm") == 0
    capsys.readouterr()
    assert await_main(folder, "audit", "--json") == 0
    acts = json.loads(capsys.readouterr().out)
    assert [act["action"] for act in acts if "action" in act][-4:] == ["stopped", "started", "export", "stopped"]
    assert acts[-1]["waiting"]["action"] == "token"
    assert all(act["ok"] for act in acts if "ok" in act)
    assert await_main(folder, "verify", "--log") == 0
    assert "FAIL" not in capsys.readouterr().out


async def test_the_audit_names_an_act_that_was_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    db = sqlite3.connect(folder / "data" / "collector.db")
    db.execute("UPDATE journal SET facts = replace(facts, 'hill', 'dale') WHERE kind = 5")
    db.execute("UPDATE journal SET facts = CAST(facts AS BLOB) WHERE kind = 5")
    db.commit()
    db.close()
    assert await_main(folder, "audit", "--json") == 1
    assert [act["action"] for act in json.loads(capsys.readouterr().out) if not act["ok"]] == ["enrol"]
    assert await_main(folder, "verify", "--log", "--json") == 1
    assert json.loads(capsys.readouterr().out)["faults"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("prove", "atm-1", "ups", "ups.input.voltage", "yesterday"), "is no time"),
        (("prove", "atm-1", "ups", "no.such", "2026-11-21T14:05:00Z"), "sent no reading"),
        (("verify",), "name a bundle"),
        (("verify", "x.proof"), "--trust is the SHA-256"),
        (("verify", "no-such.proof", "--trust", "0" * 64), "No such file"),
    ],
)
async def test_errors_say_what_to_do(folder: Path, words, text: str, capsys, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert await_main(folder, *words) == 1
    assert text in capsys.readouterr().err
    assert not list(folder.glob("*.proof"))


def await_main(folder: Path, *words: str) -> int:
    """In a thread of its own: the commands run an event loop themselves."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, folder, *words).result()
