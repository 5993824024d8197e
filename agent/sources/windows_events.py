"""Windows' event log as a source of signals: which events mean something for the hardware, and what. Pure. By channel, provider and id only, never
by the message, which is in the language of the machine; of an event's own data only the fields that stand in the table are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.windows_cim import plain
from tillwatch.agent.sources.windows_xml import Element, elements

SYSTEM = "System"
PNP = "Microsoft-Windows-Kernel-PnP/Configuration"
CHANNELS = (SYSTEM, PNP)
GRAVE, WARNING = 2, 3
"""Levels: 1 is critical, 2 an error. No others than these three are asked for: what only informs is no trouble."""
MAX_EVENT = 200_000
"""Characters. An event has at most 64 KiB, of which binary data take two characters a byte."""
MAX_TOLD = 5
"""New events that are told in words, the worst first; the others are counted."""
MAX_FIELD = 80


@dataclass(frozen=True, slots=True)
class Rule:
    """What an event means. grave: the word where its level is error or critical, empty: always `word`. shows: the data that are worth
    reading, by name or by position; they name parts and services of the machine, never persons.
    """

    providers: tuple[str, ...]
    ids: tuple[int, ...]
    group: str
    word: str
    reason: str
    grave: str = ""
    shows: tuple[str, ...] = ()
    channel: str = SYSTEM


WORDS: Mapping[str, Mapping[str, State]] = {
    "disk": {
        "none": State.OK,
        "retried": State.WARN,
        "reset": State.WARN,
        "paging": State.WARN,
        "notReady": State.WARN,
        "removed": State.WARN,
        "controller": State.CRIT,
        "badBlock": State.CRIT,
        "failed": State.CRIT,
        "predicted": State.CRIT,
    },
    "filesystem": {"none": State.OK, "flush": State.WARN, "check": State.WARN, "damaged": State.CRIT},
    "machine": {"none": State.OK, "corrected": State.WARN, "fatal": State.CRIT},
    "memory": {"none": State.OK, "failed": State.CRIT},
    "power": {"none": State.OK, "throttled": State.WARN, "unclean": State.WARN, "overheated": State.CRIT},
    "crash": {"none": State.OK, "crashed": State.CRIT},
    "driver": {"none": State.OK, "problem": State.WARN, "notLoaded": State.WARN, "host": State.WARN},
    "service": {"none": State.OK, "notStarted": State.WARN, "slow": State.WARN, "crashed": State.CRIT},
}
"""Group -> its words, mildest first. A group is the signal `windows.event.<group>`."""

_DISK = ("disk",)
_PORTS = (
    "storahci",
    "stornvme",
    "iaStorA",
    "iaStorAC",
    "iaStorAVC",
    "iaStorVD",
    "amdsata",
    "nvme",
    "UASPStor",
    "sdbus",
)
_WHEA = ("Microsoft-Windows-WHEA-Logger",)
_NTFS = ("Ntfs", "Microsoft-Windows-Ntfs")
_SERVICES = ("Service Control Manager",)
_POWER = ("Microsoft-Windows-Kernel-Power",)
_PNP = ("Microsoft-Windows-Kernel-PnP", "Microsoft-Windows-UserPnp")
_UMDF = ("Microsoft-Windows-DriverFrameworks-UserMode",)

RULES = (
    Rule(_DISK, (7,), "disk", "badBlock", "a block could not be read", shows=("0",)),
    Rule(_DISK, (11,), "disk", "controller", "the controller reported an error: drive, cable or controller", shows=("0",)),
    Rule(_DISK, (15,), "disk", "notReady", "the drive was not ready", shows=("0",)),
    Rule(_DISK, (51,), "disk", "paging", "an error while memory was paged in or out", shows=("0",)),
    Rule(_DISK, (52,), "disk", "predicted", "the drive predicts its failure", shows=("0",)),
    Rule(_DISK, (153,), "disk", "retried", "a request was sent again, because the drive did not answer in time", shows=("0",)),
    Rule(_DISK, (154,), "disk", "failed", "a request failed for a hardware error", shows=("0",)),
    Rule(_DISK, (157,), "disk", "removed", "the drive was gone while it was in use", shows=("0",)),
    Rule(_PORTS, (129,), "disk", "reset", "the drive's port was reset, because a request was not answered", shows=("0",)),
    Rule(_NTFS, (55,), "filesystem", "damaged", "the structure of a volume is damaged", shows=("DriveName", "VolumeId")),
    Rule(_NTFS, (98,), "filesystem", "check", "a volume wants to be checked", shows=("DriveName",)),
    Rule(_NTFS, (140,), "filesystem", "flush", "what was written may not be on the drive", shows=("DriveName", "VolumeId")),
    Rule(_WHEA, (17, 18, 19, 20, 46, 47), "machine", "corrected", "processor, memory or PCIe reported an error", "fatal", ("ErrorSource",)),
    Rule(("Microsoft-Windows-MemoryDiagnostics-Results",), (1101, 1102, 1201, 1202), "memory", "failed", "the memory test found errors"),
    Rule(_POWER, (41,), "power", "unclean", "the machine restarted without a shutdown", shows=("BugcheckCode",)),
    Rule(_POWER, (86,), "power", "overheated", "the machine switched itself off for heat"),
    Rule(("EventLog",), (6008,), "power", "unclean", "the shutdown before was unexpected"),
    Rule(("Microsoft-Windows-Kernel-Processor-Power",), (37,), "power", "throttled", "the firmware slows the processor down: heat or power"),
    Rule(("Microsoft-Windows-WER-SystemErrorReporting", "BugCheck"), (1001,), "crash", "crashed", "a blue screen", shows=("param1", "0")),
    Rule(_PNP, (219,), "driver", "notLoaded", "a driver failed to load", shows=("DriverName", "FailureName")),
    Rule(_PNP, (411,), "driver", "problem", "a device had a problem starting", shows=("DeviceInstanceId", "Problem"), channel=PNP),
    Rule(_PNP, (442,), "driver", "problem", "a device was not migrated to the new system", shows=("DeviceInstanceId",), channel=PNP),
    Rule(_UMDF, (10110, 10111), "driver", "host", "a driver of a device crashed or was ended; USB readers have such drivers"),
    Rule(_SERVICES, (7031, 7034), "service", "crashed", "a service ended unexpectedly", shows=("param1",)),
    Rule(_SERVICES, (7023, 7024), "service", "notStarted", "a service ended with an error", shows=("param1", "param2")),
    Rule(_SERVICES, (7000, 7001, 7009), "service", "notStarted", "a service did not start", shows=("param1", "param2")),
    Rule(_SERVICES, (7011, 7022), "service", "slow", "a service did not answer in time", shows=("param1", "param2")),
)  # fmt: skip
"""Events 52, 129, 153 and those of WHEA-Logger as Microsoft documents them; the others by what their provider's message says, not seen yet on a
machine of ours. 1101 and 1201 inform that memory is well, so they come as errors only where it is not."""

_RULES = {
    (rule.channel, provider.casefold(), number): rule
    for rule in RULES
    for provider in rule.providers
    for number in rule.ids
}
EVENT = re.compile(r"<Event[ >].*?</Event>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event:
    """record: its number in the channel. data: name -> text; without names, by position from 0."""

    channel: str
    record: int
    provider: str
    number: int
    level: int
    data: Mapping[str, str]


def events(channel: str, text: str) -> tuple[list[Event], int]:
    """The events of a run of <Event> elements, as they stand, and how many could not be read."""
    found, unread = [], 0
    for match in EVENT.finditer(text):
        try:
            found.append(_event(channel, match[0]))
        except ValueError:
            unread += 1
    return found, unread


def _event(channel: str, document: str) -> Event:
    if len(document) > MAX_EVENT:
        raise ValueError("too long")
    parts = elements(document)
    first: dict[str, Element] = {}
    for part in reversed(parts):
        first[part.path] = part
    provider = first.get("System/Provider")
    name = plain(provider.attributes.get("Name", "")) if provider else ""
    numbers = [_number(first.get(f"System/{key}")) for key in ("EventRecordID", "EventID", "Level")]
    return Event(channel, numbers[0], name[:MAX_FIELD], numbers[1], numbers[2], dict(_data(parts)))


def _number(element: Element | None) -> int:
    if element is None or not re.fullmatch(r"[0-9]{1,19}", element.text):
        raise ValueError("no number where there must be one")
    return int(element.text)


def _data(parts: Sequence[Element]) -> Iterator[tuple[str, str]]:
    """Data without a name are called by their place; those of a UserData element by their own names."""
    place = 0
    for part in parts:
        where, _, name = part.path.rpartition("/")
        if part.path == "EventData/Data":
            yield part.attributes.get("Name") or str(place), plain(part.text)[:MAX_FIELD]
            place += 1
        elif where.startswith("UserData/"):
            yield name, plain(part.text)[:MAX_FIELD]


@dataclass(frozen=True, slots=True)
class Meaning:
    """An event that means something."""

    group: str
    word: str
    state: State
    text: str


def meaning(event: Event) -> Meaning | None:
    rule = _RULES.get((event.channel, event.provider.casefold(), event.number))
    if rule is None:
        return None
    word = rule.grave if rule.grave and event.level <= GRAVE else rule.word
    shown = [event.data[name] for name in rule.shows if event.data.get(name)]
    text = f"{rule.reason} ({' '.join([event.provider, str(event.number), *shown])})"
    return Meaning(rule.group, word, WORDS[rule.group][word], text)


def samples(source: str, found: Iterable[Event], totals: Counter[str]) -> Iterator[Sample]:
    """One component a group, `<source>/events:disk`: the worst since the last look, how many, and the worst in words. totals: of each group, counted on."""
    told: dict[str, list[Meaning]] = {}
    for event in found:
        if (meant := meaning(event)) is not None:
            told.setdefault(meant.group, []).append(meant)
    for group, words in WORDS.items():
        new = told.get(group, [])
        totals[group] += len(new)
        rank = {word: n for n, word in enumerate(words)}
        new.sort(key=lambda meant: rank[meant.word], reverse=True)
        word, state = (new[0].word, new[0].state) if new else ("none", State.OK)
        component = f"{source}/events:{group}"
        yield Sample(component, f"windows.event.{group}", word, state)
        yield Sample(component, "windows.events", totals[group])
        if new:
            texts = dict.fromkeys(meant.text for meant in new)
            yield Sample(component, "windows.events.text", "; ".join(list(texts)[:MAX_TOLD])[:500])
