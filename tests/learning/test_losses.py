from types import SimpleNamespace

import pytest
import torch
from monai.losses import DiceLoss
from torch.nn import functional

from simulator.learning import together
from simulator.learning.losses import decide, focal, hard_dice, jaccard, make_loss
from tests.vectors import close, load

VECTOR = load("gcml_supervised_losses")


def tensors(name, count=None):
    arrays = VECTOR["arrays"]
    if count is None:
        return torch.tensor(arrays[f"inputs/{name}"])
    return [torch.tensor(arrays[f"inputs/{name}{i}"]) for i in range(count)]


def test_brats_loss_matches_the_public_trainer():
    heads, target = tensors("brats/logits", 4), tensors("brats/target")
    expected = VECTOR["expected"]["brats"]
    weights = VECTOR["hyper_parameters"]["brats"]["class_weight"]
    loss = make_loss("jaccard_focal", tuple(weights))
    heads[0].requires_grad_()
    total = loss.train(heads, target)
    total.backward()
    close(jaccard(heads[0], target, tuple(weights)).item(), expected["jaccard_weighted"], VECTOR)
    close(focal(heads[0], target).item(), expected["focal"], VECTOR)
    close(loss.train(heads[0], target).item(), expected["head_loss"], VECTOR)
    close(total.item(), expected["deep_supervision"]["total"], VECTOR)
    close(heads[0].grad, VECTOR["arrays"]["expected/brats/grad_logits0"], VECTOR)
    close(loss.validation(heads[0], target).item(), expected["validation_loss"], VECTOR)


def test_panseg_loss_matches_the_public_trainer():
    heads, target = tensors("panseg/logits", 5), tensors("panseg/target")
    expected = VECTOR["expected"]["panseg"]
    loss = make_loss("jaccard_ce")
    close(loss.train(heads[0], target).item(), expected["head_loss"], VECTOR)
    close(loss.train(heads, target).item(), expected["deep_supervision"]["total"], VECTOR)
    dice = hard_dice(heads[0], target, softmax=True)
    close(dice[:, 0], expected["hard_dice_per_case"], VECTOR)
    close(loss.validation(heads[0], target).item(), 1 - dice.mean().item(), VECTOR)


def test_worked_example_of_the_specification():
    small = load("gcml_small")
    target = torch.tensor(small["inputs"]["y"], dtype=torch.float64).view(1, 1, 6)
    for who in ("local", "incoming"):
        logits = torch.tensor(small["inputs"][f"z_{who}"], dtype=torch.float64).view(1, 1, 6)
        close(jaccard(logits, target).item(), small["expected"][who]["jaccard"], small)
        close(focal(logits, target).item(), small["expected"][who]["focal"], small)
        loss = make_loss("jaccard_focal").train(logits, target)
        close(loss.item(), small["expected"][who]["supervised"], small)


@pytest.mark.parametrize("shape", [(3, 2, 8, 8), (2, 2, 4, 6, 4)])
def test_dice_and_dice_ce_are_monai_and_torch(shape):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    target = (torch.rand(shape, generator=generator) > 0.7).float()
    dice = DiceLoss(sigmoid=True, batch=True)(logits, target)
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(make_loss("dice").train(logits, target), dice)
    torch.testing.assert_close(make_loss("dice_ce").train(logits, target), dice + entropy)
    torch.testing.assert_close(make_loss("dice_ce").validation(logits, target), dice + entropy)


@pytest.mark.parametrize("name", ["dice_ce", "dice", "jaccard_focal", "jaccard_ce"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_losses_and_gradients_are_finite_for_extreme_logits_and_empty_labels(name, scale):
    channels = 3 if name == "jaccard_ce" else 2
    logits = (torch.linspace(-1, 1, 2 * channels * 16).reshape(2, channels, 4, 4) * scale).bfloat16()
    logits.requires_grad_()
    for target in (
        torch.zeros(2, 2, 4, 4),
        torch.eye(4).expand(2, 2, 4, 4) * torch.tensor([1, 0]).view(1, 2, 1, 1),
    ):
        loss = make_loss(name).train(logits, target)
        loss.backward()
        assert loss.dtype == torch.float32
        assert bool(torch.isfinite(loss))
        assert bool(torch.isfinite(logits.grad).all())


def test_class_weights_are_shares():
    logits, target = torch.tensor([[[3.0], [-3.0]]]), torch.ones(1, 2, 1)
    only_first = jaccard(logits, target, (1.0, 0.0))
    assert jaccard(logits, target, (2.0, 2.0)) == jaccard(logits, target)
    assert only_first == jaccard(logits[:, :1], target[:, :1])


def test_a_logit_of_zero_is_positive_and_softmax_takes_the_largest():
    assert decide(torch.tensor([[[0.0, -0.1]]]), softmax=False).tolist() == [[[True, False]]]
    logits = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]])
    assert decide(logits, softmax=True).tolist() == [[[False, True, False], [False, False, True]]]


def test_hard_dice_of_two_empty_masks_is_one():
    dice = hard_dice(torch.full((1, 2, 4), -1.0), torch.tensor([[[0.0] * 4, [1.0] * 4]]), softmax=False)
    assert dice.tolist() == [[1.0, 0.0]]


def test_coupling_of_all_heads_is_combined_like_their_losses():
    # the coupling here is the mean squared difference to the peer's head of the same place
    own = [torch.full((1, 1, 4, 4), value) for value in (1.0, 2.0, 4.0)]
    peer = [torch.zeros(1, 1, 4, 4) for _ in own]
    labels = torch.zeros(1, 1, 4, 4)

    def couple(name, **pair):
        context = SimpleNamespace(loss=make_loss(name))
        parts = together._Pair(
            ctx=context,
            own=None,
            other=None,
            optimizer=None,
            coupling=lambda a, b, y: ((a - b) ** 2).mean(),
            **pair,
        )
        return float(parts._coupled(own, peer, labels))

    assert couple("jaccard_focal", all_heads=False) == 1.0
    assert couple("jaccard_focal", all_heads=True) == pytest.approx(0.4 * 1 + 0.6 * (4 + 16) / 2)
    assert couple("jaccard_ce", all_heads=True) == pytest.approx((1 + 0.5 * 4 + 0.25 * 16) / 1.75)
    assert couple("dice_ce", all_heads=True) == 1.0
