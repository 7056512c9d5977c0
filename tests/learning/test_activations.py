from itertools import product

import pytest
import torch
from torch import nn

from simulator.learning.activations import OneSlopePReLU, use_one_slope
from simulator.learning.networks import build, network_spec


def gradients(layer, x, weighted):
    """Output, gradient of the input, gradient of the slope."""
    layer.weight.grad, x = None, x.detach().requires_grad_()
    y = layer(x)
    (y * weighted).sum().backward()
    return y.detach(), x.grad, layer.weight.grad


LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("shape", [(8, 16, 32, 32), (3, 5, 9, 6), (2, 4, 10, 7, 6)])
def test_it_is_prelu_bit_by_bit_whatever_the_layouts(shape, autocast):
    draw = torch.Generator().manual_seed(0)
    dtype = torch.bfloat16 if autocast else torch.float32
    wide = (shape[0], 2 * shape[1], *shape[2:])
    wanted = [torch.contiguous_format, LAST[len(shape)]]
    layouts = [
        torch.randn(wide, generator=draw).to(dtype).contiguous(memory_format=layout)[:, : shape[1]]
        for layout in wanted
    ]
    layouts += [part.contiguous(memory_format=layout) for part in layouts for layout in wanted]
    layouts[0][0, 0] = 0.0
    ours, theirs = OneSlopePReLU(), nn.PReLU()
    for x, weighted in product(layouts, layouts):
        for slope in (0.25, -0.3, 0.0):
            for layer in (ours, theirs):
                nn.init.constant_(layer.weight, slope)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                found, expected = gradients(ours, x, weighted), gradients(theirs, x, weighted)
            for one, other in zip(found, expected, strict=True):
                assert one.dtype == other.dtype
                assert torch.equal(one, other), (x.stride(), weighted.stride(), slope)


def test_its_gradient_is_the_slope_of_its_output():
    layer = OneSlopePReLU().double()
    x = torch.linspace(-2, 1, 12, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, slope: torch.func.functional_call(
        layer, {"weight": slope}, (x,)), (x, layer.weight))  # fmt: skip


def test_what_does_not_learn_has_no_gradient():
    layer, x = OneSlopePReLU(), torch.tensor([-1.0, 2.0])
    layer(x).sum().backward()
    assert layer.weight.grad.tolist() == [-1.0]
    layer.weight.requires_grad_(False)
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad.tolist() == [0.25, 1.0]
    assert layer.weight.grad.tolist() == [-1.0]


def test_a_second_derivative_is_refused_instead_of_wrong():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    (first,) = torch.autograd.grad((OneSlopePReLU()(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_without_gradients_it_is_torchs_own():
    x = torch.tensor([-1.5, 2.0])
    with torch.no_grad():
        assert torch.equal(OneSlopePReLU()(x), nn.PReLU()(x))


def test_every_prelu_with_one_slope_is_replaced_and_keeps_its_name_and_place(toy_registry):
    network = build(network_spec({"name": "unet", "channels": [4, 8], "num_res_units": 1}, 2, 2, 2))
    assert not [layer for layer in network.modules() if type(layer) is nn.PReLU]
    assert [layer for layer in network.modules() if isinstance(layer, OneSlopePReLU)]

    plain = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.PReLU(), nn.Linear(2, 2)), nn.PReLU(2))
    names, weights = zip(*plain.named_parameters(), strict=True)
    use_one_slope(plain)
    assert isinstance(plain[1][0], OneSlopePReLU)
    assert type(plain[2]) is nn.PReLU
    assert tuple(name for name, _ in plain.named_parameters()) == names
    assert all(a is b for a, b in zip(plain.parameters(), weights, strict=True))
