import numpy as np
import pytest

from simulator.rng import stream
from simulator.scenario.generate import draw
from tests.scenario.conftest import BASE

GENERATOR = """\
sites:
  generate: {count}
  name: hospital
  device: choice(rtx-3090, t4)
  link:
    up: uniform(20 Mbit/s, 100 Mbit/s)
    down: 100 Mbit/s
    latency: lognormal(15 ms, 0.4)
    loss: uniform(0, 0.01)
  data: {{cases: "integers(4, 40)"}}
algorithm: {{name: gossip, rounds: 2}}
"""


def generated(load, count=8, *options, extra=""):
    text = BASE[: BASE.index("sites:")] + GENERATOR.format(count=count) + extra
    return load(text, *options).points[0].scenario.sites


def test_names_and_ranges(load):
    sites = generated(load)
    assert [site.name for site in sites] == [f"hospital{number}" for number in range(1, 9)]
    assert {site.device for site in sites} == {"rtx-3090", "t4"}
    assert all(2.5e6 <= site.link.up <= 12.5e6 for site in sites)
    assert all(4 <= site.data.cases <= 40 for site in sites)
    assert len({site.link.latency for site in sites}) == 8


def test_another_site_or_key_changes_nobodys_draws(load):
    eight = generated(load)
    assert generated(load, 12)[:8] == eight
    with_jitter = generated(load, 8, "sites.link.jitter=uniform(1 ms, 2 ms)")
    assert [site.link.latency for site in with_jitter] == [site.link.latency for site in eight]


def test_each_seed_moves_its_own(load):
    eight = generated(load)
    network, learning = generated(load, 8, "seed.network=2"), generated(load, 8, "seed.learning=2")
    assert [site.data for site in network] == [site.data for site in eight], "data belongs to learning"
    assert [site.link for site in network] != [site.link for site in eight]
    assert [site.data for site in learning] != [site.data for site in eight]
    assert [site.link for site in learning] == [site.link for site in eight]


def test_lists_and_generators_mix(load):
    text = BASE.replace("  - name: south\n", "  - name: rural\n    generate: 2\n")
    assert [site.name for site in load(text).points[0].scenario.sites] == ["north", "rural1", "rural2"]


@pytest.mark.parametrize(
    ("text", "mean", "spread"),
    [
        ("uniform(2, 4)", 3.0, 0.05),
        ("exp(3)", 3.0, 0.2),
        ("integers(1, 5)", 3.0, 0.1),
        ("choice(2, 4)", 3.0, 0.1),
    ],
)
def test_draws_have_the_mean_they_should(text, mean, spread):
    rng = stream(1, "test", text)
    assert np.mean([draw(text, rng) for _ in range(2000)]) == pytest.approx(mean, abs=spread)


def test_a_lognormal_has_its_median():
    rng = stream(1, "test")
    values = [float(draw("lognormal(15 ms, 0.4)", rng).removesuffix(" ms")) for _ in range(2000)]
    assert np.median(values) == pytest.approx(15, rel=0.05)
    assert np.std(np.log(values)) == pytest.approx(0.4, rel=0.05)


def test_quantities_keep_the_unit_of_the_first_argument():
    assert draw("uniform(1 h, 60 min)", stream(1, "x")) == "1 h"
    assert draw("choice(rtx-3090, rtx-3090)", stream(1, "x")) == "rtx-3090"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniform(1 h, 2 Mbit/s)", '"Mbit/s" is not a unit of duration'),
        ("uniform(1 parsec, 2 parsec)", '"1 parsec" is not a number with a known unit'),
        ("choice()", "is no distribution"),
        ("integers(3, 2)", "is not of the form"),
        ("exp()", r'"exp\(\)" is not of the form exp\(mean\)'),
        ("exp(unlimited)", "is not a number"),
        ("plain", "is not a distribution"),
    ],
)
def test_what_cannot_be_drawn(text, message):
    with pytest.raises(ValueError, match=message):
        draw(text, stream(1, "x"))
