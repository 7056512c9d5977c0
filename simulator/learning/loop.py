"""The training loop, for one model and for two that learn from each other.

The lean recipe: items in memory, one fused optimizer, one logarithm per loss, bf16 only where the
scenario asks for it, and nothing that waits for the device within an epoch.
"""

import json
from collections.abc import Callable, Iterator, Sequence
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
from simulator.learning.losses import Output, main_head
from simulator.learning.models import is_finite, load_weights, weights_of
from simulator.learning.networks import OwnLoss
from simulator.learning.parts import bottleneck, freeze_rest
from simulator.rng import draw_seed

if TYPE_CHECKING:
    from simulator.learning.context import Context

Penalty = Callable[[Tensor], Tensor]
Coupling = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(slots=True, kw_only=True)
class Pupil:
    """A model in training, see :class:`simulator.api.Pupil`; two may share an optimizer."""

    ctx: "Context"
    module: nn.Module
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    steps_before: int = 0
    steps: int = 0

    def output(self, batch: Batch) -> Output:
        """Logits of the batch."""
        return forward(self.module, batch.images, self.ctx.spec.divisor, self.ctx.recipe.precision)

    def output_and_features(self, batch: Batch) -> tuple[Output, Tensor]:
        """Logits, and the bottleneck's features averaged over space, ``(batch, channels)``."""
        seen: list[Tensor] = []
        layer = self.module.get_submodule(bottleneck(self.module, self.ctx.spec))
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
        return optimizers.dump_state(
            self.optimizer, settings, self.parameters, self.steps_before + self.steps
        )

    def bundle(self, *, keep_optimizer: bool, **meta: Any) -> Bundle:
        """The model as it is now."""
        arrays = weights_of(self.module)
        losses = meta.get("loss", [])
        if not (np.isfinite(losses).all() and is_finite(arrays)):
            raise diverged(self.ctx)
        return Bundle(arrays=arrays | (self.state() if keep_optimizer else {}), meta=meta)


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
    return [_crop(output[0], shape).float(), *(logits.float() for logits in output[1:])]


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


def train_two(
    ctx: "Context",
    local: Bundle,
    incoming: Bundle,
    *,
    epochs: int,
    first_epoch: int,
    coupling: Coupling,
    alternating: bool,
    all_heads: bool,
) -> tuple[Bundle, Bundle]:
    """See :meth:`simulator.api.TaskContext.train_together`.

    The incoming model starts with a fresh optimizer and returns none; the local one keeps its own.
    A value that is not finite may be the peer's fault: nothing is raised, ``meta["finite"]`` says so.
    """
    settings = ctx.recipe.optimizer
    modules = [_loaded(ctx, local, "local"), _loaded(ctx, incoming, "incoming")]
    parameters = [list(module.parameters()) for module in modules]
    optimizer = optimizers.make_optimizer(settings, parameters[0] + parameters[1])
    optimizers.load_state(optimizer, settings, parameters[0], local.arrays)
    own, other = (
        Pupil(ctx=ctx, module=module, parameters=learning, optimizer=optimizer)
        for module, learning in zip(modules, parameters, strict=True)
    )
    parts = _Pair(ctx=ctx, own=own, other=other, coupling=coupling, all_heads=all_heads, optimizer=optimizer)
    step = parts.step_in_turn if alternating else parts.step_together
    losses, steps = run_epochs(ctx, step, epochs, first_epoch)
    steps_in_all = optimizers.num_steps(local.arrays) + steps
    state = optimizers.dump_state(optimizer, settings, own.parameters, steps_in_all)
    arrays = [weights_of(own.module), weights_of(other.module)]
    finite = bool(np.isfinite(losses).all()) and all(is_finite(model) for model in arrays)
    meta = [{"loss": [pair[who] for pair in losses], "steps": steps, "finite": finite} for who in range(2)]
    return Bundle(arrays=arrays[0] | state, meta=meta[0]), Bundle(arrays=arrays[1], meta=meta[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two models on the same batches, each supervised and coupled to the other's predictions."""

    ctx: "Context"
    own: Pupil
    other: Pupil
    coupling: Coupling
    all_heads: bool
    optimizer: torch.optim.Optimizer

    def step_together(self, batch: Batch) -> Tensor:
        """One forward each, one backward over the sum, one optimizer step for both."""
        outputs = [pupil.output(batch) for pupil in (self.own, self.other)]
        pupils = self.own, self.other
        supervised = [pupil.supervised(output, batch) for pupil, output in zip(pupils, outputs, strict=True)]
        mutual = [
            self._coupled(outputs[0], outputs[1], batch.labels),
            self._coupled(outputs[1], outputs[0], batch.labels),
        ]
        self._update(supervised[0] + mutual[0] + supervised[1] + mutual[1], self.own, self.other)
        return torch.stack(supervised).detach()

    def step_in_turn(self, batch: Batch) -> Tensor:
        """The local model steps first; the incoming one learns from its new predictions."""
        output, own_output = self.other.output(batch), self.own.output(batch)
        first = self.own.supervised(own_output, batch)
        self._update(first + self._coupled(own_output, output, batch.labels), self.own)
        with torch.no_grad():
            own_output = self.own.output(batch)
        second = self.other.supervised(output, batch)
        self._update(second + self._coupled(output, own_output, batch.labels), self.other)
        return torch.stack([first, second]).detach()

    def _coupled(self, output: Output, peer: Output, labels: Tensor) -> Tensor:
        """The coupling to the peer, held constant: of the main heads, or of each pair of heads,
        combined like their supervised losses.
        """
        if not self.all_heads:
            return self.coupling(main_head(output), main_head(peer).detach(), labels)
        peers = iter([peer] if isinstance(peer, Tensor) else peer)
        return self.ctx.loss.heads(
            output, labels, lambda logits, target: self.coupling(logits, next(peers).detach(), target)
        )

    def _update(self, total: Tensor, *pupils: Pupil) -> None:
        """Step the parameters that ``total`` reaches; the optimizer skips those without gradient."""
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        for pupil in pupils:
            pupil.clip()
        self.optimizer.step()


def enroll(
    ctx: "Context", model: Bundle, role: str, *, state: Bundle | None = None, only: str | None = None
) -> Pupil:
    """See :meth:`simulator.api.TaskContext.pupil`.

    Raises:
        ValueError: an optimizer's state for a part of the network.
    """
    module = _loaded(ctx, model, role)
    parameters = list(module.parameters())
    if only is not None:
        if state is not None:
            raise ValueError("a part of a network learns with a fresh optimizer")
        parameters = freeze_rest(module, only, ctx.spec)
    optimizer = optimizers.make_optimizer(ctx.recipe.optimizer, parameters)
    arrays = {} if state is None else state.arrays
    optimizers.load_state(optimizer, ctx.recipe.optimizer, parameters, arrays)
    return Pupil(
        ctx=ctx,
        module=module,
        parameters=parameters,
        optimizer=optimizer,
        steps_before=optimizers.num_steps(arrays),
    )


def _loaded(ctx: "Context", model: Bundle, role: str) -> nn.Module:
    """The resident module with these weights; nothing of an earlier use is left."""
    module = ctx.module(role)
    load_weights(module, model)
    return module.train().requires_grad_(True)


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
    return means, steps


@contextmanager
def _dropout_stream(ctx: "Context", epoch: int) -> Iterator[None]:
    """Dropout layers draw from torch's global generator: seed it by name, and put it back."""
    devices = [torch.cuda.current_device()] if ctx.device == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(draw_seed(ctx.seed, ctx.site, "dropout", epoch))
        yield


def diverged(ctx: "Context") -> Diverged:
    """The error of a value that is not finite, with the recipe that led to it."""
    return Diverged("training", ctx.site, json.dumps(ctx.recipe.model_dump(mode="json"), sort_keys=True))
