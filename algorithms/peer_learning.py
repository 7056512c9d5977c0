"""Deep mutual learning of any number of networks on the same batches: the task behind DML, FML and
ProxyFL.

Y. Zhang et al., "Deep mutual learning", CVPR 2018. The divergence is that of ``contrast: off`` on all
elements: of Bernoulli predictions, or categorical ones of a softmax, from logits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from algorithms.mixing import NETWORKS
from algorithms.parts import ARRAYS
from algorithms.tasks import free
from simulator.api import OPTIMIZER, Bundle, Cost, ModelSize, SiteData, Task, TaskContext

BESIDE = OPTIMIZER + "beside"
"""Beginning of the names of the networks beside the first: they stay at home with their optimizers."""


def together(first: Bundle, *others: Bundle) -> dict[str, Any]:
    """The arrays of several networks as one outcome, of which the first one travels."""
    arrays = dict(first.arrays)
    for number, other in enumerate(others):
        arrays |= {f"{BESIDE}{number}.{name}": array for name, array in other.arrays.items()}
    return arrays


def apart(outcome: Bundle, number: int | None = None) -> Bundle:
    """The first network of an outcome, or one of those beside it, with its optimizer's state."""
    if number is None:
        return Bundle(arrays={n: array for n, array in outcome.arrays.items() if not n.startswith(BESIDE)})
    mark = f"{BESIDE}{number}."
    arrays = {n.removeprefix(mark): array for n, array in outcome.arrays.items() if n.startswith(mark)}
    return Bundle(arrays=arrays, network=outcome.meta.get(NETWORKS, {}).get(str(number)))


def networks_beside(*others: Bundle) -> dict[str, Any]:
    """Meta data that say which networks beside the first have another architecture, none if all are alike."""
    found = {str(number): dict(one.network) for number, one in enumerate(others) if one.network is not None}
    return {NETWORKS: found} if found else {}


def mutual_epochs(
    ctx: TaskContext,
    *models: Bundle,
    task_weights: Sequence[float],
    mutual_weights: Sequence[float],
    keep_optimizer: bool,
    epochs: int,
    first_epoch: int,
) -> Bundle:
    """Local epochs of several networks on the same batches (a task function).

    Each network's loss is its task weight times the supervised loss plus its mutual weight times the
    mean divergence from the others' predictions, which are constants. One outcome given instead of as
    many models as there are weights holds all of them.
    """
    from algorithms.contrast import Contrast  # algorithms are imported where torch is not

    if len(models) == 1:
        models = (apart(models[0]), *(apart(models[0], i) for i in range(len(task_weights) - 1)))
    pupils = [
        ctx.pupil(model, f"peer{i}", state=model if keep_optimizer else None)
        for i, model in enumerate(models)
    ]
    divergence = Contrast(contrast="off", region="all")

    def step(batch: Any) -> Any:
        outputs = [pupil.output(batch) for pupil in pupils]
        heads = [output[0] if isinstance(output, list) else output for output in outputs]
        supervised = [pupil.supervised(out, batch) for pupil, out in zip(pupils, outputs, strict=True)]
        totals = []
        for i, own in enumerate(heads):
            mutual = sum(divergence(own, other, batch.labels) for j, other in enumerate(heads) if j != i)
            totals.append(
                task_weights[i] * supervised[i] + mutual_weights[i] / max(len(heads) - 1, 1) * mutual
            )
        for pupil, total in zip(pupils, totals, strict=True):
            pupil.step(total)
        return supervised[0].detach()

    losses, steps = ctx.epochs(step, epochs=epochs, first_epoch=first_epoch)
    trained = [pupil.bundle(keep_optimizer=keep_optimizer, loss=losses, steps=steps) for pupil in pupils]
    return Bundle(arrays=together(*trained), meta={**trained[0].meta, **networks_beside(*models[1:])})


def beside(ctx: TaskContext, outcome: Bundle) -> Bundle:
    """The network beside the first, without its optimizer (a task function)."""
    other = apart(outcome, 0).arrays
    return Bundle(arrays={name: other[name] for name in ARRAYS})


def member(ctx: TaskContext, outcome: Bundle, *, number: int) -> Bundle:
    """A network beside the first, with its optimizer (a task function)."""
    return Bundle(arrays=apart(outcome, number).arrays)


def pack(ctx: TaskContext, *models: Bundle) -> Bundle:
    """Several networks as one outcome (a task function)."""
    return Bundle(arrays=together(*models), meta=networks_beside(*models[1:]))


def _cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    """As many local epochs as there are networks; those of the first are the budget's."""
    items = data.train_items * params["epochs"]
    return Cost(train_items=items, incoming_train_items=(len(params["task_weights"]) - 1) * items)


MUTUAL = Task(
    name="mutual_epochs",
    function="algorithms.peer_learning:mutual_epochs",
    version=1,
    cost=_cost,
    data="own",
    seeded="site",
)
"""Several networks on the same batches: ``(*models, or one outcome), task_weights, mutual_weights, …``."""

MUTUAL_POOLED = replace(MUTUAL, data="all")
"""The same on the union of all sites' training cases."""

BESIDE_FIRST = Task(
    name="private_model", function="algorithms.peer_learning:beside", version=1, cost=free, stateful=False
)
"""The network that stays at home: ``(outcome)``."""

MEMBER = Task(name="member", function="algorithms.peer_learning:member", version=1, cost=free)
"""A network beside the first, to go on with: ``(outcome), number``; whose network it is, the caller says."""

PACK = Task(name="pack", function="algorithms.peer_learning:pack", version=1, cost=free)
"""Several networks as one outcome: ``(*models)``."""
