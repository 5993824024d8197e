from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tillwatch.collector.learn import remaining_life
from tillwatch.collector.learn.histories import MAX_READINGS, History
from tillwatch.collector.learn.remaining_life import RemainingLife, Settings, fit, from_parts

NAMES = ("wear", "room", "serial")
QUICK = Settings(NAMES, seeds=1, iterations=60, leaf=10)
"""Enough for parts that wear in a straight line."""


def worn(seed: int, life: int | None = None, gaps: float = 0.0) -> History:
    """A part whose first sensor rises to about 10 at its end, at a rate of its own; the second is weather, the third never moves."""
    rng = np.random.default_rng(seed)
    length = int(rng.integers(30, 120)) if life is None else life
    age = np.arange(1.0, length + 1)
    values = np.column_stack(
        [10 * age / length + rng.normal(0, 0.3, length), rng.normal(20, 5, length), np.full(length, 4711.0)]
    )
    values[rng.random(values.shape) < gaps] = np.nan
    return History(f"part {seed}", age, values)


def cut(history: History, readings: int) -> History:
    return History(history.part, history.age[:readings], history.values[:readings])


@pytest.fixture(scope="module")
def model() -> RemainingLife:
    return fit([worn(seed) for seed in range(40)], QUICK)


def test_parts_that_still_run_get_about_the_life_that_they_have(model: RemainingLife) -> None:
    rng = np.random.default_rng(5)
    whole = [worn(seed) for seed in range(100, 180)]
    cuts = [int(rng.integers(len(each.age) // 2, len(each.age))) for each in whole]
    truth = np.minimum([len(each.age) - at for each, at in zip(whole, cuts, strict=True)], model.cap)
    said = model.predict([cut(each, at) for each, at in zip(whole, cuts, strict=True)])
    assert np.sqrt(np.mean((said.median - truth) ** 2)) < np.std(truth) / 2
    assert np.mean((said.low <= truth) & (truth <= said.high)) > 0.8
    assert (said.low <= said.median).all()
    assert (said.median <= said.high).all()


def test_the_sensor_that_wears_is_named_and_shortens_the_life(model: RemainingLife) -> None:
    (factors,) = model.predict([cut(worn(200, 60), 55)]).factors
    assert factors[0].sensor == "wear"
    assert factors[0].moved < 0
    assert "serial" not in {factor.sensor for factor in factors}


def test_a_new_part_has_no_upper_end(model: RemainingLife) -> None:
    said = model.predict([cut(worn(200, 110), 5)])
    assert np.isinf(said.high[0])
    assert said.low[0] > 0
    assert said.median[0] <= model.cap


def test_the_cap_is_a_share_of_the_usual_life() -> None:
    assert fit([worn(seed, 100) for seed in range(6)], QUICK).cap == pytest.approx(60)
    assert fit([worn(seed, 100) for seed in range(6)], replace(QUICK, cap=30.0)).cap == 30.0


def test_one_reading_and_silent_sensors_are_answered(model: RemainingLife) -> None:
    silent = History("x", np.array([3.0]), np.full((1, 3), np.nan))
    said = model.predict([cut(worn(300), 1), silent])
    assert np.isfinite(said.median).all()
    assert model.predict([]).median.shape == (0,)


def test_learns_from_lives_with_holes_and_of_one_reading() -> None:
    lives = [worn(seed, gaps=0.4) for seed in range(20)] + [worn(90, 1), worn(91, 2)]
    said = fit(lives, QUICK).predict([cut(worn(300, 80, gaps=0.4), 75), cut(worn(301, 80, gaps=0.4), 10)])
    assert said.median[0] < said.median[1]


def test_sensors_that_say_nothing_leave_the_age() -> None:
    flat = [History(str(n), np.arange(1.0, 51), np.ones((50, 3))) for n in range(6)]
    said = fit(flat, QUICK).predict([cut(flat[0], 49), cut(flat[0], 20)])
    assert said.median[0] < said.median[1]
    assert said.factors == ((), ())


def test_too_few_parts_for_an_interval_give_none() -> None:
    said = fit([worn(seed, 60) for seed in range(6)], QUICK).predict([cut(worn(50, 60), 55)])
    assert said.low[0] == 0
    assert np.isinf(said.high[0])


def test_the_same_lives_give_the_same_model(model: RemainingLife) -> None:
    again, asked = fit([worn(seed) for seed in range(40)], QUICK), [cut(worn(400), 20)]
    assert again.predict(asked).factors == model.predict(asked).factors


def test_what_is_stored_predicts_the_same() -> None:
    from skops import io

    model = fit([worn(seed) for seed in range(12)], replace(QUICK, conditions=("room",)))
    stored = io.dumps(model.parts())
    back = from_parts(io.loads(stored, trusted=io.get_untrusted_types(data=stored)))
    asked = [cut(worn(seed), 20) for seed in range(400, 405)]
    said, again = model.predict(asked), back.predict(asked)
    for name in ("median", "low", "high"):
        np.testing.assert_array_equal(getattr(said, name), getattr(again, name))
    assert again.factors == said.factors
    assert back.settings == model.settings
    assert back.parts().keys() == model.parts().keys()


def test_a_model_of_another_format_is_refused(model: RemainingLife) -> None:
    with pytest.raises(ValueError, match="train it again"):
        from_parts({**model.parts(), "format": 99})


def test_nothing_is_judged_by_a_model_that_knew_its_part(model: RemainingLife) -> None:
    seen = model.out_of_fold
    assert seen is not None
    assert len(np.unique(seen.part)) == 40
    capped = np.minimum(seen.remaining, model.cap)
    known = model.predict([worn(seed) for seed in range(40)]).median
    at_end = seen.predicted[seen.remaining == 0]
    assert np.mean(known) < np.mean(at_end)
    assert np.corrcoef(seen.predicted, capped)[0, 1] > 0.8


def test_of_more_rows_than_the_bound_each_part_keeps_an_even_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remaining_life, "MAX_ROWS", 60)
    taught = fit([worn(seed, 50) for seed in range(6)], QUICK)
    assert taught.left_out == 6 * 40
    assert taught.out_of_fold is not None
    assert set(np.bincount(taught.out_of_fold.part)) == {10}
    assert taught.out_of_fold.remaining.min() == 0


def test_progress_names_each_model() -> None:
    said: list[str] = []
    fit([worn(seed) for seed in range(6)], QUICK, said.append)
    assert [line.split(",")[0] for line in said] == [f"model {n} of 6" for n in range(1, 7)]


def test_what_cannot_be_learnt_from_is_refused() -> None:
    lives = [worn(seed) for seed in range(6)]
    with pytest.raises(ValueError, match="at least 5 parts"):
        fit(lives[:4], QUICK)
    with pytest.raises(ValueError, match="two histories of one part"):
        fit([*lives, lives[0]], QUICK)
    with pytest.raises(ValueError, match="no sensors: load"):
        fit(lives, replace(QUICK, conditions=("load", "room")))
    with pytest.raises(ValueError, match="3 sensors in the histories, but 2 names"):
        fit(lives, replace(QUICK, sensors=("a", "b")))


def test_a_history_at_the_bound_is_predicted(model: RemainingLife) -> None:
    long = History("x", np.arange(1.0, MAX_READINGS + 1), np.ones((MAX_READINGS, 3)))
    assert np.isfinite(model.predict([long]).median).all()
