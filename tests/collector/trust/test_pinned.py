"""A state knows whose it is: a collector without the folder of keys, or with another one, is refused, and nothing is made in its place."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import Sender
from tests.collector.test_main import Site
from tillwatch.collector.commands.acts import act
from tillwatch.collector.config import load_config
from tillwatch.collector.doctor import examine
from tillwatch.collector.journal import Kind
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.opening import open_db, open_store
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.trust.pinned import OtherAuthorityError, fingerprint, own_authority, pin

FOREIGN = "holds another authority than"


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    if request.param == "sqlite":
        return tmp_path / "collector.db"
    return request.getfixturevalue("database")


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], Path]:
    return lambda collector: tmp_path / collector / "authority"


def start(folder: Path, where: Where) -> bytes:
    """As a collector does; its authority's fingerprint."""
    own = own_authority(folder, where)
    with closing(open_store(where)) as store:
        store.change(lambda db: pin(db, where, own))
    return own.fingerprint


def test_the_first_start_makes_one_and_every_later_one_needs_it(where: Where, keys: Callable[[str], Path]) -> None:
    first = start(keys("one"), where)
    assert start(keys("one"), where) == first
    with pytest.raises(OtherAuthorityError) as missing:
        start(keys("two"), where)
    said = str(missing.value)
    assert said.startswith(f"{keys('two')} is not there, and {where} belongs to an authority")
    assert "copy the folder authority from another collector" in said
    assert "scale-out.md" in said
    assert "backup.md" in said
    assert "\n" not in said
    assert not keys("two").exists()
    open_authority(keys("two"))
    with pytest.raises(OtherAuthorityError, match=f"{re.escape(str(keys('two')))} {FOREIGN} {re.escape(str(where))}"):
        start(keys("two"), where)
    keys("two").rename(keys("two").with_name("aside"))
    keys("one").rename(keys("two"))
    assert start(keys("two"), where) == first


def test_who_came_first_a_moment_ago_is_not_overwritten(where: Where, keys: Callable[[str], Path]) -> None:
    one, two = (own_authority(keys(name), where) for name in ("one", "two"))
    with closing(open_store(where)) as store:
        store.change(lambda db: pin(db, where, one))
        with pytest.raises(OtherAuthorityError, match=FOREIGN):
            store.change(lambda db: pin(db, where, two))
        assert fingerprint(store.conn) == one.fingerprint


async def test_a_state_of_an_earlier_version_is_judged_by_its_last_signed_enrolment(
    where: Where, keys: Callable[[str], Path], tmp_path: Path
) -> None:
    world = World(tmp_path / "collector.db", where)
    await world.start()
    replaced, own = open_authority(keys("before")), open_authority(keys("one"))
    for n, authority in enumerate((replaced, own)):
        public = Sender(f"atm-{n}").key.public
        place = {"branch": "hill", "region": "north", "class": "atm"}
        binding = authority.bind("enrol", f"atm-{n}", public, world.now)
        facts = {"terminal": f"atm-{n}", "public": public, "bound_at": world.now, "binding": binding}
        await world.pipeline.operate({"action": "enrol", **facts, **place})
    await world.pipeline.operate({"action": "configure", "actor": "collector", "changed": {}})
    world.store.close()
    for folder in (keys("nowhere"), keys("before")):
        with pytest.raises(OtherAuthorityError):
            own_authority(folder, where)
    assert not keys("nowhere").exists()
    assert start(keys("one"), where) == own.fingerprint


def test_without_a_word_from_the_server_none_is_made_and_one_that_is_there_is_taken(tmp_path: Path) -> None:
    broken = tmp_path / "collector.db"
    broken.write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(StoreError, match="cannot be read"):
        own_authority(tmp_path / "authority", broken)
    assert not (tmp_path / "authority").exists()
    made = open_authority(tmp_path / "authority")
    assert own_authority(tmp_path / "authority", broken).fingerprint == made.fingerprint


class Large(Site):
    """A collector of a large installation; the broker's nodes are not there, and nothing here comes that far."""

    def __init__(self, folder: Path, url: str) -> None:
        folder.mkdir()
        super().__init__(folder)
        (folder / "password").write_text("secret\n")
        text = self.file.read_text().replace("[broker]", "[broker]\nembedded = false")
        self.file.write_text(f'{text}[store]\npostgres = "{url}"\n[amqp]\nhosts = ["127.0.0.1:1"]\npassword_file = "password"\n')  # fmt: skip
        self.config = load_config(self.file)


@pytest.mark.parametrize("folder", ["missing", "another"])
def test_a_second_collector_without_the_shared_folder_does_not_start(database, tmp_path: Path, folder: str) -> None:
    first, second = (Large(tmp_path / name, database.url) for name in ("one", "two"))
    assert first.token().returncode == 0
    if folder == "another":
        open_authority(second.config.authority)
    said = "is not there, and" if folder == "missing" else FOREIGN
    opener = (sys.executable, "-P", "-m", "tillwatch.collector.opening", "--config", str(second.file))
    for command, code in (
        (second.command("run", "--no-console"), 2),
        (second.command("enrol-token", "till-2", "--branch", "B", "--region", "R", "--class", "atm"), 2),
        (second.command("broker-config", "rabbitmq", "--out", str(tmp_path / "mq")), 2 if folder == "another" else 1),
        (opener, 1),
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert f"{second.config.authority} " in done.stderr
        if code == 2:
            assert said in done.stderr
            assert database.url in done.stderr
    found = [each for each in examine(second.config) if each.subject == "authority"]
    assert found[0].state == "fail"
    assert said in found[0].text
    assert second.config.authority.exists() == (folder == "another")
    assert [each.state for each in examine(first.config) if each.subject == "authority"] == ["ok"]


def test_an_act_is_journaled_by_no_collector_that_has_other_keys(database, tmp_path: Path) -> None:
    first, second = (Large(tmp_path / name, database.url) for name in ("one", "two"))
    assert first.token().returncode == 0
    with pytest.raises(OtherAuthorityError, match="is not there, and"):
        act(second.config, {"action": "grant-revoke", "name": "north"})
    with closing(open_db(database)) as db:
        assert db.execute("SELECT count(*) FROM journal WHERE kind = ?", (int(Kind.OPERATOR),)).fetchone() == (0,)


def test_only_by_a_word_of_its_own_a_state_gets_another_authority(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert "no state yet" in site.call("new-authority", "--reason", "lost").stderr
    assert site.token().returncode == 0
    old = open_authority(site.config.authority).fingerprint
    site.config.authority.rename(tmp_path / "compromised")
    assert site.token().returncode == 2
    done = site.call("new-authority", "--reason", "broken into", "--json")
    assert done.returncode == 0, done.stderr
    new = open_authority(site.config.authority).fingerprint
    assert json.loads(done.stdout)["fingerprint"] == new.hex() != old.hex()
    assert site.token().returncode == 0
    acts = json.loads(site.call("audit", "--json").stdout)
    (said,) = (each for each in acts if each.get("action") == "new-authority")
    assert said["detail"] == {"fingerprint": new.hex(), "reason": "broken into"}
