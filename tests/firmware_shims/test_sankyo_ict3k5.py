"""What moves a card cannot be sent, and nothing of a card is read; the dialogues are in the transcript."""

from __future__ import annotations

import binascii

import pytest

from tillwatch.firmware_shims import sankyo_ict3k5
from tillwatch.firmware_shims.base import NotAllowedError, ShimError
from tillwatch.firmware_shims.engine import Dialogue, decode
from tillwatch.firmware_shims.tap import exchange

SHIM, STATUS = sankyo_ict3k5.SHIM, sankyo_ict3k5.STATUS


def message(body: bytes) -> bytes:
    frame = b"\xf2" + len(body).to_bytes(2, "big") + body
    return frame + binascii.crc_hqx(frame, 0).to_bytes(2, "big")


class Deaf:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self, timeout: float) -> bytes:
        return b""

    async def discard(self) -> None: ...


def test_only_the_status_request_is_there():
    assert SHIM.whitelist == {message(b"C10")}


@pytest.mark.parametrize("order", [b"C0032410", b"C20", b"C30", b"C31", b"C36", b"C61", b"C:0", b"C@0", b"CI0", b"C11"])
async def test_what_moves_or_reads_a_card_cannot_be_sent(order):
    port = Deaf()
    with pytest.raises(NotAllowedError):
        await Dialogue(SHIM, port).send(message(order))
    assert port.sent == []


async def test_a_silent_reader_is_asked_for_its_status_and_nothing_else():
    port = Deaf()
    with pytest.raises(ShimError, match="no answer"):
        await Dialogue(SHIM, port).poll("fast")
    assert set(port.sent) == {message(b"C10")}


@pytest.mark.parametrize("code", [*sankyo_ict3k5.FAULT])
def test_each_error(code):
    found = {each.signal: each for each in decode(SHIM, STATUS, message(b"N10" + code), {})}
    assert found["cardreader.fault"].value == sankyo_ict3k5.FAULT[code]
    assert found["cardreader.fault"].state == sankyo_ict3k5.FAULTS[sankyo_ict3k5.FAULT[code]]
    assert "cardreader.card" not in found


@pytest.mark.parametrize("code", sankyo_ict3k5.REFUSED)
def test_an_order_that_was_refused_is_no_fault_of_the_reader(code):
    assert decode(SHIM, STATUS, message(b"N30" + code), {}) == []


@pytest.mark.parametrize("order", [b"30", b":0", b"@0", b"00"])
def test_beside_a_host_the_answers_to_its_own_orders_tell(order):
    query, frame = exchange(SHIM, b"", message(b"N" + order + b"10"))
    assert {each.signal: each.value for each in decode(SHIM, query, frame, {})}["cardreader.fault"] == "jam"


@pytest.mark.parametrize(
    "body",
    [
        b"P6100" + b"4929000000000000=991210100000",  # a track
        b"PI000" + b"\x3b\x6e\x00\x00",  # the answer to reset of a chip
        b"P5100",  # a lamp was lit: nothing of the mechanism
        b"C30",
    ],
)
def test_nothing_else_is_an_answer(body):
    with pytest.raises(ShimError) as raised:
        exchange(SHIM, b"", message(body))
    assert "4929" not in str(raised.value)
