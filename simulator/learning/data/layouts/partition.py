"""From cases to sites: by center, by a table, or dealt out by chance.

Skewed deals follow Hsu, Qi, Brown, "Measuring the effects of non-identical data distribution for
federated visual classification", arXiv:1909.06335, 2019: for every class of patients, the sites'
shares are drawn from a symmetric Dirichlet distribution. Classes here are groups of patients with
lesions or organs of like size, with the same largest structure, or of one center.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from simulator.errors import ScenarioError
from simulator.learning.data.layouts.gather import Entry
from simulator.learning.data.layouts.settings import Deal
from simulator.rng import stream

Amounts = Callable[[Entry], Sequence[float]]
"""Labeled volume of each structure of a case."""

POOLED = frozenset({"iid", "quantity", "dirichlet"})
"""Kinds that deal patients of all centers out by chance."""


class Taker(Protocol):
    """What a site says of the cases that it is to have."""

    @property
    def centers(self) -> tuple[str, ...]:
        """Centers that it claims by name."""

    @property
    def share(self) -> float:
        """Its share of what is dealt by shares."""


def assign(
    partition: Deal,
    sites: Mapping[str, Taker],
    entries: Sequence[Entry],
    *,
    seed: int,
    where_from: str,
    amounts: Amounts,
) -> dict[str, list[Entry]]:
    """Return the cases of every site.

    Args:
        partition: how.
        sites: settings by name, in the scenario's order.
        entries: all cases, with their centers; a patient belongs to one center.
        seed: the learning seed; only pooled deals use it.
        where_from: the data set and its root, for errors.
        amounts: of a case; only ``dirichlet`` by size or structure asks for it.

    Raises:
        ScenarioError: a center that is not there or belongs to two sites, or too few patients.
    """
    _check_shares(partition, sites)
    pooled = partition.kind in POOLED
    claims = {name: site.centers or (() if pooled else (name,)) for name, site in sites.items()}
    _check_claims(claims, entries, where_from)
    owner = {center: name for name, centers in claims.items() for center in centers}
    found: dict[str, list[Entry]] = {name: [] for name in sites}
    pool = []
    for entry in entries:
        if entry.center in owner:
            found[owner[entry.center]].append(entry)
        else:
            pool.append(entry)
    takers = {name: site for name, site in sites.items() if not claims[name]}
    if pooled and takers:
        return found | _deal(partition, takers, pool, seed, amounts)
    return found


def _check_shares(partition: Deal, sites: Mapping[str, Taker]) -> None:
    for place, site in enumerate(sites.values()):
        if site.share != 1 and (partition.kind != "quantity" or site.centers):
            found = "this site has a center" if partition.kind == "quantity" else f"kind is {partition.kind}"
            raise ScenarioError(
                f"sites.{place}.data.share: {found}, and only kind quantity of task.dataset.partition deals "
                "by shares, to sites without a center; remove it"
            )


def _check_claims(claims: Mapping[str, tuple[str, ...]], entries: Sequence[Entry], where_from: str) -> None:
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.center] = counts.get(entry.center, 0) + 1
    for place, (name, centers) in enumerate(claims.items()):
        for center in centers:
            if center not in counts:
                known = ", ".join(f"{center} ({counts[center]})" for center in sorted(counts, key=_natural))
                raise ScenarioError(
                    f'sites.{place}.data.center: {where_from} has no center "{center}"; found {known}; '
                    f"write data: {{center: …}} for {name}"
                )
    first: dict[str, str] = {}
    for place, (name, centers) in enumerate(claims.items()):
        for center in centers:
            if first.setdefault(center, name) != name:
                raise ScenarioError(
                    f'sites.{place}: center "{center}" is already the data of {first[center]}; '
                    "give every site cases of its own"
                )


def _natural(center: str) -> tuple[bool, int, str]:
    return (not center.isdecimal(), int(center) if center.isdecimal() else 0, center)


def _deal(
    partition: Deal,
    takers: Mapping[str, Taker],
    pool: Sequence[Entry],
    seed: int,
    amounts: Amounts,
) -> dict[str, list[Entry]]:
    """Deal the patients of the pool out to the sites, class by class."""
    of_patient: dict[str, list[Entry]] = {}
    for entry in pool:
        of_patient.setdefault(entry.patient, []).append(entry)
    needed = partition.min_patients * len(takers)
    if len(of_patient) < needed:
        raise ScenarioError(
            f"task.dataset.partition: {len(of_patient)} patients for {len(takers)} sites of at least "
            f"{partition.min_patients}; take fewer sites or a smaller min_patients"
        )
    hands: dict[str, list[str]] = {name: [] for name in takers}
    for group, patients in sorted(_classes(partition, of_patient, amounts).items()):
        weights = _weights(partition, takers, group, seed)
        order = sorted(patients, key=lambda one: (stream(seed, "partition", one).random(), one))
        start = 0
        for name, count in _shares(len(order), weights).items():
            hands[name] += order[start : start + count]
            start += count
    _level(hands, partition.min_patients)
    return {
        name: sorted((entry for one in patients for entry in of_patient[one]), key=lambda entry: entry.case)
        for name, patients in hands.items()
    }


def _classes(
    partition: Deal, of_patient: Mapping[str, Sequence[Entry]], amounts: Amounts
) -> dict[str, list[str]]:
    """Groups of patients that a skewed deal tells apart."""
    if partition.kind != "dirichlet":
        return {"all": sorted(of_patient)}
    if partition.by == "center":
        named = {key: entries[0].center for key, entries in of_patient.items()}
    else:
        sums = {
            key: [sum(column) for column in zip(*map(amounts, entries), strict=True)]
            for key, entries in of_patient.items()
        }
        if partition.by == "structure":
            named = {key: str(max(range(len(s)), key=lambda i: (s[i], -i))) for key, s in sums.items()}
        else:
            ranked = sorted(sums, key=lambda key: (max(sums[key]), key))
            named = {key: str(rank * partition.bins // len(ranked)) for rank, key in enumerate(ranked)}
    groups: dict[str, list[str]] = {}
    for key, group in sorted(named.items()):
        groups.setdefault(group, []).append(key)
    if len(groups) == 1:
        raise ScenarioError(
            f"task.dataset.partition.by: all patients are of one {partition.by}, there is nothing to skew; "
            "write by: size, or kind: quantity for sites of different sizes"
        )
    return groups


def _weights(partition: Deal, takers: Mapping[str, Taker], group: str, seed: int) -> dict[str, float]:
    """Each site's share of a class, summing to 1; a site's draw is its own, whoever else is there."""
    logs = {}
    for name, site in takers.items():
        logs[name] = math.log(site.share) if partition.kind == "quantity" else 0.0
        if partition.alpha is not None:
            rng = stream(seed, "partition", "share", group, name)
            # a gamma draw in logarithms: for small alpha the draw itself is rounded to 0
            logs[name] += (
                math.log(rng.gamma(partition.alpha + 1)) + math.log(1 - rng.random()) / partition.alpha
            )
    highest = max(logs.values())
    raw = {name: math.exp(value - highest) for name, value in logs.items()}
    total = math.fsum(raw.values())
    return {name: value / total for name, value in raw.items()}


def _shares(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to ``total``, nearest to the weights (largest remainders)."""
    counts = {name: int(total * weight) for name, weight in weights.items()}
    left = sorted(weights, key=lambda name: (counts[name] - total * weights[name], name))
    for name in left[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _level(hands: dict[str, list[str]], least: int) -> None:
    """Move patients from the richest sites to those with fewer than ``least``."""
    for name in sorted(hands):
        while len(hands[name]) < least:
            richest = max(sorted(hands), key=lambda other: len(hands[other]))
            hands[name].append(hands[richest].pop())
