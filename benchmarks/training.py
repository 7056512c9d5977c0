"""What our training task costs beside a bare PyTorch loop, the usual MONAI loop, and two models.

``python -m benchmarks.training [--repeats 5]`` prints a table. All arms take the same steps on the
same cases (a U-Net of 16-32-64-128 channels with two residual units; 2-D: 8 slices of 64² per step,
3-D: 2 volumes of 48³); times are CPU time of this process, medians of runs that alternate, one
thread. It starts itself again in the environment of our worker processes, which speeds up all arms.
"""

import argparse
import datetime
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss, DiceLoss
from monai.transforms import Compose, EnsureTyped, RandFlipd
from torch.nn import functional

from algorithms.contrast import Contrast
from benchmarks.peers.workload import loss_of
from simulator.api import Bundle
from simulator.learning.context import Context
from simulator.learning.models import load_weights, weights_of
from simulator.learning.networks import network_spec, unet
from simulator.learning.numerics import WORKER_ENVIRONMENT, numeric_mode, setup_process
from simulator.learning.training import initial, train

STEPS = {2: 20, 3: 6}
EDGE, BATCH = {2: 64, 3: 48}, {2: 8, 3: 2}
CHANNELS, STRUCTURES = 4, 3


def recipe(dims: int, precision: str) -> dict:
    """One epoch is STEPS[dims] steps."""
    declared = {
        "name": "declared",
        "channels": ["t1", "t1ce", "t2", "flair"],
        "structures": ["WT", "TC", "ET"],
        "spatial_dims": dims,
        "item_shape": [EDGE[dims]] * dims,
    }
    return {
        "dataset": declared,
        "network": {"name": "unet", "channels": [16, 32, 64, 128], "num_res_units": 2},
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "batch_size": BATCH[dims],
        "augment": ["flip"],
        "precision": precision,
    }


def prepared(dims: int) -> Bundle:
    """Cases of noise with random boxes, as prepare() would return them."""
    rng = np.random.Generator(np.random.Philox(key=1))
    items = STEPS[dims] * BATCH[dims]
    shapes = [(items, 64, 64)] if dims == 2 else [(48, 48, 48)] * items
    arrays, cases = {}, []
    for index, shape in enumerate(shapes):
        arrays[f"image.{index}"] = rng.standard_normal((CHANNELS, *shape), dtype=np.float32)
        label = np.zeros((STRUCTURES, *shape), dtype=np.uint8)
        for structure in range(STRUCTURES):
            label[structure, ..., 16 : 36 - 4 * structure, 16 : 36 - 4 * structure] = 1
        arrays[f"label.{index}"] = label
        cases.append({"case": str(index), "split": "train", "spacing_mm": [1.0, 1.0, 1.0]})
    return Bundle(arrays=arrays, meta={"cases": cases, "skipped": []})


def resident(bundle: Bundle, dims: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All items of a bundle as two tensors."""
    count = len(bundle.meta["cases"])
    images = [torch.tensor(bundle.arrays[f"image.{i}"]) for i in range(count)]
    labels = [torch.tensor(bundle.arrays[f"label.{i}"]) for i in range(count)]
    if dims == 2:
        return images[0].transpose(0, 1).contiguous(), labels[0].transpose(0, 1).contiguous()
    return torch.stack(images), torch.stack(labels)


def bare_step(network, images, labels, precision):
    """Forward and the same loss in its plain form, backward."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = network(images)
    loss_of(logits, labels).backward()


class Arms:
    """The arms of one setting; each takes one epoch from the same weights."""

    def __init__(self, dims: int, precision: str) -> None:
        self.dims, self.precision = dims, precision
        self.data = prepared(dims)
        self.context = Context(
            recipe(dims, precision), "bench", 1, [f"bench {dims}"], lambda _: [self.data], "cpu"
        )
        self.model = initial(self.context)
        self.images, self.labels = resident(self.data, dims)
        spec = network_spec(self.context.recipe.network, CHANNELS, STRUCTURES, dims)
        layout = torch.channels_last if dims == 2 else torch.channels_last_3d
        last = dims == 3 or precision == "bf16"
        # MONAI's own, with torch's PReLU
        self.networks = [unet(spec.settings, CHANNELS, STRUCTURES, dims) for _ in range(2)]
        self.networks = [net.to(memory_format=layout) if last else net for net in self.networks]
        self.usual = unet(spec.settings, CHANNELS, STRUCTURES, dims)
        self.loader = self._usual_loader()

    def _usual_loader(self) -> DataLoader:
        cases = [
            {"image": image, "label": label.float()}
            for image, label in zip(self.images, self.labels, strict=True)
        ]
        keys = ["image", "label"]
        flips = [RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(self.dims)]
        data = CacheDataset(cases, Compose([EnsureTyped(keys), *flips]), progress=False)
        return DataLoader(data, batch_size=BATCH[self.dims], shuffle=True)

    def ours(self) -> None:
        """The task: bundle in, bundle out."""
        train(self.context, self.model, epochs=1, first_epoch=0)

    def bare(self) -> None:
        """The same steps in plain PyTorch, flips included, weights in and out."""
        network = self.networks[0].train()
        load_weights(network, self.model)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
        for images, labels in self._batches(flips=True):
            optimizer.zero_grad()
            bare_step(network, images, labels, self.precision)
            optimizer.step()
        weights_of(network)

    def _batches(self, *, flips: bool):
        for batch in torch.randperm(len(self.images)).split(BATCH[self.dims]):
            images, labels = self.images[batch], self.labels[batch]
            for axis in range(2, images.ndim) if flips else ():
                chosen = (torch.rand(len(batch)) < 0.5).view(-1, *[1] * (images.ndim - 1))
                images = torch.where(chosen, images.flip(axis), images)
                labels = torch.where(chosen, labels.flip(axis), labels)
            yield images, labels.float()

    def usual_monai(self) -> None:
        """CacheDataset, DataLoader, dictionary transforms, DiceCE, AdamW, fp32."""
        load_weights(self.usual, self.model)
        optimizer = torch.optim.AdamW(self.usual.parameters(), lr=1e-3)
        loss = DiceCELoss(sigmoid=True)
        for batch in self.loader:
            optimizer.zero_grad()
            loss(self.usual(batch["image"]), batch["label"]).backward()
            optimizer.step()

    def mutual(self) -> None:
        """Two models learning from each other, optimizer and clipping included."""
        self.context.train_together(self.model, self.model, epochs=1, first_epoch=0, coupling=Contrast())

    def two_bare(self) -> None:
        """Forward and backward of two models on the same batches, nothing else."""
        for network in self.networks:
            load_weights(network.train(), self.model)
        for images, labels in self._batches(flips=False):
            for network in self.networks:
                network.zero_grad()
                bare_step(network, images, labels, self.precision)


def measure(arms: dict[str, Callable[[], None]], steps: int, repeats: int) -> dict[str, list[float]]:
    """CPU milliseconds per step of every arm, one number per alternating run."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for name in arms:
        arms[name]()  # warm up
    for _ in range(repeats):
        for name, arm in arms.items():
            start = time.process_time()
            arm()
            times[name].append((time.process_time() - start) / steps * 1e3)
    return times


def ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    """Median over runs of the ratio of neighbors in time, which drift does not touch."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def check_loss() -> None:
    """The bare arm minimizes what the task minimizes."""
    arms = Arms(2, "fp32")
    logits = torch.randn(2, 3, 8, 8)
    target = (torch.rand(2, 3, 8, 8) > 0.7).float()
    expected = DiceLoss(sigmoid=True, batch=True)(logits, target)
    expected = expected + functional.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(arms.context.loss.train(logits, target), expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    if not WORKER_ENVIRONMENT.items() <= os.environ.items():
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.training", *sys.argv[1:]],
            {**os.environ, **WORKER_ENVIRONMENT},
        )
    warnings.filterwarnings("ignore", module="monai")
    setup_process()
    check_loss()
    print(f"{datetime.date.today()}, {processor()}, {numeric_mode('fp32 and bf16', 'cpu')}")
    print("setting        ours  bare  monai  mutual  2 bare | ours/bare  ours/monai  mutual/2 bare")
    for dims in (2, 3):
        for precision in ("fp32", "bf16"):
            arms = Arms(dims, precision)
            names = {"ours": arms.ours, "bare": arms.bare, "monai": arms.usual_monai}
            times = measure(names | {"mutual": arms.mutual, "two": arms.two_bare}, STEPS[dims], repeats)
            middle = {name: statistics.median(values) for name, values in times.items()}
            print(
                f"{dims}-D {precision} ms {middle['ours']:7.1f} {middle['bare']:5.1f} {middle['monai']:6.1f} "
                f"{middle['mutual']:7.1f} {middle['two']:7.1f} | {ratio(times, 'ours', 'bare'):9.3f}  "
                f"{ratio(times, 'ours', 'monai'):10.3f}  {ratio(times, 'mutual', 'two'):13.3f}",
                flush=True,
            )


def processor() -> str:
    """Name of the processor, where the system tells."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


if __name__ == "__main__":
    main()
