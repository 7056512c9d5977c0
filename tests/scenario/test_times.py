import numpy as np
import pytest

from simulator.rng import stream
from simulator.scenario.times import constant, longest, parse_distribution


def test_a_constant_draws_nothing():
    rng, untouched = stream(1, "a"), stream(1, "a")
    assert parse_distribution("2 h", "duration")(rng) == 7200.0
    assert rng.random() == untouched.random()
    assert constant("90 min", "duration") == 5400.0
    assert constant("exp(2 h)", "duration") is None


@pytest.mark.parametrize("text", ["exp(1 h)", "uniform(30 min, 1.5 h)", " uniform( 30 min , 5400 s ) "])
def test_means(text):
    rng = stream(3, "times")
    draw = parse_distribution(text, "duration")
    assert np.mean([draw(rng) for _ in range(4000)]) == pytest.approx(3600, rel=0.05)


def test_a_negative_or_unitless_argument_is_refused():
    with pytest.raises(ValueError, match='"-1 h" is negative'):
        parse_distribution("exp(-1 h)", "duration")
    with pytest.raises(ValueError, match='"2" has no unit; write "2 ms"'):
        parse_distribution("uniform(1 h, 2)", "duration")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2 s", 2.0),
        ("exp(1 s)", np.inf),
        ("exp(0 s)", 0.0),
        ("uniform(0 s, 3 s)", 3.0),
        ("lognormal(0 s, 1)", 0.0),
    ],
)
def test_the_longest_that_can_be_drawn(text, seconds):
    assert longest(text, "duration") == seconds
