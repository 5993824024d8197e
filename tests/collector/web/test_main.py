"""The console as a process: how it refuses wrong input, and how it ends."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import closing

import httpx2
import pytest

from tests.collector.certified import certify
from tests.collector.people.peopled import BY, HASH, WORD
from tests.collector.sending import T0, S, Sender
from tests.collector.web.running import Running
from tillwatch.agent.model import Reading
from tillwatch.collector.commands.service_commands import console_arguments
from tillwatch.collector.config import Config
from tillwatch.collector.people import accounts
from tillwatch.collector.people.accounts import Person
from tillwatch.collector.people.console_db import open_console, place, transaction
from tillwatch.collector.people.roles import Role
from tillwatch.collector.sections import PredictionsSection
from tillwatch.collector.web.__main__ import Refused, listen, main


def test_other_machines_are_let_in_over_tls_only_and_to_who_has_an_account(world, tmp_path, capsys):
    assert main(["--db", str(world.path), "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "passwords never cross a network in the clear" in capsys.readouterr().err
    (tmp_path / "collector.toml").write_text("[console]\nnames = ['fleet.bank.example']\n")
    assert main(["--db", str(world.path), "--port", "0", "--config", str(tmp_path / "collector.toml")]) == 2
    assert "nobody has an account yet" in capsys.readouterr().err
    world.store.close()


def test_over_tls_somebody_with_an_account_comes_in_from_another_machine(world, tmp_path):
    files = certify(tmp_path, "localhost", "127.0.0.1")
    with closing(open_console(place(world.path))) as db, transaction(db):
        accounts.add(db, Person("li.wei", "", Role.TECHNICIAN, password=HASH), BY)
    lines = [f'{key} = "{path}"' for key, path in files.items()]
    (tmp_path / "collector.toml").write_text(
        "\n".join(["[console]", 'host = "0.0.0.0"', 'names = ["localhost"]', *lines])
    )
    options = [
        "--db",
        str(world.path),
        "--host",
        "0.0.0.0",
        "--port",
        "0",
        "--config",
        str(tmp_path / "collector.toml"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tillwatch.collector.web", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        port = process.stdout.readline().strip().rstrip("/").rpartition(":")[2]
        trust = ssl.create_default_context(cafile=files["certificate"])
        with httpx2.Client(base_url=f"https://localhost:{port}", verify=trust, trust_env=False, timeout=60) as client:
            assert client.get("/api/v1/terminals").status_code == 401
            assert client.get("/api/v1/terminals", headers={"Host": "rebound.example"}).status_code == 421
            said = client.post("/api/v1/sign-in", json={"name": "li.wei", "password": WORD}).json()
            assert said["step"] == ""
            answer = client.get("/api/v1/terminals")
            assert (answer.status_code, "max-age" in answer.headers["strict-transport-security"]) == (200, True)
            assert (
                client.put("/api/v1/me", json={"language": "zh"}, headers={"X-TW-CSRF": said["csrf"]}).status_code
                == 200
            )
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"http://localhost:{port}/", trust_env=False)
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
        world.store.close()


def test_a_port_in_use_is_one_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Refused, match="another program listens there"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_a_store_that_is_none_is_one_clear_error(tmp_path, capsys):
    assert main(["--db", str(tmp_path / "none.db")]) == 2
    assert "none.db" in capsys.readouterr().err
    (tmp_path / "text.db").write_text("this is not a database, it is longer than a header of one" * 20)
    assert main(["--db", str(tmp_path / "text.db")]) == 2
    assert "text.db" in capsys.readouterr().err


def test_cards_that_cannot_be_used_are_one_clear_error(world, tmp_path, capsys):
    (tmp_path / "cards.toml").write_text('["ups.on-battery".en]\nmeant = "x"\n')
    assert main(["--db", str(world.path), "--port", "0", "--cards", str(tmp_path / "cards.toml")]) == 2
    assert "cards.toml: card ups.on-battery" in capsys.readouterr().err
    assert main(["--db", str(world.path), "--port", "0", "--cards", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err
    world.store.close()


def test_a_table_of_the_predictions_that_cannot_be_used_is_one_clear_error(world, tmp_path, capsys):
    (tmp_path / "own.toml").write_text("[floor]\nluck = 1\n")
    assert main(["--db", str(world.path), "--port", "0", "--predictions", str(tmp_path / "own.toml")]) == 2
    assert "unknown key 'luck'" in capsys.readouterr().err
    assert main(["--db", str(world.path), "--port", "0", "--predictions", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err
    world.store.close()


def test_the_console_is_told_of_the_predictions(tmp_path):
    own, off = PredictionsSection(file=tmp_path / "own.toml"), PredictionsSection(enabled=False)
    assert console_arguments(Config(predictions=own))[-2:] == ("--predictions", str(tmp_path / "own.toml"))
    assert console_arguments(Config(predictions=off))[-1] == "--no-predictions"


@pytest.mark.long
def test_it_ends_cleanly_with_an_open_event_stream(tmp_path):
    console = Running(tmp_path)
    with urllib.request.urlopen(console.url + "api/v1/events", timeout=60) as stream:
        assert stream.readline() == b"event: revision\n"
        console.change()
        seen = [stream.readline() for _ in range(4)]
        assert seen.count(b"event: revision\n") == 1
        code, errors = console.stop()
    assert (code, errors) == (0, "")


async def test_it_serves_what_the_collector_writes_and_sees_it_move(world):
    """Over a real store, which a collector goes on writing: a value, its history out of the sealed batches, and the next change."""
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline, branch="hill")
    first = [Reading("system/disk.C", "storage.used", T0 + k * S, 40.0 + k) for k in range(3)]
    await world.pipeline.take([atm.life(T0), atm.batch(first, T0 + 3 * S)])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tillwatch.collector.web", "--db", str(world.path), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().split()[-1]
        async with httpx2.AsyncClient(base_url=url + "api/v1", timeout=60) as client:
            components = await client.get("/terminals/atm-1/components")
            assert signal_values(components.json()) == {("system/disk.C", "storage.used"): 42.0}
            what = {"component": "system/disk.C", "signal": "storage.used", "from": T0 / 1e9, "to": T0 / 1e9 + 60}
            history = (await client.get("/terminals/atm-1/history", params=what)).json()
            assert [point["value"] for point in history["points"]] == [40.0, 41.0, 42.0]
            tag = components.headers["etag"]
            again = await client.get("/terminals/atm-1/components", headers={"If-None-Match": tag})
            assert again.status_code == 304
            await world.pipeline.take(
                [atm.batch([Reading("system/disk.C", "storage.used", T0 + 9 * S, 77.0)], T0 + 9 * S)]
            )
            for _ in range(20):  # whichever of the console's threads answers, none may still say "unchanged"
                moved = await client.get("/terminals/atm-1/components", headers={"If-None-Match": tag})
                assert moved.status_code == 200
            assert signal_values(moved.json()) == {("system/disk.C", "storage.used"): 77.0}
            assert (await client.get(url)).status_code == 200
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()


def signal_values(components):
    return {(item["name"], signal["signal"]): signal["value"] for item in components for signal in item["signals"]}
