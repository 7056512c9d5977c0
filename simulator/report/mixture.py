"""Runs of different tasks or sites have no common scale; a report over them is refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from simulator.errors import ScenarioError
from simulator.record.measures_run import Run


def refuse_mixture(runs: Sequence[Run]) -> None:
    """Refuse runs that differ in their task or in the names of their sites.

    Raises:
        ScenarioError: they differ; the message names what differs.
    """
    known = [run for run in runs if run.scenario.get("task")]
    tasks = [dict(_leaves(run.scenario["task"])) for run in known]
    keys = sorted({key for task in tasks for key in task})
    differ = [f"task.{key}" for key in keys if any(task.get(key) != tasks[0].get(key) for task in tasks)]
    names = {found for run in runs if (found := _sites(run))}
    if len(names) > 1:
        groups = sorted(" ".join(sorted(group)) for group in names)
        differ.append(f"sites ({' | '.join(groups)})")
    if differ:
        raise ScenarioError(
            f"these runs have different tasks or sites: {', '.join(differ)}; report them apart"
        )


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif f"{prefix}{key}" != "dataset.root":  # where the files lie does not change what they hold
            yield f"{prefix}{key}", value


def _sites(run: Run) -> frozenset[str]:
    """Names of the sites that the scenario has; those of the table where it lists none."""
    listed = run.scenario.get("sites")
    if isinstance(listed, list) and listed:
        return frozenset(str(site["name"]) for site in listed if "name" in site)
    table = run.tables["sites"]
    return frozenset(table.filter(pl.col("role") != "server")["site"])
