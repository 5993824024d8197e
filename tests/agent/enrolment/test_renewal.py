"""Taking up a prepared key: whatever is cut short, one of the two keys signs, and the statement says where the old one ended."""

import asyncio
import base64
import contextlib
import json
import os

import pytest

from tillwatch.agent import clock, identity
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.enrolment import renewal
from tillwatch.agent.enrolment.renewal import Renewal, prepare, take_up, waiting
from tillwatch.agent.model import Quality, State
from tillwatch.agent.sealer import Sealer
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool import Spool
from tillwatch.agent.thinning import Taken
from tillwatch.agent.wire import Sealed, SigningKey, open_rotation, stored_columns


def prepared(terminal, seed=None):
    seed = seed or os.urandom(32)
    kept = json.loads((terminal.state_dir / "identity.json").read_text())
    kept.pop("version")
    files = {identity.TLS_KEY: b"new key", identity.TLS_CERT: b"new certificate", identity.CA_CERT: b"ca"}
    prepare(identity.load(terminal.state_dir), seed, {**kept, "since": 7}, files)
    return SigningKey(seed)


def spool_of(terminal, who):
    former = {key.public for key in who.former.values()}
    return Spool(terminal.state_dir / identity.SPOOL, who.terminal, who.key.public, SpoolConfig(), former)


def add(spool, n=1):
    for _ in range(n):
        spool.append(lambda slot: Sealed(b"payload %d" % slot.seq, os.urandom(32), 1), 1)


def test_the_statement_says_where_the_old_key_ended(terminal):
    spool = spool_of(terminal, terminal.who)
    add(spool, 5)
    for _ in range(3):
        spool.next_life()
    new = prepared(terminal)
    who = take_up(terminal.who, spool)
    assert who.key.public == new.public
    assert not waiting(terminal.state_dir)
    ((statement,), epoch) = who.rotations, spool.epoch
    rotation = open_rotation(statement)
    assert (rotation.old, rotation.new) == (terminal.who.key.public, new.public)
    assert (rotation.terminal, rotation.epoch, rotation.seq, rotation.n) == ("atm-1", epoch, 5, 3)
    assert list(who.former) == [terminal.who.key.key_id]
    assert (terminal.state_dir / "tls.crt").read_bytes() == b"new certificate"
    assert who.since == 7
    # And once more: both statements are kept, oldest first.
    third = prepared(terminal)
    again = take_up(who, spool)
    assert [open_rotation(one).new for one in again.rotations] == [new.public, third.public]
    spool.close()


STEPS = ("rotations", "identity.json", "tls.key", "seed", "spool", "next.json")


@pytest.mark.parametrize("step", STEPS)
def test_cut_short_anywhere_the_next_start_ends_it(terminal, monkeypatch, step):
    """The process dies before this step; what was sealed under the old key stays below what the statement names."""
    spool = spool_of(terminal, terminal.who)
    add(spool, 4)
    epoch, new = spool.epoch, prepared(terminal)
    write, change = identity.write_private, Spool.change_key

    class Killed(BaseException):
        pass

    def dying(file, content):
        if file.name == step:
            raise Killed
        write(file, content)

    def dying_spool(self, public):
        if step == "spool":
            raise Killed
        change(self, public)

    unlink = type(terminal.state_dir).unlink

    def dying_unlink(path, missing_ok=False):
        if path.name == step:
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(identity, "write_private", dying)
        patch.setattr(Spool, "change_key", dying_spool)
        if step == "next.json":
            patch.setattr(type(terminal.state_dir), "unlink", dying_unlink)
        with pytest.raises(Killed):
            take_up(terminal.who, spool)
    spool.close()

    who = identity.load(terminal.state_dir)
    spool = spool_of(terminal, who)
    assert spool.epoch == epoch
    assert waiting(terminal.state_dir)
    who = take_up(who, spool)
    assert who.key.public == new.public
    (rotation,) = [open_rotation(one) for one in who.rotations]
    assert (rotation.old, rotation.epoch, rotation.seq) == (terminal.who.key.public, epoch, 4)
    assert (spool.epoch, spool.next_seq, spool.former) == (epoch, 5, 0)
    assert not waiting(terminal.state_dir)
    spool.close()
    spool = spool_of(terminal, who)
    assert (spool.epoch, spool.next_seq) == (epoch, 5)
    spool.close()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"seed": "AA==", "files": {}, "identity": {}}', b"\xff"])
def test_a_damaged_preparation_is_removed_and_the_old_key_goes_on(terminal, content):
    spool = spool_of(terminal, terminal.who)
    (terminal.state_dir / "next.json").write_bytes(content)
    with pytest.raises(identity.IdentityError, match="rotate again"):
        take_up(terminal.who, spool)
    assert not waiting(terminal.state_dir)
    assert identity.load(terminal.state_dir).key.public == terminal.who.key.public
    spool.close()


def test_the_running_agent_looks_and_takes_up(terminal, caplog):
    caplog.set_level("INFO")
    spool, taken = spool_of(terminal, terminal.who), []
    one = Renewal(terminal.who, spool, (), taken.append)
    one.look()
    assert not taken
    new = prepared(terminal)
    one.look()
    assert taken[0].key.public == new.public
    assert "signs from now on" in caplog.text
    one.look()
    assert len(taken) == 1
    spool.close()


async def test_a_rotation_that_fails_is_told_once_and_tried_again(terminal, until, monkeypatch, caplog):
    """The command finds no CA and no collector: the old key goes on."""
    monkeypatch.setattr(renewal, "RETRY", 0.05)
    file = terminal.state_dir / "identity.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "since": 1}))
    spool, tries = spool_of(terminal, terminal.who), []
    one = Renewal(identity.load(terminal.state_dir), spool, ("--state-dir", str(terminal.state_dir)), lambda _: None)
    rotate = one._rotate

    async def counted():
        await rotate()
        tries.append(1)

    one._rotate = counted
    running = asyncio.create_task(one.run())
    await until(lambda: len(tries) >= 2, 60)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert caplog.text.count("which fails: tillwatch-agent: ") == 1
    assert "ca.crt" in caplog.text
    spool.close()


def sealer_of(who, spool):
    buffer = Buffer()
    nothing = {"interval": lambda: 60.0, "before": lambda _: None, "sealed": lambda: None}
    return Sealer(who, spool, buffer, **nothing), buffer


@pytest.mark.parametrize("rotated_again", [False, True])
def test_what_waits_from_before_a_rotation_outlives_a_new_enrolment(terminal, rotated_again):
    """The key that sealed it is in no chain that leads to the new one; it stays this machine's own all the same."""
    spool = spool_of(terminal, terminal.who)
    sealer, buffer = sealer_of(terminal.who, spool)
    buffer.add([Taken("dev", "n", clock.uptime_ns(), 7, Quality.GOOD, State.NONE)])
    sealer.flush()
    prepared(terminal)
    take_up(terminal.who, spool)
    spool.close()
    file = terminal.state_dir / identity.FILE
    reply = {name: value for name, value in json.loads(file.read_text()).items() if name != "version"}
    identity.save(terminal.state_dir, reply, {identity.SEED: os.urandom(32)})
    who = identity.load(terminal.state_dir)
    assert who.rotations == ()
    spool = spool_of(terminal, who)
    if rotated_again:
        prepared(terminal)
        who = take_up(who, spool)
    assert (spool.batches, spool.former) == (1, 1)
    spool.reseal(sealer_of(who, spool)[0]._again)
    assert (spool.batches, spool.former, spool.parked()) == (1, 0, 0)
    (opened,) = stored_columns(spool.read(1))
    assert opened.values == [7]
    spool.close()


def test_what_is_not_of_this_key_is_no_rotation_of_it(terminal):
    stranger = SigningKey(b"s" * 32)
    statement = renewal.seal_rotation(
        stranger, SigningKey(b"t" * 32), terminal="atm-1", epoch=bytes(12), seq=1, n=1, at=1
    )
    identity.keep_rotation(terminal.state_dir, statement)
    assert identity.load(terminal.state_dir).rotations == ()
    for content in (b"", b"\xc1", base64.b64encode(b"x"), b"\x91\xc0"):
        (terminal.state_dir / "rotations").write_bytes(content)
        assert identity.load(terminal.state_dir).rotations == ()
