"""Lives of parts as a store tells them, and what was measured in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.collector.fans import FAN, TERMINALS, worn_fans
from tests.collector.simulated import opened
from tillwatch.collector.learn import lives_from_store
from tillwatch.collector.learn.from_store import PastError
from tillwatch.collector.learn.lives_from_store import Found, find, history_of, teaching
from tillwatch.collector.learn.part_lives import CUT_OFF, ENDED, RUNNING
from tillwatch.collector.predict.settings import DAY_NS, parse_tables

Truth = dict[str, list[tuple[str, int, int]]]
SPEED = "host.fan.speed"


@pytest.fixture
def fans(tmp_path: Path) -> tuple[Path, Truth]:
    file, truth = worn_fans(tmp_path / "fans")
    return file.with_name("collector.db"), truth


def _until(truth: Truth) -> int:
    return max(until for lives in truth.values() for _, _, until in lives)


@pytest.fixture
def found(fans: tuple[Path, Truth]) -> Iterator[Found]:
    store, truth = fans
    with opened(store) as db:
        yield find(db, parse_tables(), "host/fan", _until(truth))


def test_each_life_is_found_with_its_beginning_and_its_end(found: Found, fans: tuple[Path, Truth]) -> None:
    for terminal, lives in fans[1].items():
        mine = [life for life in found.lives if life.terminal == terminal]
        assert [life.state for life in mine] == [state for state, _, _ in lives], terminal
        assert {life.component for life in mine} == {FAN}
        for life, (_, begun, until) in zip(mine, lives, strict=True):
            assert abs(life.begun - begun) <= DAY_NS
            assert abs(life.until - until) <= DAY_NS / 2
    assert len(found.of(ENDED)) > 3 * TERMINALS
    assert (len(found.of(RUNNING)), len(found.of(CUT_OFF))) == (TERMINALS, 1)
    assert found.signals == (SPEED,), "its own, in numbers"


def test_a_history_is_of_daily_means_and_ends_with_the_life(found: Found, fans: tuple[Path, Truth]) -> None:
    life = found.of(ENDED)[0]
    with opened(fans[0]) as db:
        history = history_of(db, life, found.signals)
        rows = db.execute(
            "SELECT count(*) FROM rollup WHERE component = ? AND terminal = ?", (FAN, life.terminal)
        ).fetchone()
    assert history is not None
    assert history.age[-1] == pytest.approx(life.days)
    assert life.days - 2 <= len(history.age) <= life.days + 2
    assert rows[0] > 2 * len(history.age) - 4, "two readings a day became one"
    speed = history.values[:, 0]
    assert speed[0] == pytest.approx(2950, abs=200)
    assert np.nanmin(speed) > 1000, "that it stood still is after the end"
    assert np.nanargmin(speed) >= len(speed) - 5


def test_of_more_lives_than_fit_the_latest_are_taught(found: Found, fans: tuple[Path, Truth]) -> None:
    with opened(fans[0]) as db:
        whole = teaching(db, found)
        some = teaching(db, found, most=100)
    ended = len(found.of(ENDED))
    assert (len(whole.histories), whole.silent, whole.left_out) == (ended, 0, 0)
    assert len(some.histories) + some.left_out == ended
    assert sum(each.values.size for each in some.histories) <= 100
    latest = max(found.of(ENDED), key=lambda life: life.until)
    assert some.histories[0].part == latest.name


def test_what_comes_later_is_not_known(fans: tuple[Path, Truth]) -> None:
    store, truth = fans
    _, _, first = truth["T0"][0]
    with opened(store) as db:
        found = find(db, parse_tables(), "HOST/fan", first - DAY_NS)
    mine = [life for life in found.lives if life.terminal == "T0"]
    assert [life.state for life in mine] == [RUNNING]
    assert mine[0].until == first - DAY_NS


def test_what_is_not_there_is_said(fans: tuple[Path, Truth]) -> None:
    store, truth = fans
    tables, until = parse_tables(), _until(truth)
    with opened(store) as db:
        with pytest.raises(PastError, match="knows no part of the kind blimp"):
            find(db, tables, "blimp", until)
        with pytest.raises(
            PastError,
            match=r"--signal host\.temperature: no part .* measures it; they measure host\.fan\.speed, host\.voltage",
        ):
            find(db, tables, "host/fan", until, ["host.temperature"])
        assert find(db, tables, "host/*", until, [SPEED]).signals == (SPEED,)
        with pytest.raises(PastError, match="words only"):
            find(db, tables, "host", until)


def test_signals_that_few_parts_tell_are_left_out(fans: tuple[Path, Truth], monkeypatch: pytest.MonkeyPatch) -> None:
    store, truth = fans
    with opened(store) as db:
        found = find(db, parse_tables(), "host/fan", _until(truth))
        assert (found.signals, found.unused) == ((SPEED,), 1), "one of eight tells its voltage, too"
        both = find(db, parse_tables(), "host/*", _until(truth)).signals
        monkeypatch.setattr(lives_from_store, "MAX_SIGNALS", 1)
        one = find(db, parse_tables(), "host/*", _until(truth)).signals
    assert set(both) == {SPEED, "host.temperature"}, "each is told by half of them"
    assert len(one) == 1
