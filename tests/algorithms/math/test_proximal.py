import numpy as np
import pytest
import torch

from algorithms.mixing import weighted_mean
from algorithms.proximal import proximal, train_prox
from simulator.learning.training import initial, train
from tests.algorithms.math.toy_problem import local_steps
from tests.learning import toy
from tests.vectors import close, load


def flat(parts):
    return np.concatenate([np.ravel(parts["weight"]), parts["bias"]])


def test_penalty_and_gradient_match_the_public_implementation():
    vector = load("fedprox_penalty")
    local, received = (flat(vector["inputs"][who]) for who in ("local", "received"))
    for mu in vector["hyper_parameters"]["mu"]:
        expected = vector["expected"]["by_mu"][str(mu)]
        parameters = torch.tensor(local, requires_grad=True)
        value = proximal(received, mu)(parameters)
        value.backward()
        close(value.item(), expected["penalty"], vector)
        close(parameters.grad, flat(expected["grad"]), vector)


def test_rounds_match_their_vector():
    vector = load("fedprox_rounds")
    cases = np.array(vector["inputs"]["num_cases"], dtype=float)
    server = np.array(vector["inputs"]["x0"])
    for round_ in vector["expected"]["rounds"]:
        penalty = proximal(server, vector["hyper_parameters"]["mu"])
        local = [local_steps(vector, site, server, penalty) for site in range(len(cases))]
        close(local, round_["local"], vector)
        server = weighted_mean(local, (cases / cases.sum()).tolist())
        close(server, round_["server"], vector)


def test_a_strong_pull_keeps_the_model_near_and_none_leaves_plain_training(toy_registry):
    ctx = toy.context(toy.recipe(optimizer={"name": "sgd", "lr": 0.001, "clip_norm": None}))
    model = initial(ctx)

    def moved(mu):
        trained = train_prox(ctx, model, mu=mu, epochs=2, first_epoch=0)
        return float(np.linalg.norm(trained.arrays["model"] - model.arrays["model"]))

    plain = train(ctx, model, epochs=2, first_epoch=0)
    assert moved(0.0) == pytest.approx(
        float(np.linalg.norm(plain.arrays["model"] - model.arrays["model"])), rel=1e-6
    )
    assert moved(500.0) < 0.5 * moved(0.0)
