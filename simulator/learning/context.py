"""What a task's function sees where it runs: the site's cases, the network, the recipe, and chance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from simulator.api import Bundle
from simulator.errors import ScenarioError
from simulator.learning import classifier_networks, loop
from simulator.learning.architectures import num_outputs
from simulator.learning.batches import Batch
from simulator.learning.cases import CACHE, Case, Load
from simulator.learning.evaluation import Predictor, one_pass, validate
from simulator.learning.losses import make_loss
from simulator.learning.models import resident
from simulator.learning.networks import NetworkSpec, network_spec
from simulator.learning.parts import masks
from simulator.learning.together import train_two
from simulator.registry import registry
from simulator.rng import draw_seed, stream
from simulator.scenario.task import Task


class Context:
    """Implements :class:`simulator.api.TaskContext`, and holds what the learning tasks share.

    Args:
        recipe: the scenario's ``task`` section as JSON.
        site: whose work it is.
        seed: the learning seed.
        data: keys of the prepared cases that the task may see: of the own site, or of all.
        load: gives prepared cases by their keys; called only for cases that are not in memory.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        site: str,
        seed: int,
        data: Sequence[str],
        load: Load,
        device: str,
    ) -> None:
        self.recipe = Task.model_validate(recipe)
        self.site, self.seed, self.device = site, seed, device
        self.batch_size = self.recipe.batch_size
        self.learning_rate = self.recipe.optimizer.lr
        self.pupils: dict[str, loop.Pupil] = {}  # those whose learning rate may fall, by role
        self._data, self._load = data, load
        dataset = registry("datasets")[self.recipe.dataset["name"]]
        self.meta = dataset.describe(dataset.settings.model_validate(self.recipe.dataset))
        self.loss = make_loss(self.recipe.loss, self.recipe.class_weight)
        self.spec = self._spec(self.recipe.network)

    def _spec(self, network: Mapping[str, Any]) -> NetworkSpec:
        return network_spec(
            network,
            len(self.meta.channels),
            num_outputs(self.recipe.loss, len(self.meta.structures)),
            self.meta.spatial_dims,
            self.recipe.patch_size or self.meta.item_shape,
        )

    def spec_of(self, model: Bundle) -> NetworkSpec:
        """The network that a model belongs to."""
        return self.spec if model.network is None else self._spec(model.network)

    def rng(self, *purpose: str | int) -> np.random.Generator:
        """The learning seed's stream for this site and purpose."""
        return stream(self.seed, self.site, *purpose)

    def cases(self, split: str) -> list[Case]:
        """The cases of a split on the device, in the order of the index.

        Raises:
            ScenarioError: structures overlap although the loss wants them exclusive.
        """
        found = CACHE.get(self._data, self._load, self.meta.spatial_dims, self.device)
        chosen = [case for case in found if case.split == split]
        for case in chosen if self.loss.softmax else ():
            if int(case.labels.sum(dim=1).max()) > 1:
                raise ScenarioError(
                    f"task.loss: jaccard_ce needs structures that do not overlap, but those of "
                    f"{self.site}, case {case.name}, do; use dice_ce or jaccard_focal"
                )
        return chosen

    def module(self, role: str, spec: NetworkSpec | None = None) -> nn.Module:
        """The process's module of a network, by default the task's, for a role; load weights into it
        before use.
        """
        # measured: channels-last pays in 3-D and with bf16, and costs in 2-D fp32
        channels_last = self.meta.spatial_dims == 3 or self.recipe.precision == "bf16"
        return resident(spec or self.spec, self.device, channels_last, role)

    def train(
        self,
        model: Bundle,
        *,
        epochs: int,
        first_epoch: int,
        penalty: loop.Penalty | None = None,
        keep_optimizer: bool = True,
        only: str | None = None,
    ) -> Bundle:
        """Local epochs, see :meth:`simulator.api.TaskContext.train`.

        Without ``keep_optimizer`` the optimizer starts fresh and its state is not returned.
        """
        return loop.train_one(
            self,
            model,
            epochs=epochs,
            first_epoch=first_epoch,
            penalty=penalty,
            keep_optimizer=keep_optimizer,
            only=only,
        )

    def pupil(
        self, model: Bundle, role: str, *, state: Bundle | None = None, only: str | None = None
    ) -> loop.Pupil:
        """A model ready for training, see :meth:`simulator.api.TaskContext.pupil`."""
        return loop.enroll(self, model, role, state=state, only=only)

    def epochs(
        self,
        step: Callable[[Batch], Tensor],
        *,
        epochs: int,
        first_epoch: int,
        drop_last: bool = False,
    ) -> tuple[list[Any], int]:
        """A training loop of one's own, see :meth:`simulator.api.TaskContext.epochs`."""
        return loop.run_epochs(self, step, epochs, first_epoch, drop_last=drop_last)

    def mask(self, part: str) -> dict[str, np.ndarray]:
        """Entries of a part of the network, see :meth:`simulator.api.TaskContext.mask`."""
        return masks(self.module("local"), part, self.spec)

    def train_together(
        self,
        local: Bundle,
        incoming: Bundle,
        *,
        epochs: int,
        first_epoch: int,
        coupling: loop.Coupling,
        alternating: bool = False,
        all_heads: bool = False,
    ) -> tuple[Bundle, Bundle]:
        """Two models on the same batches, see :meth:`simulator.api.TaskContext.train_together`."""
        return train_two(
            self,
            local,
            incoming,
            epochs=epochs,
            first_epoch=first_epoch,
            coupling=coupling,
            alternating=alternating,
            all_heads=all_heads,
        )

    def classifier(self, name: str, num_classes: int, weights: np.ndarray | None = None) -> nn.Module:
        """A classifier of images, see :meth:`simulator.api.TaskContext.classifier`."""
        num_channels = len(self.meta.channels)
        if weights is None:
            seed = draw_seed(self.seed, "classifier", name)
            return classifier_networks.new(name, num_channels, num_classes, seed).to(self.device)
        module = classifier_networks.resident(name, num_channels, num_classes, self.device)
        classifier_networks.load(module, weights)
        return module

    def predictor(self, model: Bundle) -> Predictor:
        """One forward pass, see :meth:`simulator.api.TaskContext.predictor`."""
        return one_pass(self, model)

    def validate(self, model: Bundle, role: str = "local") -> tuple[float, float]:
        """Validation loss and mean Dice on the validation cases, (nan, nan) if there is none."""
        return validate(self, model, role)
