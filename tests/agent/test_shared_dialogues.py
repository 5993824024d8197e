"""Recordings of others, where they are there: dialogues with banknote acceptors and card readers, and EBDS messages with what they mean."""

from __future__ import annotations

import functools
import json

import pytest

from tests.agent.counters import DATA, needs
from tillwatch.agent.decode import Decoder, Judged

pytestmark = needs("serial")
SERIAL = DATA / "serial"
PROTOCOLS = ("ebds", "ccnet", "id003", "sankyo-ict3k5")
ROWS = [
    row
    for line in ((SERIAL / "transcripts.jsonl").read_text("utf-8").splitlines() if SERIAL.is_dir() else ())
    if (row := json.loads(line))["protocol"] in PROTOCOLS
]
FILE = SERIAL / "decapod" / "ebds_vectors.json"
VECTORS = (
    [each for each in json.loads(FILE.read_text("utf-8"))["vectors"] if each["checksum_ok"]] if FILE.is_file() else []
)

OF_THE_HOST = (
    "command.rs",
    "request.rs",
    "soft_reset.rs",
    "flash_download",
    "query_device_capabilities",
    "query_software_crc",
)
"""What a host sends, and answers of which nothing is read."""
ASKED = {
    "query_boot_part_number": ("06", "boot", "acceptor.program", "280000 V1.23"),
    "query_application_part_number": ("07", "", "identity.firmware", "280000 V1.23"),
    "query_variant_part_number": ("09", "variant", "acceptor.program", "280000 V1.23"),
    "query_application_id": ("0E", "application-id", "acceptor.program", "280000 V1.23"),
    "query_variant_id": ("0F", "variant-id", "acceptor.program", "280000 V1.23"),
    "query_variant_name": ("08", "", "identity.description", "SCNL 6670R"),
}
"""Answers that tell nothing of themselves: the request's subtype, and what they then mean."""


def said(judged: Judged) -> dict[tuple[str, str], object]:
    return {(each.part, each.signal): each.value for each in judged.found}


@functools.cache
def decoder() -> Decoder:
    """One for all: it reads every dialogue anew. Rows without a device leave nothing behind in it."""
    return Decoder()


async def decoded(request: str, reply: str, protocol: str = "ebds") -> Judged:
    return await decoder().judge(1, json.dumps({"protocol": protocol, "query_hex": request, "reply_hex": reply}))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["protocol"])
async def test_every_dialogue(row):
    judged = await decoder().judge(1, json.dumps(row))
    expected = dict(row["expected"])
    if expected.pop("crc_ok", None):
        assert judged.request == "known"  # a request is known by all its bytes, checksum included
        assert judged.error is not None
        assert judged.error.kind == "no-answer"
        assert set(said(judged).values()) == {None}
    else:
        found = said(judged)
        assert (found["", "acceptor.state"] == "outOfService") == expected.pop("out_of_service")
        assert (found["cashbox", "acceptor.cashbox"] == "attached") == expected.pop("cassette_attached")
    assert expected == {}


def asking(subtype: str) -> str:
    body = bytes.fromhex(f"02086000 00{subtype}03")
    check = 0
    for byte in body[1:-1]:
        check ^= byte
    return (body + bytes([check])).hex()


def test_every_protocol_has_a_row():
    assert {row["protocol"] for row in ROWS} == set(PROTOCOLS)
    assert VECTORS


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["file"])
async def test_every_message(vector):
    """As an answer: what a device says of its state, or a clean error; and never the state of a message that has none."""
    name = vector["file"].removeprefix("src/")
    subject = name.partition("/")[0]
    alone = await decoded("", vector["hex"])
    if subject in ASKED and "reply" in name:
        subtype, part, signal, value = ASKED[subject]
        judged = await decoded(asking(subtype), vector["hex"])
        assert judged.error is None
        assert said(judged) == {(part, signal): value}
    elif any(each in name for each in OF_THE_HOST) or int(vector["hex"][4:5]) == 6:
        assert alone.error is not None
        assert alone.error.kind == "undecodable"
    else:
        assert alone.error is None, vector["hex"]
        assert said(alone)["", "acceptor.state"] == "outOfService"  # the seven bits of its state are 0
        assert said(alone)["cashbox", "acceptor.cashbox"] == "removed"
        assert said(alone)["", "acceptor.fault"] == "none"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["file"])
async def test_a_spoilt_message_is_the_same_or_an_error(vector):
    message = bytes.fromhex(vector["hex"])
    subject = vector["file"].removeprefix("src/").partition("/")[0]
    request = asking(ASKED[subject][0]) if subject in ASKED else ""
    right = said(await decoded(request, message.hex()))
    spoilt = [message[:length] for length in range(len(message))]
    spoilt += [
        message[:at] + bytes([message[at] ^ 1 << bit]) + message[at + 1 :]
        for at in range(len(message))
        for bit in range(8)
    ]
    spoilt += [b"\0" + message, b"\x02" + message, b"\x02\x0b" + message, message + message]
    for each in spoilt:
        judged = await decoded(request, each.hex())
        if judged.error is None:
            assert said(judged) == right, each.hex()
