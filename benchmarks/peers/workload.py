"""The workload that all drivers share: 8 sites, a U-Net of 0.4 million weights, SGD, federated averaging.

``MEDGOSSIP_PEERS`` says steps per exchange, rounds, and the file that notes the first step's time; beside
it, with the ending ``.npy``, a driver leaves its final weights.
"""

import os
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

SITES, BATCH, EDGE, CHANNELS, STRUCTURES = 8, 8, 64, 4, 3
LR = 0.01
INITIAL_SEED = 6020544241999255140  # of medgossip's learning seed 1, so that all begin alike
STEPS, ROUNDS, MARK = (os.environ.get("MEDGOSSIP_PEERS") or "20 10 /dev/null").split(maxsplit=2)
STEPS, ROUNDS = int(STEPS), int(ROUNDS)
SHAPE = {
    "spatial_dims": 2, "in_channels": CHANNELS, "out_channels": STRUCTURES, "channels": [16, 32, 64, 128],
    "strides": [2, 2, 2], "num_res_units": 2,
}  # fmt: skip


def network() -> torch.nn.Module:
    """The U-Net of the specification, the same weights every time."""
    from monai.networks.nets import UNet

    torch.set_num_threads(1)
    torch.manual_seed(INITIAL_SEED)
    return UNet(**SHAPE)


def arrays(site: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (items, channels, y, x) of noise and labels (items, structures, y, x) of boxes."""
    rng = np.random.Generator(np.random.Philox(key=site))
    images = rng.standard_normal((STEPS * BATCH, CHANNELS, EDGE, EDGE), dtype=np.float32)
    labels = np.zeros((STEPS * BATCH, STRUCTURES, EDGE, EDGE), dtype=np.uint8)
    for structure in range(STRUCTURES):
        labels[:, structure, 16 : 36 - 4 * structure, 16 : 36 - 4 * structure] = 1
    return images, labels


@cache
def data(site: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same as tensors."""
    images, labels = arrays(site)
    return torch.from_numpy(images), torch.from_numpy(labels)


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Dice and cross entropy from one log-sigmoid; labels are floats of 0 and 1."""
    logits = logits.float()
    log_p = functional.logsigmoid(logits)
    p, axes = log_p.exp(), (0, *range(2, labels.ndim))
    overlap = 2 * (p * labels).sum(axes) + 1e-5
    dice = 1 - (overlap / (p.sum(axes) + labels.sum(axes) + 1e-5)).mean()
    return dice + (logits - log_p - labels * logits).mean()


def local_epoch(model: torch.nn.Module, site: int, round_: int) -> None:
    """One pass over a site's items, in the order of this site and round."""
    images, labels = data(site)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1000 * round_ + site))
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    for batch in order.split(BATCH):
        note_first_step()
        optimizer.zero_grad()
        loss_of(model(images[batch]), labels[batch].float()).backward()
        optimizer.step()


def note_first_step() -> None:
    """Write the time of the first step of all processes."""
    mark = Path(MARK)
    if not mark.exists():
        mark.write_text(str(time.time()))


def leave(weights: Mapping[str, torch.Tensor]) -> None:
    """Write the final weights, for :func:`loss_after`."""
    np.save(f"{MARK}.npy", torch.cat([value.detach().flatten() for value in weights.values()]).numpy())


def loss_after(weights: np.ndarray) -> float:
    """Loss of final weights, mean over the first batch of every site."""
    model = network()
    torch.nn.utils.vector_to_parameters(torch.from_numpy(weights), model.parameters())
    with torch.no_grad():
        found = [
            loss_of(model(images[:BATCH]), labels[:BATCH].float())
            for images, labels in map(data, range(SITES))
        ]
    return float(torch.stack(found).mean())
