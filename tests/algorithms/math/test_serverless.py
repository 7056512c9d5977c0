"""The mathematics of the methods without a server, on the vectors and by hand, through their own tasks."""

import numpy as np
import pytest
import torch

from algorithms import adpsgd, dpsgd, peer_learning, sgp
from algorithms.contrast import Contrast
from algorithms.mixing import mean
from algorithms.robust_means import coordinate_median, geometric_median, median
from simulator.api import Message
from simulator.learning.training import initial, train
from simulator.registry import resolve
from tests.algorithms.math.test_mutual import model_of, pair
from tests.algorithms.math.toy_problem import QuadraticContext, point
from tests.vectors import close, load

ONE = {"epochs": 1, "first_epoch": 0}


class HandNode:
    """A node that computes at once; a part of a role is driven to its end by :func:`driven`."""

    def __init__(self, name, ctx=None):
        self.name, self._ctx = name, ctx

    def compute(self, task, *refs, **params):
        params.pop("round", None)
        return resolve(task.function)(self._ctx, *refs, **params)


def driven(steps):
    value = None
    while True:
        try:
            value = steps.send(value)
        except StopIteration as end:
            return end.value


def test_metropolis_weights_match_their_vector():
    vector = load("dpsgd_rounds")
    adjacency = vector["inputs"]["adjacency"]
    neighbors = {
        str(i): [str(j) for j, joined in enumerate(row) if joined] for i, row in enumerate(adjacency)
    }
    for i, row in enumerate(vector["expected"]["W"]):
        weights = dpsgd.metropolis(str(i), neighbors, neighbors[str(i)])
        close([weights.get(str(j), 0.0) for j in range(3)], row, vector)
    alone = dpsgd.metropolis("1", neighbors, ["2"])  # 0 fell silent: its weight stays at home
    close([alone["1"], alone["2"]], [2 / 3, 1 / 3], vector)


@pytest.mark.parametrize("order", ["adapt_local", "combine_then_adapt"])
def test_dpsgd_matches_its_vector_in_both_orders(order):
    vector = load("dpsgd_rounds")
    weights, models = vector["expected"]["W"], [point(x) for x in vector["inputs"]["x0"]]
    contexts = [QuadraticContext(vector, site) for site in range(3)]
    for expected in vector["expected"][order]:
        mixed = [mean(None, *models, weights=row) for row in weights]
        if order == "combine_then_adapt":
            models = [ctx.train(model, **ONE) for ctx, model in zip(contexts, mixed, strict=True)]
        else:
            trained = [ctx.train(model, **ONE) for ctx, model in zip(contexts, models, strict=True)]
            models = [
                dpsgd.add_step(None, trained[i], *models, weights=row, own=i) for i, row in enumerate(weights)
            ]
        close([model.arrays["model"] for model in models], expected, vector)


def test_sgp_matches_its_vector():
    vector = load("sgp_rounds")
    peers = {int(i): out for i, out in vector["inputs"]["out_peers"].items()}
    states = [(point(x), 1.0) for x in vector["inputs"]["x0"]]
    contexts = [QuadraticContext(vector, site) for site in range(3)]
    for expected in vector["expected"]["steps"]:
        trained = [
            sgp.scaled_step(None, ctx.train(z, **ONE), z, weight=weight)
            for ctx, (z, weight) in zip(contexts, states, strict=True)
        ]
        shares = [weight / (len(peers[i]) + 1) for i, (_, weight) in enumerate(states)]
        states = []
        for i in range(3):
            messages = [
                Message(str(j), "model", trained[j], {"round": 0, "weight": shares[j]})
                for j in range(3)
                if i in peers[j]
            ]
            kept = (trained[i], shares[i])
            states.append(driven(sgp.take_in(HandNode(str(i)), kept, messages, 0, keep_state=False)))
        close([weight for _, weight in states], expected["omega"], vector)
        close([z.arrays["model"] for z, _ in states], expected["z"], vector)
        close([weight * z.arrays["model"] for z, weight in states], expected["x"], vector)


def test_medians_match_their_vector():
    vector = load("swarm_merge")
    points, weights = (np.array(vector["inputs"][name]) for name in ("models", "weights"))
    close(coordinate_median(points, weights), vector["expected"]["coordinate_median"], vector)
    close(geometric_median(points, weights), vector["expected"]["geometric_median"], vector)
    models, shares = [point(x) for x in points], (weights / weights.sum()).tolist()
    close(mean(None, *models, weights=shares).arrays["model"], vector["expected"]["mean"], vector)
    for kind in ("coordinate_median", "geometric_median"):
        merged = median(None, *models, weights=shares, kind=kind)
        close(merged.arrays["model"], vector["expected"][kind], vector)


def test_a_median_that_falls_on_a_model_or_on_half_the_weight_is_exact():
    points = np.array([[0.0], [1.0], [10.0]])
    assert coordinate_median(points, np.array([1.0, 1.0, 2.0])) == 1.0  # the lower one
    assert geometric_median(points, np.ones(3)) == pytest.approx(1.0, abs=1e-6)


def test_a_cycle_matches_its_vector():
    vector = load("cyclic_transfer")
    model = point(vector["inputs"]["x0"])
    for hop in vector["expected"]["hops"]:
        model = QuadraticContext(vector, hop["site"]).train(model, **ONE)
        close(model.arrays["model"], hop["model"], vector)


@pytest.mark.parametrize(("kind", "structures"), [("softmax", 3), ("sigmoid", 4)])
def test_mutual_terms_match_their_vector(kind, structures):
    vector = load("dml_kl")
    one, two = (
        torch.tensor(vector["inputs"][name], dtype=torch.float64)[..., None, None]
        for name in ("logits1", "logits2")
    )
    divergence = Contrast(contrast="off", region="all")
    target = torch.zeros(3, structures, 1, 1, dtype=torch.float64)
    close(divergence(one, two, target), vector["expected"][kind]["term_for_net1"], vector)
    close(divergence(two, one, target), vector["expected"][kind]["term_for_net2"], vector)


MUTUAL = {"keep_optimizer": True, "epochs": 2, "first_epoch": 3}


def test_mutual_epochs_of_two_are_deep_mutual_learning(toy_registry):
    ctx, local, incoming = pair()
    coupling = Contrast(contrast="off", region="all")
    expected = ctx.train_together(local, incoming, epochs=2, first_epoch=3, coupling=coupling)
    both = peer_learning.mutual_epochs(
        ctx, local, incoming, task_weights=[1.0, 1.0], mutual_weights=[1.0, 1.0], **MUTUAL
    )
    got = peer_learning.apart(both), peer_learning.apart(both, 0)
    for one, other in zip(got, expected, strict=True):
        for name in ("model", "buffers", "counters"):
            np.testing.assert_allclose(one.arrays[name], other.arrays[name], rtol=1e-5, atol=1e-7)


def test_mutual_epochs_without_coupling_are_local_epochs_of_each(toy_registry):
    ctx, local, incoming = pair()
    third = initial(ctx, member=1)
    weights = {"task_weights": [1.0] * 3, "mutual_weights": [0.0] * 3}
    packed = peer_learning.pack(None, local, incoming, third)
    once = peer_learning.mutual_epochs(ctx, packed, **weights, **MUTUAL)
    for number, model in zip((None, 0, 1), (local, incoming, third), strict=True):
        expected = train(ctx, model, epochs=2, first_epoch=3)
        got = peer_learning.apart(once, number)
        assert got.arrays.keys() == expected.arrays.keys()
        for name in expected.arrays:
            np.testing.assert_array_equal(got.arrays[name], expected.arrays[name])


def test_members_begin_with_weights_of_their_own(toy_registry):
    ctx, _, _ = pair()
    first, second = initial(ctx), initial(ctx, member=1)
    assert not np.array_equal(first.arrays["model"], second.arrays["model"])


def test_the_private_model_never_travels(toy_registry):
    _, local, incoming = pair()
    both = peer_learning.pack(None, local, incoming)
    assert set(model_of(both).arrays) == {n for n in both.arrays if not n.startswith("optimizer.")}
    private = peer_learning.beside(None, both)
    np.testing.assert_array_equal(private.arrays["model"], incoming.arrays["model"])


def test_half_exchanges_conserve_the_sum_whatever_happened_meanwhile():
    a, b = point([1.0, 4.0]), point([3.0, -2.0])
    moved_a, moved_b = point([1.5, 4.5]), point([2.0, -2.0])  # both trained on meanwhile
    after = adpsgd.shift(None, moved_a, b, a), adpsgd.shift(None, moved_b, a, b)
    np.testing.assert_allclose(after[0].arrays["model"], [2.5, 1.5])
    total = after[0].arrays["model"] + after[1].arrays["model"]
    np.testing.assert_allclose(total, [3.5, 2.5])


@pytest.mark.parametrize("size", [2, 3, 6, 9])
def test_everyone_has_a_neighbor_in_the_other_class(size):
    names = [f"s{i}" for i in range(size)]
    ring = {name: {names[i - 1], names[(i + 1) % size]} for i, name in enumerate(names)}
    star = {name: ({names[0]} if i else set(names[1:])) for i, name in enumerate(names)}
    full = {name: set(names) - {name} for name in names}
    for overlay in (ring, star, full):
        active = adpsgd.active_sites(overlay)
        assert all(any((peer in active) != (name in active) for peer in overlay[name]) for name in names)
    assert len(adpsgd.active_sites(full)) in {size // 2, (size + 1) // 2}
