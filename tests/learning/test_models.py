import numpy as np
import pytest
import torch

from simulator.api import Bundle
from simulator.learning.models import init_seed, load_weights, new_weights, resident, weights_of
from simulator.learning.networks import build, network_spec
from simulator.learning.optimizers import adam_update, dump_state, load_state, make_optimizer
from simulator.scenario.task import Optimizer

UNET = {"name": "unet", "channels": [4, 8], "num_res_units": 1, "norm": "batch"}


def spec(dims=2, **changes):
    return network_spec(UNET | changes, 2, 2, dims)


def test_weights_survive_the_way_into_a_module_and_back(toy_registry):
    for dims, last in ((2, True), (3, True), (2, False)):
        arrays = new_weights(spec(dims), 3)
        arrays["buffers"] = np.arange(len(arrays["buffers"]), dtype=np.float32)
        arrays["counters"] = np.arange(len(arrays["counters"]))
        module = resident(spec(dims), "cpu", last, "local")
        load_weights(module, Bundle(arrays=arrays))
        back = weights_of(module)
        assert {name: array.dtype for name, array in back.items()} == {
            "model": np.float32, "buffers": np.float32, "counters": np.int64,
        }  # fmt: skip
        for name, array in arrays.items():
            assert np.array_equal(back[name], array), name


def test_arrays_are_copies(toy_registry):
    module = resident(spec(), "cpu", False, "local")
    load_weights(module, Bundle(arrays=new_weights(spec(), 3)))
    before = weights_of(module)
    kept = before["model"].copy()
    load_weights(module, Bundle(arrays=new_weights(spec(), 4)))
    assert np.array_equal(before["model"], kept)


def test_read_only_arrays_can_be_loaded(toy_registry):
    arrays = new_weights(spec(), 3)
    arrays["model"].setflags(write=False)
    load_weights(build(spec()), Bundle(arrays=arrays))


def test_the_model_of_another_network_is_refused(toy_registry):
    other = Bundle(arrays=new_weights(spec(channels=[4, 16]), 3))
    with pytest.raises(ValueError, match="is it another network's model"):
        load_weights(build(spec()), other)


def test_initial_weights_depend_on_the_seed_alone(toy_registry):
    torch.manual_seed(0)
    one = new_weights(spec(), 3)
    state = torch.random.get_rng_state()
    torch.manual_seed(1)
    two = new_weights(spec(), 3)
    assert np.array_equal(one["model"], two["model"])
    assert not np.array_equal(one["model"], new_weights(spec(), 4)["model"])
    torch.manual_seed(0)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator was used"
    assert init_seed(1, "a", shared=True) == init_seed(1, "b", shared=True)
    assert init_seed(1, "a", shared=False) != init_seed(1, "b", shared=False)


SETTINGS = [
    Optimizer(name="adam", lr=0.1),
    Optimizer(name="adam", lr=0.1, amsgrad=True),
    Optimizer(name="adamw", lr=0.1, weight_decay=0.1),
    Optimizer(name="sgd", lr=0.1, momentum=0.9),
    Optimizer(name="sgd", lr=0.1),
]


def steps(settings, parameters, count, arrays, done):
    """Take steps with gradients that depend on the step's number; return the state. Frozen parameters have
    none.
    """
    optimizer = make_optimizer(settings, parameters)
    load_state(optimizer, settings, parameters, arrays)
    for step in range(done, done + count):
        for parameter in parameters:
            parameter.grad = torch.cos(parameter.detach() + step) if parameter.requires_grad else None
        optimizer.step()
    return dump_state(optimizer, settings, parameters, done + count)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s.name}-{s.amsgrad}-{s.momentum}")
def test_an_optimizer_continues_bit_for_bit_from_its_state(settings):
    def fresh():
        # the layout in memory must not matter to the flat state
        last = torch.linspace(0, 1, 48).reshape(2, 3, 2, 4).to(memory_format=torch.channels_last)
        frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)  # a head that no loss reaches
        return [frozen, torch.nn.Parameter(last), torch.nn.Parameter(torch.ones(3))]

    whole, halves = fresh(), fresh()
    expected = steps(settings, whole, 6, {}, 0)
    state = steps(settings, halves, 3, {}, 0)
    state = steps(settings, halves, 3, state, 3)
    assert state.keys() == expected.keys()
    for name in state:
        assert np.array_equal(state[name], expected[name]), name
    assert all(torch.equal(one, two) for one, two in zip(whole, halves, strict=True))
    if settings.name != "sgd":
        optimizer = make_optimizer(settings, whole)
        load_state(optimizer, settings, whole, expected)
        update = adam_update(optimizer, settings, whole)
        assert torch.equal(update[:2], torch.zeros(2))
        assert update[2:].all()


def test_adam_is_torchs_plain_adam():
    ours, plain = (torch.nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    steps(Optimizer(name="adam", lr=0.1), [ours], 4, {}, 0)
    optimizer = torch.optim.Adam([plain], lr=0.1, fused=False, foreach=False)
    for step in range(4):
        plain.grad = torch.cos(plain.detach() + step)
        optimizer.step()
    torch.testing.assert_close(ours, plain)
