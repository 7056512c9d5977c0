"""How a quantity is called on an axis, and in which unit it is read there."""

from collections.abc import Callable, Mapping

from simulator.report.text import count, duration, number, signed, size, size_unit, time_unit

Show = Callable[[float | None], str]

_WORDS: Mapping[str, str] = {
    "dice": "Test Dice of the selected model",
    "dice_mean": "Test Dice, mean over sites",
    "dice_weighted": "Test Dice, weighted by cases",
    "dice_worst": "Test Dice, worst site",
    "hd95_mm": "HD95 (mm)",
    "assd_mm": "ASSD (mm)",
    "missed": "Missed structures",
    "over_local": "Dice gained over local training",
    "over_pooled": "Dice against pooled training",
    "transmissions": "Models sent",
    "carried_nbytes": "Model bytes sent",
    "delivered_nbytes": "Model bytes delivered",
    "wasted_nbytes": "Model bytes wasted",
    "busiest_nbytes": "Model bytes on busiest link",
    "virtual_time_s": "Virtual time of the run",
    "time_s": "Virtual time",
    "round": "Rounds",
    "local_epochs": "Local epochs",
    "lost_s": "Lost work",
}
HIGHER_IS_BETTER = ("dice", "dice_mean", "dice_weighted", "dice_worst", "over_local", "over_pooled")


def axis_of(name: str, largest: float) -> tuple[float, str]:
    """Return the divisor for the values of an axis, and its words with the unit."""
    words = _WORDS.get(name, name)
    if name.endswith("_s"):
        divisor, unit = time_unit(largest)
    elif name.endswith("nbytes"):
        divisor, unit = size_unit(largest)
    else:
        return 1.0, words
    return divisor, f"{words} ({unit})"


def words_of(name: str) -> str:
    """Return what a quantity is called, without a unit."""
    return _WORDS.get(name, name)


def show_of(name: str) -> Show:
    """Return how a value of the quantity is written in a table."""
    if name.startswith("over_"):
        return signed
    if name.endswith("_s"):
        return duration
    if name.endswith("nbytes"):
        return size
    return count if name in {"missed", "transmissions", "local_epochs"} else number
