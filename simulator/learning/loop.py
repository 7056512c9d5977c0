"""The training loop, and a model in it.

The lean recipe: items in memory, one fused optimizer, one logarithm per loss, bf16 only where the
scenario asks for it, and nothing that waits for the device within an epoch.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from simulator.api import Bundle
from simulator.errors import Diverged, ScenarioError
from simulator.learning import optimizers
from simulator.learning.batches import Batch, epoch_batches, training_items
from simulator.learning.losses import Output
from simulator.learning.models import (
    begin_training,
    is_finite,
    load_weights,
    parameters_of,
    weights_of,
)
from simulator.learning.networks import NetworkSpec, OwnLoss
from simulator.learning.parts import bottleneck, freeze_rest
from simulator.learning.plateau import FallingRate, falling_rate
from simulator.rng import draw_seed

if TYPE_CHECKING:
    from simulator.learning.context import Context

Penalty = Callable[[Tensor], Tensor]
Coupling = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(slots=True, kw_only=True)
class Pupil:
    """A model in training, see :class:`simulator.api.Pupil`; two may share an optimizer."""

    ctx: "Context"
    spec: NetworkSpec
    network: Mapping[str, Any] | None
    module: nn.Module
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    steps_before: int = 0
    steps: int = 0
    rate: FallingRate | None = None

    def start(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on with the optimizer's state in ``arrays``, if there is one."""
        settings = self.ctx.recipe.optimizer
        optimizers.load_state(self.optimizer, settings, self.parameters, arrays)
        self.steps_before = optimizers.num_steps(arrays)
        self.rate = falling_rate(settings.plateau, settings.lr, arrays)
        self._set_rate()

    def end_epoch(self) -> None:
        """Adapt the learning rate to the validation loss, if the scenario says so."""
        if self.rate is not None:
            now = Bundle(arrays=weights_of(self.module), network=self.network)
            self.rate.after_epoch(self.ctx.validate(now, role="measured")[0])
            self._set_rate()

    def _set_rate(self) -> None:
        if self.rate is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate.lr

    def output(self, batch: Batch) -> Output:
        """Logits of the batch."""
        return forward(self.module, batch.images, self.spec.divisor, self.ctx.recipe.precision)

    def output_and_features(self, batch: Batch) -> tuple[Output, Tensor]:
        """Logits, and the bottleneck's features averaged over space, ``(batch, channels)``."""
        seen: list[Tensor] = []
        layer = self.module.get_submodule(bottleneck(self.module, self.spec))
        handle = layer.register_forward_hook(lambda _, __, features: seen.append(features))
        output = self.output(batch)
        handle.remove()
        return output, seen[0].float().flatten(2).mean(dim=2)

    def supervised(self, output: Output, batch: Batch) -> Tensor:
        """The scenario's loss, and what the network itself adds to it; ``output`` is its last."""
        loss = self.ctx.loss.train(output, batch.labels)
        if not isinstance(self.module, OwnLoss):
            return loss
        return self.module.supervised_weight * loss + self.module.take_auxiliary()

    def flat(self) -> Tensor:
        """The parameters that learn, one after another."""
        return torch.cat([values.reshape(-1) for values in self.parameters])

    def clip(self) -> None:
        """Bound the gradient's norm as the scenario says."""
        if self.ctx.recipe.optimizer.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.ctx.recipe.optimizer.clip_norm)

    def step(self, total: Tensor) -> None:
        """Differentiate, clip, and let the optimizer step."""
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self.clip()
        self.optimizer.step()
        self.steps += 1

    def apply(self, gradients: Sequence[Tensor]) -> None:
        """Clip these gradients and let the optimizer step by them."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.clip()
        self.optimizer.step()
        self.steps += 1

    def adam_update(self) -> Tensor:
        """What Adam's last step subtracted, without weight decay."""
        return optimizers.adam_update(self.optimizer, self.ctx.recipe.optimizer, self.parameters)

    def state(self) -> dict[str, np.ndarray]:
        """The optimizer's state of this model."""
        settings = self.ctx.recipe.optimizer
        steps = self.steps_before + self.steps
        moments = optimizers.dump_state(self.optimizer, settings, self.parameters, steps)
        return moments | (self.rate.state() if self.rate is not None else {})

    def bundle(self, *, keep_optimizer: bool, **meta: Any) -> Bundle:
        """The model as it is now."""
        arrays = weights_of(self.module)
        losses = meta.get("loss", [])
        if not (np.isfinite(losses).all() and is_finite(arrays)):
            raise diverged(self.ctx)
        state = self.state() if keep_optimizer else {}
        return Bundle(arrays=arrays | state, meta=meta, network=self.network)


def forward(module: nn.Module, images: Tensor, divisor: int, precision: str) -> Output:
    """Return a network's output as float32 at the size of ``images``, which are padded with zeros
    on the way in where the network needs it.
    """
    shape = images.shape[2:]
    missing = [-edge % divisor for edge in shape]
    if any(missing):
        images = functional.pad(images, [margin for edge in reversed(missing) for margin in (0, edge)])
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        output: Output = module(images)
    if isinstance(output, Tensor):
        return _crop(output, shape).float()
    padded = images.shape[2:]
    return [_crop(logits, _covered(shape, logits.shape[2:], padded)).float() for logits in output]


def _covered(shape: Sequence[int], head: Sequence[int], padded: Sequence[int]) -> list[int]:
    """How much of a head of any resolution lies over the image before padding."""
    return [-(-edge * own // whole) for edge, own, whole in zip(shape, head, padded, strict=True)]


def _crop(logits: Tensor, shape: Sequence[int]) -> Tensor:
    """The part of ``logits`` that lies over the image before padding."""
    for axis, edge in enumerate(shape, start=2):
        logits = logits.narrow(axis, 0, edge)
    return logits


def train_one(
    ctx: "Context",
    model: Bundle,
    *,
    epochs: int,
    first_epoch: int,
    penalty: Penalty | None,
    keep_optimizer: bool,
    only: str | None,
) -> Bundle:
    """See :meth:`simulator.api.TaskContext.train`."""
    pupil = enroll(ctx, model, "local", state=model if keep_optimizer else None, only=only)

    def step(batch: Batch) -> Tensor:
        supervised = pupil.supervised(pupil.output(batch), batch)
        pupil.step(supervised if penalty is None else supervised + penalty(pupil.flat()))
        return supervised.detach()

    losses, steps = run_epochs(ctx, step, epochs, first_epoch)
    return pupil.bundle(keep_optimizer=keep_optimizer, loss=losses, steps=steps)


def enroll(
    ctx: "Context", model: Bundle, role: str, *, state: Bundle | None = None, only: str | None = None
) -> Pupil:
    """See :meth:`simulator.api.TaskContext.pupil`.

    Raises:
        ValueError: an optimizer's state for a part of the network.
    """
    spec = ctx.spec_of(model)
    module = loaded(ctx, model, spec, role)
    parameters = parameters_of(module)
    if only is not None:
        if state is not None:
            raise ValueError("a part of a network learns with a fresh optimizer")
        parameters = freeze_rest(module, only, spec)
    optimizer = optimizers.make_optimizer(ctx.recipe.optimizer, parameters)
    pupil = Pupil(
        ctx=ctx, spec=spec, network=model.network, module=module, parameters=parameters, optimizer=optimizer
    )
    pupil.start({} if state is None else state.arrays)
    if pupil.rate is not None:
        ctx.pupils[role] = pupil
    return pupil


def loaded(ctx: "Context", model: Bundle, spec: NetworkSpec, role: str) -> nn.Module:
    """The resident module with these weights; nothing of an earlier use is left."""
    module = ctx.module(role, spec)
    load_weights(module, model)
    begin_training(module)
    return module


def run_epochs(
    ctx: "Context",
    step: Callable[[Batch], Tensor],
    epochs: int,
    first_epoch: int,
    *,
    drop_last: bool = False,
) -> tuple[list[Any], int]:
    """See :meth:`simulator.api.TaskContext.epochs`.

    Raises:
        ScenarioError: no batch is full although only full ones are wanted.
    """
    items = training_items(ctx)
    batch_size = ctx.recipe.batch_size
    num_items = len(items) - len(items) % batch_size if drop_last else len(items)
    if not num_items:
        raise ScenarioError(
            f"task.batch_size: {ctx.site} has {len(items)} items, not one full batch of {batch_size}; "
            "use a smaller batch"
        )
    means: list[Any] = []
    steps = 0
    for epoch in range(first_epoch, first_epoch + epochs):
        total: Tensor | None = None
        with _dropout_stream(ctx, epoch):
            for batch in epoch_batches(ctx, items, epoch, drop_last=drop_last):
                weighted = step(batch).double() * len(batch.images)
                total = weighted if total is None else total + weighted
                steps += 1
        assert total is not None  # there is at least one batch
        means.append((total / num_items).tolist())
        if not np.isfinite(means[-1]).all():
            break
        for role in sorted(ctx.pupils):
            ctx.pupils[role].end_epoch()
    return means, steps


@contextmanager
def _dropout_stream(ctx: "Context", epoch: int) -> Iterator[None]:
    """Dropout layers draw from torch's global generator: seed it by name, and put it back."""
    seed = draw_seed(ctx.seed, ctx.site, "dropout", epoch)
    devices = [torch.cuda.current_device()] if ctx.device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if devices:
            torch.cuda.manual_seed(seed)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed looks for GPUs: 0.5 ms
        yield


def diverged(ctx: "Context") -> Diverged:
    """The error of a value that is not finite, with the recipe that led to it."""
    return Diverged("training", ctx.site, json.dumps(ctx.recipe.model_dump(mode="json"), sort_keys=True))
