import pytest

from simulator.errors import ScenarioError
from simulator.scenario.sweep import MAX_LABEL, slug, unique
from tests.scenario.conftest import BASE

SERVER = "server: {device: t4, link: {up: 1 Gbit/s, down: 1 Gbit/s, latency: 1 ms}}\n"


def labels(study):
    return [point.label for point in study.points]


def test_a_grid_in_order_with_short_labels(load):
    study = load(
        BASE.replace("rounds: 2", "rounds: 2") + SERVER + "sweep:\n  algorithm.name: [gossip, star]\n"
        "  sites.*.link.up: [4 Mbit/s, 1 Gbit/s]\n  seed.network: 2 seeds\n"
    )
    assert labels(study) == [
        "gossip-up4Mbit-s-seed1", "gossip-up4Mbit-s-seed2",
        "gossip-up1Gbit-s-seed1", "gossip-up1Gbit-s-seed2",
        "star-up4Mbit-s-seed1", "star-up4Mbit-s-seed2",
        "star-up1Gbit-s-seed1", "star-up1Gbit-s-seed2",
    ]  # fmt: skip
    point = study.points[5]
    assert point.swept == {"algorithm.name": "star", "sites.*.link.up": "4 Mbit/s", "seed.network": 2}
    assert [site.link.up for site in point.scenario.sites] == [5e5, 5e5]
    assert (point.scenario.algorithm.name, point.scenario.seed.network) == ("star", 2)


def test_a_mapping_replaces_the_whole_key(load):
    study = load(
        BASE
        + SERVER
        + """\
sweep:
  algorithm:
    - {name: gossip, epochs: 5}
    - {name: gossip, epochs: 5, merge: keep_local}
    - {name: gossip, epochs: 7}
    - {name: star}
"""
    )
    assert labels(study) == ["gossip-epochs5", "gossip-epochs5-keep-local", "gossip-epochs7", "star"]
    assert study.points[0].scenario.algorithm.rounds is None, "rounds: 2 of the file is gone"


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("{faults: [[], [{at: 2 h, crash: north}]]}", ["faults-none", "faults-at2h-crash-north"]),
        ("{algorithm.share: [null, 0.25, 1]}", ["share-none", "share0.25", "share1"]),
        ("{network.overlay: [complete, ring]}", ["overlay-complete", "overlay-ring"]),
        ("{network.codec: [{kind: fp16}, {kind: int8, zstd: 3}]}", ["fp16", "int8"]),
        ("{network.codec.kind: fp16}", ["fp16"]),
        ("{seed.learning: [3, 4], seed.network: 1 seed}", ["learning3-seed1", "learning4-seed1"]),
        ("{sites.0.link.up: [1 B/s], sites.1.link.up: [2 B/s]}", ["link-up1B-s-link-up2B-s"]),
        ("{task.patch_size: [[8, 8], [16, 16]]}", ["patch-size8-8", "patch-size16-16"]),
        ("{algorithm.share: [1.0e+30, 1.0e-30]}", ["share1e30", "share1e-30"]),
        ("{task.strict: [true, false]}", ["strict-true", "strict-false"]),
    ],
)
def test_labels(load, sweep, expected):
    assert labels(load(f"{BASE}sweep: {sweep}\n")) == expected


def test_labels_are_safe_short_and_differ_without_case():
    assert slug("  a/b: ü c..") == "a-b-c"
    long = unique(["x" * 200, "x" * 199 + "y", "a", "A", ""])
    assert all(len(label) <= MAX_LABEL for label in long)
    assert len({label.casefold() for label in long}) == 5
    assert long == unique(["x" * 200, "x" * 199 + "y", "a", "A", ""]), "deterministic"
    assert long[2:] == ["a", "A-2", "point"]


def test_many_equal_long_labels_stay_short_and_apart():
    made = unique(["y" * 300] * 30)
    assert len(set(made)) == 30
    assert max(map(len, made)) <= MAX_LABEL


def test_an_option_wins_over_the_sweep(load):
    swept = (
        BASE
        + SERVER
        + "sweep: {algorithm: [{name: gossip, rounds: 3}, {name: star}], seed.network: 3 seeds}\n"
    )
    assert labels(load(swept, "seed.network=7")) == ["gossip", "star"], "pinned: no longer swept"
    pinned = load(swept, "seed={network: 7}", "algorithm={name: star}")
    assert labels(pinned) == ["star"]
    assert pinned.points[0].scenario.seed.network == 7
    deeper = load(swept, "algorithm.rounds=9")
    assert {point.scenario.algorithm.rounds for point in deeper.points} == {9}
    assert len(deeper.points) == 6


def test_keys_of_a_zip_vary_together(load):
    study = load(
        BASE
        + """\
sweep:
  zip: {sites.*.link.up: [1 Mbit/s, 8 Mbit/s], sites.*.link.down: [2 Mbit/s, 9 Mbit/s]}
  seed.network: 2 seeds
"""
    )
    assert labels(study) == [
        "up1Mbit-s-down2Mbit-s-seed1", "up1Mbit-s-down2Mbit-s-seed2",
        "up8Mbit-s-down9Mbit-s-seed1", "up8Mbit-s-down9Mbit-s-seed2",
    ]  # fmt: skip
    assert study.points[2].scenario.sites[0].link.down == 9e6 / 8


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("algorithm.rounds: {from: 1, to: 4, step: 1}", [1, 2, 3, 4]),
        ("algorithm.share: {from: 0, to: 0.3, step: 0.1}", [0.0, 0.1, 0.2, 0.3]),
        ("algorithm.share: {from: 1, to: 0.5, num: 3}", [1.0, 0.75, 0.5]),
        (
            "sites.*.link.up: {from: 1 Mbit/s, to: 1000 Mbit/s, num: 4, scale: log}",
            ["1 Mbit/s", "10 Mbit/s", "100 Mbit/s", "1000 Mbit/s"],
        ),
    ],
)
def test_ranges(load, values, expected):
    study = load(f"{BASE}sweep: {{{values}}}\n")
    assert [next(iter(point.swept.values())) for point in study.points] == expected


def test_only_where(load):
    study = load(
        BASE
        + SERVER
        + """\
sweep:
  algorithm: [{name: gossip, rounds: 2}, {name: star}]
  seed.network: 3 seeds
  where:
    - {if: {algorithm.name: star}, only: {seed.network: [1, 3]}}
    - {if: {algorithm.name: gossip}, only: {seed.network: 2}}
"""
    )
    assert labels(study) == ["gossip-seed2", "star-seed1", "star-seed3"]


def test_a_rule_on_a_key_that_an_option_sets_is_void(load):
    where = "where: [{only: {seed.network: 1}}]"
    text = f"{BASE}sweep: {{seed.network: 2 seeds, algorithm.rounds: [1, 2], {where}}}\n"
    assert labels(load(text)) == ["seed1-rounds1", "seed1-rounds2"]
    assert labels(load(text, "seed.network=7")) == ["rounds1", "rounds2"]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("zip: {algorithm.rounds: [1, 2]}", "sweep.zip: expected a mapping of two or more keys"),
        (
            "zip: {algorithm.rounds: [1, 2], seed.network: 3 seeds}",
            "sweep.zip.seed.network: 3 values, but algorithm.rounds has 2",
        ),
        ("algorithm.rounds: {from: 1, to: 4}", "a range has from, to, and either num or step"),
        ("algorithm.rounds: {from: 1, to: 4, stepp: 1}", "stepp: unknown key; did you mean step?"),
        ("algorithm.rounds: {from: 1, to: 4, step: -1}", "step: does not lead from 1 to 4"),
        ("algorithm.rounds: {from: 0, to: 4, num: 3, scale: log}", "log between positive ends"),
        (
            "sites.*.link.up: {from: 1 Mbit/s, to: 1 Gbit/s, num: 2}",
            "write both in Mbit/s",
        ),
        ("algorithm.rounds: [1, 2], where: [{only: {seed.network: 1}}]", "seed.network: is not swept"),
        (
            "algorithm.rounds: [1, 2], where: [{only: {algorithm.rounds: 3}}]",
            "no point has 3; there are 1",
        ),
        ("algorithm.rounds: [1, 2], where: [{only: {algorithm.rounds: [1, 2]}}]", "leaves no point out"),
        (
            "algorithm.rounds: [1, 2], where: [{only: {algorithm.rounds: 1}}, {only: {algorithm.rounds: 2}}]",
            "leaves no point; loosen",
        ),
        ("algorithm.rounds: [1, 2], zip: {algorithm.rounds: [1], seed.network: [1]}", "sets it too"),
        ("algorithm.rounds: [1, 2], where: {only: 1}", "expected a list of rules"),
        ("algorithm.rounds: [1, 2], where: [{if: {algorithm.rounds: 1}}]", "a rule has only, and if"),
    ],
)
def test_what_a_sweep_cannot_be(load, sweep, message):
    with pytest.raises(ScenarioError) as error:
        load(f"{BASE}sweep: {{{sweep}}}\n")
    assert message in str(error.value)
    assert str(error.value).split(":")[1].isdecimal(), "with its place"
