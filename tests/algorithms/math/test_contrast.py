import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from algorithms.contrast import Contrast, mean_over, sigmoid_divergence, softmax_divergence
from tests.vectors import close, load

DCML, SMALL, DML = load("gcml_dcml"), load("gcml_small"), load("dml_kl")
WHO = ("local", "incoming")


def inputs(vector):
    if "arrays" in vector:
        names = ("inputs/z_local", "inputs/z_incoming", "inputs/y")
        return [torch.tensor(vector["arrays"][name]) for name in names]
    values = [vector["inputs"][name] for name in ("z_local", "z_incoming", "y")]
    return [torch.tensor(value, dtype=torch.float64).view(1, 1, -1) for value in values]


def pairs(vector):
    local, incoming, target = inputs(vector)
    yield "local", local, incoming, target
    yield "incoming", incoming, local, target


@pytest.mark.parametrize("vector", [DCML, SMALL], ids=lambda v: v["name"])
def test_the_term_matches_its_vector(vector):
    for who, own, other, target in pairs(vector):
        close(Contrast()(own, other, target).item(), vector["expected"][who]["mutual"], vector)


@pytest.mark.parametrize(
    ("vector", "variant"),
    [(vector, variant) for vector in (DCML, SMALL) for variant in vector["variants"]],
    ids=lambda v: "-".join(map(str, v["settings"].values())) if "settings" in v else v["name"],
)
def test_every_variant_matches_its_vector(vector, variant):
    for who, own, other, target in pairs(vector):
        got = Contrast(**variant["settings"])(own, other, target)
        close(got.item(), variant[f"mutual_{who}"], vector)


def test_parts_of_the_term_match():
    for who, own, other, target in pairs(DCML):
        expected = DCML["expected"][who]
        attract = Contrast(beta=0)(own, other, target)
        close(attract.item(), expected["attract"], DCML)
        close((Contrast()(own, other, target) - attract).item(), expected["repel"], DCML)
        unguarded = Contrast(contrast="correct_wrong_unguarded")(own, other, target)
        close((unguarded - attract).item(), expected["repel_unguarded"], DCML)
        difference = Contrast(contrast="difference")(own, other, target)
        close((attract - difference).item(), expected["kl_where_other_wrong"], DCML)


def test_divergence_and_gradient_of_the_worked_example():
    for who, own, other, target in pairs(SMALL):
        expected = SMALL["expected"][who]
        close(sigmoid_divergence(own, other).flatten(), expected["kl"], SMALL)
        own, other = (z.clone().requires_grad_() for z in (own, other))
        Contrast()(own, other, target).backward()
        close(own.grad.flatten(), expected["grad_of_mutual"], SMALL)
        assert other.grad is None, "the other side is a constant"


def plain_jaccard(logits, target):
    """The supervised part of the vector: smoothing 10, per batch entry."""
    p, axes = torch.sigmoid(logits), (2, 3, 4)
    overlap = (p * target).sum(axes)
    return (1 - (overlap + 10) / (p.sum(axes) + target.sum(axes) - overlap + 10)).mean()


def test_gradient_of_the_total_matches_element_by_element():
    for who, own, other, target in pairs(DCML):
        own.requires_grad_()
        total = plain_jaccard(own, target) + Contrast()(own, other, target)
        total.backward()
        close(total.item(), DCML["expected"][who]["total"], DCML)
        close(own.grad, DCML["arrays"][f"expected/grad_{who}"], DCML)
        close(own.grad.norm().item(), DCML["expected"][who]["grad_l2"], DCML)


@pytest.mark.parametrize(
    ("contrast", "region"),
    list(
        itertools.product(
            ["correct_wrong", "correct_wrong_unguarded", "difference", "fg_bg", "off"],
            ["label", "union", "dilated_label", "all"],
        )
    ),
)
@pytest.mark.parametrize("softmax", [False, True])
def test_gradients_agree_with_finite_differences(contrast, region, softmax):
    generator = torch.Generator().manual_seed(3)
    shape = (2, 3 if softmax else 2, 3, 4)
    own, other = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    target = (torch.rand((2, 2, 3, 4), generator=generator) > 0.6).double()
    target[:, 1] *= 1 - target[:, 0]  # exclusive
    term = Contrast(contrast=contrast, region=region, b=0.5, temperature=1.5, lam=0.7)
    own.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: term(z, other, target), (own,))


def repulsion_gradient(own, other, target, contrast):
    """Gradient of β·L_neg alone."""
    own = own.clone().requires_grad_()
    full = torch.autograd.grad(Contrast(contrast=contrast)(own, other, target), own)[0]
    attract = torch.autograd.grad(Contrast(beta=0)(own, other, target), own)[0]
    return full - attract


LOGITS = arrays(np.float64, (1, 2, 5), elements=st.floats(-30, 30))
LABELS = arrays(np.float64, (1, 2, 5), elements=st.sampled_from([0.0, 1.0]))


@given(LOGITS, LOGITS, LABELS)
@settings(deadline=None)  # a busy machine is no failure
def test_guarded_repulsion_never_pushes_away_from_the_label(own, other, target):
    own, other, target = map(torch.tensor, (own, other, target))
    step = -repulsion_gradient(own, other, target, "correct_wrong")
    toward = step * (2 * target - 1)
    assert bool((toward >= -1e-12).all())


def test_the_vector_counts_what_the_guard_prevents():
    for who, own, other, target in pairs(DCML):
        expected = DCML["expected"]["repulsion_check"][who]
        for contrast, name in (("correct_wrong_unguarded", "unguarded"), ("correct_wrong", "guarded")):
            step = -repulsion_gradient(own, other, target, contrast)
            toward = step * (2 * target - 1)
            assert int((toward.abs() > 1e-12).sum()) == expected[f"{name}_active"]
            assert int((toward < -1e-12).sum()) == expected[f"{name}_away_from_label"]


def test_deep_mutual_learning_matches_its_vector():
    one, two = (torch.tensor(DML["inputs"][f"logits{i}"], dtype=torch.float64) for i in (1, 2))
    for kind, divergence in (("sigmoid", sigmoid_divergence), ("softmax", softmax_divergence)):
        close(divergence(one, two).mean().item(), DML["expected"][kind]["term_for_net1"], DML)
        close(divergence(two, one).mean().item(), DML["expected"][kind]["term_for_net2"], DML)


@given(LOGITS, LOGITS, LABELS, st.sampled_from([1.0, 2.0]))
@settings(deadline=None)  # a busy machine is no failure
def test_softmax_over_two_classes_is_the_sigmoid_of_their_difference(own, other, target, temperature):
    own, other, target = (torch.tensor(array)[:, :1] for array in (own, other, target))
    two = [torch.cat([torch.zeros_like(z), z], 1) for z in (own, other)]
    # the decisions differ where a logit is exactly 0: a sigmoid says yes, argmax the first class
    own, other = (z + (z == 0) for z in (own, other))
    two = [torch.cat([torch.zeros_like(z), z], 1) for z in (own, other)]
    for contrast in ("correct_wrong", "off"):
        term = Contrast(contrast=contrast, temperature=temperature)
        np.testing.assert_allclose(term(*two, target), term(own, other, target), rtol=1e-9, atol=1e-9)


def test_edge_cases():
    own = torch.tensor([[[-40.0, 2.0, -3.0]]], dtype=torch.float64)
    assert torch.equal(sigmoid_divergence(own, own), torch.zeros_like(own))
    assert sigmoid_divergence(own[..., :1], -own[..., :1]).item() == 40.0
    own.requires_grad_()
    nothing = Contrast(region="label")(own, torch.ones_like(own), torch.zeros_like(own))
    nothing.backward()
    assert nothing.item() == 0
    assert torch.equal(own.grad, torch.zeros_like(own))


def test_a_mean_over_nothing_is_zero_even_beside_infinities():
    values = torch.tensor([1.0, float("inf"), 3.0])
    assert mean_over(values, torch.tensor([True, False, True])) == 2
    assert mean_over(values, torch.zeros(3, dtype=torch.bool)) == 0


def test_the_dilated_label_reaches_k_voxels():
    target = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    target[..., 4, 4] = 1
    own, other = torch.full_like(target, -1), torch.full_like(target, 2)
    k = sigmoid_divergence(own, other)[0, 0, 0, 0].item()
    for dilation in (1, 2):
        term = Contrast(contrast="fg_bg", region="dilated_label", dilation=dilation, b=1.0)
        assert term(own, other, target).item() == pytest.approx(2 * k)
        inside = term._region(target > 0, own > 0, other > 0)
        assert int(inside.sum()) == (2 * dilation + 1) ** 2
