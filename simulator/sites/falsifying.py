"""What a rogue or a private site makes of a model before it leaves, as tasks.

An update is what is sent less what the site started from, array by array; an array that the reference
lacks, or has in another shape, is an update from zero.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.api import Bundle, Cost, ModelSize, SiteData, Task, TaskContext

Array = np.ndarray


def _free(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """A pass over a model is nothing beside the training before it."""
    return Cost()


FALSIFY = Task(
    name="falsify", function="simulator.sites.falsifying:falsify", version=1, cost=_free,
    seeded="site", stateful=False,
)  # fmt: skip
"""A harmful model: ``(sent, reference), kind, strength, number``; what is a change has no reference."""

CONCEAL = Task(
    name="conceal", function="simulator.sites.falsifying:conceal", version=1, cost=_free,
    seeded="site", reported=True, stateful=False,
)  # fmt: skip
"""A model clipped and noised: ``(sent, reference), clip, noise, number``."""


def updates(sent: Bundle, references: tuple[Bundle, ...]) -> dict[str, tuple[Array, Array]]:
    """Return (reference, update) in float64 of every float array, in sorted order of names."""
    known = references[0].arrays if references else {}
    found = {}
    for name, values in sorted(sent.arrays.items()):
        if values.dtype.kind == "f":
            base = known.get(name)
            start = np.zeros(values.shape) if base is None or base.shape != values.shape else base
            found[name] = (start.astype(np.float64), values.astype(np.float64) - start)
    return found


def falsify(
    ctx: TaskContext, sent: Bundle, *references: Bundle, kind: str, strength: float, number: int
) -> Bundle:
    """Return what a rogue site sends in place of ``sent``; its running statistics and integers stay.

    Args:
        ctx: where it runs.
        sent: the honest model or change.
        references: the model that an update starts from, if any.
        kind: scale, sign-flip, noise, nan or infinity, see :class:`~simulator.scenario.outgoing.Rogue`.
        strength: the factor of the first three.
        number: how many other models of the site were falsified before; each has noise of its own.
    """
    arrays = dict(sent.arrays)
    for name, (start, update) in updates(sent, references).items():
        if name == "buffers":
            continue
        if kind == "noise":
            deviation = strength * float(np.sqrt(np.mean(update**2))) if update.size else 0.0
            false = start + update + deviation * ctx.rng("rogue", name, number).standard_normal(update.shape)
        elif kind in {"nan", "infinity"}:
            false = np.full(update.shape, np.nan if kind == "nan" else np.inf)
        else:
            false = start + (strength if kind == "scale" else -strength) * update
        with np.errstate(over="ignore"):  # beyond float32 is infinity, as the harm has it
            arrays[name] = false.astype(sent.arrays[name].dtype)
    return Bundle(arrays=arrays)


def conceal(
    ctx: TaskContext, sent: Bundle, *references: Bundle, clip: float, noise: float, number: int
) -> Bundle:
    """Return ``sent`` with its update clipped to the length ``clip`` and noise of deviation
    ``noise·clip`` on every value.

    ``number`` counts the site's releases, each with noise of its own. Meta: ``update_norm`` before
    clipping, ``clipped``.

    C. Dwork, A. Roth, "The algorithmic foundations of differential privacy", 2014, A; clipping of whole
    updates: H. B. McMahan et al., "Learning differentially private recurrent language models", ICLR 2018.
    """
    parts = updates(sent, references)
    norm = float(np.sqrt(sum(float(np.sum(update**2)) for _, update in parts.values())))
    factor = min(1.0, clip / norm) if norm > 0 else 1.0
    rng = ctx.rng("privacy", number)
    arrays = dict(sent.arrays)
    for name, (start, update) in parts.items():
        noised = start + factor * update + noise * clip * rng.standard_normal(update.shape)
        arrays[name] = noised.astype(sent.arrays[name].dtype)
    return Bundle(arrays=arrays, meta={"update_norm": norm, "clipped": factor < 1})
