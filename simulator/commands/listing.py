"""What ``medgossip list`` shows: everything that a scenario can name."""

import sys
from enum import StrEnum
from typing import cast

from simulator import registry
from simulator.commands.tables import print_table
from simulator.errors import ScenarioError
from simulator.scenario.devices import DEVICES, SUSTAINED_SHARE
from simulator.scenario.files import bundled, read_scenario
from simulator.units import short


class Kind(StrEnum):
    """What can be listed."""

    ALGORITHMS = "algorithms"
    CLASSIFIERS = "classifiers"
    DATASETS = "datasets"
    NETWORKS = "networks"
    SCENARIOS = "scenarios"
    DEVICES = "devices"


def print_list(kind: Kind) -> None:
    """Print one kind as a table of names, one-line summaries and sources."""
    if kind is Kind.DEVICES:
        _print_devices()
    elif kind is Kind.SCENARIOS:
        _print_scenarios()
    else:
        rows = [
            {"name": name, "summary": entry.summary, "source": entry.source}
            for name, entry in registry.registry(kind.value).items()
        ]
        print_table(rows, {"name": "name", "summary": "what it is", "source": "source"})
        for name, why in registry.unusable(cast(registry.Group, kind.value)).items():
            print(f"warning: {name} cannot be used: {why}", file=sys.stderr)


def _print_devices() -> None:
    rows = [
        {
            "name": name,
            "sustained": short(device.sustained_flop_per_s, "speed"),
            "peak": f"{short(device.peak_flop_per_s, 'speed')} ({device.peak})",
            "share": f"{SUSTAINED_SHARE[device.kind]:.0%}",
            "source": device.source,
        }
        for name, device in DEVICES.items()
    ]
    headings = {"name": "name", "sustained": "training", "peak": "published peak", "share": "share assumed"}
    print_table(rows, {**headings, "source": "source of the peak"})


def _print_scenarios() -> None:
    rows = []
    for name, path in bundled().items():
        try:
            description = read_scenario(path, path.name).keys["description"].value
        except (ScenarioError, KeyError) as error:
            description = f"cannot be read: {error}"
        rows.append({"name": name, "summary": description, "source": path.name})
    print_table(rows, {"name": "name", "summary": "what it shows", "source": "file"})
