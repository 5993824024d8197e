"""Receipt printers: bytes that are told apart by fixed bits, automatic status in between, and counters of which no other maker's printer is asked."""

from __future__ import annotations

import contextlib

import pytest

from tillwatch.firmware_shims import custom_kiosk, epson_tm, escpos, escpos_asb
from tillwatch.firmware_shims.base import NoAnswerError, ShimError
from tillwatch.firmware_shims.engine import Dialogue, decode
from tillwatch.firmware_shims.tap import Tap, exchange

WELL = [(bytes([0x10, 0x04, n]), b"\x12") for n in (1, 2, 3, 4)]


def said(query, frame, shim=escpos.SHIM):
    return {(each.part, each.signal): each.value for each in decode(shim, query, frame, {})}


@pytest.mark.parametrize("byte", range(256))
def test_a_status_byte_is_told_by_its_fixed_bits(byte):
    if byte & 0x93 == 0x12:
        assert said(escpos.PAPER, bytes([byte]))
    else:
        with pytest.raises(ShimError):
            decode(escpos.SHIM, escpos.PAPER, bytes([byte]), {})


@pytest.mark.parametrize("heard", [b"\x12\x12", b"~\x12", b"\x12\x00", b"\x10\x00\x00\x12", b"\x3c\x00\x0f\x0f"])
def test_two_bytes_are_no_status(heard):
    with pytest.raises(ShimError):
        decode(escpos.SHIM, escpos.PAPER, heard, {})


@pytest.mark.parametrize(
    "heard", [b"\x10\x00\x00\x0f\x12", b"\x12\x10\x00\x00\x0f", b"\x11\x12\x13", b"\x12" + b"\x38\x00\x03\x0f" * 2]
)
def test_automatic_status_and_flow_control_may_come_in_between(heard):
    assert said(escpos.PAPER, heard)["", "printer.paper"] == "present"


def test_a_text_may_hold_what_would_be_automatic_status():
    """`TILL` has the fixed bits of a group."""
    assert escpos.ASB.fullmatch(b"TILL")
    assert said(escpos.MAKER, b"_TILLWATCH\0")["", "identity.maker"] == "TILLWATCH"


async def test_no_answer_is_not_plenty_of_paper(replay_port, exchange):
    port = replay_port([exchange(request, answer) for request, answer in WELL[:3]])
    with pytest.raises(NoAnswerError):
        await Dialogue(escpos.SHIM, port).poll("fast")


async def asked(shim, port) -> set[bytes]:
    dialogue = Dialogue(shim, port)
    for every in ("fast", "normal", "slow"):
        with contextlib.suppress(ShimError):
            await dialogue.poll(every)
    return set(port.sent)


@pytest.mark.parametrize(
    ("maker", "does"), [(b"", False), (b"_BIXOLON\0", False), (b"_EPSONX\0", False), (b"_EPSON\0", True)]
)
async def test_counters_are_asked_of_an_epson_only(replay_port, exchange, maker, does):
    port = replay_port([exchange(escpos.MAKER.request, maker), *(exchange(*each) for each in WELL)])
    assert any(request.startswith(b"\x1dg2") for request in await asked(epson_tm.SHIM, port)) == does


@pytest.mark.parametrize(
    ("model", "does"), [(b"", False), (b"\x20", False), (b"\x02", False), (b"\xa8", True), (b"\xb9", True)]
)
async def test_counters_are_asked_of_a_custom_only(replay_port, exchange, model, does):
    port = replay_port([exchange(custom_kiosk.MODEL.request, model), *(exchange(*each) for each in WELL)])
    assert (custom_kiosk.CUTS.request in await asked(custom_kiosk.SHIM, port)) == does


async def test_a_printer_without_paper_is_read_although_its_buffer_waits(replay_port, exchange):
    port = replay_port([exchange(request, answer) for request, answer in [*WELL[:3], (WELL[3][0], b"\x7e")]])
    found = {each.signal: each.value for each in await Dialogue(epson_tm.SHIM, port).poll("fast")}
    assert found["printer.paper"] == "empty"


@pytest.mark.parametrize("heard", [b"(12376 cuts", b"12.3 2376 cuts", b"2376 cut", b"2376 cuts2376 cuts", b"2376cm"])
def test_a_counter_without_an_end_mark_must_come_alone(heard):
    with pytest.raises(ShimError):
        decode(custom_kiosk.SHIM, custom_kiosk.CUTS, heard, {})


def test_printers_are_asked_and_never_told():
    """DLE EOT, GS r, GS I, GS g 2, GS E2, E3, E5: none of the commands that print, cut, open a drawer or set something."""
    heads = (b"\x10\x04", b"\x1dr", b"\x1dI", b"\x1dg2\0", b"\x1d\xe2", b"\x1d\xe3", b"\x1d\xe5")
    for shim in (escpos.SHIM, epson_tm.SHIM, custom_kiosk.SHIM):
        assert all(request.startswith(heads) and len(request) <= 6 for request in shim.whitelist)


def test_automatic_status(transcript):
    for spoken in transcript("escpos_asb"):
        (heard,) = spoken.exchanges
        query, frame = exchange(escpos_asb.SHIM, heard.request, heard.answer)
        found = decode(escpos_asb.SHIM, query, frame, {})
        assert {(each.part, each.signal): (each.value, each.unit) for each in found} == spoken.expected


def test_automatic_status_that_is_cut_or_changed_in_its_fixed_bits_is_none():
    group = b"\x10\x00\x03\x0f"
    for length in range(4):
        with pytest.raises(ShimError):
            exchange(escpos_asb.SHIM, b"", group[:length])
    for at, fixed in enumerate((0x93, 0x90, 0x90, 0x90)):
        for mask in (1 << bit for bit in range(8)):
            changed = group[:at] + bytes([group[at] ^ mask]) + group[at + 1 :]
            if mask & fixed:
                with pytest.raises(ShimError):
                    exchange(escpos_asb.SHIM, b"", changed)
            else:
                exchange(escpos_asb.SHIM, b"", changed)


def test_a_printer_whose_port_another_program_owns():
    """That program hands over what it asked and heard; a change is believed when it is said twice."""
    tap = Tap(escpos.SHIM)
    for at, status in enumerate((b"\x12", b"\x12", b"\x7e", b"\x7e")):
        for request, answer in (*WELL[:3], (WELL[3][0], status)):
            tap.hand(request, answer, float(at))
    found = {(each.part, each.signal): each.value for each in tap.readings("fast", 4.0)}
    assert found["", "printer.paper"] == "empty"
    assert found["", "printer.online"] == "online"
