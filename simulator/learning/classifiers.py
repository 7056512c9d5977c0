"""The classifiers of images that methods can name, and what each costs, without torch.

The counts are exact: parameters as the built module has them, floating-point operations two per
multiply-add of convolutions and linear layers.
"""

from collections.abc import Sequence

from simulator.errors import ScenarioError
from simulator.registry import Classifier, ModelSize

VGG11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Channels of the convolutions between poolings."""
VGG_POOLED, VGG_HIDDEN = 7, 4096
SMALL_CNN = (16, 32, 64)
SMALL_POOLED, LINEAR_POOLED = 4, 16
"""Edges to which images are pooled before the linear layer."""

_TAPS = 9  # of a 3x3 convolution


def _size(convolutions: Sequence[tuple[int, int, int]], layers: Sequence[tuple[int, int]]) -> ModelSize:
    """Count convolutions (channels in, out, pixels out) and linear layers (in, out)."""
    weights = [_TAPS * c_in * c_out for c_in, c_out, _ in convolutions]
    pixels = [pixels for _, _, pixels in convolutions]
    flop = sum(2.0 * count * area for count, area in zip(weights, pixels, strict=True))
    return ModelSize(
        num_parameters=sum(weights)
        + sum(c_out for _, c_out, _ in convolutions)
        + sum((n_in + 1) * n_out for n_in, n_out in layers),
        num_buffers=0,
        forward_flop=flop + sum(2.0 * n_in * n_out for n_in, n_out in layers),
    )


def vgg11_size(num_channels: int, num_classes: int, shape: tuple[int, int]) -> ModelSize:
    """Count VGG-11.

    Raises:
        ScenarioError: five poolings leave nothing of the image.
    """
    height, width = shape
    if min(shape) < 2 ** len(VGG11):
        raise ScenarioError(
            f"algorithm.selector: vgg11 halves images five times, and these are {height}x{width}; "
            "use small_cnn or linear"
        )
    convolutions, above = [], num_channels
    for level, block in enumerate(VGG11):
        for channels in block:
            convolutions.append((above, channels, (height >> level) * (width >> level)))
            above = channels
    hidden = [(above * VGG_POOLED**2, VGG_HIDDEN), (VGG_HIDDEN, VGG_HIDDEN)]
    return _size(convolutions, [*hidden, (VGG_HIDDEN, num_classes)])


def small_cnn_size(num_channels: int, num_classes: int, shape: tuple[int, int]) -> ModelSize:
    """Count the small network."""
    (height, width), convolutions, above = shape, [], num_channels
    for channels in SMALL_CNN:
        height, width = -(-height // 2), -(-width // 2)
        convolutions.append((above, channels, height * width))
        above = channels
    return _size(convolutions, [(above * SMALL_POOLED**2, num_classes)])


def linear_size(num_channels: int, num_classes: int, shape: tuple[int, int]) -> ModelSize:
    """Count the linear classifier."""
    return _size([], [(num_channels * LINEAR_POOLED**2, num_classes)])


VGG = Classifier(
    size=vgg11_size,
    build="simulator.learning.classifier_networks:vgg11",
    summary="VGG-11 without batch normalization, 129 million parameters",
    source="Simonyan, Zisserman, Very deep convolutional networks, ICLR 2015",
)
SMALL = Classifier(
    size=small_cnn_size,
    build="simulator.learning.classifier_networks:small_cnn",
    summary="three strided convolutions and a linear layer",
    source="medgossip",
)
LINEAR = Classifier(
    size=linear_size,
    build="simulator.learning.classifier_networks:linear",
    summary="a linear layer on the image pooled to 16x16",
    source="medgossip",
)
