from __future__ import annotations

import pytest

from tillwatch.agent.wire import Ack, AckState, SigningKey, seal_ack
from tillwatch.collector.fleet_load.acks import PROVEN, AckError, Acks

KEY, OTHER = SigningKey(bytes(32)), SigningKey(b"x" * 32)
ACK = Ack(b"e" * 12, 4, 0, AckState.OK, 8, 0, 0, digest=b"d" * 16, pace=50)


def test_an_ack_reads_as_the_agent_reads_it_proven_or_not() -> None:
    acks = Acks(KEY.public)
    found = [acks.read("load-000001", seal_ack(KEY, "load-000001", ACK)) for _ in range(2 * PROVEN)]
    assert found == [ACK] * 2 * PROVEN
    assert acks.proven == 2


def test_another_signature_shows_within_a_few() -> None:
    acks = Acks(KEY.public)
    false = seal_ack(OTHER, "load-000001", ACK)

    def heard() -> None:
        for _ in range(PROVEN):
            acks.read("load-000001", false)

    with pytest.raises(AckError, match="unknown_key"):
        heard()


def test_one_that_names_refused_batches_is_always_proven() -> None:
    acks = Acks(KEY.public)
    refused = Ack(b"e" * 12, 4, 0, AckState.REFUSED, 8, 0, 0, refused=((4, "too long"),))
    acks.read("load-000001", seal_ack(KEY, "load-000001", ACK))
    assert acks.read("load-000001", seal_ack(KEY, "load-000001", refused)) == refused
    with pytest.raises(AckError):
        acks.read("load-000001", seal_ack(OTHER, "load-000001", refused))


@pytest.mark.parametrize("payload", [b"", b"TW", b"TW\x01\x00" + bytes(80), b"no ack at all" * 20])
def test_what_is_no_ack_is_said_to_be_none(payload: bytes) -> None:
    with pytest.raises(AckError, match="not the collector's"):
        Acks(b"").read("load-000001", payload)
