"""The keys of a dialogue's YAML: which there are, what each is for, and one example. The loader takes the lists of keys from here and the
reference page is made of them, so that neither can know a key that the other does not.
"""

from __future__ import annotations

from types import MappingProxyType

Keys = MappingProxyType[str, tuple[str, str]]
"""key -> what it is for, an example."""


def _keys(**keys: tuple[str, str]) -> Keys:
    return MappingProxyType({name.rstrip("_"): value for name, value in keys.items()})


TOP = _keys(
    title=("What kind of device this is, for people.", "title: UPS that speaks Megatec Q1"),
    line=("Settings of the port. `baud` is needed.", "line: {baud: 2400}"),
    framing=(
        "How an answer is cut out of what comes: one of the four ways below. Left out where all queries are `read`.",
        'framing: {ends_with: "\\r\\n"}',
    ),
    checksum=(
        "The checksum of every answer. An answer whose checksum is wrong is asked for again and never read. `read` brings its own.",
        "checksum: {name: crc16-xmodem, order: big}",
    ),
    refusals=('Answers that mean "I do not know this request". Its echo means the same.', 'refusals: ["(NAK", N]'),
    timeout=("Seconds to wait for an answer to begin; 1 if left out, at most 10.", "timeout: 3"),
    gap=(
        "Seconds of silence after which a begun answer is complete or broken off; 0.3 if left out, at most 2.",
        "gap: 0.5",
    ),
    pause=(
        "Seconds of silence before each request, where a device needs them; none if left out, at most 1.",
        "pause: 0.05",
    ),
    tries=("How often a query is sent before its silence is an error; 3 if left out, at most 5.", "tries: 2"),
    claim=(
        "The query whose good answer proves that this device is there; it is the first that is sent. If left out, the first of `queries`.",
        "claim: status",
    ),
    queries=(
        "What may be sent, each under a name of its own. Nothing else can leave the agent.",
        'queries: {status: {send: "Q1\\r", answer: "..."}}',
    ),
    readings=(
        "Which part of which answer is which signal.",
        "readings: [{signal: ups.input.voltage, query: status, field: input, range: [0, 500]}]",
    ),
)
LINE = _keys(
    baud=("Speed. `baud` in agent.toml goes before it.", "baud: 9600"),
    bits=("Data bits, 7 or 8; 8 if left out.", "bits: 7"),
    parity=("N, E or O; N if left out.", "parity: E"),
    stop=("Stop bits, 1 or 2; 1 if left out.", "stop: 2"),
    dtr=(
        "Level of DTR before the port is opened; `true` if left out. On a wrong cable it can switch a UPS off.",
        "dtr: false",
    ),
    rts=("The same for RTS.", "rts: false"),
)
FRAMING = _keys(
    ends_with=("Characters of which any ends an answer, as a text in double quotes.", 'ends_with: "\\r\\n"'),
    pad=(
        "With `ends_with`: characters to take off both ends of an answer. NUL if left out; none with a checksum.",
        'pad: "\\0"',
    ),
    closing=(
        "Regular expression of the line that closes an answer of several lines.",
        "closing: '[\\r\\n](OK|ERROR)[\\r\\n]'",
    ),
    starts_with=("With `length_at`: the bytes, in hexadecimal, that every answer starts with.", "starts_with: '02'"),
    length_at=("Place of the byte that counts the bytes of the answer, from 0.", "length_at: 1"),
    length_adds=("With `length_at`: bytes of the answer that it does not count; 0 if left out.", "length_adds: 2"),
    silence=("`true`: all that comes until the line is silent for `gap` is one answer.", "silence: true"),
)
CHECKSUM = _keys(
    name=("One of the names below.", "name: crc16-modbus"),
    from_=("Where the covered bytes begin in an answer; 0 if left out.", "from: 1"),
    to=("Where they end, counted back from its end; the width of the checksum if left out.", "to: -2"),
    order=("little (low byte first) or big; little if left out.", "order: big"),
)
QUERY = _keys(
    send=(
        "The request as text, its end mark included. In double quotes, so that `\\r` is a carriage return.",
        'send: "Q1\\r"',
    ),
    send_hex=("The request in hexadecimal.", "send_hex: '10 04 01'"),
    sealed=(
        "`true`: the checksum, and after it the first end mark, are put behind `send` or `send_hex`.",
        "sealed: true",
    ),
    read=(
        "A Modbus request: `unit` (1 if left out), `function` (3 or 4), `register` (as on the line, from 0), `count`.",
        "read: {function: 4, register: 1, count: 2}",
    ),
    answer=(
        "Regular expression that the whole answer must match, with its fields as named groups. In single quotes. Not with `read`.",
        "answer: '\\((?P<input>\\d{3}\\.\\d) .*'",
    ),
    lead=("What an answer starts with: what comes before it is noise.", "lead: '('"),
    every=("fast, normal or slow: how often it is asked; fast if left out.", "every: slow"),
    optional=("`true`: many devices do not know it; its failure is no error of the device.", "optional: true"),
)
READ = _keys(
    unit=("Address of the device, 1 to 247; 1 if left out.", "unit: 3"),
    function=("3 reads holding registers, 4 input registers. No other can be sent.", "function: 4"),
    register=("The first register, as it stands on the line: counted from 0.", "register: 1"),
    count=("How many; 1 if left out.", "count: 2"),
)
READING = _keys(
    signal=(
        "A name of the catalogue, or `experimental.<anything>` with `kind`, `unit` and `meaning`.",
        "signal: ups.output.load",
    ),
    query=("The name of the query whose answer has it.", "query: status"),
    part=("The part of the device that it belongs to; the device itself if left out.", "part: output:1"),
    field=("A named group of the query's `answer`.", "field: load"),
    slice=("Instead of a group: first byte of the answer and the one after the last.", "slice: [3, 5]"),
    register=("With `read`: the register, or the first of two.", "register: 2"),
    as_=(
        (
            "What the bytes are: number, hex, flags or text where the answer is text; uint, int, uint-little or int-little in binary; uint16, int16, "
            "uint32, int32 or float32 in registers. number if left out; uint16 with `register`; text where the signal is text or has `words`."
        ),
        "as: hex",
    ),
    word_order=(
        "With two registers: big if the high one comes first, little if the low one does; big if left out.",
        "word_order: little",
    ),
    bit=(
        "One bit: of flags (a text of 0 and 1) from the left, of a number from the lowest, both from 0. It is 0 or 1 for `words`.",
        "bit: 3",
    ),
    words=("For a state: what stands there, and the catalogue's word for it.", "words: {0: present, 1: failed}"),
    patterns=(
        "For a state: regular expressions for the whole field, and their words; the first that matches wins.",
        "patterns: [{like: '1.*', word: battery}, {like: '0.*', word: normal}]",
    ),
    absent=(
        "What stands there when the device does not have the value: regular expressions of a text, or numbers.",
        "absent: ['-+\\.-', 32767]",
    ),
    multiplier=("The number is multiplied by it.", "multiplier: 1000"),
    divisor=("The number is divided by it.", "divisor: 10"),
    offset=("Added after that.", "offset: -40"),
    raw_unit=("The device's unit where it is not the catalogue's.", "raw_unit: F"),
    range=(
        "What is possible at all, in the catalogue's unit: anything else is an error and no value. Needed for a number where there is no checksum.",
        "range: [0, 500]",
    ),
    static=(
        "`true`: a rating, which does not change by itself: without a checksum it is believed when said twice.",
        "static: true",
    ),
    kind=("For an experimental signal: gauge, counter, state or text.", "kind: gauge"),
    unit=("For an experimental signal: a unit of the catalogue.", "unit: mm"),
    meaning=("For an experimental signal: what it is.", "meaning: travel of the lock"),
    states=("For an experimental state: its words and what they mean.", "states: {shut: ok, ajar: warn}"),
)
PATTERN = _keys(
    like=("Regular expression for the whole field.", "like: '..1.*'"),
    word=("The word of the catalogue.", "word: bypass"),
)

SECTIONS: tuple[tuple[str, str, Keys], ...] = (
    ("The file", "", TOP),
    ("`line`", "", LINE),
    ("`framing`", "Exactly one of `ends_with`, `closing`, `length_at` and `silence`.", FRAMING),
    ("`checksum`", "", CHECKSUM),
    ("A query", "One of `send`, `send_hex` and `read`.", QUERY),
    ("`read`", "", READ),
    ("A reading", "One of `field`, `slice` and `register`.", READING),
    ("A pattern", "", PATTERN),
)
