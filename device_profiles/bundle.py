"""What may stand in a configuration bundle, and nothing else: sampling intervals, a bank's own device profiles, its overrides of limits, names and life
figures. A closed list: no key of it can name an address, a program, a secret, a file outside, a dialogue with a serial device, or a command.

A folder is read, checked and packed where bundles are made; a packed one is unpacked and checked again where it is to run. Errors name file and line.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack

FORM = 1
SETTINGS, PROFILES, OVERRIDES = "bundle.toml", "profiles", "overrides.yaml"
"""What a folder may hold."""
MAX_CONTENT = 256 * 1024
"""Bytes before they are compressed: the shipped profiles have 5 KiB each."""
MAX_FILES = 64
MAX_FILE = 64 * 1024
BOUNDS: Mapping[str, tuple[float, float]] = {
    "fast": (5.0, 3_600.0),
    "normal": (10.0, 86_400.0),
    "slow": (300.0, 7 * 86_400.0),
    "seal": (10.0, 3_600.0),
}
"""Seconds. Above the least that a terminal's own file may say: what goes to a whole fleet must not double its load by a slip of the pen."""
BY_RISK = "by_risk"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)")
_PROFILE = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,31}/)?_?[a-z0-9][a-z0-9-]{0,63}\.yaml")
_RECORDING = ".snmprec"


class BundleError(Exception):
    """A bundle that may not be. Each of `problems` is `file:line: what is wrong; the mend`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems[0])
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Content:
    """sampling: as in [sampling] of the agent's file. profiles: path under `profiles` -> YAML; tested: those with a recording beside them."""

    sampling: Mapping[str, str | bool] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
    tested: tuple[str, ...] = ()
    overrides: str = ""

    def files(self) -> Iterator[tuple[str, str]]:
        """Path in the bundle -> text, of what is YAML."""
        yield from ((f"{PROFILES}/{name}", self.profiles[name]) for name in sorted(self.profiles))
        if self.overrides:
            yield OVERRIDES, self.overrides


def read_folder(folder: Path) -> Content:
    """Raises BundleError with everything that does not belong there. What is in the YAML is looked at by `problems`."""
    found: list[str] = []
    texts: dict[str, str] = {}
    recorded: set[str] = set()
    if not folder.is_dir():
        raise BundleError([f"{folder}:1: no folder; give one with {SETTINGS}, {PROFILES}/ and {OVERRIDES}"])
    for path in sorted(each for each in folder.rglob("*") if not each.is_dir()):
        name = path.relative_to(folder).as_posix()
        profile = name.removeprefix(f"{PROFILES}/")
        if path.is_symlink() or not path.is_file():
            found.append(f"{path}:1: not a file of its own; put the file itself here")
        elif profile != name and path.suffix == _RECORDING:
            recorded.add(path.with_suffix(".yaml").relative_to(folder / PROFILES).as_posix())
        elif name not in (SETTINGS, OVERRIDES) and (profile == name or not _PROFILE.fullmatch(profile)):
            found.append(
                f"{path}:1: nothing that a bundle can carry; it holds {SETTINGS}, {OVERRIDES} and {PROFILES}/NAME.yaml"
            )
        elif path.stat().st_size > MAX_FILE:
            found.append(f"{path}:1: {path.stat().st_size} bytes; a file of a bundle has at most {MAX_FILE}")
        else:
            try:
                texts[name] = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                found.append(f"{path}:1: {error}; save it as UTF-8")
    sampling = _settings(folder / SETTINGS, texts.pop(SETTINGS, ""), found)
    profiles = {name.removeprefix(f"{PROFILES}/"): text for name, text in texts.items() if name != OVERRIDES}
    content = Content(sampling, profiles, tuple(sorted(recorded & set(profiles))), texts.get(OVERRIDES, ""))
    found += _shape(content, str(folder))
    if found:
        raise BundleError(found)
    return content


def _settings(path: Path, text: str, found: list[str]) -> dict[str, str | bool]:
    import tomllib  # noqa: PLC0415 - the running agent only unpacks

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        found.append(f'{path}:{line[1] if line else 1}: {error}; a value is written key = "text" or true')
        return {}
    strange = [key for key in data if key != "sampling"]
    found += [f"{path}:{_line(text, key)}: a bundle carries no `{key}`; there is [sampling]" for key in strange]
    sampling = data.get("sampling", {})
    if not isinstance(sampling, dict):
        found.append(f"{path}:{_line(text, 'sampling')}: sampling is a table: write [sampling]")
        return {}
    found += [f"{path}:{_line(text, key)}: {wrong}" for key, wrong in _sampling(sampling)]
    return sampling


def _line(text: str, key: str) -> int:
    wanted = re.compile(rf"\s*\[*\s*\"?{re.escape(key)}\b")
    return next((number for number, line in enumerate(text.splitlines(), 1) if wanted.match(line)), 1)


def _sampling(given: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """(key, what is wrong; the mend)."""
    for key, value in given.items():
        if key == BY_RISK:
            if not isinstance(value, bool):
                yield key, f"`{key}` is true or false, without quotes"
            continue
        if key not in BOUNDS:
            yield str(key)[:64], f"a bundle carries no `{str(key)[:64]}`; there are {', '.join((*BOUNDS, BY_RISK))}"
            continue
        least, most = BOUNDS[key]
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None or not least <= float(match[1]) * _SECONDS[match[2]] <= most:
            yield key, f'`{key}` is a time from {least:g} s to {most:g} s with its unit: "10s", "5m", "2h" or "1d"'


def _shape(content: Content, where: str) -> list[str]:
    """What no parser of YAML says."""
    found = []
    if len(content.profiles) > MAX_FILES:
        found.append(f"{where}:1: {len(content.profiles)} profiles; a bundle carries at most {MAX_FILES}")
    if not content.sampling and not content.profiles and not content.overrides:
        found.append(f"{where}:1: an empty bundle; `rollout return` lets terminals run their own configuration alone")
    return found


def pack(content: Content) -> bytes:
    """As terminals get it: the same content gives the same bytes on one machine. Raises BundleError where it is too long."""
    packed: bytes = msgpack.packb(
        {
            "form": FORM,
            "sampling": dict(sorted(content.sampling.items())),
            "profiles": dict(sorted(content.profiles.items())),
            "tested": list(content.tested),
            "overrides": content.overrides,
        }
    )
    if len(packed) > MAX_CONTENT:
        raise BundleError([f"{PROFILES}:1: {len(packed)} bytes in all; a bundle has at most {MAX_CONTENT}"])
    return zlib.compress(packed, 9)


def unpack(packed: bytes) -> Content:
    """Believes nothing. Raises BundleError."""
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(packed, MAX_CONTENT + 1)
        if len(plain) > MAX_CONTENT or not inflate.eof or inflate.unused_data:
            raise ValueError("too long, or cut off")
        said = msgpack.unpackb(plain, max_map_len=MAX_FILES + 8, max_array_len=MAX_FILES, max_ext_len=0)
        content = _content(said)
    except (zlib.error, ValueError, RecursionError, msgpack.UnpackException) as error:
        raise BundleError([f"bundle:1: not a configuration bundle: {error}; make it with bundle make"]) from None
    found = [f"{SETTINGS}:1: {wrong}" for _, wrong in _sampling(content.sampling)] + _shape(content, "bundle")
    if found:
        raise BundleError(found)
    return content


def _content(said: object) -> Content:
    """Raises ValueError for whatever is not on the list."""
    if type(said) is not dict or set(said) != {"form", "sampling", "profiles", "tested", "overrides"}:
        raise ValueError("other keys than those of a bundle")
    if said["form"] != FORM:
        raise ValueError(f"form {str(said['form'])[:16]}; this agent knows {FORM}")
    sampling, profiles, tested, overrides = said["sampling"], said["profiles"], said["tested"], said["overrides"]
    if type(sampling) is not dict or type(profiles) is not dict or type(tested) is not list:
        raise ValueError("a member of another kind")
    if type(overrides) is not str or len(overrides.encode()) > MAX_FILE:
        raise ValueError("overrides are not a text of a bundle")
    for name, text in profiles.items():
        if type(name) is not str or not _PROFILE.fullmatch(name):
            raise ValueError(f"{str(name)[:64]!r} is no name of a profile")
        if type(text) is not str or len(text.encode()) > MAX_FILE:
            raise ValueError(f"{name} is not a text of a bundle")
    if any(name not in profiles for name in tested):
        raise ValueError("a recording without a profile")
    return Content(sampling, profiles, tuple(tested), overrides)


def write(content: Content, folder: Path) -> None:
    """Lay its files out under a folder, as the agent reads them. Only what differs is written. Raises OSError."""
    for name, text in content.files():
        path = folder / name
        if not path.is_file() or path.read_bytes() != text.encode():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    for name in content.tested:
        (folder / PROFILES / name).with_suffix(_RECORDING).touch()


def _aliases(path: Path, text: str) -> Iterator[str]:
    """With them ten lines become a billion nodes; nothing that a bank writes needs one, `extends` is for what several share."""
    import yaml  # noqa: PLC0415 - PyYAML, which must not be resident

    from tillwatch.device_profiles.yaml_nodes import QUICK  # noqa: PLC0415 - the same

    try:
        for event in yaml.parse(text, Loader=QUICK):
            if isinstance(event, yaml.AliasEvent):
                yield f"{path}:{event.start_mark.line + 1 if event.start_mark else 1}: an alias of YAML; write it out, or use `extends`"
                return
    except yaml.YAMLError:
        return  # what reads it says so, with the line


def problems(folder: Path, content: Content) -> list[str]:
    """Everything that is wrong with the YAML of a folder that read_folder or write has seen, as `file:line: what; the mend`. Imports PyYAML."""
    from tillwatch.device_profiles.loader import load_yaml  # noqa: PLC0415 - PyYAML, which must not be resident
    from tillwatch.device_profiles.loader import problems as of_profiles  # noqa: PLC0415 - the same
    from tillwatch.device_profiles.overrides import apply  # noqa: PLC0415 - the same
    from tillwatch.device_profiles.yaml_nodes import ProfileError  # noqa: PLC0415 - the same

    own = [folder / PROFILES / name for name in sorted(content.profiles)]
    found = [wrong for name, text in content.files() for wrong in _aliases(folder / name, text)] or of_profiles(own)
    if content.overrides and not found:
        try:
            apply(folder / OVERRIDES, load_yaml(own=own))
        except ProfileError as error:
            found.append(str(error))
    return found
