"""The reference page of the profile language, made of language.py, units.py, model.py and the catalogue, so that it cannot say other than they do.

python -m tillwatch.device_profiles.reference > packaging/docs/profile-language.md
"""

from __future__ import annotations

import sys
from collections import defaultdict

from tillwatch.device_profiles import language, units
from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.model import Axis, Form, Kind, Poll, Signal

_TUTORIAL = """\
# The language of device profiles

A device profile is one YAML file that says where a family of SNMP devices keeps its values and what they mean. Made by
`python -m tillwatch.device_profiles.reference` out of the code: do not edit this page by hand.

## How to write one

[From an unknown device to a merged profile](new-device.md) is the same with a device before you: `tillwatch-agent walk HOST` records it and drafts its profile.

1. **Look.** `tillwatch-agent try DEVICE.snmprec` (or `--snmp HOST`) shows what the profiles that are there make of the device.
   With a standard MIB it is read already; a profile of its own then adds what the maker knows better.
2. **Name the file** `<folder>/<maker-family>.yaml`; the file's name without `.yaml` is the profile's id. Copy this:

   ```yaml
   title: Acme rack UPS
   extends: _base                        # name, description, location, uptime
   match: [{sysObjectID: 1.3.6.1.4.1.99999.1}]
   with: [if-mib]                        # generic profiles that stand beside it
   optional: true                        # models differ: what one lacks is not missed
   sentinels: [-1, 65535]

   scalars:
     - {signal: identity.model, oid: 1.3.6.1.4.1.99999.1.1.1.0}
     - signal: ups.battery.charge
       first_of:                         # tenths where there are any
         - {oid: 1.3.6.1.4.1.99999.1.2.1.0, divisor: 10}
         - {oid: 1.3.6.1.4.1.99999.1.2.2.0}
       limits: {warn_below: 50, crit_below: 20}
     - {signal: ups.output.source, oid: 1.3.6.1.4.1.99999.1.3.1.0, poll: fast, words: {1: normal, 2: battery, 3: bypass}}

   tables:
     - group: probe                      # components: <device>/probe:<label>
       entry: 1.3.6.1.4.1.99999.1.9.1
       columns: {name: 2, value: 3, unit: 4, high: 5, state: 6}
       label: name                       # what stays, never an index that moves
       where: [{column: state, not_in: 0}]
       items:
         - signal: env.temperature
           column: value
           raw_unit: {column: unit, is: {1: C, 2: F}}
           limits: {warn_above: {column: high, else: 40}}
         - {signal: env.sensor, column: state, words: {1: normal, 2: warning, 3: critical}}
   ```
3. **Names** come from `catalogue.yaml`: it fixes unit, kind and words. What the device gives in another unit says so with `raw_unit`.
   What nothing fits is `experimental.<anything>` with its own kind and meaning.
4. **`tillwatch-agent lint FILE`** says every mistake with its line and what to write instead.
5. **`tillwatch-agent try DEVICE.snmprec --profile FILE`** shows what comes out; compare it with the device's own page.
6. **Record it**: `tests/recordings/<id>.snmprec` (lines `OID|TYPE|VALUE`, written by you, without serial numbers of customers) must show every
   item once. `python -m tests.device_profiles.skeleton <id>` writes a first one. Then `pytest tests/device_profiles -k <id> --update-golden`,
   read `tests/golden/<id>.json` with care, and commit all three files. There is no Python to write and nothing to register.

A bank's own profile stands in the folder that `[profiles]` of the agent's configuration names, with its recording `<id>.snmprec` beside it. Without one
it is used and shown as *untested* by `lint`, `try`, `selftest` and the agent's log. `tillwatch-agent selftest DIR` judges the folder. Each device gives the version of its profiles as `monitor.profile`.

Which profile a device gets: the specific one whose rule fits best (longest sysObjectID prefix, then most conditions); two that fit equally well
are an error. Beside it stand the generic ones that it names in `with` and that match by their own rules. Without a specific one, all
generic ones that match are used together. Of two items with the same signal of the same component the specific profile's stands.

A value that is a sentinel, cannot be read as the profile says, or is of another quantity than the signal is *no reading*: it is never shown as a
number. A scalar that is not optional and is not there is `unknown`; what a row of a table does not have is not missed.
"""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _keys(keys: language.Keys) -> list[str]:
    lines = ["| key | what it is for | example |", "|---|---|---|"]
    return [
        *lines,
        *(f"| `{key}` | {_escaped(meaning)} | `{_escaped(example)}` |" for key, (meaning, example) in keys.items()),
    ]


def _axis(signal: Signal) -> str:
    """What is not about fitness."""
    if signal.axis is not Axis.FITNESS:
        return f" ({signal.axis})"
    words = defaultdict(list)
    for word, axis in signal.axes:
        words[axis].append(word)
    return "".join(f" ({axis}: {', '.join(known)})" for axis, known in words.items())


def page() -> str:
    """The whole page as Markdown."""
    lines = [_TUTORIAL]
    for title, about, keys in language.SECTIONS:
        lines += [f"## {title}", "", *([about, ""] if about else []), *_keys(keys), ""]
    lines += ["## Units of a device (`raw_unit`)", ""]
    by_base: dict[str, list[str]] = defaultdict(list)
    for unit, (base, _, _) in units.LINEAR.items():
        by_base[base].append(unit)
    lines += ["| catalogue's unit | from |", "|---|---|"]
    lines += [f"| {base or '(none)'} | {', '.join(f'`{unit}`' for unit in known)} |" for base, known in by_base.items()]
    lines += ["", "Times become each other; `mW` and `W` become dBm.", ""]
    lines += ["## Fixed words", ""]
    for name, words in (("kind", Kind), ("poll", Poll), ("form", Form)):
        lines.append(f"- `{name}`: {', '.join(f'`{word.value}`' for word in words)}")
    lines += ["", "## Signals", "", "| signal | kind | unit or words | meaning |", "|---|---|---|---|"]
    for name, signal in sorted(load_catalogue().signals.items()):
        said = signal.unit or ", ".join(f"{word} ({severity})" for word, severity in signal.states)
        lines.append(f"| `{name}` | {signal.kind.value} | {said} | {_escaped(signal.meaning)}{_axis(signal)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Prints the page."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
