"""Drawn quantities: ``exp(6 h)``, ``uniform(1 h, 2 h)``, ``lognormal(15 ms, 0.4)``, ``weibull(6 h, 0.7)``, or
a constant.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from simulator.units import parse

Sampler = Callable[[np.random.Generator], float]

_CALL = re.compile(r"\s*([a-z]+)\s*\((.*)\)\s*", re.DOTALL)
_FORMS = {
    "exp": ("exp(mean)", 1),
    "uniform": ("uniform(low, high)", 2),
    "lognormal": ("lognormal(median, sigma)", 2),
    "weibull": ("weibull(scale, shape)", 2),
}
"""How each distribution is written, and how many arguments it has."""


def call(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Split ``"uniform(1 h, 2 h)"`` into its name and arguments; None for anything else."""
    match = _CALL.fullmatch(text)
    if match is None:
        return None
    inside = match[2].strip()
    return match[1], tuple(part.strip() for part in inside.split(",")) if inside else ()


def sampler(kind: str, arguments: Sequence[str], read: Callable[[str], float]) -> Sampler:
    """Return what draws from a distribution whose arguments ``read`` turns into numbers.

    ``lognormal(median, sigma)``: sigma is the standard deviation of the natural logarithm, a bare
    number; ``weibull(scale, shape)``: the shape is a bare number, below 1 for what fails early, above
    1 for what wears out.

    Raises:
        ValueError: an unknown distribution, a wrong number of arguments, or arguments out of range.
    """
    if kind not in _FORMS:
        known = ", ".join(form for form, _ in _FORMS.values())
        raise ValueError(f'no distribution "{kind}"; known are {known}')
    form, num_arguments = _FORMS[kind]
    if len(arguments) != num_arguments or not all(arguments):
        raise ValueError(f'"{kind}({", ".join(arguments)})" is not of the form {form}')
    first = read(arguments[0])
    if not math.isfinite(first):
        raise ValueError(f'"{arguments[0]}" in {form} is not finite')
    if kind == "exp":
        return lambda rng: float(rng.exponential(first))
    if kind == "lognormal":
        sigma = _bare(arguments[1], "sigma", "lognormal", 0, 10)
        return lambda rng: first * math.exp(sigma * float(rng.standard_normal()))
    if kind == "weibull":
        shape = _bare(arguments[1], "shape", "weibull", 0.1, 20)
        return lambda rng: first * float(rng.weibull(shape))
    last = read(arguments[1])
    if not first <= last < math.inf:
        raise ValueError(f"uniform({arguments[0]}, {arguments[1]}) has its low end above its high end")
    return lambda rng: float(rng.uniform(first, last))


def _bare(text: str, name: str, kind: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ValueError(f'{name} "{text}" of a {kind} must be a bare number from {low:g} to {high:g}')
    return value


@cache
def parse_distribution(text: str, dimension: str) -> Sampler:
    """Return what draws a quantity of ``dimension``, in the unit used inside; a constant draws nothing.

    Raises:
        ValueError: neither a quantity nor a distribution, with the remedy.
    """
    parts = call(text)
    if parts is None:
        constant = parse(text, dimension)
        return lambda rng: constant
    return sampler(parts[0], parts[1], lambda argument: parse(argument, dimension))


def longest(text: str, dimension: str) -> float:
    """Return what a quantity cannot exceed when it is drawn, ``inf`` if nothing bounds it."""
    parts = call(text)
    if parts is None:
        return parse(text, dimension)
    kind, arguments = parts
    if kind == "uniform":
        return parse(arguments[1], dimension)
    return math.inf if parse(arguments[0], dimension) > 0 else 0.0


def constant(text: str, dimension: str) -> float | None:
    """Return the value of a quantity that is not drawn, None for a distribution."""
    return parse(text, dimension) if call(text) is None else None
