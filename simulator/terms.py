"""What tasks and messages are made of; algorithms import it through :mod:`simulator.api`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from simulator.registry import ModelSize

OPTIMIZER = "optimizer."
"""Beginning of the names of a bundle's arrays that never travel."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A task's outcome, known by name before it is computed."""

    key: str
    task: str = field(compare=False)
    node: str = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A task's outcome: named arrays and a small JSON-like dictionary.

    A model is ``model`` (all parameters, flat float32), ``buffers`` (float buffers, flat float32)
    and ``counters`` (integer buffers, flat int64); the optimizer's state is any array whose name
    starts with ``optimizer.``. It stays at home: what travels to another site are all other arrays,
    without ``meta``. ``network`` is the network's section of the scenario where it is another one than
    that of the task which holds the model; the runtime fills it in, it cannot be kept.
    """

    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteData:
    """What a site knows of its own cases without opening them."""

    num_train: int
    num_val: int
    num_test: int
    train_items: int  # slices or volumes that one local epoch visits
    val_items: int
    test_items: int
    train_batches: int = 0  # optimizer steps of one local epoch
    full_batches: int = 0  # the same without a last batch that is not full
    full_items: int = 0  # items of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Work of a task, known before it runs.

    ``train_items`` are forward-and-backward passes over one slice or patch, ``forward_items``
    forward passes, ``flop`` anything else. ``extra_train_items`` says how many of the
    ``train_items`` a plain local epoch would not have had; they are reported apart. All these are
    passes of the first input's network; the ``incoming`` ones are of the others', shared evenly (where
    there is only one input, of the node's own), and those of training are extra work too.
    """

    train_items: float = 0.0
    forward_items: float = 0.0
    flop: float = 0.0
    extra_train_items: float = 0.0
    incoming_train_items: float = 0.0
    incoming_forward_items: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A pure function that names its work.

    Where sites have different networks, an outcome that is a model has the network of the first
    input, or the site's own where there is no input, unless ``network_of`` says otherwise; the other
    inputs keep theirs.

    Args:
        name: as records show it.
        function: ``"module:function"``, imported only where it runs.
        version: raised whenever the function would give other values; enters the key.
        cost: work from ``(data, model, number of inputs, params)`` alone.
        data: whose cases it sees: none, the site's own, or those of all sites (pooled training).
        seeded: what chance it depends on: none, the learning seed ("run"), or the seed and the
            site's name ("site"). It enters the key.
        reported: whether the outcome's ``meta`` is written to the trace.
        stateful: whether the outcome may hold an optimizer's state. One that cannot is the same
            thing at home and after a trip, so what follows from it is computed once.
        payload: from ``(model, params)``, how many values each float array of the outcome has that
            travels, sorted by the arrays' names; None: the parameters and buffers of one model.
        change: whether the outcome's parameters are a change of a model, not a model; what a rogue or a
            private site does to an update depends on it.
        apart: from the same, how many of these values belong to what a run's account shows apart, by
            its name there.
        network_of: the node whose network the outcome has; that of the server, also where there is
            none (``node.server``), is the scenario's common one.
    """

    name: str
    function: str
    version: int
    cost: Callable[[SiteData, ModelSize, int, Mapping[str, Any]], Cost]
    data: Literal["none", "own", "all"] = "none"
    seeded: Literal["no", "run", "site"] = "no"
    reported: bool = False
    stateful: bool = True
    change: bool = False
    payload: Callable[[ModelSize, Mapping[str, Any]], tuple[int, ...]] | None = None
    apart: Callable[[ModelSize, Mapping[str, Any]], Mapping[str, int]] | None = None
    network_of: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived: who sent it, of which kind, the model as decoded, the header, and when it left."""

    src: str
    kind: str
    ref: Ref | None
    header: Mapping[str, Any]
    sent_s: float = 0.0

    @property
    def model(self) -> Ref:
        """The model that came with it.

        Raises:
            ValueError: it is a control message.
        """
        if self.ref is None:
            raise ValueError(f"the message {self.kind!r} from {self.src} carries no model")
        return self.ref


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """The tasks that every site can do on its own."""

    # () -> model; same at all sites if the scenario says ``init: shared``; ``member``, a number from 1,
    # asks for other weights than those of the first network
    init: Task
    train: Task  # (model), epochs, first_epoch -> model with optimizer state; data own
    train_pooled: Task  # the same on the union of all sites' cases; data all
