"""Splits of a site's patients into train, val and test."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from simulator.errors import ScenarioError
from simulator.registry import Settings
from simulator.rng import stream

Name = Literal["train", "val", "test"]
NAMES: tuple[Name, ...] = get_args(Name)


class SplitSettings(Settings):
    """How each site's patients are split.

    Attributes:
        val: share of the patients that choose the model.
        test: share of the patients that judge it; the rest trains.
        seed: other splits of the same patients; independent of the scenario's seeds.
    """

    val: Annotated[float, Field(ge=0, lt=1)] = 0.15
    test: Annotated[float, Field(ge=0, lt=1)] = 0.25
    seed: int = 0

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> "SplitSettings":
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val:g} and test {self.test:g} leave nothing to train with")
        return self


def split_patients(
    patients: Iterable[str], *, site: str, settings: SplitSettings, where: str, test_only: bool = False
) -> dict[str, Name]:
    """Return the split of every patient; each split with a share gets at least one.

    Patients are put in an order that depends on ``(settings.seed, site, patient)`` alone, so another
    patient moves few of the others, and another site none.

    Args:
        patients: names, repetitions allowed.
        site: the site's name.
        settings: shares and seed.
        where: the place in the scenario that errors name.
        test_only: all of them test (a hospital that no model has seen).

    Raises:
        ScenarioError: fewer patients than splits.
    """
    names = sorted(set(patients))
    if test_only:
        return dict.fromkeys(names, "test")
    wanted = 1 + (settings.val > 0) + (settings.test > 0)
    if len(names) < wanted:
        found = "1 patient" if len(names) == 1 else f"{len(names)} patients"
        raise ScenarioError(
            f"{where}: {site} has {found}, too few for {wanted} splits; "
            "leave the site out or give it test_only: true"
        )
    names.sort(key=lambda name: (stream(settings.seed, "split", site, name).random(), name))
    num_test = _share(settings.test, len(names))
    num_val = _share(settings.val, len(names))
    while num_test + num_val >= len(names):
        num_test, num_val = (num_test - 1, num_val) if num_test >= num_val else (num_test, num_val - 1)
    parts: dict[str, Name] = dict.fromkeys(names, "train")
    parts |= dict.fromkeys(names[:num_test], "test")
    parts |= dict.fromkeys(names[num_test : num_test + num_val], "val")
    return parts


def ready_made(
    given: Mapping[str, str], *, site: str, settings: SplitSettings, where: str
) -> dict[str, Name]:
    """Return the split of every patient from a column of the data set.

    Where the column has no ``val`` and ``settings.val`` is above 0, that share of its training
    patients validates.

    Args:
        given: split by patient, as written.
        site: the site's name.
        settings: shares and seed.
        where: the place that errors name.

    Raises:
        ScenarioError: another word than train, val or test, or too few training patients.
    """
    for patient, text in sorted(given.items()):
        if text not in NAMES:
            raise ScenarioError(f'{where}: {patient} has split "{text}"; write train, val or test')
    parts: dict[str, Name] = {patient: name for patient, name in given.items() if name in NAMES}
    if settings.val == 0 or "val" in parts.values() or "train" not in parts.values():
        return parts
    to_split = [patient for patient, name in parts.items() if name == "train"]
    only_val = SplitSettings(val=settings.val, test=0.0, seed=settings.seed)
    return parts | split_patients(to_split, site=site, settings=only_val, where=where)


def _share(share: float, total: int) -> int:
    return max(1, round(share * total)) if share > 0 else 0
