"""Makes conversation-N.json: what a terminal and a collector of one version say to each other, with keys that anybody may have. It is run with the code of
that version, once, when the version is released, and the file is never written again:

python -m tests.collector.skew.record_conversation FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tillwatch.agent import wire
from tillwatch.agent.model import MS, Batch, Clock, Reading
from tillwatch.agent.wire import Ack, AckState, Command, Life, SigningKey

TERMINAL = "till-1"
AGENT, COLLECTOR = SigningKey(b"skew: the terminal".ljust(32, b".")), SigningKey(b"skew: the collector".ljust(32, b"."))
T0 = 1_790_000_000_000 * MS
EPOCH = wire.new_epoch(T0, b"\xa5" * 8)
BOOT = b"\x11" * 8
BATCHES = 3


def conversation() -> dict[str, object]:
    life = Life(
        terminal=TERMINAL, key=AGENT.key_id, epoch=EPOCH, floor=1, next=1, lost=0, boot=BOOT, up=60_000, now=T0, n=1, state="online"
    )  # fmt: skip
    said = [[wire.life_topic(TERMINAL), wire.seal_life(AGENT, life).hex()]]
    prev = wire.FIRST_PREV
    for seq in range(1, BATCHES + 1):
        at = T0 + seq * 60_000 * MS
        readings = (
            Reading("host/cpu", "host.cpu.busy", at, 10.0 + seq),
            Reading("agent", "agent.commands", at, "poll-now"),
        )
        sealed = wire.seal(
            AGENT, Batch(readings), terminal=TERMINAL, epoch=EPOCH, seq=seq, prev=prev, floor=1, sent=at, boot=BOOT, up=60_000 + seq * 60_000,
            clock=Clock("ntp", 5),
        )  # fmt: skip
        prev = sealed.digest
        said.append([wire.batch_topic(TERMINAL), sealed.payload.hex()])
    ack = Ack(epoch=EPOCH, seq=BATCHES, want=0, state=AckState.OK, window=8, min_interval=0, time=T0, digest=prev)
    command = Command(
        terminal=TERMINAL, number=1, kind="poll-now", issued=T0, expires=T0 + 60_000 * MS, epoch=EPOCH, arguments={"component": "host"},
        key=COLLECTOR.key_id,
    )  # fmt: skip
    answered = [
        [wire.ack_topic(TERMINAL), wire.seal_ack(COLLECTOR, TERMINAL, ack).hex()],
        [wire.command_topic(TERMINAL), wire.seal_command(COLLECTOR, command).hex()],
    ]
    return {"agent": AGENT.public.hex(), "collector": COLLECTOR.public.hex(), "said": said, "answered": answered}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(conversation(), indent=1) + "\n", encoding="utf-8")
