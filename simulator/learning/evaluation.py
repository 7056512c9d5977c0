"""Predicting whole cases, validation, and the evaluation task."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.inferers.utils import sliding_window_inference
from torch import Tensor

from simulator.api import Bundle
from simulator.learning.cases import Case
from simulator.learning.lesion_dice import LesionDice
from simulator.learning.loop import forward
from simulator.learning.losses import decide, hard_dice, main_head
from simulator.learning.metrics import (
    FALSE_ALARM,
    MISSED,
    STATUS_NAMES,
    dice_score,
    status_of,
    surface_distances_mm,
)
from simulator.learning.models import load_weights
from simulator.registry import resolve

if TYPE_CHECKING:
    from simulator.learning.context import Context

_WHOLE_VOXELS = {"cpu": 1 << 22, "cuda": 1 << 24}  # of one pass: 160³ keep a CPU process below 4 GB
_WINDOW_OVERLAP = 0.25
_DEFAULT_WINDOW = 96


Predictor = Callable[[Tensor], Tensor]
"""From images ``(batch, channels, *item)`` to logits ``(batch, outputs, *item)``."""


def one_pass(ctx: "Context", model: Bundle, role: str = "local") -> Predictor:
    """Return the usual predictor: one forward pass of the network with the model's weights."""
    spec = ctx.spec_of(model)
    module = ctx.module(role, spec)
    load_weights(module, model)
    module.eval()

    def run(images: Tensor) -> Tensor:
        return main_head(forward(module, images, spec.divisor, ctx.recipe.precision))

    return run


@torch.inference_mode()
def predict(ctx: "Context", run: Predictor, case: Case) -> Tensor:
    """Return logits for a whole case, ``(items, outputs, *item)``.

    Slices go through in batches and volumes whole, at most 4 (GPU: 16) million voxels at once; a
    larger item is cut into windows of the patch size that overlap by a quarter.
    """
    limit = _WHOLE_VOXELS["cpu" if ctx.device == "cpu" else "cuda"]
    shape = case.images.shape[2:]
    voxels = math.prod(shape)
    if voxels <= limit:
        step = max(limit // voxels, 1)
        starts = range(0, case.num_items, step)
        return torch.cat([run(case.images[start : start + step].to(ctx.device)) for start in starts])
    window = ctx.recipe.patch_size or (_DEFAULT_WINDOW,) * len(shape)
    whole = sliding_window_inference(
        case.images.to(ctx.device),
        window,
        sw_batch_size=1,
        predictor=run,
        overlap=_WINDOW_OVERLAP,
        mode="gaussian",
    )
    assert isinstance(whole, Tensor)
    return whole


def _case_loss(ctx: "Context", logits: Tensor, case: Case) -> float:
    """Validation loss of one case taken as a whole."""
    return float(ctx.loss.validation(case.as_volume(logits), case.as_volume(case.labels.to(ctx.device))))


def validate(ctx: "Context", model: Bundle, role: str = "local") -> tuple[float, float]:
    """Return validation loss and mean Dice over cases and structures, (nan, nan) without cases.

    Where both masks are empty the Dice counts 1. ``role`` names the module that is used, another one than
    those in training.
    """
    run = one_pass(ctx, model, role)
    losses, scores = [], []
    for case in ctx.cases("val"):
        logits = predict(ctx, run, case)
        losses.append(_case_loss(ctx, logits, case))
        volume, labels = case.as_volume(logits), case.as_volume(case.labels.to(ctx.device))
        scores.append(float(hard_dice(volume, labels, softmax=ctx.loss.softmax).mean()))
    if not losses:
        return math.nan, math.nan
    return math.fsum(losses) / len(losses), math.fsum(scores) / len(scores)


def evaluate(
    ctx: "Context",
    model: Bundle,
    *,
    split: str,
    distances: bool,
    empty: str,
    overlays: int,
    predictor: str = "",
    predictor_params: Mapping[str, Any] | None = None,
    small_lesions: float | None = None,
) -> Bundle:
    """Measure a model on the site's cases of one split (a task function).

    Args:
        ctx: where it runs.
        model: what is measured.
        split: ``train``, ``val`` or ``test``.
        distances: whether HD95 and ASSD are wanted; they are NaN otherwise.
        empty: Dice where truth and prediction are empty: ``one`` or ``exclude`` (NaN).
        overlays: for how many cases, from the first, one slice is kept for a picture.
        predictor: how the model predicts, see :meth:`simulator.api.Node.record`.
        predictor_params: what the predictor is told.
        small_lesions: from which ratio of an item to its smallest lesion's box that counts as small;
            then the Dice of items is reported by size of lesions. None: it is not.

    Returns:
        ``dice``, ``hd95_mm``, ``assd_mm`` float64 and ``status`` uint8, all (cases, structures);
        ``overlay.image.<i>`` float32 (H, W) of the FLAIR channel or else the first, ``overlay.truth.<i>`` and
        ``overlay.prediction.<i>`` uint8 (structures, H, W) of the slice with most truth. Meta:
        ``cases``, ``structures``, ``loss`` (mean validation loss, NaN without cases),
        ``missed`` and ``false_alarms`` (counts), ``status_names``, ``overlay_slices``, and ``report``
        if the predictor gives one, or by size of lesions.
    """
    how = predictor_params or {}
    run = resolve(predictor)(ctx, model, **how) if predictor else one_pass(ctx, model)
    cases = ctx.cases(split)
    shape = (len(cases), len(ctx.meta.structures))
    tables = {name: np.full(shape, math.nan) for name in ("dice", "hd95_mm", "assd_mm")}
    status = np.zeros(shape, dtype=np.uint8)
    pictures: dict[str, np.ndarray] = {}
    slices: list[int] = []
    losses: list[float] = []
    # FLAIR shows the whole lesion of a brain tumor
    channel = next((i for i, name in enumerate(ctx.meta.channels) if "flair" in name.lower()), 0)
    by_size = None if small_lesions is None else LesionDice(threshold=small_lesions)
    for row, case in enumerate(cases):
        logits = predict(ctx, run, case)
        losses.append(_case_loss(ctx, logits, case))
        decided = decide(logits, softmax=ctx.loss.softmax)
        if by_size is not None:
            by_size.add(case, decided.cpu().numpy())
        prediction = _mask(case, decided)
        truth = _mask(case, case.labels > 0)
        for column, pair in enumerate(zip(prediction, truth, strict=True)):
            status[row, column] = status_of(*pair)
            for name, score in _scores(*pair, case, empty=empty, distances=distances).items():
                tables[name][row, column] = score
        if row < overlays:
            slices.append(_overlay(pictures, row, case, channel, truth, prediction))
    meta: dict[str, Any] = {
        "cases": [case.name for case in cases],
        "structures": list(ctx.meta.structures),
        "loss": math.fsum(losses) / len(losses) if losses else math.nan,
        "missed": int((status == MISSED).sum()),
        "false_alarms": int((status == FALSE_ALARM).sum()),
        "status_names": list(STATUS_NAMES),
        "overlay_slices": slices,
    }
    report = dict(run.report()) if hasattr(run, "report") else {}
    if by_size is not None:
        report |= by_size.report()
    if report:
        meta["report"] = report
    return Bundle(arrays={**tables, "status": status, **pictures}, meta=meta)


def _scores(
    prediction: np.ndarray, truth: np.ndarray, case: Case, *, empty: str, distances: bool
) -> dict[str, float]:
    """What one structure of a case scores, by the name of its table."""
    found = {"dice": dice_score(prediction, truth, empty=empty)}
    if distances:
        found["hd95_mm"], found["assd_mm"] = surface_distances_mm(prediction, truth, case.spacing_mm)
    return found


def _mask(case: Case, items: Tensor) -> np.ndarray:
    """Bool ``(structures, *spatial)`` of the whole case."""
    return case.as_volume(items)[0].cpu().numpy()


def _overlay(
    pictures: dict[str, np.ndarray],
    row: int,
    case: Case,
    channel: int,
    truth: np.ndarray,
    prediction: np.ndarray,
) -> int:
    """Keep the slice along the first spatial axis where the truth is largest; the middle if empty."""
    area = truth.any(axis=0).sum(axis=(1, 2))
    index = int(area.argmax()) if area.any() else len(area) // 2
    image = case.as_volume(case.images)[0, channel, index]
    pictures[f"overlay.image.{row}"] = image.cpu().numpy().copy()
    pictures[f"overlay.truth.{row}"] = truth[:, index].astype(np.uint8)
    pictures[f"overlay.prediction.{row}"] = prediction[:, index].astype(np.uint8)
    return index
