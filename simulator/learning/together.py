"""The training loop for two models that learn from each other on the same batches."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from simulator.api import Bundle
from simulator.learning import optimizers
from simulator.learning.batches import Batch
from simulator.learning.loop import Coupling, Pupil, loaded, run_epochs
from simulator.learning.losses import Output, main_head
from simulator.learning.models import is_finite, weights_of

if TYPE_CHECKING:
    from simulator.learning.context import Context


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
    models = {"local": local, "incoming": incoming}
    specs = [ctx.spec_of(model) for model in models.values()]
    modules = [
        loaded(ctx, model, spec, role) for (role, model), spec in zip(models.items(), specs, strict=True)
    ]
    parameters = [list(module.parameters()) for module in modules]
    optimizer = optimizers.make_optimizer(settings, parameters[0] + parameters[1])
    own, other = (
        Pupil(
            ctx=ctx, spec=spec, network=model.network, module=module, parameters=learning, optimizer=optimizer
        )
        for model, spec, module, learning in zip(models.values(), specs, modules, parameters, strict=True)
    )
    own.start(local.arrays)
    if own.rate is not None:
        ctx.pupils = {"local": own}  # the incoming model learns at the same rate
    parts = _Pair(ctx=ctx, own=own, other=other, coupling=coupling, all_heads=all_heads, optimizer=optimizer)
    step = parts.step_in_turn if alternating else parts.step_together
    losses, steps = run_epochs(ctx, step, epochs, first_epoch)
    own.steps = steps
    state = own.state()
    arrays = [weights_of(own.module), weights_of(other.module)]
    finite = bool(np.isfinite(losses).all()) and all(is_finite(model) for model in arrays)
    meta = [{"loss": [pair[who] for pair in losses], "steps": steps, "finite": finite} for who in range(2)]
    return (
        Bundle(arrays=arrays[0] | state, meta=meta[0], network=local.network),
        Bundle(arrays=arrays[1], meta=meta[1], network=incoming.network),
    )


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
