"""Sites by the dozen: ``{generate: 8, name: hospital, device: choice(rtx-3090, t4), …}``.

Every value is drawn from a stream named by the site and the key, so another site changes nobody's
draws. What a site has as ``data`` is drawn from the learning seed, because it enters the keys of
tasks; everything else from the network seed.
"""

import re
from typing import Any

import numpy as np

from simulator.errors import ScenarioError
from simulator.rng import stream
from simulator.scenario.locate import (
    Located,
    container,
    describe,
    dotted,
    find,
    plain,
    scalar_like,
    with_entry,
    without_entry,
)
from simulator.scenario.reading import resolve
from simulator.scenario.schema import Seed
from simulator.scenario.times import call, sampler
from simulator.units import UNITS, parse

MAX_SITES = 10_000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_FORMS = (
    "choice(a, b, …)",
    "integers(low, high)",
    "exp(mean)",
    "uniform(low, high)",
    "lognormal(median, sigma)",
    "weibull(scale, shape)",
)


def expand_sites(root: Located) -> Located:
    """Return the scenario with every generator of ``sites`` replaced by the sites it makes.

    Raises:
        ScenarioError: a wrong count or a distribution that cannot be read.
    """
    sites = root.keys.get("sites")
    if sites is None:
        return root
    is_generator = "generate" in sites.keys
    written = (sites,) if is_generator else sites.items
    if not any("generate" in item.keys for item in written):
        return root
    seeds = {name: _seed(root, name) for name in ("learning", "network")}
    expanded: list[Located] = []
    for number, item in enumerate(written):
        if "generate" in item.keys:
            where: tuple[str | int, ...] = ("sites",) if is_generator else ("sites", number)
            expanded += _sites(item, where, seeds)
        else:
            expanded.append(item)
    return with_entry(root, "sites", container(tuple(expanded), sites.place, sites.key))


def _seed(root: Located, name: str) -> int:
    node, found = find(root, ("seed", name))
    if found and isinstance(node.value, int):
        return int(node.value)
    default: int = Seed.model_fields[name].default  # a wrong seed is reported by the typed check
    return default


def _sites(item: Located, where: tuple[str | int, ...], seeds: dict[str, int]) -> list[Located]:
    count = item.keys["generate"]
    if isinstance(count.value, bool) or not isinstance(count.value, int) or not 1 <= count.value <= MAX_SITES:
        found = describe(plain(count))
        raise ScenarioError(
            f"{count.place}: {dotted((*where, 'generate'))}: expected a whole number of sites "
            f"from 1 to {MAX_SITES:,}, found {found}"
        )
    stem = item.keys.get("name", scalar_like(item, "site"))
    if not isinstance(stem.value, str):
        found = describe(plain(stem))
        raise ScenarioError(f"{stem.place}: {dotted((*where, 'name'))}: expected a name, found {found}")
    template = without_entry(item, "generate")
    made = []
    for number in range(1, count.value + 1):
        name = f"{stem.value}{number}"
        drawn = _draw_all(with_entry(template, "name", scalar_like(stem, name)), where, (), name, seeds)
        made.append(drawn)
    return made


def _draw_all(
    node: Located, where: tuple[str | int, ...], path: tuple[str | int, ...], site: str, seeds: dict[str, int]
) -> Located:
    """Return the template with every distribution replaced by a draw."""
    if isinstance(node.value, dict):
        entries = {
            name: _draw_all(child, where, (*path, name), site, seeds) for name, child in node.keys.items()
        }
        return container(entries, node.place, node.key)
    if isinstance(node.value, tuple):
        items = tuple(
            _draw_all(child, where, (*path, number), site, seeds) for number, child in enumerate(node.items)
        )
        return container(items, node.place, node.key)
    if not isinstance(node.value, str) or call(node.value) is None or path == ("name",):
        return node
    seed = seeds["learning" if path[0] == "data" else "network"]
    try:
        return scalar_like(node, draw(node.value, stream(seed, site, "scenario", dotted(path))))
    except ValueError as error:
        raise ScenarioError(f"{node.place}: {dotted((*where, *path))}: {error}") from None


def draw(text: str, rng: np.random.Generator) -> Any:
    """Return one draw of ``"uniform(20 Mbit/s, 100 Mbit/s)"`` as a scenario would write it.

    Quantities are drawn in the unit of the first argument and rounded to 6 digits.

    Raises:
        ValueError: not a distribution, or wrong arguments.
    """
    parts = call(text)
    if parts is None:
        raise ValueError(f'"{text}" is not a distribution')
    kind, arguments = parts
    if kind == "choice" and arguments and all(arguments):
        return resolve(arguments[int(rng.integers(len(arguments)))])
    if kind == "integers":
        low, high = _whole(arguments)
        return int(rng.integers(low, high, endpoint=True))
    if kind not in {"exp", "uniform", "lognormal", "weibull"}:
        raise ValueError(f'"{text}" is no distribution; known are {", ".join(_FORMS)}')
    unit = _NUMBER.sub("", arguments[0], count=1).strip() if arguments else ""
    dimension = next((name for name, units in UNITS.items() if unit and unit in units), None)
    if dimension is None:
        return float(f"{sampler(kind, arguments, _bare)(rng):.6g}")
    value = sampler(kind, arguments, lambda argument: parse(argument, dimension))(rng)
    return f"{value / UNITS[dimension][unit]:.6g} {unit}"


def _bare(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" is not a number with a known unit')
    return float(text)


def _whole(arguments: tuple[str, ...]) -> tuple[int, int]:
    values = [resolve(argument) for argument in arguments]
    if len(values) == 2 and all(type(value) is int for value in values) and values[0] <= values[1]:
        return values[0], values[1]
    raise ValueError(f'"integers({", ".join(arguments)})" is not of the form integers(low, high)')
