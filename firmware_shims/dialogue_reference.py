"""The reference page of the language of dialogues, made of dialogue_language.py and the tables that the loader itself uses.

python -m tillwatch.firmware_shims.dialogue_reference > packaging/docs/serial-dialogues.md
"""

from __future__ import annotations

import sys

from tillwatch.firmware_shims import dialogue_language as language
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.dialogue import MAX_QUERIES, MAX_READINGS, MAX_REQUEST
from tillwatch.firmware_shims.dialogue_fields import BINARY, TEXTUAL
from tillwatch.firmware_shims.modbus import KINDS

_TUTORIAL = """\
# Serial devices without Python: the language of dialogues

A dialogue is one YAML file that says what to ask a device on a serial line and what its answers mean. The agent sends the requests of the
file and nothing else. Made by `python -m tillwatch.firmware_shims.dialogue_reference` out of the code: do not edit this page by hand.

## How to write one

1. **Find out** the line settings and the requests that only *ask*, from the maker's document. A request that changes something has no place
   in a dialogue: tillwatch reads, and what is in the file is what may be sent.
2. **Name the file** for the device: `acme-2000.yaml`. The file's name without `.yaml` is the shim's name in readings. Copy this:

   ```yaml
   title: Acme 2000 UPS
   line: {baud: 2400}
   framing: {ends_with: "\\r"}
   refusals: ["(NAK"]
   timeout: 3

   queries:
     status:
       send: "Q1\\r"                      # in double quotes: \\r is a carriage return
       lead: '('
       answer: '\\((?P<input>\\d{3}\\.\\d) (?P<load>\\d{3}|---) (?P<battery>\\d\\d\\.\\d) (?P<bits>[01]{8})'
     identity:
       send: "I\\r"
       answer: '#(?P<model>[ -~]{4,20})'
       every: slow
       optional: true                    # many devices do not know it

   readings:
     - {signal: ups.input.voltage, query: status, field: input, range: [0, 500]}
     - {signal: ups.output.load, query: status, field: load, absent: '-+', range: [0, 200]}
     - {signal: ups.battery.voltage, query: status, field: battery, range: [0, 100]}
     - {signal: ups.mains, query: status, field: bits, as: flags, bit: 0, words: {0: present, 1: failed}}
     - {signal: identity.model, query: identity, field: model}
   ```

   A Modbus RTU device is shorter: framing, checksum and refusals come with `read`.

   ```yaml
   title: Acme cabinet sensor
   line: {baud: 9600}
   queries:
     air:
       read: {unit: 1, function: 4, register: 1, count: 2}
   readings:
     - {signal: env.temperature, query: air, register: 1, as: int16, divisor: 10}
     - {signal: env.humidity, query: air, register: 2, divisor: 10}
   ```
3. **Names** come from the catalogue of signals (profile-language.md lists it): it fixes unit, kind and words. What the device gives in another
   unit says so with `raw_unit`. What nothing fits is `experimental.<anything>` with its own kind and meaning.
4. **`tillwatch-agent lint acme-2000.yaml`** says every mistake with its line and what to write instead.
5. **`tillwatch-agent try --serial /dev/ttyUSB0 --shim acme-2000.yaml`** shows what comes out; compare it with the device's own display.
6. **Configure it** in agent.toml; a path is relative to that file:

   ```toml
   [[serial]]
   name = "ups"
   port = "/dev/ttyUSB0"
   shim = "acme-2000.yaml"
   ```

To ship a dialogue with tillwatch, put it into `firmware_shims/` and a recording of it, written by you, into `tests/transcripts/<name>.txt`: the tests
find both. They cut, disturb and echo every answer, and every reading must be shown at least once.

## What the engine does with it

- The claim is asked at first contact. A query that is not `optional` and has no good answer makes the device unread; an optional one may fail alone.
- With a checksum, an answer is believed or asked for again. Without one, a number must be within its `range`, and a change of a state, of a
  text or of what is `static` is believed when a second answer says the same.
- What is `absent` is no reading. A number out of range and a word that stands nowhere in the file are an error of this reading alone.
- A pattern is tried on whatever a disturbed line brings, up to 1,024 bytes. One that repeats a repetition, such as `([0-9]+ ?)*`, can take
  longer than anybody waits: repeat once, or write `++` and `*+`, which give nothing back.
- An echo of the request is taken off; an echo alone, or one of `refusals`, means that the device does not know the request.
"""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    """The whole page as Markdown."""
    lines = [_TUTORIAL]
    for title, about, keys in language.SECTIONS:
        lines += [
            f"## {title}",
            "",
            *([about, ""] if about else []),
            "| key | what it is for | example |",
            "|---|---|---|",
        ]
        lines += [
            f"| `{key}` | {_escaped(meaning)} | `{_escaped(example)}` |" for key, (meaning, example) in keys.items()
        ]
        lines += [""]
    lines += ["## Fixed words", ""]
    sums = ", ".join(f"`{name}` ({width} byte{'s' if width > 1 else ''})" for name, (width, _) in CHECKSUMS.items())
    lines += [f"- Checksums: {sums}."]
    for what, words in (("text", TEXTUAL), ("binary", BINARY), ("registers", tuple(KINDS))):
        lines += [f"- `as`, {what}: {', '.join(f'`{word}`' for word in words)}."]
    lines += [
        f"- A file has at most {MAX_QUERIES} queries and {MAX_READINGS} readings; a request has at most {MAX_REQUEST} bytes."
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Prints the page."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
