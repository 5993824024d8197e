import random

from tests.soak.flat import trend


def test_noise_stands_still_and_a_leak_does_not() -> None:
    chance = random.Random(7)
    noise = [17_000 + chance.uniform(-100, 100) for _ in range(20)]
    still = trend(noise)
    assert abs(still.rise) <= still.noise
    leaking = trend([value + 40 * at for at, value in enumerate(noise)])
    assert leaking.rise > leaking.noise
    assert 700 < leaking.rise < 820


def test_a_line_has_no_noise() -> None:
    line = trend([1.0, 2.0, 3.0, 4.0])
    assert (round(line.rise, 9), round(line.noise, 6)) == (3.0, 0.0)
