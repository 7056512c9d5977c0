"""FedAdam and FedYogi: the server takes the mean update as a gradient for an adaptive optimizer.

S. Reddi et al., "Adaptive federated optimization", ICLR 2021.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from algorithms.common import Positive, Steps, fine_tuned
from algorithms.fedavg import local
from algorithms.mixing import merge
from algorithms.server_based import Method, in_order, server
from algorithms.server_policies import ServerBased, check
from algorithms.server_sites import site
from simulator.api import (
    OPTIMIZER,
    Algorithm,
    Bundle,
    Cost,
    Message,
    ModelSize,
    Node,
    Ref,
    SiteData,
    Task,
    TaskContext,
)

FIRST, SECOND = OPTIMIZER + "server_first", OPTIMIZER + "server_second"
"""Moments of the server; they never travel."""
Decay = Annotated[float, Field(ge=0, lt=1)]


class FedAdam(ServerBased):
    """FedAdam: w + server_lr·m/(√v + tau), with moments m and v of the mean update.

    Moments are not corrected for their start; v starts at tau². Running statistics are averaged.
    """

    name: Literal["fedadam"] = "fedadam"
    server_lr: Positive = 0.01
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    tau: Positive = 1e-3

    @property
    def kind(self) -> Literal["adam", "yogi"]:
        """How the second moment moves."""
        return "adam"


class FedYogi(FedAdam):
    """FedYogi: FedAdam whose second moment moves by a bounded step."""

    name: Literal["fedyogi"] = "fedyogi"  # type: ignore[assignment]

    @property
    def kind(self) -> Literal["adam", "yogi"]:
        """How the second moment moves."""
        return "yogi"


def moments(
    delta: np.ndarray, first: np.ndarray, second: np.ndarray, *, kind: str, beta1: float, beta2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return both moments after a mean update ``delta``, float64 vectors."""
    first = beta1 * first + (1 - beta1) * delta
    square = delta**2
    if kind == "adam":
        return first, beta2 * second + (1 - beta2) * square
    return first, second - (1 - beta2) * square * np.sign(second - square)


def server_step(
    ctx: TaskContext,
    state: Bundle,
    *answers: Bundle,
    weights: Sequence[float],
    kind: str,
    server_lr: float,
    beta1: float,
    beta2: float,
    tau: float,
) -> Bundle:
    """One step of the server's optimizer (a task function)."""
    mean = merge(answers, weights)
    x = state.arrays["model"].astype(np.float64)
    delta = mean["model"].astype(np.float64) - x
    first = state.arrays.get(FIRST, np.zeros_like(x))
    second = state.arrays.get(SECOND, np.full_like(x, tau**2))
    first, second = moments(delta, first, second, kind=kind, beta1=beta1, beta2=beta2)
    x = x + server_lr * first / (np.sqrt(second) + tau)
    arrays = mean | {"model": x.astype(mean["model"].dtype), FIRST: first, SECOND: second}
    return Bundle(arrays=arrays, meta={"weights": list(weights)})


def _cost(data: SiteData, model: ModelSize, num_inputs: int, params: Mapping[str, Any]) -> Cost:
    return Cost(flop=(2.0 * num_inputs + 12) * model.num_parameters)


STEP = Task(name="server_step", function="algorithms.server_optimizers:server_step", version=1, cost=_cost)


def aggregate(node: Node, cfg: FedAdam, state: Ref, answers: Mapping[str, Message], round_: int) -> Steps:
    """Step the server's optimizer."""
    models, weights = in_order(node, cfg, answers)
    return (
        yield node.compute(
            STEP,
            state,
            *models,
            weights=weights,
            kind=cfg.kind,
            server_lr=cfg.server_lr,
            beta1=cfg.beta1,
            beta2=cfg.beta2,
            tau=cfg.tau,
            round=round_,
        )
    )


METHOD = Method(local=local, aggregate=aggregate)
FEDADAM = Algorithm(
    settings=FedAdam,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check,
    summary="FedAvg whose server steps by Adam",
    source="Reddi et al., ICLR 2021",
)
FEDYOGI = Algorithm(
    settings=FedYogi,
    site=fine_tuned(partial(site, method=METHOD)),
    server=partial(server, method=METHOD),
    check=check,
    summary="FedAvg whose server steps by Yogi",
    source="Reddi et al., ICLR 2021",
)
