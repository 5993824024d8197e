"""What single messages mean; the dialogues are in the transcript."""

from __future__ import annotations

import pytest

from tillwatch.firmware_shims import ebds
from tillwatch.firmware_shims.base import ShimError
from tillwatch.firmware_shims.checksums import xor
from tillwatch.firmware_shims.engine import decode
from tillwatch.firmware_shims.tap import exchange, is_request


def message(*body: int) -> bytes:
    frame = bytes([2, len(body) + 4, *body, 3])
    return frame + bytes([xor(frame[1:-1])])


def status(*data: int) -> dict[tuple[str, str], object]:
    frame = message(0x20, *data)
    return {(each.part, each.signal): each.value for each in decode(ebds.SHIM, ebds.STATUS, frame, {})}


@pytest.mark.parametrize(
    ("data", "state"),
    [
        ((0, 0x10, 0, 0, 0, 0), "outOfService"),
        ((1, 0x10, 0, 0, 0, 0), "idle"),
        ((2, 0x10, 0, 0, 0, 0), "accepting"),
        ((4, 0x10, 0, 0, 0, 0), "escrow"),
        ((8, 0x10, 0, 0, 0, 0), "stacking"),
        ((0x11, 0x10, 0, 0, 0, 0), "stacked"),
        ((0x20, 0x10, 0, 0, 0, 0), "returning"),
        ((0x41, 0x10, 0, 0, 0, 0), "returned"),
        ((1, 0x12, 0, 0, 0, 0), "rejecting"),
        ((1, 0x11, 0, 0, 0, 0), "cheated"),
        ((1, 0x30, 0, 0, 0, 0), "paused"),
        ((1, 0x50, 0, 0, 0, 0), "calibrating"),
        ((0, 0x10, 1, 0, 0, 0), "initialising"),
    ],
)
def test_each_bit_of_what_it_does(data, state):
    assert status(*data)["", "acceptor.state"] == state


@pytest.mark.parametrize(
    ("data", "fitness", "security", "supply"),
    [
        ((1, 0x10, 0, 0, 0, 0), "ok", "normal", "ok"),
        ((0, 0x18, 0, 0, 0, 0), "ok", "normal", "full"),
        ((0, 0x00, 0, 0, 0, 0), "ok", "attention", "unknown"),
        ((1, 0x11, 0, 0, 0, 0), "ok", "attention", "ok"),
        ((1, 0x10, 0x40, 0, 0, 0), "ok", "attention", "ok"),
        ((0, 0x14, 0, 0, 0, 0), "failed", "normal", "ok"),
        ((0, 0x10, 4, 0, 0, 0), "failed", "normal", "ok"),
        ((0, 0x10, 0, 1, 0, 0), "failed", "normal", "ok"),
        ((1, 0x50, 0, 0, 0, 0), "warn", "normal", "ok"),
        ((0, 0x1C, 0x44, 0, 0, 0), "failed", "attention", "full"),
    ],
)
def test_fitness_supply_and_security_are_apart(data, fitness, security, supply):
    said = status(*data)
    assert (said["", "part.fitness"], said["", "part.security"]) == (fitness, security)
    assert said["cashbox", "part.supply"] == supply


def test_the_extended_reply_of_a_note_has_the_same_six_bytes():
    frame = message(0x71, 2, 0x10, 0x10, 0, 0, 0x54, 0x1E, 0, *b"EUR010+00", 0, *b"AAAA", 0, 0, 0)
    query, found = exchange(ebds.SHIM, b"", frame)
    assert {each.signal: each.value for each in decode(ebds.SHIM, query, found, {})}["acceptor.state"] == "stacked"


@pytest.mark.parametrize(
    "body",
    [
        (0x70, 0x0D, 0, 0, 0, 1),  # bookmark mode
        (0x70, 0x03, 0, 0, 0, *[0x7F] * 8),  # note inhibits
        (0x70, 0x03, 0, 0, 0, *[0x7F] * 16),
        (0x70, 0x04, 0, 0, 0, 1, 2),  # escrow timeout
        (0x70, 0x02, 0x7F, 0x1C, 0, 1),  # query of a note
        (0x10, 0x7F, 0x1C, 0),
        (0x60, 0, 0, 7),
    ],
)
def test_what_a_host_says_is_never_a_state(body):
    with pytest.raises(ShimError):
        exchange(ebds.SHIM, b"", message(*body))


def test_part_numbers_are_those_that_were_asked_for():
    reply = message(0x60, *b"287531204")
    assert exchange(ebds.SHIM, message(0x60, 0, 0, 7), reply)[0] is ebds.APPLICATION
    assert exchange(ebds.SHIM, message(0x61, 0, 0, 9), reply)[0] is ebds.VARIANT
    with pytest.raises(ShimError):
        exchange(ebds.SHIM, b"", reply)
    with pytest.raises(ShimError):
        exchange(ebds.SHIM, message(0x10, 0x7F, 0, 0), reply)


def test_a_reset_order_is_none_of_the_requests():
    assert [query for query in ebds.SHIM.queries if is_request(query, message(0x60, 0x7F, 0x7F, 0x7F))] == []
