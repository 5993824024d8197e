"""The statement that hands a key over: what it holds comes back, and nothing that was changed does."""

import pytest

from tillwatch.agent.rotation import MAX_STATEMENT, Rotation, open_rotation, seal_rotation
from tillwatch.agent.wire import Refusal, SigningKey, WireError

OLD, NEW, OTHER = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
EPOCH = b"\x66" * 12


def statement(old=OLD, new=NEW, **more):
    return seal_rotation(
        old, new, **{"terminal": "atm-1", "epoch": EPOCH, "seq": 70, "n": 9, "at": 1_790_000_000, **more}
    )


def test_what_was_stated_comes_back():
    assert open_rotation(statement()) == Rotation("atm-1", OLD.public, NEW.public, EPOCH, 70, 9, 1_790_000_000)


def test_the_longest_one_fits_its_bound():
    longest = statement(terminal="x" * 64, seq=2**63 - 1, n=2**63 - 1, at=2**63 - 1)
    assert len(longest) <= MAX_STATEMENT
    assert open_rotation(longest).seq == 2**63 - 1


def test_every_changed_bit_and_every_cut_is_refused():
    good = statement()
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError) as caught:
            open_rotation(bytes(bad))
        assert caught.value.reason is Refusal.ROTATION
    for length in range(len(good)):
        with pytest.raises(WireError):
            open_rotation(good[:length])
    with pytest.raises(WireError):
        open_rotation(good + b"\0")


def test_both_keys_must_have_signed():
    by_old, by_other = statement(), statement(old=OTHER)
    with pytest.raises(WireError, match="signature"):
        open_rotation(by_old[:-128] + by_other[-128:-64] + by_old[-64:])
    with pytest.raises(WireError, match="signature"):
        open_rotation(by_old[:-64] + by_old[-128:-64])


@pytest.mark.parametrize(
    "more",
    [{"seq": -1}, {"n": True}, {"epoch": b"short"}, {"terminal": "a/b"}, {"terminal": ""}, {"at": 1.5}, {"new": OLD}],
)
def test_what_makes_no_sense_is_refused_though_it_is_signed(more):
    with pytest.raises(WireError, match="rotation: not what a statement holds"):
        open_rotation(statement(**more))
