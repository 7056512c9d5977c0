"""Classifiers of images: their counts, their pooling, and how a context hands them out."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from simulator.errors import ScenarioError
from simulator.learning import classifier_networks
from simulator.learning.classifier_networks import AveragePool, Projected
from simulator.learning.classifiers import vgg11_size
from simulator.registry import ModelSize, classifier_size, registry, resolve
from tests.learning.toy import one_thread

__all__ = ["one_thread"]


@pytest.mark.parametrize("name", ["small_cnn", "linear"])
@pytest.mark.parametrize("shape", [(37, 50), (64, 64)])
def test_counts_are_those_of_the_module(monkeypatch, name, shape):
    monkeypatch.setattr(
        classifier_networks, "AveragePool", torch.nn.AdaptiveAvgPool2d
    )  # pooling is not counted
    module = resolve(registry("classifiers")[name].build)(3, 5)
    size = registry("classifiers")[name].size(3, 5, shape)
    with FlopCounterMode(display=False) as counted:
        logits = module(torch.zeros(1, 3, *shape))
    assert logits.shape == (1, 5)
    assert size.num_parameters == sum(values.numel() for values in module.parameters())
    assert size.forward_flop == counted.get_total_flops()
    assert not list(module.buffers())


@pytest.mark.parametrize(("num_classes", "parameters"), [(3, 128_777_475), (6, 128_789_766)])
def test_vgg11_has_the_published_number_of_parameters(num_classes, parameters):
    assert vgg11_size(1, num_classes, (256, 256)).num_parameters == parameters
    with torch.device("meta"):
        module = resolve(registry("classifiers")["vgg11"].build)(1, num_classes)
    assert sum(values.numel() for values in module.parameters()) == parameters


def test_vgg11_refuses_images_that_five_poolings_use_up():
    assert vgg11_size(1, 3, (32, 32)).forward_flop > 0
    with pytest.raises(ScenarioError, match="these are 31x64; use small_cnn or linear"):
        vgg11_size(1, 3, (31, 64))


@pytest.mark.parametrize("size", [(8, 8), (13, 40), (3, 7)])
def test_the_pooling_is_torchs(size):
    images = torch.randn(2, 3, *size)
    ours, theirs = AveragePool(7)(images), torch.nn.functional.adaptive_avg_pool2d(images, 7)
    torch.testing.assert_close(ours, theirs)


def test_of_a_volume_it_sees_the_mean_along_the_first_axis():
    module = Projected(AveragePool(2))
    volume = torch.randn(1, 2, 5, 6, 7)
    torch.testing.assert_close(module(volume), AveragePool(2)(volume.mean(dim=2)))


def test_the_size_follows_from_what_the_segmentation_sees():
    model = ModelSize(
        num_parameters=1, num_buffers=0, forward_flop=1.0, num_channels=2, item_shape=(9, 40, 50)
    )
    size = classifier_size("linear", 4, model)
    assert size.num_parameters == (2 * 16 * 16 + 1) * 4
    assert np.isclose(size.forward_flop, 2 * 2 * 256 * 4)
