import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from simulator.units import UNITS, Bytes, BytesPerSecond, Seconds, legible, parse, show

DIMENSIONS = sorted(UNITS)
POSITIVE = st.floats(min_value=1e-12, max_value=1e18, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("20 Mbit/s", "rate", 2.5e6), ("1 MB/s", "rate", 1e6), ("8 bit/s", "rate", 1.0),
        ("1 MiB/s", "rate", 2.0**20), ("3 B", "size", 3.0),
        ("15 ms", "duration", 0.015), ("2 h", "duration", 7200.0), ("3 d", "duration", 259200.0),
        ("5 µs", "duration", 5e-6), ("64 MiB", "size", 64 * 2.0**20), ("1 kB", "size", 1000.0),
        ("8 TFLOP/s", "speed", 8e12), ("1.5 mm", "length", 1.5), ("2cm", "length", 20.0),
        ("1e3 s", "duration", 1000.0), (" .5  s ", "duration", 0.5), ("unlimited", "rate", math.inf),
    ],
)  # fmt: skip
def test_known_quantities(text, dimension, value):
    assert parse(text, dimension) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "dimension", "message"),
    [
        ("8", "duration", '"8" has no unit; write "8 ms"'),
        (8, "rate", '"8" has no unit; write "8 Mbit/s"'),
        ("8 parsec", "length", '"parsec" is not a unit of length; known are mm, cm, m'),
        ("20 Mbps", "rate", '"Mbps" is not a unit of rate; known are bit/s'),
        ("-3 s", "duration", '"-3 s" is negative; write it without the minus'),
        ("fast", "speed", '"fast" is not a speed; write for example "20 TFLOP/s"'),
        ("unlimited", "duration", '"unlimited" is not a duration'),
        (True, "size", 'expected a size such as "20 MB", found True'),
        (None, "size", 'expected a size such as "20 MB", found None'),
        ("1 2 s", "duration", '"1 2 s" is not a duration'),
    ],
)
def test_what_is_refused(text, dimension, message):
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text, dimension)
    assert str(caught.value).startswith(message)


@given(st.sampled_from(DIMENSIONS), POSITIVE)
def test_what_is_shown_reads_back_to_six_digits(dimension, value):
    assert parse(show(value, dimension), dimension) == pytest.approx(value, rel=1e-5)


@given(st.sampled_from(DIMENSIONS), st.data())
def test_every_unit_scales(dimension, data):
    unit = data.draw(st.sampled_from(sorted(UNITS[dimension])))
    number = data.draw(st.floats(min_value=1e-3, max_value=1e6))
    assume(math.isfinite(number * UNITS[dimension][unit]))
    assert parse(f"{number!r} {unit}", dimension) == pytest.approx(number * UNITS[dimension][unit], rel=1e-15)


@given(st.text(max_size=30), st.sampled_from(DIMENSIONS))
def test_any_other_text_is_refused_with_words(text, dimension):
    try:
        value = parse(text, dimension)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - most texts are refused, some are quantities
    else:
        assert value >= 0


@given(st.floats(min_value=0, allow_infinity=False, allow_nan=False))
def test_settings_are_written_without_loss(value):
    for kind in (Seconds, Bytes, BytesPerSecond):
        adapter = TypeAdapter(kind)
        written = adapter.dump_python(value, mode="json")
        assert adapter.validate_python(written) == value


def test_settings_refuse_bare_numbers():
    with pytest.raises(ValidationError, match=r'"3\.0" has no unit'):
        TypeAdapter(Seconds).validate_python(3.0)


def test_the_largest_unit_is_shown_that_leaves_a_whole_part():
    assert [show(value, "duration") for value in (59.0, 60.0, 5400.0)] == ["59 s", "1 min", "1.5 h"]


def test_zero_and_small_values_are_shown_in_the_smallest_unit():
    assert show(0.0, "duration") == "0 us"
    assert show(1e-9, "duration") == "0.001 us"
    assert show(math.inf, "rate") == "unlimited"


def test_texts_are_as_short_as_they_can_be_told_apart():
    assert legible(["0.251189 Mbit/s", "3.98107 Mbit/s", "63.0957 Mbit/s", "1000 Mbit/s"]) == [
        "0.251 Mbit/s", "3.98 Mbit/s", "63.1 Mbit/s", "1000 Mbit/s",
    ]  # fmt: skip
    assert legible(["1.25001 s", "1.25049 s", "1.3 s"]) == ["1.25 s", "1.2505 s", "1.3 s"]
    assert legible(["300.0 s", "1234.56 B"]) == ["300.0 s", "1235 B"]
    assert legible(["lam 0.251189, beta 1.0", "lam 1.58489, beta 1.0"]) == [
        "lam 0.251, beta 1.0",
        "lam 1.58, beta 1.0",
    ]
    assert legible(["traces/day-0.251189.csv", "v1.23456"]) == ["traces/day-0.251189.csv", "v1.23456"]
