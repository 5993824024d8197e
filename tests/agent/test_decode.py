"""The command, over every shim there is: a transcript's exchanges as rows give the transcript's readings, and spoilt rows give these or an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.firmware_shims.conftest import TRANSCRIPTS, read_transcript
from tillwatch.agent import decode
from tillwatch.agent.decode import Decoder
from tillwatch.firmware_shims.base import Shim, load_all

SHIMS = {shim.name: shim for shim in load_all() if (TRANSCRIPTS / f"{shim.name}.txt").is_file()}
READING = {"component", "label", "signal", "value", "unit", "state", "oid"}
ROW = {"row", "protocol", "profile", "request", "readings", "error"}
IDLE = {"protocol": "ccnet", "query_hex": "02030633da81", "reply_hex": "0203061467d4"}


def rows_of(shim: Shim, spoken) -> list[tuple[bytes, bytes]]:
    """What is asked first in the field stands first."""
    first = {query.request for query in shim.queries if query.first}
    rows = [(each.request, each.answer) for each in spoken.exchanges if each.answer]
    return sorted(rows, key=lambda row: row[0] not in first)


async def judge(decoder: Decoder, shim: Shim, request: bytes, reply: bytes, device: str = "") -> decode.Judged:
    row = {"protocol": shim.name, "query_hex": request.hex(), "reply_hex": reply.hex(), "device": device}
    return await decoder.judge(1, json.dumps(row))


def said(judged: decode.Judged) -> dict[tuple[str, str], tuple[object, str]]:
    return {(each.part, each.signal): (each.value, each.unit) for each in judged.found}


@pytest.mark.parametrize("shim", SHIMS.values(), ids=SHIMS)
async def test_the_rows_of_a_dialogue_give_its_readings(shim):
    counted = {(each.part, each.signal) for each in shim.tallies}
    decoder = Decoder()
    for number, spoken in enumerate(read_transcript(shim.name)):
        found: dict[tuple[str, str], tuple[object, str]] = {}
        for request, reply in rows_of(shim, spoken):
            judged = await judge(decoder, shim, request, reply, f"device {number}")
            assert judged.error is None or not judged.found  # some refuse, or say that they cannot now
            found |= said(judged)
        expected = {key: value for key, value in spoken.expected.items() if key not in counted}
        assert found == expected, spoken.title


@pytest.mark.parametrize("shim", [shim for shim in SHIMS.values() if shim.check], ids=lambda shim: shim.name)
async def test_with_a_checksum_a_spoilt_reply_is_the_same_or_an_error(shim):
    """Every bit turned round, every cut, noise before and behind, the request before it."""
    decoder = Decoder()  # of no device: no row knows of another
    for spoken in read_transcript(shim.name):
        for request, reply in dict.fromkeys(rows_of(shim, spoken)):
            right = said(await judge(decoder, shim, request, reply))
            spoilt = [reply[:length] for length in range(len(reply))]
            spoilt += [
                bytes(reply[:at]) + bytes([reply[at] ^ 1 << bit]) + reply[at + 1 :]
                for at in range(len(reply))
                for bit in range(8)
            ]
            spoilt += [noise + reply for noise in (b"\0", b"\xff\xfe", b"~~~", b"\x02", b"\xfc", request)]
            spoilt += [reply + noise for noise in (b"\0", b"\xff", b"\r\n", b"\x02\x03")]
            for each in spoilt:
                judged = await judge(decoder, shim, request, each)
                if judged.error is None:
                    assert said(judged) == right, (request.hex(), each.hex())
                else:
                    assert all(value is None for value, _ in said(judged).values())


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-P", "-m", "tillwatch.agent", "decode", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def write(path: Path, *rows) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def test_one_object_a_row(tmp_path):
    done = command(write(tmp_path / "x.jsonl", IDLE, "", {**IDLE, "protocol": "cashcode"}), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = map(json.loads, done.stdout.splitlines())
    assert set(first) == ROW
    assert (first["row"], first["protocol"], first["profile"], first["request"]) == (1, "ccnet", "ccnet", "known")
    assert first["error"] is None
    assert all(set(reading) == READING for reading in first["readings"])
    assert first["readings"][0] == {
        "component": "ccnet",
        "label": "",
        "signal": "acceptor.state",
        "value": "idle",
        "unit": "",
        "state": "ok",
        "oid": "",
    }
    assert (second["row"], second["protocol"], second["profile"]) == (3, "cashcode", "ccnet")
    assert second["readings"] == first["readings"]


def test_people_get_tables(tmp_path):
    done = command(write(tmp_path / "x.jsonl", IDLE, {**IDLE, "protocol": "morse"}))
    assert done.returncode == 1
    assert "row 1, ccnet: profile ccnet, 6 readings" in done.stdout
    assert "row 2, morse: unknown-protocol: no shim speaks 'morse'; there are" in done.stdout
    assert done.stderr == "decode: 1 of 2 rows have an error\n"


@pytest.mark.parametrize(
    ("row", "kind", "text"),
    [
        ("{", "bad-row", "not JSON"),
        ("[" * 50_000, "bad-row", "not JSON"),
        ("[]", "bad-row", "not a JSON object"),
        ({"protocol": "ccnet"}, "bad-row", "needs `query_hex`"),
        ({**IDLE, "reply_hex": None}, "bad-row", "needs `reply_hex`, a string"),
        ({**IDLE, "query_hex": "0x02"}, "bad-row", "pairs of hex digits"),
        ({**IDLE, "protocol": "morse"}, "unknown-protocol", "there are"),
        ({**IDLE, "query_hex": "0203063041b3"}, "unknown-request", "nothing is read"),
        ({**IDLE, "reply_hex": ""}, "no-answer", "not answered"),
        ({**IDLE, "reply_hex": "0203061467d5"}, "undecodable", "good checksum"),
        ({"protocol": "megatec-x", "query_hex": "5147530d", "reply_hex": "5147530d"}, "unsupported", "does not know"),
        ({"protocol": "megatec-q1", "query_hex": "51310d", "reply_hex": "284e414b0d"}, "unsupported", "does not know"),
        ({"protocol": "megatec-q1", "query_hex": "51310d", "reply_hex": "28310d"}, "undecodable", "too short"),
        ({"protocol": "megatec-q1", "query_hex": "51310d", "reply_hex": ""}, "no-answer", "not answered"),
    ],
)
async def test_what_is_wrong_is_an_error_of_its_row(row, kind, text):
    judged = await Decoder().judge(7, row if isinstance(row, str) else json.dumps(row))
    assert judged.error is not None
    assert judged.plain()["error"] == {"kind": kind, "text": str(judged.error)}
    assert text in str(judged.error)
    assert "\n" not in str(judged.error)
    assert kind in decode.KINDS
    assert judged.plain()["row"] == 7


async def test_no_answer_is_not_good_health():
    judged = await Decoder().judge(1, json.dumps({**IDLE, "reply_hex": ""}))
    readings = judged.plain()["readings"]
    assert {reading["signal"] for reading in readings} >= {"acceptor.state", "part.fitness", "part.supply"}
    assert {(reading["value"], reading["state"]) for reading in readings} == {(None, "unknown")}
    assert judged.request == "known"


async def test_an_answer_that_nobody_asked_for():
    row = {"protocol": "ebds", "query_hex": "", "reply_hex": "020b20000000000000032b"}
    judged = await Decoder().judge(1, json.dumps(row))
    assert judged.error is None
    assert judged.request == "none"
    assert said(judged)["", "acceptor.state"] == ("outOfService", "")


async def test_rows_of_one_device_lean_on_each_other():
    ratings = {"protocol": "megatec-q1", "query_hex": "460d", "reply_hex": b"#230.0 000 024.0 50.0\r".hex()}
    status = {"query_hex": "51310d", "reply_hex": b"(229.9 229.9 230.0 041 50.0 2.26 --.- 00000001\r".hex()}
    decoder, found = Decoder(), []
    for device in ("a", "b"):
        if device == "a":
            await decoder.judge(1, json.dumps({**ratings, "device": "a"}))
        judged = await decoder.judge(2, json.dumps({**ratings, **status, "device": device}))
        found.append(said(judged).get(("", "ups.battery.voltage")))
    assert found == [(27.12, "V"), None]


def test_a_request_that_no_name_leads_to_is_found_by_its_bytes(tmp_path):
    row = {
        "protocol": "ups-of-the-branch",
        "query_hex": "51310d",
        "reply_hex": b"(231.4 231.4 230.1 023 50.0 27.3 28.5 00001001\r".hex(),
    }
    shown = json.loads(command(write(tmp_path / "x.jsonl", row), "--json").stdout)
    assert shown["profile"] == "megatec_q1"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no row; a row is"),
        ("\n\n", "no row"),
        ('{"a": "' + "x" * decode.MAX_ROW + '"}', "line 1: over"),
        ("\ud800", "x.jsonl"),
    ],
    ids=["empty", "blank", "huge", "not UTF-8"],
)
def test_a_file_that_is_none(tmp_path, text, why):
    path = tmp_path / "x.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    done = command(path, "--json")
    assert done.returncode == 1
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_not_there(tmp_path):
    done = command(tmp_path / "none.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file" in done.stderr


def test_the_help_says_the_exit_codes_and_every_kind_of_error():
    shown = command("--help").stdout
    assert "exit codes:" in shown
    for kind in ("bad-row", "unknown-protocol", "unknown-request", "no-answer", "unsupported", "undecodable"):
        assert kind in shown
