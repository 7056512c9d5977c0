"""Preparing cases once: each is read and checked alone, whichever sites come to have it; then a site's
cases are put together with what is wrong there, and normalized. Everything later reads the result.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from simulator.api import Bundle
from simulator.errors import BadCase, ScenarioError
from simulator.learning.context import Context
from simulator.learning.data.corruption import Damage, corrupt
from simulator.learning.data.corruption_settings import Corruptions
from simulator.registry import CaseInfo, DataMeta, registry

Array = np.ndarray

_CONSTANT = 1e-6  # a spread below this share of the largest value is rounding


def read(ctx: Context, *, site_data: Mapping[str, Any] | None, case: Mapping[str, Any]) -> Bundle:
    """Load and check one case through its data set (a task function).

    Args:
        ctx: where it runs.
        site_data: the site's ``data`` section.
        case: a :class:`~simulator.registry.CaseInfo` as a dictionary.

    Returns:
        ``image`` float32 ``(channels, *spatial)`` and ``label`` uint8 ``(structures, *spatial)``; meta
        ``spacing_mm``. Of a case that cannot be used no arrays, and meta ``bad``, the reason.

    Raises:
        ScenarioError: the data set can only be planned with.
    """
    dataset = registry("datasets")[ctx.recipe.dataset["name"]]
    if dataset.load is None:
        raise ScenarioError(
            f'task.dataset: "{ctx.recipe.dataset["name"]}" can only be planned with; '
            "choose a data set that has images"
        )
    settings = dataset.settings.model_validate(ctx.recipe.dataset)
    site_settings = dataset.site_settings.model_validate(site_data or {})
    info = CaseInfo(**case)
    try:
        image, label, spacing_mm = dataset.load(settings, site_settings, info, ctx.seed)
        check_case(ctx.meta, info, image, label, spacing_mm)
    except BadCase as error:
        return Bundle(arrays={}, meta={"bad": str(error.args[0])})
    return Bundle(
        arrays={"image": image, "label": label},
        meta={"spacing_mm": [float(edge) for edge in spacing_mm]},
    )


def prepare(
    ctx: Context,
    *opened: Bundle,
    site_data: Mapping[str, Any] | None,
    cases: Sequence[Mapping[str, Any]],
    flip_labels: bool = False,
) -> Bundle:
    """Put the cases of one site together, as that site has them (a task function).

    Args:
        ctx: where it runs.
        opened: what :func:`read` gave for every case, in order; without them they are read here.
        site_data: the site's ``data`` section.
        cases: :class:`~simulator.registry.CaseInfo` as dictionaries.
        flip_labels: whether background and foreground change places, except in test cases.

    Returns:
        ``image.<i>`` float32 ``(channels, *spatial)`` and ``label.<i>`` uint8 ``(structures,
        *spatial)`` by case; meta ``cases`` (case, patient, split, num_items, spacing_mm, shape) in
        the same order and ``skipped`` ([case, reason]).

    Raises:
        BadCase: a case cannot be used and the task is ``strict``.
        ScenarioError: the data set can only be planned with.
    """
    dataset = registry("datasets")[ctx.recipe.dataset["name"]]
    habits = dataset.site_settings.model_validate(site_data or {})
    arrays: dict[str, Array] = {}
    used: list[dict[str, Any]] = []
    skipped: list[list[str]] = []
    bundles = opened or tuple(read(ctx, site_data=site_data, case=case) for case in cases)
    for case, bundle in zip((CaseInfo(**case) for case in cases), bundles, strict=True):
        if "bad" in bundle.meta:
            if ctx.recipe.strict:
                raise BadCase(f"{ctx.site}: case {case.case}: {bundle.meta['bad']}")
            skipped.append([case.case, bundle.meta["bad"]])
            continue
        image, label = bundle.arrays["image"], bundle.arrays["label"]
        if isinstance(habits, Corruptions):
            rng = partial(ctx.rng, "corruption", case.case)
            damage = Damage(channels=ctx.meta.channels, spacing_mm=bundle.meta["spacing_mm"], rng=rng)
            image, label = corrupt(habits, image, label, damage, keep_label=case.split == "test")
        if flip_labels and case.split != "test":
            label = 1 - label
        arrays[f"image.{len(used)}"] = zscore(image) if ctx.recipe.normalize == "zscore" else image
        arrays[f"label.{len(used)}"] = label
        used.append(
            {
                "case": case.case,
                "patient": case.patient,
                "split": case.split,
                "num_items": case.num_items,
                "spacing_mm": bundle.meta["spacing_mm"],
                "shape": list(image.shape[1:]),
            }
        )
    return Bundle(arrays=arrays, meta={"cases": used, "skipped": skipped})


def check_case(
    meta: DataMeta, case: CaseInfo, image: Array, label: Array, spacing_mm: Sequence[float]
) -> None:
    """Check one case against what its data set promises.

    Raises:
        BadCase: wrong type, shape, spacing, label value or number of slices, or not finite.
    """
    if image.dtype != np.float32 or label.dtype != np.uint8:
        raise BadCase(f"image is {image.dtype} and label {label.dtype}, expected float32 and uint8")
    if image.ndim != 4 or image.shape[0] != len(meta.channels):
        raise BadCase(f"image has shape {image.shape}, expected {len(meta.channels)} channels and 3 axes")
    if label.shape != (len(meta.structures), *image.shape[1:]):
        raise BadCase(
            f"label has shape {label.shape}, image {image.shape}; {len(meta.structures)} structures"
        )
    if 0 in image.shape:
        raise BadCase(f"image has shape {image.shape}: nothing in it")
    if len(spacing_mm) != 3 or not all(np.isfinite(edge) and edge > 0 for edge in spacing_mm):
        raise BadCase(f"spacing is {list(spacing_mm)} mm, expected 3 positive numbers")
    if meta.spatial_dims == 2 and image.shape[1] != case.num_items:
        raise BadCase(f"it has {image.shape[1]} slices, the index says {case.num_items}")
    if not np.isfinite(image).all():
        raise BadCase("the image has values that are not finite")
    if label.max() > 1:
        raise BadCase(f"the label has the value {label.max()}, expected 0 and 1")


def zscore(image: Array) -> Array:
    """Return ``image`` with mean 0 and standard deviation 1 over the nonzero voxels of each channel.

    Zero voxels are background and stay 0; a channel that is constant there becomes 0.
    """
    result = np.zeros_like(image)
    for channel, values in enumerate(image):
        inside = values != 0
        if not inside.any():
            continue
        chosen = values[inside].astype(np.float64)
        spread = chosen.std()
        if spread > _CONSTANT * np.abs(chosen).max():
            result[channel][inside] = (chosen - chosen.mean()) / spread
    return result
