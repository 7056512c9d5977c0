"""The mathematics of the methods with a server, on the vectors' quadratics and by hand."""

import numpy as np
import pytest
import torch

from algorithms import apfl, scaffold, server_optimizers
from algorithms.mixing import weighted_mean
from algorithms.moon import contrastive
from algorithms.proximal import train_near
from tests.algorithms.math.toy_problem import QuadraticContext, point
from tests.vectors import close, load

ONE = {"epochs": 1, "first_epoch": 0}


def shares(vector):
    cases = np.array(vector["inputs"]["num_cases"], dtype=float)
    return (cases / cases.sum()).tolist()


def test_scaffold_matches_its_vector():
    vector = load("scaffold_rounds")
    given, settings = vector["inputs"], vector["hyper_parameters"]
    num_sites = given["num_sites"]
    state, own = point(given["x0"]), [None] * num_sites
    for cohort, expected in zip(given["cohorts"], vector["expected"]["rounds"], strict=True):
        updates = []
        for site in cohort:
            before = () if own[site] is None else (own[site],)
            own[site] = scaffold.corrected_epochs(QuadraticContext(vector, site), state, *before, **ONE)
            updates.append(own[site])
        x = state.arrays["model"]
        close([x + update.arrays["model"] for update in updates], expected["local"], vector)
        close([update.arrays["control"] for update in updates], expected["delta_c"], vector)
        weights = [1 / len(cohort)] * len(cohort)
        state = scaffold.server_step(
            None, state, *updates, weights=weights, server_lr=settings["eta_g"], num_sites=num_sites
        )
        close(state.arrays["model"], expected["server"], vector)
        close(state.arrays["control"], expected["c"], vector)
        controls = [np.zeros(2) if one is None else one.arrays[scaffold.OWN_CONTROL] for one in own]
        close(controls, expected["c_site"], vector)


def test_ditto_matches_its_vector():
    vector = load("ditto_rounds")
    lam, weights = vector["hyper_parameters"]["lam"], shares(vector)
    state, own = point(vector["inputs"]["x0"]), [None] * 3
    for expected in vector["expected"]["rounds"]:
        contexts = [QuadraticContext(vector, site) for site in range(3)]
        own = [
            train_near(ctx, state if v is None else v, state, mu=lam, **ONE)
            for ctx, v in zip(contexts, own, strict=True)
        ]
        close([v.arrays["model"] for v in own], expected["personal"], vector)
        trained = [ctx.train(state, **ONE).arrays["model"] for ctx in contexts]
        state = point(weighted_mean(trained, weights))
        close(state.arrays["model"], expected["server"], vector)


def test_apfl_matches_its_vector():
    vector = load("apfl_rounds")
    given, alpha = vector["inputs"], vector["hyper_parameters"]["alpha0"]
    state = point(given["x0"])
    own = [
        point([], **{apfl.PRIVATE + name: array for name, array in point(v).arrays.items()})
        for v in given["v0"]
    ]
    for one in own:
        one.arrays[apfl.ALPHA] = np.array([alpha])
    for expected in vector["expected"]["rounds"]:
        own = [
            apfl.train_both(QuadraticContext(vector, site), state, v, alpha=alpha, adaptive=True, **ONE)
            for site, v in enumerate(own)
        ]
        close([apfl.private_of(one).arrays["model"] for one in own], expected["v"], vector)
        close([one.arrays[apfl.ALPHA][0] for one in own], expected["alpha"], vector)
        close([apfl.mixture(None, one).arrays["model"] for one in own], expected["mixed"], vector)
        state = point(weighted_mean([one.arrays["model"] for one in own], shares(vector)))
        close(state.arrays["model"], expected["server"], vector)


def test_moon_matches_its_vector():
    vector = load("moon_loss")
    given = {name: torch.tensor(values, dtype=torch.float64) for name, values in vector["inputs"].items()}
    loss = contrastive(
        given["z"], given["z_global"], list(given["z_previous"]), vector["hyper_parameters"]["tau"]
    )
    close(loss, vector["expected"]["per_entry"], vector)
    close(loss.mean(), vector["expected"]["mean"], vector)


def test_moon_teaches_nothing_in_a_sites_first_round():
    features = torch.randn(3, 5, requires_grad=True)
    received = torch.randn(3, 5)
    loss = contrastive(features, received, [received], 0.5).sum()
    assert loss.item() == pytest.approx(3 * np.log(2))
    (gradient,) = torch.autograd.grad(loss, features)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize(
    ("kind", "second"),
    [
        # v0 = tau² = .01, delta = .5 -> 1 (w 0, mean answer .5 and 1): v = .99·.01 + .01·.25 and so on
        ("adam", [0.0124, 0.99 * 0.0124 + 0.01 * 0.25]),
        # yogi moves by .01·delta² toward it: .01 + .0025, and again
        ("yogi", [0.0125, 0.015]),
    ],
)
def test_the_servers_optimizer_by_hand(kind, second):
    """Twice a mean update of .5: m = .05, .095; w moves by lr·m/(sqrt(v) + tau)."""
    state, w = point([0.0]), 0.0
    for turn, m in enumerate((0.05, 0.095)):
        answers = [point([w]), point([w + 1.0])]
        state = server_optimizers.server_step(
            None,
            state,
            *answers,
            weights=[0.5, 0.5],
            kind=kind,
            server_lr=0.2,
            beta1=0.9,
            beta2=0.99,
            tau=0.1,
        )
        w += 0.2 * m / (second[turn] ** 0.5 + 0.1)
        assert state.arrays["model"][0] == pytest.approx(w, rel=1e-12)
        assert state.arrays[server_optimizers.SECOND][0] == pytest.approx(second[turn], rel=1e-12)
