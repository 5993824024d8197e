"""The walk over the log names what does not fit, and tells it from what was lost by declaration and what was retired by rule."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.packed import STEP, filled, keep_house, measured
from tests.collector.sending import T0, S
from tillwatch.agent.wire import SigningKey, VerifyKey
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.proof.verify import Verified, verify_log
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.trust.binding import ENROL

SEGMENT_OF = "(SELECT min(id) FROM segment)"


def verified(world: World) -> Verified:
    return verify_log(world.store.conn, None)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed log; each test damages a copy of its own."""

    async def live(world: World) -> None:
        await filled(world, 700, "atm-1", "atm-2")
        await keep_house(world)

    made = World(tmp_path_factory.mktemp("lived") / "collector.db")
    asyncio.run(live(made))
    made.store.close()
    return made.path


async def test_a_sound_log_is_sound_packed_or_not(world: World) -> None:
    await filled(world, 700, "atm-1", "atm-2")
    before = verified(world)
    await keep_house(world)
    after = verified(world)
    assert before.ok
    assert (before.entries, before.frames, before.bytes, before.head) == (
        after.entries,
        after.frames,
        after.bytes,
        after.head,
    )
    assert after.ok
    assert after.frames == 1430
    assert after.head == world.pipeline.journal.digest


async def test_a_declared_loss_is_no_hole(world: World) -> None:
    (atm,) = await filled(world, 3, "atm-1")
    for _ in range(4):
        atm.batch(measured(random.Random(1), world.now), world.now)
    following = atm.batch(measured(random.Random(1), world.now), world.now)
    await world.pipeline.take([atm.life(world.now, floor=8, lost=16), following])
    found = verified(world)
    assert found.ok
    assert [(loss.terminal, loss.first, loss.last) for loss in found.losses] == [("atm-1", 4, 7)]


@pytest.mark.parametrize(
    ("damage", "what", "text"),
    [
        ("UPDATE journal SET payload = NULL WHERE n = (SELECT max(n) FROM journal WHERE payload IS NOT NULL)", "hole", "its frame is not in the log"),
        ("UPDATE journal SET at = at + 1 WHERE n = (SELECT max(n) - 5 FROM journal)", "damage", "the chain breaks at this entry"),
        ("UPDATE journal SET facts = x'80' WHERE n = 3", "damage", "the row is not what the chain says"),
        ("DELETE FROM journal WHERE n = (SELECT max(n) - 5 FROM journal)", "hole", "these entries are not in the log"),
        ("UPDATE journal SET payload = (SELECT payload FROM journal WHERE n = (SELECT max(n) - 7 FROM journal)) WHERE n = (SELECT max(n) - 5 FROM journal)",
         "damage", "its frame is not what its digest says"),
        ("UPDATE journal SET payload = substr(payload, 1, 99) WHERE n = (SELECT max(n) - 5 FROM journal)", "damage", "its payload cannot be opened"),
        ("DELETE FROM page WHERE first_n = 1", "hole", "these entries are not in the log"),
        ("UPDATE page SET data = substr(data, 1, 300) WHERE first_n = 1", "damage", "the page cannot be read"),
        ("UPDATE page SET digests = CAST(zeroblob(32) || substr(digests, 33) AS BLOB) WHERE first_n = 1", "damage", "the chain breaks among these entries"),
        ("UPDATE page SET digest = zeroblob(32) WHERE first_n = 1", "damage", "the chain breaks among these entries"),
        (f"DELETE FROM segment WHERE id = {SEGMENT_OF}", "hole", "its frame is not in the log"),
        (f"UPDATE segment SET bodies = substr(bodies, 1, 500) WHERE id = {SEGMENT_OF}", "damage", "does not unpack"),
        (f"UPDATE segment SET heads = substr(heads, 1, 50) WHERE id = {SEGMENT_OF}", "damage", "does not unpack"),
        (f"UPDATE segment SET signatures = CAST(zeroblob(64) || substr(signatures, 65) AS BLOB) WHERE id = {SEGMENT_OF}", "damage", "its frame is not what its digest says"),
        (f"UPDATE segment SET bodies = NULL, heads = NULL, signatures = NULL, retired_n = 3 WHERE id = {SEGMENT_OF}", "hole", "no entry says that they were retired"),
    ],
)  # fmt: skip
def test_damage_and_holes_are_named(lived: Path, tmp_path: Path, damage: str, what: str, text: str) -> None:
    with closing(sqlite3.connect(shutil.copy(lived, tmp_path), isolation_level=None)) as db:
        assert db.execute(damage).rowcount == 1
        found = verify_log(db, None)
    assert not found.ok
    assert any(fault.what == what and text in fault.text for fault in found.faults), found.faults[:5]


async def test_every_changed_byte_of_a_segment_is_noticed(world: World) -> None:
    await filled(world, 330, "atm-1")
    await keep_house(world)
    db = world.store.conn
    for column in ("bodies", "heads", "signatures"):
        (kept,) = db.execute(f"SELECT {column} FROM segment").fetchone()
        for place in range(3, len(kept), len(kept) // 12):
            bent = bytearray(kept)
            bent[place] ^= 4
            db.execute(f"UPDATE segment SET {column} = ?", (bytes(bent),))
            assert not verified(world).ok, (column, place)
        db.execute(f"UPDATE segment SET {column} = ?", (kept,))
    assert verified(world).ok


async def test_what_was_retired_by_rule_is_no_hole(world: World) -> None:
    await filled(world, 1200, "atm-1")
    await keep_house(world)
    await world.tick(T0 + 500 * STEP + 7 * 86_400 * S)
    await keep_house(world, RetentionSection(keep=7 * 86_400.0))
    found = verified(world)
    assert found.ok
    assert found.retired == 256


async def test_a_key_that_is_not_bound_by_the_authority_is_told(world: World, tmp_path: Path) -> None:
    own = open_authority(tmp_path / "authority", datetime.fromtimestamp(T0 / 1e9, UTC))
    await filled(world, 3, "atm-1")
    assert verify_log(world.store.conn, own.certificate).unbound == 1
    place = {"branch": "hill", "region": "north", "class": "atm", "public": bytes(32)}
    good = {"bound_at": T0, "binding": own.bind(ENROL, "atm-2", bytes(32), T0)}
    await world.pipeline.operate({"action": "enrol", "terminal": "atm-2", **place, **good})
    assert verify_log(world.store.conn, own.certificate).ok
    await world.pipeline.operate({"action": "enrol", "terminal": "atm-3", **place, **good})
    found = verify_log(world.store.conn, own.certificate)
    assert [fault.text for fault in found.faults] == ["the authority has not signed this key of atm-3"]


CORRECTION = {
    "action": "correct", "terminal": "atm-1", "from": T0, "to": T0 + S, "counts_as": "planned", "reason": "moved", "party": "branch", "actor": "chen",
}  # fmt: skip


async def test_a_correction_is_signed_by_the_collector_and_by_nobody_else(world: World) -> None:
    await filled(world, 3, "atm-1")
    own = VerifyKey(COLLECTOR_KEY.public)
    await world.pipeline.operate(dict(CORRECTION))
    assert verify_log(world.store.conn, None, own=own).ok
    other = Pipeline(world.store, SigningKey(bytes(32)), {}, clock=lambda: world.now)
    await other.operate({**CORRECTION, "counts_as": "up"})
    found = verify_log(world.store.conn, None, own=own)
    assert [(fault.what, fault.n) for fault in found.faults] == [("damage", other.journal.n)]
    assert "not signed by this collector's key" in found.faults[0].text
    assert verify_log(world.store.conn, None).ok, "without the key the chain alone is looked at"


async def test_a_walk_sees_one_state_while_the_collector_goes_on(world: World) -> None:
    (atm,) = await filled(world, 30, "atm-1")
    other = sqlite3.connect(f"file:{world.path}?mode=ro", uri=True, isolation_level=None)
    entries = world.pipeline.journal.n
    other.execute("BEGIN")
    other.execute("SELECT 1 FROM journal").fetchone()
    await world.pipeline.take([atm.batch(measured(random.Random(1), world.now), world.now)])
    other.execute("COMMIT")
    assert verify_log(other, None).entries == entries + 1
    other.close()
