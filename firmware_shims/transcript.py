"""A recorded dialogue with a serial device as text: what the tests replay, `record` writes and `selftest` judges.

`> hex` is a request; `< hex` its answer, several lines are one answer, none means that the device was silent; `= component signal value unit` is what the whole
dialogue means, with `-` for the device itself and a text in double quotes where it looks like a number or has a space. `#` begins a remark, a blank line ends a dialogue. The
same request again has its next answer; the last one is repeated.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tillwatch.firmware_shims.base import Decoded, Value


@dataclass(slots=True)
class Exchange:
    """One request and what came for it; nothing where the device was silent."""

    request: bytes
    answer: bytes = b""


@dataclass(slots=True)
class Spoken:
    """One dialogue. expected maps (part, signal) to (value, unit); a number is a float there."""

    title: str
    exchanges: list[Exchange] = field(default_factory=list)
    expected: dict[tuple[str, str], tuple[object, str]] = field(default_factory=dict)


class Replay:
    """A Port on which a device says what was recorded of it, at once."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        self._answers: dict[bytes, list[bytes]] = {}
        for exchange in exchanges:
            self._answers.setdefault(exchange.request, []).append(exchange.answer)
        self._waiting = b""

    async def send(self, data: bytes) -> None:
        answers = self._answers.get(data, [b""])
        self._waiting = answers.pop(0) if len(answers) > 1 else answers[0]

    async def receive(self, timeout: float) -> bytes:  # noqa: ARG002, ASYNC109 - a shim's Port
        data, self._waiting = self._waiting, b""
        return data

    async def discard(self) -> None:
        self._waiting = b""


def value_of(text: str) -> float | str:
    """A number where it is one."""
    try:
        return float(text)
    except ValueError:
        return text


def parse(text: str, name: str) -> Iterator[Spoken]:
    """The dialogues of a transcript. Raises ValueError with name and line."""
    spoken = Spoken("")
    for number, line in enumerate([*text.splitlines(), ""], 1):
        mark, _, rest = line.strip().partition(" ")
        try:
            match mark:
                case "":
                    if spoken.exchanges:
                        yield spoken
                    spoken = Spoken("")
                case ">":
                    spoken.exchanges.append(Exchange(bytes.fromhex(rest)))
                case "<":
                    spoken.exchanges[-1].answer += bytes.fromhex(rest)
                case "=":
                    part, signal, value, *unit = shlex.split(rest)
                    said = value if f'"{value}"' in rest else value_of(value)
                    spoken.expected["" if part == "-" else part, signal] = (said, unit[0] if unit else "")
                case "#":
                    spoken.title = spoken.title or rest
                case _:
                    raise ValueError(f"starts with {mark!r}")
        except (ValueError, IndexError) as error:
            raise ValueError(f"{name}:{number}: {error}; a line is `> hex`, `< hex`, `= component signal value unit` or `# remark`") from None  # fmt: skip


def _quoted(value: Value) -> str:
    text = str(value)
    plain = text.replace("_", "").replace("-", "").isalnum() and isinstance(value_of(text), str)
    return text if plain or not isinstance(value, str) else f'"{text}"'


def to_text(title: str, exchanges: Iterable[Exchange], said: Iterable[Decoded]) -> str:
    """One dialogue, with what it means. A reading without a value, or whose text holds a quotation mark, is left out of what it means."""
    lines = [f"# {title}"]
    for exchange in exchanges:
        lines.append(f"> {exchange.request.hex()}")
        lines += [f"< {exchange.answer.hex()}"] if exchange.answer else []
    lines += [
        f"= {each.part or '-'} {each.signal} {_quoted(each.value)} {each.unit}".rstrip()
        for each in said
        if each.value is not None and '"' not in str(each.value) and "\\" not in str(each.value)
    ]
    return "\n".join(lines) + "\n"


def differences(spoken: Spoken, said: Iterable[Decoded]) -> list[str]:
    """What a shim makes of a dialogue other than stands there. One word for each reading."""
    found = {(each.part, each.signal): (each.value, each.unit) for each in said if each.value is not None}
    wrong = []
    for key, (value, unit) in spoken.expected.items():
        got, got_unit = found.get(key, (None, ""))
        if got is not None and isinstance(value, float) and isinstance(got, int | float):
            same = abs(got - value) <= 1e-9 * max(1.0, abs(value))
        else:
            same = got == value
        if not (same and unit == got_unit):
            wrong.append(
                f"{' '.join(filter(None, key))}: {got} {got_unit} instead of {value} {unit}".replace("  ", " ")
            )
    return wrong
