"""How fast the devices of the catalog compute."""

from simulator.errors import ScenarioError
from simulator.registry import suggest
from simulator.scenario.devices import DEVICES


def sustained_flop_per_s(name: str) -> float:
    """Return the sustained training speed of a device in floating-point operations per second.

    Raises:
        ScenarioError: the catalog does not have it.
    """
    if name not in DEVICES:
        raise ScenarioError(f'no device "{name}"{suggest(name, list(DEVICES))}')
    return DEVICES[name].sustained_flop_per_s
