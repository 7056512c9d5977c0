"""FedAsync and FedBuff against their vectors."""

import numpy as np
import pytest

from algorithms.asynchronous import FedAsync, blend, difference, flush
from tests.algorithms.math.toy_problem import point
from tests.vectors import close, load


@pytest.mark.parametrize("staleness", ["constant", "polynomial", "hinge"])
def test_fedasync_matches_its_vector(staleness):
    vector = load("fedasync_arrivals")
    settings = vector["hyper_parameters"]
    assert (settings["polynomial_a"], settings["hinge_a"]) == (0.5, 10), "our defaults"
    cfg = FedAsync(rounds=1, staleness=staleness, alpha=settings["alpha"], b=settings["hinge_b"])
    model = point(vector["inputs"]["x0"])
    for arrival, expected in zip(vector["inputs"]["arrivals"], vector["expected"][staleness], strict=True):
        share = cfg.weight(arrival["staleness"])
        close(share, expected["alpha_t"], vector)
        model = blend(None, model, point(arrival["model"]), share=share)
        close(model.arrays["model"], expected["server"], vector)


def test_fedbuff_matches_its_vector():
    vector = load("fedbuff_arrivals")
    settings, arrivals = vector["hyper_parameters"], vector["inputs"]["arrivals"]
    model = point(vector["inputs"]["x0"])
    size = settings["B"]
    for turn, expected in enumerate(vector["expected"]["server_after_each_flush"]):
        batch = arrivals[turn * size : (turn + 1) * size]
        scales = [(1 + one["staleness"]) ** -0.5 for one in batch]
        deltas = [point(one["delta"]) for one in batch]
        model = flush(None, model, *deltas, scales=scales, server_lr=settings["eta_g"])
        close(model.arrays["model"], expected, vector)


def test_a_difference_is_what_training_took_away():
    sent = difference(None, point([1.0, 2.0]), point([0.5, 3.0]))
    np.testing.assert_array_equal(sent.arrays["model"], [0.5, -1.0])
