"""The narrow door: everything an algorithm may import.

A role is one generator function of ``(node, cfg)``; it yields what :class:`Node` returns and gets
back what the table in the documentation says. Tasks are pure functions, run later and elsewhere:
``function(ctx, *inputs, **params) -> Bundle``.
"""

from collections.abc import Callable, Generator, Mapping, MutableMapping
from typing import Any, Protocol

import numpy as np

from simulator.errors import ReceiveTimeout, TransferFailed
from simulator.registry import (
    Algorithm,
    ClassifierName,
    ModelSize,
    Sending,
    Settings,
    classifier_size,
    only_with,
    refuse_idle,
)
from simulator.terms import OPTIMIZER, Bundle, Cost, Learner, Message, Ref, SiteData, Task
from simulator.units import Bytes, Seconds

__all__ = [
    "OPTIMIZER",
    "Algorithm",
    "Bundle",
    "Bytes",
    "ClassifierName",
    "Cost",
    "Learner",
    "Message",
    "ModelSize",
    "Node",
    "Pupil",
    "ReceiveTimeout",
    "Ref",
    "Role",
    "Seconds",
    "Sending",
    "Settings",
    "SiteData",
    "Task",
    "TaskContext",
    "TransferFailed",
    "classifier_size",
    "only_with",
    "refuse_idle",
]

Role = Generator[Any, Any, None]
"""What a role's generator function returns."""


class Pupil(Protocol):
    """A model in training: a module that holds its weights, and its optimizer.

    Tensors are torch's; a batch has ``images`` float32 ``(batch, channels, *item)``, ``labels``
    float32 ``(batch, structures, *item)`` and ``items``, where each came from: a case and a number, and
    ``case.smallest_lesions[number]`` is the item's size over the bounding box of its smallest lesion.
    """

    module: Any
    parameters: list[Any]  # those that learn

    def output(self, batch: Any) -> Any:
        """Logits float32 ``(batch, outputs, *item)``, or a list of them, the main head first."""

    def output_and_features(self, batch: Any) -> tuple[Any, Any]:
        """The output, and the bottleneck's features averaged over space, ``(batch, channels)``."""

    def supervised(self, output: Any, batch: Any) -> Any:
        """The scenario's loss of the last output, a scalar, and what the network adds to it."""

    def step(self, total: Any) -> None:
        """Differentiate a scalar, clip as the scenario says, and let the optimizer step."""

    def apply(self, gradients: Any) -> None:
        """Clip gradients, one tensor per parameter that learns, and let the optimizer step by them."""

    def adam_update(self) -> Any:
        """What the last step of Adam or AdamW subtracted from the parameters, without decoupled weight
        decay, one flat tensor.

        Raises:
            ValueError: the optimizer is another one.
        """

    def flat(self) -> Any:
        """The parameters that learn, one after another, differentiable."""

    def bundle(self, *, keep_optimizer: bool, **meta: Any) -> Bundle:
        """The model as it is now.

        Raises:
            Diverged: a value is not finite.
        """


class TaskContext(Protocol):
    """What a task's function may use where it runs (see ``simulator.learning``).

    ``train`` and ``train_together`` run the same loop; algorithms add to its loss. Methods with a
    loop of their own put it together from ``pupil`` and ``epochs``.
    """

    site: str
    batch_size: int
    learning_rate: float

    def rng(self, *purpose: str | int) -> np.random.Generator:
        """The learning seed's stream for this site and purpose."""

    def train(
        self,
        model: Bundle,
        *,
        epochs: int,
        first_epoch: int,
        penalty: Any = None,
        keep_optimizer: bool = True,
        only: str | None = None,
    ) -> Bundle:
        """Local epochs; ``penalty(parameters: flat tensor) -> scalar`` joins the loss. ``only`` a
        part of the network learns, or all but a part (``"-head"``).
        """

    def pupil(
        self, model: Bundle, role: str, *, state: Bundle | None = None, only: str | None = None
    ) -> Pupil:
        """A model ready for training; models in use at the same time need different roles.

        The optimizer continues from ``state``, or starts fresh. With ``only`` the rest is frozen:
        it gets no gradient, and its batch normalization uses what it has learned.
        """

    def epochs(
        self,
        step: Callable[[Any], Any],
        *,
        epochs: int,
        first_epoch: int,
        drop_last: bool = False,
    ) -> tuple[list[Any], int]:
        """Call ``step(batch)`` for every batch; return the mean over items of the loss (or losses)
        that it returned, one entry per epoch, and the number of steps. An epoch whose loss is not
        finite is the last one. ``drop_last`` leaves out a last batch that is not full.
        """

    def mask(self, part: str) -> Mapping[str, np.ndarray]:
        """Which entries of ``model``, ``buffers`` and ``counters`` belong to a part of the network."""

    def train_together(
        self,
        local: Bundle,
        incoming: Bundle,
        *,
        epochs: int,
        first_epoch: int,
        coupling: Any,
        alternating: bool = False,
        all_heads: bool = False,
    ) -> tuple[Bundle, Bundle]:
        """Two models on the same batches; ``coupling(own_logits, other_logits, target)`` joins
        each one's supervised loss, the other's logits detached.
        """

    def classifier(self, name: str, num_classes: int, weights: np.ndarray | None = None) -> Any:
        """A registered classifier of images, a module from ``(batch, channels, *item)`` to logits
        ``(batch, classes)`` that has no buffers; of a volume it sees the mean along the first axis.
        Its parameters are ``weights``, flat, or fresh ones, the same for equal learning seeds. With
        weights it is the process's only one of its kind and holds them until the next call.
        """

    def predictor(self, model: Bundle) -> Callable[[Any], Any]:
        """One forward pass of the network with a model's weights, in evaluation mode, from images
        ``(batch, channels, *item)`` to logits. It holds until the next is made.
        """

    def validate(self, model: Bundle) -> tuple[float, float]:
        """Validation loss and mean Dice on the site's validation cases, (nan, nan) if it has none."""


class Node(Protocol):
    """A site or the server, as its role sees it."""

    name: str
    peers: tuple[str, ...]  # overlay neighbors, sorted
    neighbors_of: Mapping[str, tuple[str, ...]]  # the overlay, common knowledge
    sites: tuple[str, ...]  # all configured sites, sorted
    # the node that is the server now, empty for methods without one. It changes when a standby takes
    # over: that one's role starts with ``durable`` as it was last replicated to it, and what the former
    # server still sends reaches nobody. A site that is the standby too sends to it at no cost
    server: str
    data: SiteData
    num_cases: int  # training cases
    cases_of: Mapping[str, int]  # training cases of every site, where the method assumes them known
    learner: Learner
    durable: MutableMapping[str, Any]

    @property
    def now(self) -> float:
        """Virtual time in seconds."""

    def compute(self, task: Task, *refs: Ref, **params: Any) -> Any:
        """Yield it: a :class:`Ref` to the outcome, after the modeled duration.
        ``round`` among the params is for the record only and enters no key.
        """

    def send(self, dst: str, kind: str, ref: Ref | None = None, **header: Any) -> Any:
        """Yield it: delivered, or :class:`TransferFailed` is raised."""

    def receive(self, kind: str, timeout_s: float | None = None) -> Any:
        """Yield it: the oldest :class:`Message` of that kind, or :class:`ReceiveTimeout`."""

    def sleep(self, seconds: float) -> Any:
        """Yield it."""

    def post(self, dst: str, kind: str, ref: Ref | None = None, **header: Any) -> None:
        """Send and go on; a loss is only recorded."""

    def on(self, kind: str, handler: Callable[[Message], None]) -> None:
        """Handle messages of this kind the moment they arrive, also while the protocol computes or
        waits. The handler may post, record and remember, but not yield; a crash forgets it.
        """

    def drain(self, kind: str) -> list[Message]:
        """What has arrived of that kind, oldest first."""

    def value(self, ref: Ref) -> Bundle:
        """The outcome itself; waits in wall time, so a plan cannot pass here."""

    def rng(self, purpose: str) -> np.random.Generator:
        """This node's own stream of the network seed; goes on where it stopped."""

    def common_rng(self, purpose: str, index: int) -> np.random.Generator:
        """A stream that every node draws alike, from its beginning."""

    def live_sites(self, index: int) -> tuple[str, ...]:
        """An oracle that no real site has: the sites that were up when the first node asked for this
        ``index``, sorted; the same answer for all who ask.
        """

    def record(
        self,
        event: str,
        *,
        round: int | None = None,
        model: Ref | None = None,
        peer: str | None = None,
        user: str | None = None,
        predictor: str = "",
        predictor_params: Mapping[str, Any] | None = None,
        **detail: Any,
    ) -> None:
        """Write to the trace. ``event="round"`` with a model has it evaluated: at a site as the
        model which that site uses now, at the server as the model all sites use, or the site
        ``user`` alone. ``predictor``, a
        reference ``"module:function"`` to ``(ctx, model, **predictor_params) -> (images -> logits)``,
        says how it predicts where that is not one forward pass of the network. If what predicts has
        a method ``report() -> {name: number}``, these numbers join the metrics of the site.
        """
