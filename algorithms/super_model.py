"""FedSM's work: three kinds of models trained in the same rounds, and how they predict together.

A. Xu et al., "Closing the generalization gap of cross-silo federated medical image segmentation",
CVPR 2022. A *state* holds the global model (``model``, ``buffers``, ``counters``), the personal one of
each site (``personal.<site>.model`` and ``.buffers``), the selector and, once sites have answered, the
moments of its Adam.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algorithms.mixing import pull_shares, weighted_mean
from algorithms.selector import FIRST, SECOND, SELECTOR, choose, train_selector, values_of
from simulator.api import OPTIMIZER, Bundle, TaskContext

KEPT_GLOBAL, KEPT_PERSONAL = OPTIMIZER + "global.", OPTIMIZER + "personal."
"""Beginnings of what a site keeps of each model: integer buffers and the optimizer's state."""


def personal(site: str) -> tuple[str, str]:
    """Names of the arrays of a site's personal model: parameters and float buffers."""
    return f"personal.{site}.model", f"personal.{site}.buffers"


# -- the server -------------------------------------------------------------------------------------


def first_state(ctx: TaskContext, model: Bundle, *, sites: Sequence[str], selector: str) -> Bundle:
    """The initial model as global and every personal one, and a new selector (a task function)."""
    arrays = dict(model.arrays)
    for name in sites:
        arrays |= dict(zip(personal(name), (arrays["model"], arrays["buffers"]), strict=True))
    return Bundle(arrays=arrays | {SELECTOR: values_of(ctx.classifier(selector, len(sites)))})


def part_of_state(
    ctx: TaskContext, state: Bundle, *, sites: Sequence[str], selector: str, num_sites: int, moments: bool
) -> Bundle:
    """The global model, the personal ones of ``sites``, and the selector (a task function)."""
    names = ["model", "buffers", SELECTOR, *((FIRST, SECOND) if moments else ())]
    names += [name for one in sites for name in personal(one)]
    return Bundle(arrays={name: state.arrays[name] for name in names})


def aggregate(
    ctx: TaskContext,
    state: Bundle,
    *updates: Bundle,
    sites: Sequence[str],
    weights: Sequence[float],
    lam: float,
    selector: str,
    num_sites: int,
) -> Bundle:
    """The next state from the answers of ``sites``, sorted (a task function).

    Global model and selector move by the weighted mean of the sites' differences; float buffers and
    moments become the weighted means of the sites'. SoftPull: a personal model becomes ``lam`` of
    itself and the rest of the mean of the others that answered.
    """

    def mean(name: str) -> np.ndarray:
        return weighted_mean([update.arrays[name] for update in updates], weights)

    arrays = dict(state.arrays) | {name: mean(name) for name in ("buffers", FIRST, SECOND)}
    for name in ("model", SELECTOR):
        arrays[name] = state.arrays[name] + mean(name)
    for place, site in enumerate(sites):
        shares = pull_shares(len(sites), place, lam)
        for which, own in enumerate(personal(site)):
            models = [
                update.arrays[personal(other)[which]] for other, update in zip(sites, updates, strict=True)
            ]
            arrays[own] = weighted_mean(models, shares)
    return Bundle(arrays=arrays, meta={"weights": list(weights)})


# -- a site -----------------------------------------------------------------------------------------


def personal_model(ctx: TaskContext, state: Bundle, own: Bundle, *, site: str) -> Bundle:
    """A site's personal model as one that can be trained on (a task function)."""
    parameters, buffers = (state.arrays[name] for name in personal(site))
    counters = _kept(own, KEPT_PERSONAL)["counters"]
    return Bundle(arrays={"model": parameters, "buffers": buffers, "counters": counters})


def train_super(
    ctx: TaskContext,
    received: Bundle,
    own: Bundle,
    *,
    sites: Sequence[str],
    selector: str,
    selector_lr: float,
    selector_epochs: int,
    first_selector_epoch: int,
    epochs: int,
    first_epoch: int,
    keep_optimizer: bool,
) -> Bundle:
    """Local epochs of the global and of the personal model, each with an optimizer of its own, and of
    the selector (a task function).

    Differences of global model and selector travel, the personal model and the selector's moments as
    they are. ``own`` is the site's last outcome, in its first round the initial model.
    """
    results: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    mine = personal(ctx.site)
    for prefix, names in ((KEPT_GLOBAL, ("model", "buffers")), (KEPT_PERSONAL, mine)):
        start = dict(zip(("model", "buffers"), (received.arrays[name] for name in names), strict=True))
        trained = ctx.train(
            Bundle(arrays=start | _kept(own, prefix)),
            epochs=epochs,
            first_epoch=first_epoch,
            keep_optimizer=keep_optimizer,
        )
        arrays |= {name: trained.arrays[short] for name, short in zip(names, start, strict=True)}
        arrays |= {
            prefix + name: array
            for name, array in trained.arrays.items()
            if name == "counters" or name.startswith(OPTIMIZER)
        }
        results[prefix.removeprefix(OPTIMIZER) + "loss"] = trained.meta["loss"]
    arrays["model"] = arrays["model"] - received.arrays["model"]
    taught = train_selector(
        ctx,
        received,
        own,
        sites=sites,
        selector=selector,
        selector_lr=selector_lr,
        epochs=selector_epochs,
        first_epoch=first_selector_epoch,
    )
    return Bundle(arrays=arrays | dict(taught.arrays), meta=results | dict(taught.meta))


def _kept(own: Bundle, prefix: str) -> dict[str, np.ndarray]:
    """What a site has kept of a model; of the initial one, its integer buffers."""
    kept = {name.removeprefix(prefix): array for name, array in own.arrays.items() if name.startswith(prefix)}
    return kept or {"counters": own.arrays["counters"]}


# -- inference --------------------------------------------------------------------------------------


class SuperModel:
    """Segments each image with the personal model of the site that it resembles, or the global one.

    Args:
        ctx: where it runs.
        state: all models.
        selector: name of the classifier.
        sites: its classes, sorted.
        gamma: softmax above which an image belongs to a site.
    """

    def __init__(
        self, ctx: TaskContext, state: Bundle, *, selector: str, sites: Sequence[str], gamma: float
    ) -> None:
        self._ctx, self._state, self._sites, self._gamma = ctx, state, tuple(sites), gamma
        self._selector = ctx.classifier(selector, len(sites), state.arrays[SELECTOR]).eval()
        self._num = dict.fromkeys(("images", "personal", "right"), 0)

    def __call__(self, images: Any) -> Any:
        """Logits ``(batch, outputs, *item)`` of images ``(batch, channels, *item)``."""
        choice, likeliest = choose(self._selector(images), self._gamma)
        own = self._sites.index(self._ctx.site) if self._ctx.site in self._sites else -1
        self._num["images"] += len(images)
        self._num["personal"] += int((choice >= 0).sum())
        self._num["right"] += int((likeliest == own).sum())
        logits: Any = None
        for one in sorted(set(choice.tolist())):
            chosen = choice == one
            found = self._ctx.predictor(self._model(one))(images[chosen])
            if logits is None:
                logits = found.new_empty((len(images), *found.shape[1:]))
            logits[chosen] = found
        return logits

    def report(self) -> Mapping[str, float]:
        """Share of images that a personal model segmented; at a site that has trained, accuracy too."""
        if not self._num["images"]:
            return {}
        shares = {"share_personal": self._num["personal"] / self._num["images"]}
        if self._ctx.site in self._sites:
            shares["selector_accuracy"] = self._num["right"] / self._num["images"]
        return shares

    def _model(self, choice: int) -> Bundle:
        names = ("model", "buffers") if choice < 0 else personal(self._sites[choice])
        arrays = dict(zip(("model", "buffers"), (self._state.arrays[name] for name in names), strict=True))
        return Bundle(arrays=arrays | {"counters": self._state.arrays["counters"]})
