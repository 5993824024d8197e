"""Dialogues in YAML: every mistake with its line and mend, and what the fields become. The shipped ones run with the tests of all shims."""

from __future__ import annotations

import pytest

from tillwatch.firmware_shims.base import Ended, ShimError, UnsupportedError, load
from tillwatch.firmware_shims.dialogue import load_file, problems
from tillwatch.firmware_shims.engine import Dialogue, decode
from tillwatch.firmware_shims.framing import Paused

GOOD = """\
title: a test device
line: {baud: 9600}
framing: {ends_with: "\\r"}
queries:
  status: {send: "S\\r", answer: '(?P<a>-?\\d+\\.?\\d*|--) (?P<b>\\w+) (?P<c>[01]+)'}
readings:
  - {signal: ups.input.voltage, query: status, field: a, absent: '--', range: [0, 500]}
"""


def written(tmp_path, text):
    path = tmp_path / "device.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def shim_of(tmp_path):
    return lambda text: load_file(written(tmp_path, text))


def said(shim, frame, query=None):
    return {each.signal: each.value for each in decode(shim, query or shim.claim, frame, {})}


def test_a_good_file(shim_of):
    shim = shim_of(GOOD)
    assert (shim.name, shim.title, shim.line.baud, shim.whitelist) == ("device", "a test device", 9600, {b"S\r"})
    assert said(shim, b"231.5 X 01") == {"ups.input.voltage": 231.5}
    assert said(shim, b"-- X 01") == {}
    assert said(shim, b"501 X 01") == {"ups.input.voltage": None}


@pytest.mark.parametrize(
    ("old", "new", "line", "wrong"),
    [
        ("title: a test device\n", "", 1, "'title' is missing; add `title: ...`"),
        ("queries:", "querys:", 4, "unknown key 'querys'; did you mean queries?"),
        ("baud: 9600", "baud: fast", 2, "'fast' is not a number"),
        ("baud: 9600", "baud: 9", 2, "9 baud is no speed of a serial line; write one such as 9600"),
        ("baud: 9600", "baud: 9600, parity: M", 2, "'M' is no parity; it must be one of E, N, O"),
        ('framing: {ends_with: "\\r"}\n', "", 1, "'framing' is missing"),
        ('ends_with: "\\r"', "ends_with: '\\r'", 3, "a backslash stands in .* write it in double quotes"),
        ('ends_with: "\\r"', 'ends_with: "\\r", silence: true', 3, "2 ways of framing; write one of"),
        (
            'ends_with: "\\r"',
            'ends_with: "\\r", length_adds: 2',
            3,
            "length_adds does not go with ends_with; take it out",
        ),
        ('ends_with: "\\r"', "length_at: 1", 3, "'starts_with' is missing"),
        ('ends_with: "\\r"', "silence: false", 3, "silence: false says nothing"),
        ('send: "S\\r"', "send: S\\r", 5, "a backslash stands in"),
        ('send: "S\\r"', 'send_hex: "5"', 5, "'5' is not hexadecimal; write two digits a byte"),
        ('send: "S\\r"', 'send: ""', 5, "an empty text says nothing"),
        ('send: "S\\r"', 'send: "S中"', 5, "has characters that are no bytes"),
        ('send: "S\\r"', 'send: "S", send_hex: "53"', 5, "a query sends one thing"),
        ('send: "S\\r"', 'send: "S", sealed: true', 5, "there is no checksum to put behind it"),
        ('send: "S\\r"', f'send: "{"S" * 65}"', 5, "65 bytes; a request that only asks has 1 to 64"),
        ("answer: '(?P<a>", "answer: '(?P<a", 5, "is no regular expression"),
        (", answer: '", ", lead: '", 5, "'answer' is missing"),
        ('\\r", answer', '\\r", every: often, answer', 5, "'often' is no polling class"),
        (
            "signal: ups.input.voltage",
            "signal: ups.input.volts",
            7,
            "no signal 'ups.input.volts' in the catalogue; did you mean ups.input.voltage",
        ),
        ("query: status", "query: state", 7, "no query 'state'; did you mean status?"),
        ("field: a", "field: z", 7, "'z' is no named group of the query's answer; it must be one of a, b, c"),
        ("field: a", "field: a, slice: [0, 2]", 7, "a reading is in one place"),
        ("field: a", "slice: [2, 2]", 7, "a slice is the first byte and the one after the last"),
        ("field: a", "register: 2", 7, "only an answer to `read` has registers"),
        ("field: a", "field: a, as: text", 7, "ups.input.voltage is a number; write `as: number`"),
        ("field: a", "field: a, words: {1: normal}", 7, "'normal' is no word of this signal"),
        ("field: a", "field: a, divisor: 0", 7, "nothing can be divided by 0"),
        ("field: a", "field: a, raw_unit: kW", 7, "kW is no unit for ups.input.voltage, which is in V"),
        ("field: a", "field: a, unit: V", 7, "the catalogue has the unit of ups.input.voltage; take it out"),
        (", range: [0, 500]", "", 7, r"is a number and there is no checksum; add `range: \[lowest, highest\]`"),
        ("range: [0, 500]", "range: [500, 0]", 7, "a range is the lowest and the highest value"),
        ("field: a", "part: a/b, field: a", 7, "'a/b' is no name of a part"),
        ("readings:\n", "timeout: 100\nreadings:\n", 6, "100 is too little or too much; write 0.05 to 10"),
        ("readings:\n", "claim: state\nreadings:\n", 6, "no query 'state'; did you mean status?"),
        ("readings:\n", "checksum: {name: crc99}\nreadings:\n", 6, "'crc99' is no checksum"),
        (
            "readings:\n",
            "checksum: {name: xor, to: 2}\nreadings:\n",
            6,
            "`from` counts from the start and `to` back from the end",
        ),
        (
            "readings:\n",
            "  more: {send: \"S\\r\", answer: 'x'}\nreadings:\n",
            6,
            "'more' sends what another query sends",
        ),
        (
            "readings:\n",
            "  more: {send: \"M\\r\", answer: 'x'}\nreadings:\n",
            8,
            "no reading is taken from query 'more'",
        ),
        (
            "readings:\n",
            "  regs: {read: {function: 3, register: 0}}\nreadings:\n",
            6,
            "do not go into one file; write two files",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_mend(tmp_path, old, new, line, wrong):
    assert old in GOOD
    found = problems(written(tmp_path, GOOD.replace(old, new, 1)))
    assert len(found) == 1, found
    with pytest.raises(ShimError, match=wrong):
        raise ShimError(found[0])
    assert found[0].startswith(f"{tmp_path / 'device.yaml'}:{line}: "), found


def test_every_mistake_is_told_at_once(tmp_path):
    text = (
        GOOD.replace("baud: 9600", "baud: 9600").replace("field: a", "field: z")
        + "  - {signal: ups.x, query: status, field: a}\n"
    )
    found = problems(written(tmp_path, text))
    assert [each.split(":")[1] for each in found] == ["7", "8"]
    with pytest.raises(ShimError) as error:
        load_file(written(tmp_path, text))
    assert str(error.value) == "\n".join(found)


@pytest.mark.parametrize("text", ["", "title: [", "- a list", "just text", "queries: []\n"])
def test_what_is_no_dialogue_at_all(tmp_path, text):
    assert problems(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ShimError, match=r"nothing\.yaml:1: No such file"):
        load(str(tmp_path / "nothing.yaml"))


READINGS = {
    "{signal: ups.battery.runtime, query: status, field: a, raw_unit: s, range: [0, 999]}": (b"90 X 01", 1.5),
    "{signal: ups.temperature, query: status, field: a, raw_unit: F, range: [-40, 99]}": (b"212 X 01", None),
    "{signal: ups.temperature, query: status, field: a, multiplier: 2, divisor: 4, offset: -40, range: [-40, 99]}": (
        b"100 X 01",
        10.0,
    ),
    "{signal: ups.output.load, query: status, field: b, as: hex, range: [0, 255]}": (b"1 1F 01", 31),
    "{signal: ups.output.load, query: status, field: c, as: hex, bit: 4, range: [0, 1]}": (b"1 X 10", 1),
    "{signal: identity.model, query: status, field: b}": (b"1 TW9 01", "TW9"),
    "{signal: ups.mains, query: status, field: c, as: flags, bit: 1, words: {0: present, 1: failed}}": (
        b"1 X 01",
        "failed",
    ),
    "{signal: ups.mains, query: status, field: b, words: {OK: present, BAD: failed}}": (b"1 BAD 01", "failed"),
    "{signal: ups.mains, query: status, field: b, words: {OK: present}}": (b"1 BAD 01", None),
    "{signal: ups.mains, query: status, field: a, as: number, words: {1: present, 2: failed}}": (b"2 X 01", "failed"),
    "{signal: ups.mains, query: status, field: c, patterns: [{like: '.1', word: failed}, {like: '..', word: present}]}": (
        b"1 X 01",
        "failed",
    ),
    "{signal: ups.output.load, query: status, slice: [0, 1], as: uint, range: [0, 255]}": (b"1 X 01", 0x31),
    "{signal: ups.output.load, query: status, slice: [0, 2], as: uint-little, range: [0, 65535]}": (b"10 X 01", 0x3031),
    "{signal: experimental.x, kind: gauge, unit: m, meaning: travel, query: status, field: a, range: [0, 9]}": (
        b"7 X 01",
        7,
    ),
    "{signal: experimental.y, kind: state, meaning: lock, states: {shut: ok, ajar: warn}, query: status, field: b, words: {S: shut, A: ajar}}": (
        b"7 A 01",
        "ajar",
    ),
}


@pytest.mark.parametrize("reading", READINGS)
def test_what_a_field_becomes(shim_of, reading):
    frame, value = READINGS[reading]
    shim = shim_of(GOOD[: GOOD.index("  - {")] + f"  - {reading}\n")
    assert list(said(shim, frame).values()) == [value]
    assert type(next(iter(said(shim, frame).values()))) is type(value)


def test_states_come_from_the_catalogue(shim_of):
    shim = shim_of(
        GOOD[: GOOD.index("  - {")]
        + "  - {signal: ups.mains, query: status, field: b, words: {OK: present, BAD: failed}}\n"
    )
    assert [each.state for each in decode(shim, shim.claim, b"1 BAD 01", {})] == ["warn"]


SEALED = """\
title: with a checksum
line: {baud: 9600, bits: 7, parity: E, stop: 2, dtr: false, rts: false}
framing: {ends_with: "\\r"}
checksum: {name: crc16-voltronic, order: big}
queries:
  mode: {send: QMOD, sealed: true, answer: '\\((?P<mode>[LB])..', lead: '('}
readings:
  - {signal: ups.output.source, query: mode, field: mode, words: {L: normal, B: battery}}
"""


def test_a_request_is_sealed_and_an_answer_checked(shim_of):
    shim = shim_of(SEALED)
    assert shim.whitelist == {b"QMOD\x49\xc1\r"}
    assert shim.framing == Ended(b"\r", pad=b"")
    assert (shim.line.bits, shim.line.parity, shim.line.stop, shim.line.dtr, shim.line.rts) == (7, "E", 2, False, False)
    assert said(shim, b"(L\x06\x07") == {"ups.output.source": "normal"}
    with pytest.raises(ShimError, match="wrong crc16-voltronic checksum"):
        decode(shim, shim.claim, b"(B\x06\x07", {})


REGISTERS = """\
title: registers
line: {baud: 9600}
queries:
  power: {read: {unit: 7, function: 3, register: 100, count: 6}}
readings:
  - {signal: pdu.voltage, query: power, register: 100, divisor: 10}
  - {signal: pdu.energy, query: power, register: 101, as: uint32, word_order: little, raw_unit: Wh}
  - {signal: pdu.current, query: power, register: 103, as: int16, absent: 32767, divisor: 100}
  - {signal: pdu.breaker, query: power, register: 104, bit: 2, words: {0: closed, 1: tripped}}
  - {signal: pdu.source, query: power, register: 105, words: {0: a, 1: b}}
"""


def test_registers(shim_of):
    from tillwatch.firmware_shims import modbus

    shim = shim_of(REGISTERS)
    assert shim.framing == Paused()
    answer = modbus.sealed(bytes.fromhex("07030c") + bytes.fromhex("090686a000017fff00040001"))
    assert said(shim, answer) == {
        "pdu.voltage": 231.0,
        "pdu.energy": 100.0,
        "pdu.breaker": "tripped",
        "pdu.source": "b",
    }
    with pytest.raises(UnsupportedError):
        decode(shim, shim.claim, modbus.sealed(b"\x07\x83\x02"), {})


@pytest.mark.parametrize(
    ("old", "new", "line", "wrong"),
    [
        ("function: 3", "function: 6", 4, "function 6 may not be sent; only 3 and 4 read"),
        ("unit: 7", "unit: 0", 4, "unit 0, 6 registers from 100: outside of what Modbus has"),
        ("register: 105", "register: 106", 10, "register 106 .* is not among the 6 that are read from 100"),
        ("as: uint32", "as: uint64", 7, "'uint64' is no kind of register"),
        ("count: 6}", "count: 6}, lead: x", 4, "lead does not go with read; take it out"),
        ("queries:", 'framing: {ends_with: "\\r"}\nqueries:', 3, "framing does not go with `read`"),
    ],
)
def test_a_mistake_with_registers(tmp_path, old, new, line, wrong):
    found = problems(written(tmp_path, REGISTERS.replace(old, new, 1)))
    assert len(found) == 1, found
    assert found[0].startswith(f"{tmp_path / 'device.yaml'}:{line}: ")
    with pytest.raises(ShimError, match=wrong):
        raise ShimError(found[0])


def test_a_modbus_order_written_by_hand_is_refused(tmp_path):
    text = SEALED.replace("crc16-voltronic, order: big", "crc16-modbus").replace(
        "send: QMOD", "send_hex: '01 06 00 01 00 01'"
    )
    (found,) = problems(written(tmp_path, text))
    assert "Modbus functions 3 and 4 read, others write" in found


def test_the_bounds(tmp_path):
    many = GOOD.replace(
        "readings:", "".join(f'  q{n}: {{send: "Q{n}\\r", answer: "x"}}\n' for n in range(40)) + "readings:"
    )
    assert any("41 queries; write 1 to 32" in each for each in problems(written(tmp_path, many)))
    last = GOOD.splitlines()[-1]
    assert any("300 readings; write 1 to 200" in each for each in problems(written(tmp_path, GOOD + f"{last}\n" * 299)))


async def test_a_dialogue_runs_like_any_shim(tmp_path, replay_port, exchange):
    port = replay_port([exchange(b"S\r", b"231.5 X 01\r")])
    found = await Dialogue(load(str(written(tmp_path, GOOD))), port).poll("fast")
    assert [(each.signal, each.value, each.unit) for each in found] == [("ups.input.voltage", 231.5, "V")]
    assert set(port.sent) == {b"S\r"}


def test_a_reading_stands_once(tmp_path):
    (found,) = problems(written(tmp_path, GOOD + GOOD.splitlines()[-1] + "\n"))
    assert found.startswith(f"{tmp_path / 'device.yaml'}:8: ups.input.voltage is read a second time; keep one")
    other = GOOD.splitlines()[-1].replace("field: a", "part: b, field: a")
    assert problems(written(tmp_path, GOOD + other + "\n")) == []
