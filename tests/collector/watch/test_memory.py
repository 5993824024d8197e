from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.watch.test_delays import samples
from tillwatch.collector.watch import path
from tillwatch.collector.watch.memory import MEMORY, Grievance, Memory, fresh, recall, write_down
from tillwatch.collector.watch.path import END, FAULT, Complaint, Round, Stage
from tillwatch.collector.watch.stream import begin

TIMES = path.Times(every=300, late=120)
stages = st.sampled_from(Stage)
rounds = st.one_of(
    st.builds(
        lambda n, seen: Round(n, 5, 0, dict.fromkeys(seen, 9), measured=True),
        st.integers(1, 99),
        st.sets(st.sampled_from(FAULT), max_size=2),
    ),
    st.builds(
        lambda n, seen, settled: Round(n, 5, 7, dict.fromkeys({*FAULT, *seen}, 9), settled),
        st.integers(1, 99),
        st.sets(st.sampled_from(END), max_size=2),
        st.booleans(),
    ),
)
text = st.text(max_size=20)
counts = st.integers(0, 2**60)
memories = st.builds(
    lambda one, complaint, **rest: Memory(way=path.Path(one.n if one else 3, 0, one, complaint), **rest),
    st.none() | rounds,
    st.none() | st.builds(Complaint, stages, st.integers(1, 99)),
    key=st.binary(min_size=8, max_size=8),
    stream=st.builds(begin, st.integers(0, 2**60), st.binary(min_size=8, max_size=8)),
    fault_at=counts,
    incident=text,
    whole_at=counts,
    whole=counts,
    grievance=st.none() | st.builds(Grievance, text, counts, st.integers(1, 9), text),
    samples=st.lists(samples, max_size=4).map(tuple),
    written_at=counts,
)


@given(memories)
def test_what_is_remembered_goes_on_where_it_was(memory: Memory) -> None:
    """But for the times of the round: the clock that they were of is gone."""
    again = Memory.unpack(memory.pack())
    before, after = (path.resume(one.way, 1_000, TIMES) for one in (memory, again))
    assert after == before
    for name in set(Memory.__dataclass_fields__) - {"way"}:
        assert getattr(again, name) == getattr(memory, name)


def test_it_is_for_its_owner_alone_and_replaced_whole(tmp_path: Path) -> None:
    assert recall(tmp_path) is None
    memory = write_down(tmp_path, fresh(b"12345678", 5), 7)
    assert memory.written_at == 7
    assert recall(tmp_path) == memory
    assert stat.S_IMODE((tmp_path / MEMORY).stat().st_mode) == 0o600
    with pytest.raises(OSError, match="No such file"):
        write_down(tmp_path / "gone", memory, 8)
    assert [each.name for each in tmp_path.iterdir()] == [MEMORY]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 2}', b"[]", b"\xff", b'{"version": 1, "round": 1}'])
def test_what_is_damaged_is_said_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MEMORY).write_bytes(content)
    with pytest.raises(ValueError, match="not the memory of a watchdog"):
        recall(tmp_path)
