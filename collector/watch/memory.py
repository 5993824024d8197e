"""What the watchdog remembers over a restart, in one JSON file of its state directory: its stream, the round under way, what it complains of and the
delays of the last day. `watchdog status` judges the path by this file alone, without the running process.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from tillwatch.collector.watch.delays import Sample
from tillwatch.collector.watch.files import write_private
from tillwatch.collector.watch.path import Complaint, Round, Stage
from tillwatch.collector.watch.path import Path as Way
from tillwatch.collector.watch.stream import Stream, begin

MEMORY = "state.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Grievance:
    """A complaint as it was told. id: of the incident that it was told as; since: UTC ns; told: messages so far; text: what is missing."""

    id: str
    since: int
    told: int
    text: str


@dataclass(frozen=True, slots=True)
class Memory:
    """key: id of the key that the stream is sealed with. fault_at: reading time of the present round's fault, UTC ns; incident: of its ticket, empty
    before that came. whole_at, whole: when a round last went the whole way, UTC ns, and its number. written_at: UTC ns.
    """

    key: bytes
    stream: Stream
    way: Way = field(default_factory=Way)
    fault_at: int = 0
    incident: str = ""
    whole_at: int = 0
    whole: int = 0
    grievance: Grievance | None = None
    samples: tuple[Sample, ...] = ()
    written_at: int = 0

    def pack(self) -> bytes:
        one = self.way.round
        return json.dumps(
            {
                "version": VERSION,
                "written_at": self.written_at,
                "key": self.key.hex(),
                "stream": self.stream.pack(),
                "round": self.way.n,
                "under_way": None
                if one is None
                else {"ended": bool(one.ended), "seen": [stage.value for stage in one.seen], "settled": one.settled},
                "complaint": self.way.complaint
                and {"stage": self.way.complaint.stage.value, "round": self.way.complaint.n},
                "fault_at": self.fault_at,
                "incident": self.incident,
                "whole_at": self.whole_at,
                "whole": self.whole,
                "grievance": self.grievance
                and {
                    "id": self.grievance.id,
                    "since": self.grievance.since,
                    "told": self.grievance.told,
                    "text": self.grievance.text,
                },
                "samples": [sample.row() for sample in self.samples],
            }
        ).encode()

    @classmethod
    def unpack(cls, content: bytes) -> Memory:
        """Raises ValueError. The clock of the round is gone with the process: path.resume gives it another one."""
        try:
            kept = json.loads(content)
            if kept["version"] != VERSION:
                raise ValueError(f"version {kept['version']}")
            n, one, complaint, grievance = kept["round"], kept["under_way"], kept["complaint"], kept["grievance"]
            under_way = one and Round(
                n, 1, int(one["ended"]), {Stage(each): 1 for each in one["seen"]}, bool(one["settled"]), measured=False
            )
            return cls(
                bytes.fromhex(kept["key"]),
                Stream.unpack(kept["stream"]),
                Way(int(n), 0, under_way, complaint and Complaint(Stage(complaint["stage"]), int(complaint["round"]))),
                int(kept["fault_at"]),
                str(kept["incident"]),
                int(kept["whole_at"]),
                int(kept["whole"]),
                grievance
                and Grievance(
                    str(grievance["id"]), int(grievance["since"]), int(grievance["told"]), str(grievance["text"])
                ),
                tuple(Sample.of_row(row) for row in kept["samples"]),
                int(kept["written_at"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"not the memory of a watchdog: {error!r}") from None


def fresh(key: bytes, now: int) -> Memory:
    return Memory(key, begin(now, os.urandom(8)))


def recall(state_dir: Path) -> Memory | None:
    """None where there is none yet. Raises OSError, and ValueError for one that is damaged."""
    try:
        return Memory.unpack((state_dir / MEMORY).read_bytes())
    except FileNotFoundError:
        return None


def write_down(state_dir: Path, memory: Memory, now: int) -> Memory:
    """Raises OSError, and then what was written before stands."""
    memory = replace(memory, written_at=now)
    write_private(state_dir / MEMORY, memory.pack())
    return memory
