"""A bundle proves one reading to whoever trusts the authority, and nothing that was changed passes."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.packed import STEP, filled, keep_house, measured
from tests.collector.sending import T0, S, Sender
from tillwatch.agent.wire import SigningKey
from tillwatch.collector.proof import bundle
from tillwatch.collector.proof.prove import Proof, ProofError, prove
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.trust.authority import Authority, open_authority
from tillwatch.collector.trust.binding import ENROL

NOW = datetime.fromtimestamp(T0 / 1e9, UTC)
VOLTAGE = ("atm-1", "ups", "ups.input.voltage")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("own") / "authority", NOW)


def proven(world: World, authority: Authority, at: int, signal: tuple[str, str, str] = VOLTAGE) -> Proof:
    return prove(world.store.conn, authority, *signal, at, world.now)


def content(made: bytes) -> dict[str, Any]:
    return msgpack.unpackb(made[len(bundle.MAGIC) + 4 : -64])


def failed(made: bytes, authority: Authority) -> tuple[str, str]:
    """The step that refuses it, and why."""
    steps, reading = bundle.verify(made, authority.fingerprint)
    assert reading is None
    assert [step.ok for step in steps] == [True] * (len(steps) - 1) + [False]
    return steps[-1].name, steps[-1].text


@pytest.mark.parametrize("packed", [False, True])
async def test_every_reading_can_be_proven(world: World, authority: Authority, packed: bool) -> None:
    (atm, _) = await filled(world, 400, "atm-1", "atm-2")
    if packed:
        await keep_house(world)
        assert world.store.conn.execute("SELECT count(*) FROM segment").fetchone() == (2,)
    for i in (0, 1, 17, 255, 256, 300, 399):
        made = proven(world, authority, T0 + i * STEP + S // 2)
        steps, reading = bundle.verify(made.bundle, authority.fingerprint)
        assert [step.name for step in steps if not step.ok] == []
        assert reading is not None
        assert (reading["at"], reading["value"]) == (T0 + i * STEP, made.reading.value)
        held = content(made.bundle)
        assert (held["before"] is None, held["after"] is None) == (i == 0, i == 399)
        assert atm.key.public.hex() in repr(steps) or atm.key.key_id.hex() in repr(steps)


async def test_the_authority_signs_the_key_when_the_terminal_enrols_or_later(
    world: World, authority: Authority
) -> None:
    await world.start()
    old, new = Sender("atm-1"), Sender("atm-2")
    await old.enrol(world.pipeline)
    place = {"branch": "hill", "region": "north", "class": "atm"}
    bound = {"bound_at": T0, "binding": authority.bind(ENROL, "atm-2", new.key.public, T0)}
    await world.pipeline.operate({"action": "enrol", "terminal": "atm-2", **place, "public": new.key.public, **bound})
    import random

    await world.pipeline.take([s.batch(measured(random.Random(1), T0), T0) for s in (old, new)])
    texts = {}
    for name in ("atm-1", "atm-2"):
        steps, reading = bundle.verify(proven(world, authority, T0, (name, *VOLTAGE[1:])).bundle, authority.fingerprint)
        assert reading
        texts[name] = next(step.text for step in steps if step.name == "keys")
    assert "at the export only" in texts["atm-1"]
    assert "at the export only" not in texts["atm-2"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> bytes:
    async def make() -> bytes:
        world = World(tmp_path_factory.mktemp("example") / "c.db")
        with closing(world.store):
            await filled(world, 5, "atm-1")
            return proven(world, authority, T0 + 2 * STEP).bundle

    return asyncio.run(make())


def test_any_changed_byte_is_noticed(example: bytes, authority: Authority) -> None:
    for place in range(len(example)):
        changed = bytearray(example)
        changed[place] ^= 1 << place % 8
        assert bundle.verify(bytes(changed), authority.fingerprint)[1] is None, place


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_bytes_at_all_make_it_crash(example: bytes, authority: Authority, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(example)))
    end = data.draw(st.integers(start, len(example)))
    other = data.draw(st.binary(max_size=40))
    changed = example[:start] + other + example[end:]
    assert (bundle.verify(changed, authority.fingerprint)[1] is not None) == (changed == example)


def test_another_authority_is_refused(example: bytes, authority: Authority, tmp_path: Path) -> None:
    other = open_authority(tmp_path / "other", NOW)
    name, text = failed(example, other)
    assert name == "authority"
    assert "not the trusted one" in text
    forged = bundle.write(content(example), other.ack_key)
    assert failed(forged, authority)[0] == "seal"
    swapped = content(example)
    swapped["collector"]["public"] = other.ack_key.public
    assert failed(bundle.write(swapped, other.ack_key), authority)[0] == "collector"
    swapped["authority"] = content(example)["authority"] + b"x"
    assert failed(bundle.write(swapped, other.ack_key), authority)[0] == "authority"


def _batch(c: dict[str, Any], **changes: Any) -> None:
    c["batch"] |= changes


def swap_value(c: dict[str, Any]) -> None:
    c["reading"]["value"] += 1


def shift_time(c: dict[str, Any]) -> None:
    c["reading"]["at"] += 1_000_000


def another_frame(c: dict[str, Any]) -> None:
    c["batch"]["frame"] = c["before"]["frame"]


def bent_frame(c: dict[str, Any]) -> None:
    from hashlib import sha256

    frame = bytearray(c["batch"]["frame"])
    frame[-80] ^= 1
    entry = [*c["batch"]["entry"][:5], sha256(frame).digest()]
    place = c["chain"][1].index(c["batch"]["entry"])
    c["chain"][1][place] = entry
    c["batch"] = {"entry": entry, "frame": bytes(frame)}
    c["after"] = None


def no_neighbour(c: dict[str, Any]) -> None:
    c["chain"][1].pop()


def no_keys(c: dict[str, Any]) -> None:
    c["keys"] = []


def foreign_key(c: dict[str, Any]) -> None:
    facts = msgpack.unpackb(c["keys"][0]["entry"][4])
    facts["public"] = SigningKey(b"x" * 32).public
    c["keys"][0]["entry"][4] = msgpack.packb(facts)


def forged_binding(c: dict[str, Any]) -> None:
    c["keys"][0]["vouched"][0] += 1


def other_before(c: dict[str, Any]) -> None:
    c["before"], c["after"] = c["after"], c["before"]


def bent_chain(c: dict[str, Any]) -> None:
    entries = c["chain"][1]
    entries[0][1] += 1
    c["head"] = [entries[-1][0], bytes(32)]


@pytest.mark.parametrize(
    ("change", "step"),
    [
        (swap_value, "reading"), (shift_time, "reading"), (another_frame, "batch"), (bent_frame, "batch"), (no_neighbour, "log"),
        (no_keys, "batch"), (foreign_key, "keys"), (forged_binding, "keys"), (other_before, "neighbours"), (bent_chain, "log"),
    ],
)  # fmt: skip
def test_what_a_collector_itself_would_forge_is_refused(
    example: bytes, authority: Authority, change, step: str
) -> None:
    """Signed by the right key and still no proof: each claim stands on its own evidence."""
    forged = content(example)
    change(forged)
    assert failed(bundle.write(forged, authority.ack_key), authority)[0] == step


async def test_a_batch_behind_the_revocation_of_its_key_proves_nothing(world: World, authority: Authority) -> None:
    import random

    (atm,) = await filled(world, 3, "atm-1")
    good = proven(world, authority, world.now)
    await world.pipeline.operate({"action": "revoke", "actor": "anna", "terminal": "atm-1", "reason": "stolen"})
    after = proven(world, authority, world.now)
    assert bundle.verify(after.bundle, authority.fingerprint)[1], "what was sealed before stays proven"
    assert len(content(after.bundle)["keys"]) == len(content(good.bundle)["keys"]) + 1
    # A collector that went on taking its batches, whatever the revocation says.
    for key in world.pipeline.fold.fleet.terminals["atm-1"].keys.values():
        key.state = "active"
    world.now += STEP
    await world.pipeline.take([atm.batch(measured(random.Random(3), world.now), world.now)])
    name, text = failed(proven(world, authority, world.now).bundle, authority)
    assert name == "batch"
    assert "revoked" in text


async def test_what_is_not_there_is_said(world: World, authority: Authority) -> None:
    await filled(world, 1200, "atm-1")
    with pytest.raises(ProofError, match="sent no reading"):
        proven(world, authority, T0 - STEP)
    with pytest.raises(ProofError, match="sent no reading"):
        proven(world, authority, T0, ("atm-1", "ups", "ups.no.such"))
    await keep_house(world)
    await world.tick(T0 + 500 * STEP + 7 * 86_400 * S)
    await keep_house(world, RetentionSection(keep=7 * 86_400.0))
    with pytest.raises(ProofError, match="retired"):
        proven(world, authority, T0 + 5 * STEP)
    kept = proven(world, authority, T0 + 1100 * STEP)
    assert bundle.verify(kept.bundle, authority.fingerprint)[1]
