"""What a report says of rogue sites and of privacy."""

from types import SimpleNamespace

from simulator.report.outgoing import privacy_words, rogue_words


def run(outgoing, *rogues):
    sites = [{"name": name, "rogue": {"kind": kind}} for name, kind in rogues] + [{"name": "z"}]
    return SimpleNamespace(manifest={"outgoing": outgoing}, scenario={"sites": sites})


def test_rogue_sites_are_named_with_what_left_them():
    runs = [
        run({"num_false_models": {"lake": n, "hill": 0}}, ("lake", "nan"), ("hill", "label-flip"))
        for n in (7, 4)
    ]
    honest = [run({})]
    assert rogue_words({"gcml": runs, "local": honest}) == [
        "With gcml, not all sites are honest: hill (label-flip) and lake (nan, 4–7 false models)."
    ]


def test_the_privacy_loss_is_a_range_over_sites():
    account = {
        "a": {"num_releases": 3, "epsilon": 1.5},
        "b": {"num_releases": 1, "epsilon": 0.75},
        "delta": 1e-5,
    }
    assert privacy_words({"fedavg": [run({"privacy": account})], "local": [run({})]}) == [
        "With fedavg, what leaves a site (at most 3 models) is ε = 0.75 to 1.5, δ = 1e-05 differentially "
        "private about all of its cases together, against whoever sees every one of them."
    ]
