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
from simulator.errors import Diverged
from simulator.learning import optimizers
from simulator.learning.batches import Batch, epoch_batches, training_items
from simulator.learning.losses import Output, main_head
from simulator.learning.models import is_finite, load_weights, weights_of
from simulator.rng import draw_seed

if TYPE_CHECKING:
    from simulator.learning.context import Context

Penalty = Callable[[Tensor], Tensor]
Coupling = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pupil:
    """A model in training: its module and the module's parameters."""

    module: nn.Module
    parameters: list[nn.Parameter]


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
) -> Bundle:
    """See :meth:`simulator.api.TaskContext.train`."""
    pupil = _pupil(ctx, model, "local")
    optimizer = optimizers.make_optimizer(ctx.recipe.optimizer, pupil.parameters)
    state = model.arrays if keep_optimizer else {}
    optimizers.load_state(optimizer, ctx.recipe.optimizer, pupil.parameters, state)

    def step(batch: Batch) -> Tensor:
        supervised = ctx.loss.train(_run(ctx, pupil, batch), batch.labels)
        total = supervised
        if penalty is not None:
            total = total + penalty(torch.cat([values.reshape(-1) for values in pupil.parameters]))
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        _clip(ctx, pupil)
        optimizer.step()
        return supervised.detach()

    losses, steps = _epochs(ctx, step, epochs, first_epoch)
    arrays = weights_of(pupil.module)
    if not (np.isfinite(losses).all() and is_finite(arrays)):
        raise diverged(ctx)
    if keep_optimizer:
        steps_in_all = optimizers.num_steps(state) + steps
        arrays |= optimizers.dump_state(optimizer, ctx.recipe.optimizer, pupil.parameters, steps_in_all)
    return Bundle(arrays=arrays, meta={"loss": losses, "steps": steps})


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
    own, other = _pupil(ctx, local, "local"), _pupil(ctx, incoming, "incoming")
    optimizer = optimizers.make_optimizer(settings, own.parameters + other.parameters)
    optimizers.load_state(optimizer, settings, own.parameters, local.arrays)
    parts = _Pair(ctx=ctx, own=own, other=other, coupling=coupling, all_heads=all_heads, optimizer=optimizer)
    step = parts.step_in_turn if alternating else parts.step_together
    losses, steps = _epochs(ctx, step, epochs, first_epoch)
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
        outputs = [_run(self.ctx, pupil, batch) for pupil in (self.own, self.other)]
        supervised = [self.ctx.loss.train(output, batch.labels) for output in outputs]
        mutual = [
            self._coupled(outputs[0], outputs[1], batch.labels),
            self._coupled(outputs[1], outputs[0], batch.labels),
        ]
        self._update(supervised[0] + mutual[0] + supervised[1] + mutual[1], self.own, self.other)
        return torch.stack(supervised).detach()

    def step_in_turn(self, batch: Batch) -> Tensor:
        """The local model steps first; the incoming one learns from its new predictions."""
        output = _run(self.ctx, self.other, batch)
        own_output = _run(self.ctx, self.own, batch)
        first = self.ctx.loss.train(own_output, batch.labels)
        self._update(first + self._coupled(own_output, output, batch.labels), self.own)
        with torch.no_grad():
            own_output = _run(self.ctx, self.own, batch)
        second = self.ctx.loss.train(output, batch.labels)
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
            _clip(self.ctx, pupil)
        self.optimizer.step()


def _pupil(ctx: "Context", model: Bundle, role: str) -> Pupil:
    module = ctx.module(role)
    load_weights(module, model)
    module.train()
    return Pupil(module=module, parameters=list(module.parameters()))


def _run(ctx: "Context", pupil: Pupil, batch: Batch) -> Output:
    return forward(pupil.module, batch.images, ctx.spec.divisor, ctx.recipe.precision)


def _clip(ctx: "Context", pupil: Pupil) -> None:
    if ctx.recipe.optimizer.clip_norm is not None:
        nn.utils.clip_grad_norm_(pupil.parameters, ctx.recipe.optimizer.clip_norm)


def _epochs(
    ctx: "Context", step: Callable[[Batch], Tensor], epochs: int, first_epoch: int
) -> tuple[list[Any], int]:
    """Run epochs; return the mean loss (or losses) of each over its items, and the steps taken.

    An epoch whose loss is not finite is the last one.
    """
    items = training_items(ctx)
    means: list[Any] = []
    steps = 0
    for epoch in range(first_epoch, first_epoch + epochs):
        total: Tensor | None = None
        with _dropout_stream(ctx, epoch):
            for batch in epoch_batches(ctx, items, epoch):
                weighted = step(batch).double() * len(batch.images)
                total = weighted if total is None else total + weighted
                steps += 1
        assert total is not None  # training_items() is never empty
        means.append((total / len(items)).tolist())
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
