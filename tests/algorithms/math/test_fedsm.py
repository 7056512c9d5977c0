"""FedSM against its vectors, by hand, and on the toy data."""

import numpy as np
import pytest
import torch

import simulator.registry as registries
from algorithms import selector, super_model
from algorithms.mixing import pull_shares
from algorithms.selector import FIRST, SECOND, SELECTOR
from algorithms.super_model import personal
from simulator.api import Bundle
from simulator.learning import evaluation, training
from simulator.learning.classifiers import LINEAR
from tests.learning import toy
from tests.vectors import close, load

SITES = ["north", "south", "west"]


@pytest.fixture
def with_classifiers(toy_registry, monkeypatch):
    real = registries.entry_points
    linear = [toy._Entry("linear", LINEAR)]
    monkeypatch.setattr(
        registries,
        "entry_points",
        lambda group: linear if group == "medgossip.classifiers" else real(group),
    )


def flat(entries):
    return np.concatenate([np.ravel(entries[name]) for name in sorted(entries)])


def model_of(**arrays):
    return Bundle(arrays={name: np.array(values, dtype=np.float64) for name, values in arrays.items()})


def update_of(site, given):
    parameters, buffers = personal(site)
    return model_of(
        **{
            "model": flat(given["delta_global"]),
            "buffers": flat(given["delta_global"]),
            parameters: flat(given["personal"]),
            buffers: -flat(given["personal"]),
            SELECTOR: flat(given["delta_selector"]),
            FIRST: flat(given["selector_exp_avg"]),
            SECOND: flat(given["selector_exp_avg_sq"]),
        }
    )


def test_the_servers_step_matches_its_vector():
    vector = load("fedsm_aggregate")
    given, expected = vector["inputs"], vector["expected"]
    sites = sorted(given["sites"])
    updates = [update_of(site, given["updates"][site]) for site in sites]
    steps = np.array([given["num_steps"][site] for site in sites])
    state = model_of(model=np.full(9, 2.0), selector=[], **{SELECTOR: np.full(4, -1.0)})
    after = super_model.aggregate(
        None,
        state,
        *updates,
        sites=sites,
        weights=(steps / steps.sum()).tolist(),
        lam=vector["hyper_parameters"]["lam"],
        selector="",
        num_sites=3,
    ).arrays
    close(after["model"] - 2, flat(expected["delta_global"]), vector)
    close(after["buffers"], flat(expected["delta_global"]), vector)
    close(after[SELECTOR] + 1, flat(expected["delta_selector"]), vector)
    close(after[FIRST], flat(expected["selector_exp_avg"]), vector)
    close(after[SECOND], flat(expected["selector_exp_avg_sq"]), vector)
    for site in sites:
        for name, sign in zip(personal(site), (1, -1), strict=True):
            close(after[name], sign * flat(expected["personal"][site]), vector)


@pytest.mark.parametrize(
    ("values", "pulled"), [((1, 4, 10), (2.8, 4.45, 7.75)), ((1, 4), (1.9, 3.1)), ((1,), (1,))]
)
def test_soft_pull_by_hand(values, pulled):
    """Also when a site is missing, and when one answers alone (spec, worked example)."""
    rows = [pull_shares(len(values), place, 0.7) for place in range(len(values))]
    assert np.array(rows) @ values == pytest.approx(pulled)


def test_a_site_that_did_not_answer_keeps_its_personal_model():
    names = [name for site in SITES for name in personal(site)]
    state = model_of(model=[0], **{name: [7.0] for name in (*names, SELECTOR, FIRST, SECOND)})
    update = state.arrays | dict.fromkeys(names, np.array([1.0])) | {"buffers": np.zeros(0)}
    after = super_model.aggregate(
        None,
        state,
        Bundle(arrays=update),
        sites=["south"],
        weights=[1.0],
        lam=0.7,
        selector="",
        num_sites=3,
    )
    assert [after.arrays[personal(site)[0]][0] for site in SITES] == [7, 1, 7]


@pytest.mark.parametrize("num_models", [2, 3, 6])
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.7, 1.0])
def test_soft_pull_is_symmetric_and_doubly_stochastic(num_models, lam):
    rows = np.array([pull_shares(num_models, place, lam) for place in range(num_models)])
    assert np.array_equal(rows, rows.T)
    assert rows.sum(axis=0) == pytest.approx(1)
    assert (np.diag(rows) == lam).all()


def test_the_choice_matches_its_vector():
    vector = load("fedsm_choice")
    logits = torch.tensor(vector["inputs"]["logits"], dtype=torch.float64)
    choice, likeliest = selector.choose(logits, vector["hyper_parameters"]["gamma"])
    assert choice.tolist() == vector["expected"]["choice"]
    assert likeliest.tolist() == np.argmax(vector["expected"]["softmax"], axis=1).tolist()
    assert selector.choose(torch.tensor([[200.0, 0.0]]), 1.0)[0].tolist() == [-1]  # strictly above


def test_the_selectors_adam_is_torchs():
    gradients = np.random.default_rng(0).normal(size=(3, 5))
    ours, moments = np.ones(5), [np.zeros(5)] * 2
    theirs = torch.nn.Parameter(torch.ones(5, dtype=torch.float64))
    optimizer = torch.optim.Adam([theirs], lr=0.01)
    for step, gradient in enumerate(gradients, start=1):
        ours, *moments = selector.adam(ours, gradient, moments, steps=step, lr=0.01)
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-10)


def settings(**changes):
    base = {"sites": SITES, "selector": "linear", "selector_lr": 1e-3, "selector_epochs": 1}
    base |= {"first_selector_epoch": 0, "epochs": 1, "first_epoch": 0, "keep_optimizer": True}
    return base | changes


def site_and_state(**counts):
    ctx = toy.context(toy.recipe(network={"norm": "batch"}, augment=[]), **counts)
    initial = training.initial(ctx)
    return ctx, initial, super_model.first_state(ctx, initial, sites=SITES, selector="linear")


def test_the_first_step_of_the_selector_goes_by_the_sign_of_the_summed_gradient(with_classifiers):
    ctx, initial, state = site_and_state()
    update = super_model.train_super(ctx, state, initial, **settings()).arrays
    module = ctx.classifier("linear", 3, state.arrays[SELECTOR])
    images = torch.cat([case.images for case in ctx.cases("train")])
    loss = torch.nn.functional.cross_entropy(
        module(images), torch.zeros(len(images), dtype=torch.long), reduction="sum"
    )
    gradient = torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, list(module.parameters()))])
    np.testing.assert_allclose(update[FIRST], 0.1 * gradient, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(update[SECOND], 0.001 * gradient**2, rtol=1e-4, atol=1e-9)
    clear = gradient.abs() > 1e-3
    expected = (-1e-3 * torch.sign(gradient))[clear]
    np.testing.assert_allclose(update[SELECTOR][clear], expected, rtol=1e-2)


def test_both_models_train_like_one_alone_each_with_an_optimizer_of_its_own(with_classifiers):
    """Two rounds: the personal model is the plain training of a site that keeps its optimizer."""
    ctx, own, state = site_and_state()
    plain = own
    for round_ in range(2):
        own = super_model.train_super(ctx, state, own, **settings(first_epoch=round_))
        plain = ctx.train(plain, epochs=1, first_epoch=round_)
        name, buffers = personal("north")
        assert np.array_equal(own.arrays[name], plain.arrays["model"])
        assert np.array_equal(own.arrays[buffers], plain.arrays["buffers"])
        if not round_:
            change = plain.arrays["model"] - state.arrays["model"]
            assert np.array_equal(own.arrays["model"], change)
        state = Bundle(arrays=dict(state.arrays) | {name: own.arrays[name], buffers: own.arrays[buffers]})
    kept = super_model.personal_model(ctx, state, own, site="north")
    assert toy.same(kept, Bundle(arrays={name: plain.arrays[name] for name in kept.arrays}))


def test_moments_received_replace_the_own_and_the_counter_goes_on(with_classifiers):
    ctx, own, state = site_and_state()
    own = super_model.train_super(ctx, state, own, **settings(selector_epochs=2))
    assert own.arrays[selector.SELECTOR_STEPS].tolist() == [2]
    received = Bundle(
        arrays=dict(state.arrays) | {name: own.arrays[name] * 0 + 1 for name in (FIRST, SECOND)}
    )
    after = super_model.train_super(ctx, received, own, **settings()).arrays
    assert after[selector.SELECTOR_STEPS].tolist() == [3]
    assert after[SECOND].min() >= 0.999


def test_the_super_model_segments_with_the_model_it_chooses(with_classifiers):
    """Weights of the selector that always say south: gamma 1 is the global model, 0 the personal one."""
    ctx, initial, state = site_and_state()
    trained = ctx.train(initial, epochs=2, first_epoch=0)
    values = np.zeros_like(state.arrays[SELECTOR])
    values[-2] = 3.0  # the bias of the second class
    arrays = dict(state.arrays) | {SELECTOR: values, "counters": initial.arrays["counters"]}
    arrays |= dict(zip(personal("south"), (trained.arrays["model"], trained.arrays["buffers"]), strict=True))
    how = {"split": "val", "distances": False, "empty": "one", "overlays": 0}
    for gamma, single, share in ((1.0, initial, 0.0), (0.0, trained, 1.0)):
        params = {"sites": SITES, "selector": "linear", "gamma": gamma}
        got = evaluation.evaluate(
            ctx,
            Bundle(arrays=arrays),
            **how,
            predictor="algorithms.super_model:SuperModel",
            predictor_params=params,
        )
        assert got.meta["report"] == {"share_personal": share, "selector_accuracy": 0.0}
        assert got.meta["loss"] == evaluation.evaluate(ctx, single, **how).meta["loss"]


def test_an_unseen_hospital_has_no_accuracy(with_classifiers):
    ctx, _, state = site_and_state(site="elsewhere")
    run = super_model.SuperModel(ctx, state, selector="linear", sites=SITES, gamma=0.0)
    run(ctx.cases("val")[0].images)
    assert run.report() == {"share_personal": 1.0}


def test_volumes_are_classified_and_segmented_too(with_classifiers):
    ctx = toy.context(toy.recipe(dataset={"dims": 3}, network={"norm": "batch"}, batch_size=2))
    initial = training.initial(ctx)
    state = super_model.first_state(ctx, initial, sites=SITES, selector="linear")
    update = super_model.train_super(ctx, state, initial, **settings())
    assert np.isfinite(update.arrays[SELECTOR]).all()
    run = super_model.SuperModel(ctx, state, selector="linear", sites=SITES, gamma=0.0)
    images = ctx.cases("val")[0].images
    assert run(images).shape == (1, 2, *images.shape[2:])
