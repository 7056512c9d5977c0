"""How patient a method was, in words for people who do not know its settings."""

import re
from collections.abc import Mapping
from typing import Any

from simulator.report.text import duration, plural
from simulator.units import parse

_WITHOUT_SERVER = {
    "stop": "keeps its last model and stops",
    "train_alone": "trains on alone",
    "gossip": "goes on with other hospitals, without a server",
    "elect": "has a new server elected among the hospitals",
}
_FEWER = re.compile(r"n(?:-([1-9][0-9]*))?")


def policy(algorithm: Mapping[str, Any], num_sites: int) -> list[str]:
    """Say whom a run waits for, and how long.

    Args:
        algorithm: the section of its resolved scenario.
        num_sites: hospitals that take part.
    """
    if "round_deadline" in algorithm:
        return [_waits(algorithm, num_sites), *_pruning(algorithm), *_server_lost(algorithm)]
    if "receive_timeout" in algorithm:
        longest = _seconds(algorithm, "receive_timeout")
        return [f"There is no server. A hospital waits for another's model for {longest} at most."]
    return []


def _waits(algorithm: Mapping[str, Any], num_sites: int) -> str:
    asked = max(1, round(float(algorithm.get("cohort", 1.0)) * num_sites))
    longest = _seconds(algorithm, "round_deadline")
    everybody = f"all {asked} hospitals" if asked == num_sites else f"the {asked} hospitals it asked"
    if algorithm.get("grace") is None:
        return f"In every round the server waits for {everybody}, but for {longest} at most."
    enough = _enough(algorithm["quorum"], asked)
    return (
        f"In every round the server waits until {enough} have answered and "
        f"{_seconds(algorithm, 'grace')} longer, but for {longest} at most; then it goes on without the rest."
    )


def _enough(quorum: Any, asked: int) -> str:
    """``7 of 8 hospitals``; a share stays one."""
    fewer = _FEWER.fullmatch(str(quorum))
    return f"{asked - int(fewer[1] or 0) if fewer else quorum} of {asked} hospitals"


def _pruning(algorithm: Mapping[str, Any]) -> list[str]:
    silent = algorithm.get("prune_after")
    return [] if silent is None else [f"Who is silent for {plural(silent, 'round')} is asked no more."]


def _server_lost(algorithm: Mapping[str, Any]) -> list[str]:
    if "server_patience" not in algorithm:
        return []
    then = _WITHOUT_SERVER[algorithm["when_server_lost"]]
    return [f"A hospital that hears nothing for {_seconds(algorithm, 'server_patience')} {then}."]


def _seconds(algorithm: Mapping[str, Any], name: str) -> str:
    return duration(parse(algorithm[name], "duration"))
