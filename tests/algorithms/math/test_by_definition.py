"""Losses and coupling against the specification's formulas, element by element, in shapes that no vector
has: one to three dimensions, a single voxel, one class or several, classes that are absent, empty masks.
"""

from itertools import product
from math import exp, log

import numpy as np
import pytest
import torch

from algorithms.contrast import Contrast
from simulator.learning.losses import make_loss
from simulator.rng import stream

SHAPES = [(1, 1, 1), (2, 1, 7), (1, 3, 4, 5), (2, 2, 3, 1), (1, 1, 3, 2, 4), (2, 4, 2, 3, 2)]
CONTRASTS = ("correct_wrong", "correct_wrong_unguarded", "difference", "fg_bg", "off")


def draw(shape, filling, softmax):
    """Logits of two models and a target: ``some`` voxels, ``none``, or all structures but the last."""
    rng = stream(3, str(shape), filling, str(softmax))
    batch, structures, *space = shape
    own, other = rng.normal(0, 2, (2, batch, structures + softmax, *space))
    if softmax:
        classes = rng.integers(0, structures + 1, (batch, *space))
        target = np.stack([classes == 1 + c for c in range(structures)], axis=1).astype(float)
    else:
        target = (rng.random(shape) < 0.5).astype(float)
    target[:, -1 if filling == "absent" else slice(0 if filling == "none" else structures, None)] = 0
    return own, other, target


def p(z):
    return 1 / (1 + exp(-z))


def classes_of(channels):
    """Probabilities of a softmax from its logits."""
    powers = [exp(z) for z in channels]
    return [power / sum(powers) for power in powers]


def elements(own, other, target, t, softmax):
    """Of every element: k, label, and both decisions."""
    if not softmax:
        for i in np.ndindex(own.shape):
            a, b = p(own[i] / t), p(other[i] / t)
            k = b * log(b / a) + (1 - b) * log((1 - b) / (1 - a))
            yield t * t * k, int(target[i]), int(own[i] >= 0), int(other[i] >= 0)
        return
    for n, *place in np.ndindex(own.shape[0], *own.shape[2:]):
        at = (n, slice(None), *place)
        a, b = classes_of(own[at] / t), classes_of(other[at] / t)
        k = sum(y * log(y / x) for x, y in zip(a, b, strict=True))
        label = 1 + int(target[at].argmax()) if target[at].any() else 0
        yield t * t * k, label, int(own[at].argmax()), int(other[at].argmax())


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def by_hand(items, kind, region, beta, margin, b):
    inside = [e for e in items if region == "all" or e[1] or (region == "union" and (e[2] or e[3]))]
    if kind == "off":
        return mean(k for k, *_ in inside)
    if kind == "fg_bg":
        return mean(k for k, y, *_ in inside if y) + b * mean(k for k, y, *_ in inside if not y)
    attract = mean(k for k, y, _, theirs in inside if theirs == y)
    wrong = [(k, mine == y) for k, y, mine, theirs in inside if theirs != y]
    if kind == "difference":
        return attract - beta * mean(k for k, _ in wrong)
    guarded = [k for k, right in wrong if right or kind == "correct_wrong_unguarded"]
    return attract + beta * mean(max(0.0, margin - k) for k in guarded)


@pytest.mark.parametrize("filling", ["some", "none", "absent"])
@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_coupling_is_its_definition(shape, softmax, filling):
    own, other, target = draw(shape, filling, softmax)
    items = list(elements(own, other, target, 1.7, softmax))
    tensors = [torch.tensor(array) for array in (own, other, target)]
    for kind, region in product(CONTRASTS, ("label", "union", "all")):
        numbers = {"beta": 0.6, "margin": 0.9, "b": 0.4}
        term = Contrast(contrast=kind, region=region, temperature=1.7, lam=0.3, **numbers)
        expected = 0.3 * by_hand(items, kind, region, **numbers)
        assert float(term(*tensors)) == pytest.approx(expected, rel=1e-9, abs=1e-12), (kind, region)


def jaccard_focal(z, y, weight):
    q = np.array([p(value) for value in z.flat]).reshape(z.shape)
    axes = tuple(range(2, z.ndim))
    overlap = (q * y).sum(axes)
    distance = 1 - (overlap + 10) / (q.sum(axes) + y.sum(axes) - overlap + 10)
    bce = -(y * np.log(q) + (1 - y) * np.log(1 - q))
    shares = np.array(weight or [1] * z.shape[1]) / sum(weight or [1] * z.shape[1])
    return 0.5 * (distance * shares).sum(1).mean() + 0.5 * ((1 - np.exp(-bce)) ** 2 * bce).mean()


def jaccard_ce(z, y, weight):
    q = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    truth = np.concatenate([1 - y.sum(1, keepdims=True), y], axis=1)
    axes = (0, *range(2, z.ndim))
    overlap = (q * truth).sum(axes)
    ratio = (overlap + 1) / (q.sum(axes) + truth.sum(axes) - overlap + 1)
    shares = np.array(weight or [1] * z.shape[1]) / sum(weight or [1] * z.shape[1])
    return 0.5 * (1 - (ratio * shares).sum()) - 0.5 * (truth * np.log(q)).sum(1).mean()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("filling", ["some", "none", "absent"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_supervised_losses_are_their_definitions(shape, filling, weighted):
    for name, definition, softmax in (("jaccard_focal", jaccard_focal, 0), ("jaccard_ce", jaccard_ce, 1)):
        logits, _, target = draw(shape, filling, bool(softmax))
        weight = tuple(range(2, 2 + shape[1] + softmax)) if weighted else None
        got = make_loss(name, weight).train(torch.tensor(logits), torch.tensor(target))
        assert float(got) == pytest.approx(definition(logits, target, weight), rel=1e-6), name
