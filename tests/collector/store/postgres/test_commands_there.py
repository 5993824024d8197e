"""Commands that read the whole state, on one that lies in PostgreSQL: as an operator types them, and with what they say of the same state in a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.collector.packed import STEP
from tests.collector.proof.test_evidence import await_main, folder, iso
from tests.collector.sending import T0
from tests.collector.simulated import bank
from tests.scale.servers.postgres import Server
from tillwatch.collector.commands import train_command
from tillwatch.collector.learn import hazard
from tillwatch.collector.learn.hazard import Settings
from tillwatch.collector.simulate.year import simulate
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.opening import open_store

__all__ = ["folder"]

Asked = Callable[..., Any]


@pytest.fixture
def empty(postgres_server: Server) -> Iterator[Postgres]:
    where = postgres_server.database("template0")
    yield where
    postgres_server.drop(where)


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Asked:
    """A command on the site in a folder, and its JSON."""

    def asked(site: Path, *words: str) -> Any:
        capsys.readouterr()
        code = await_main(site, *words, "--json")
        said = capsys.readouterr()
        assert code == 0, said.err + said.out
        return json.loads(said.out)

    return asked


@pytest.fixture
def there(folder: Path, empty: Postgres, ask: Asked) -> Path:
    """The site of the proofs, with its state moved into PostgreSQL."""
    return _moved(folder, empty, ask)


def _moved(site: Path, where: Postgres, ask: Asked) -> Path:
    file = site / "collector.toml"
    file.write_text(f'{file.read_text()}[store]\npostgres = "{where.url}"\n')
    ask(site, "move")
    return site


def test_what_a_terminal_reported_is_proven(there: Path, ask: Asked) -> None:
    file = there / "one.proof"
    made = ask(there, "prove", "atm-1", "ups", "ups.input.voltage", iso(T0 + 9 * STEP), "-o", str(file))
    verified = ask(there, "verify", str(file), "--trust", made["trust"])
    assert verified["reading"]["value"] == made["value"]
    assert ask(there, "verify", "--log")["ok"]
    acts = ask(there, "audit")
    assert "export" in [act["action"] for act in acts], "who exported it is journaled"
    assert all(act["ok"] for act in acts)


def test_a_backup_is_one_file_that_is_restored_without_the_server(there: Path, ask: Asked) -> None:
    entries = ask(there, "verify", "--log")
    made = ask(there, "backup", str(there / "b.db"))
    assert (made["keys"], made["entries"]) == ("with", entries["entries"])
    other = there / "other"
    other.mkdir()
    (other / "collector.toml").write_text('[collector]\ndata_dir = "data"\n[enrolment]\naddress = "localhost"\n')
    assert await_main(other, "restore", str(there / "b.db")) == 0
    assert ask(other, "verify", "--log")["head"] == entries["head"]
    assert {file.name for file in (there / "data/authority").iterdir()} == {
        file.name for file in (other / "data/authority").iterdir()
    }


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tests/collector/commands/test_train_command.py: a whole one takes years, and minutes."""
    monkeypatch.setattr(hazard, "MIN_FAILURES", 8)
    monkeypatch.setattr(hazard, "MIN_FAILED_UNITS", 4)
    monkeypatch.setattr(train_command, "_settings", lambda *_: Settings(budget=2.0, iterations=5, folds=2))


@pytest.mark.usefixtures("small_models")
def test_a_model_is_trained(tmp_path: Path, database: Postgres, ask: Asked) -> None:
    with closing(open_store(database)) as store:
        simulate(3, 40, 5, pace=25.0, store=store)
    (tmp_path / "collector.toml").write_text(
        f'[collector]\ndata_dir = "{tmp_path}"\n[store]\npostgres = "{database.url}"\n'
    )
    card = ask(tmp_path, "train", "--horizon", "7d")["card"]
    assert card["trained_on"]["failures"] >= 8
    assert card["history"]["terminals"] == 3
    assert (tmp_path / "models/hazard.md").exists()


@pytest.mark.long
@pytest.mark.usefixtures("small_models")
def test_what_is_learnt_and_tried_is_that_of_a_file(tmp_path: Path, empty: Postgres, ask: Asked) -> None:
    site = bank(tmp_path / "bank").parent
    words = ("backtest", "atm.device", "--from", "2025-02-01", "--to", "2025-02-08")
    in_file = ask(site, "train", "--horizon", "7d"), ask(site, *words)
    shutil.rmtree(site / "models")
    _moved(site, empty, ask)
    assert (ask(site, "train", "--horizon", "7d"), ask(site, *words)) == in_file
    assert (site / "models/hazard.md").exists()
