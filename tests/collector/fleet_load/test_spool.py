from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.agent.wire import MAX_PAYLOAD
from tillwatch.collector.fleet_load import spool
from tillwatch.collector.fleet_load.spool import Spool


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    held = Spool(tmp_path)
    wanted = [(bytes([n]) * 32, bytes([n]) * size) for n, size in enumerate((1, 500, MAX_PAYLOAD))]
    places = [held.put(*one) for one in wanted]
    assert [(held.digest(place), held.payload(place)) for place in places] == wanted
    held.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_goes_with_the_last_batch_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT", 1000)
    held = Spool(tmp_path)
    places = [held.put(bytes(32), bytes([n]) * 400) for n in range(9)]
    assert len(list(tmp_path.iterdir())) == 3
    for place in places[:3]:
        held.release(place)
    assert len(list(tmp_path.iterdir())) == 2
    assert [held.payload(place)[0] for place in places[3:]] == [3, 4, 5, 6, 7, 8]
    for place in places[3:]:
        held.release(place)
    # The one that is written to stays.
    assert len(list(tmp_path.iterdir())) == 1
    assert held.payload(held.put(bytes(32), b"next")) == b"next"
    assert len(list(tmp_path.iterdir())) == 1
