"""The catalog of devices: what their makers publish, and the share of it that training sustains.

The peak figures are the makers'; the sustained shares are **assumptions** of medgossip, one per
class of device, for training convolutional networks at the batch sizes of medical segmentation.
They say how fast a virtual site is, not how fast this machine is. A study that depends on them
should state ``speed`` or measure ``seconds_per_item`` instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Kind = Literal["tensor-core", "gpu", "laptop-gpu", "cpu"]

SUSTAINED_SHARE: Mapping[Kind, float] = MappingProxyType(
    {
        "tensor-core": 0.30,  # TF32 or FP16 units: convolutions rarely feed them fully
        "gpu": 0.45,  # plain FP32 units
        "laptop-gpu": 0.30,  # shared memory bandwidth
        "cpu": 0.25,  # FP32 vector units, memory-bound layers
    }
)
"""Assumed share of the peak that training sustains, by class of device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device: its published peak in floating-point operations per second, and where that stands."""

    kind: Kind
    peak_flop_per_s: float
    peak: str  # which figure, in words
    source: str

    @property
    def sustained_flop_per_s(self) -> float:
        """Published peak times the share assumed for its class."""
        return self.peak_flop_per_s * SUSTAINED_SHARE[self.kind]


def _tensor(tflops: float, peak: str, source: str) -> Device:
    return Device(kind="tensor-core", peak_flop_per_s=tflops * 1e12, peak=peak, source=source)


def _gpu(tflops: float, source: str) -> Device:
    return Device(kind="gpu", peak_flop_per_s=tflops * 1e12, peak="FP32", source=source)


def _cpu(num_cores: int, ghz: float, flop_per_cycle: int, vector: str) -> Device:
    return Device(
        kind="cpu",
        peak_flop_per_s=num_cores * ghz * 1e9 * flop_per_cycle,
        peak=f"{num_cores} cores x {ghz:g} GHz x {flop_per_cycle} FP32 operations per cycle ({vector})",
        source="product of cores, clock and vector width; a generic server, not one product",
    )


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        "a100-40gb": _tensor(156, "TF32, dense", "NVIDIA A100 data sheet"),
        "a100-80gb": _tensor(156, "TF32, dense", "NVIDIA A100 data sheet"),
        "a40": _tensor(74.8, "TF32, dense", "NVIDIA A40 data sheet"),
        "cpu-8-core": _cpu(8, 2.5, 32, "AVX2, two fused multiply-add units"),
        "cpu-16-core": _cpu(16, 2.5, 32, "AVX2, two fused multiply-add units"),
        "cpu-32-core": _cpu(32, 2.5, 64, "AVX-512, two fused multiply-add units"),
        "gtx-1080-ti": _gpu(11.3, "NVIDIA GeForce GTX 1080 Ti, 3584 cores x 1.582 GHz x 2"),
        "h100": _tensor(494.5, "TF32, dense, SXM", "NVIDIA H100 data sheet (989 with sparsity)"),
        "l4": _tensor(60, "TF32, dense", "NVIDIA L4 data sheet (120 with sparsity)"),
        "m1-max": Device(
            kind="laptop-gpu",
            peak_flop_per_s=10.4e12,
            peak="FP32, 32-core GPU",
            source="Apple, announcement of M1 Pro and M1 Max, 2021",
        ),
        "p100": _gpu(9.3, "NVIDIA Tesla P100 data sheet, PCIe"),
        "rtx-2080-ti": _gpu(13.4, "NVIDIA Turing architecture white paper, reference clock"),
        "rtx-3090": _tensor(35.6, "TF32, dense", "NVIDIA GA102 architecture white paper"),
        "rtx-4090": _tensor(82.6, "TF32, dense", "NVIDIA Ada architecture white paper"),
        "rtx-a6000": _tensor(77.4, "TF32, dense", "NVIDIA GA102 architecture white paper"),
        "t4": _gpu(8.1, "NVIDIA T4 data sheet"),
        "v100": _gpu(15.7, "NVIDIA Tesla V100 data sheet, SXM2"),
    }
)
"""Devices by the names that scenarios use."""
